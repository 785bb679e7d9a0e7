"""Somebody has the key of an operator. He tries all that the relay knows: he can stop, drain, revoke and invite, on record; and run nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.home import Credentials, Home
from relay_parsl.relay.effects import Audit
from relay_parsl.relay.sessions import ClientSession
from relay_parsl.wire import messages as m
from tests.integration.commands import Commands, commands
from tests.unit.relay.stage import Stage, a_hash, an_id
from tests.unit.relay.test_admin import invitation

pytestmark = pytest.mark.integration

POWERS: dict[str, list[tuple[dict[str, Any], str]]] = {
    'invite': [
        (invitation(role='user', name='mallory'), 'done'),
        (invitation(role='operator', name='second', curve=b'd' * 32), 'done'),
        (invitation(role='service', name='robot', curve=b'e' * 32), 'done'),
        (invitation(role='endpoint', name='trap', curve=b'f' * 32), 'denied'),
    ],
    'vouch': [({'id': an_id('site'), 'voucher': b'his word'}, 'not-found')],
    'share': [({'name': 'site', 'account': an_id('bob')}, 'not-found')],
    'unshare': [({'name': 'site', 'account': an_id('bob')}, 'not-found')],
    'register': [({'id': an_id('f'), 'data': b'code'}, 'denied')],
    'unregister': [({'id': an_id('f')}, 'not-found')],
    'status': [({}, 'done')],
    'quota': [({'name': 'ann', 'tasks': 3}, 'done')],
    'drain': [({}, 'done'), ({'off': True}, 'done')],
    'backup': [({'name': 'copy'}, 'done')],
    'revoke': [({'name': 'bob'}, 'done')],
    'delete-endpoint': [({'name': 'far'}, 'done')],
    'stop': [({}, 'done')],
}
"""What an operator's key is good for: each verb of the relay, with the answer to it."""
THEIRS, RUNS = an_id('theirs'), an_id('runs')
SPEECH: dict[type, m.Message] = {
    m.Submit: m.Submit((m.Task(b'', m.Body(b'')),)),
    m.Objects: m.Objects((m.Object(a_hash('grant'), 'grant', m.Body(b'his')),)),
    m.Need: m.Need((a_hash('grant'), a_hash('function'))),
    m.Cancel: m.Cancel((m.Attempt(THEIRS, 0), m.Attempt(RUNS, 1))),
    m.Window: m.Window({'': (100, 1 << 30)}),
    m.Follow: m.Follow((an_id('group'),), (THEIRS, RUNS)),
    m.Received: m.Received((THEIRS, RUNS)),
    m.Watch: m.Watch((THEIRS, RUNS)),
    m.Fetch: m.Fetch(RUNS, 1, 'result', 0, 100),
    m.Segment: m.Segment(RUNS, 1, 'task', 0, 4, m.Body(b'body')),
    m.List: m.List(1, 'tasks', {'id': RUNS}),
    m.Admin: m.Admin(2, 'cancel', {'id': RUNS}),
}
"""What a client may say, about tasks of ann's."""


def answer(stage: Stage, verb: str, args: dict[str, Any]) -> str:
    """`done`, or the code of the refusal."""
    root = stage.client('root', verb)
    root.say(m.Admin(1, verb, args))
    [said] = [each for each in root.inbox if isinstance(each, (m.Done, m.Refused))]
    return said.code if isinstance(said, m.Refused) else 'done'


@pytest.mark.attack(44)
def test_every_verb_of_the_relay_is_one_that_an_operator_may_or_may_not_say_and_is_on_record() -> None:
    stage = Stage()
    assert set(POWERS) == set(stage.reactor._admin._verbs), 'decide about a new verb here'
    for verb, cases in POWERS.items():
        for args, expected in cases:
            stage.effects.clear()
            assert answer(stage, verb, args) == expected, (verb, args)
            lines = [each for each in stage.effects if isinstance(each, Audit) and each.account == an_id('root') and each.event != 'session']
            assert [each.event if expected == 'done' else each.fields['verb'] for each in lines] == [verb]


@pytest.mark.attack(44)
def test_nothing_that_he_says_of_others_tasks_is_answered_with_anything() -> None:
    stage = Stage()
    said = {kind for session, kind in stage.reactor._handlers if session is ClientSession}
    assert set(SPEECH) == said, 'decide about a new message here'
    ann, endpoint, root = stage.client('ann'), stage.endpoint(window=(1, 1 << 30)), stage.client('root')
    stage.submit(ann, 'runs', 'theirs')
    assert endpoint.ids(m.Dispatch) == [RUNS]
    for message in (m.Submit((stage.task('his'),)), *list(SPEECH.values())[1:]):
        root.say(message)
    assert {each.code for each in root.got(m.Refused)} == {'unsupported'}
    assert {task.code for each in root.got(m.Rejected) for task in each.tasks} <= {'denied', 'unknown', 'not-found'}
    assert [each.rows for each in root.got(m.Listing)] == [()]
    assert [(each.total, each.data) for each in root.got(m.Segment)] == [(-1, b'')], 'there is none'
    assert [each.data for message in root.got(m.Objects) for each in message.objects] == [b'his'], 'what he has brought himself'
    assert root.inbox == []
    assert endpoint.got(m.Cancel) == []
    stage.finish(endpoint, 'runs')
    stage.finish(endpoint, 'theirs')
    stage.wait(10)
    assert set(ann.ids(m.Deliver)) == {RUNS, THEIRS}
    assert [each for each in root.inbox if not isinstance(each, m.Ping)] == []


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[dict[str, Commands]]:
    """The relay's host with alice's home and her endpoint, and the home of an attacker with a copy of the operator's key."""
    with ExitStack() as stack:
        made = {}
        for name in ('host', 'attacker'):
            (tmp_path / name).mkdir()
            made[name] = stack.enter_context(commands(tmp_path / name / 'home'))
        yield made


STOLEN = """
import relay_parsl as rp
from pathlib import Path
from relay_parsl.errors import RelayError
try:
    with rp.Executor({endpoint!r}{more}) as executor:
        future = executor.submit(Path.touch, Path({canary!r}))
        print('ended:', future.exception(15))
except (RelayError, TimeoutError) as error:
    print('refused:', type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.attack(44)
def test_with_the_stolen_key_and_accounts_that_it_makes_nothing_runs(homes: dict[str, Commands], tmp_path: Path) -> None:
    host, attacker, canary = homes['host'], homes['attacker'], tmp_path / 'canary'
    host.relay()
    host.endpoint('site')
    works = host.python(STOLEN.format(endpoint='site', canary=str(tmp_path / 'hers'), more=''))
    assert works.stdout == 'ended: None\n', works
    assert (tmp_path / 'hers').exists(), 'for alice it runs'
    stolen = Credentials.load(host.root / 'accounts' / 'operator.key')
    stolen.save(Home(attacker.root).credentials_path('operator'))
    for entry in (host.root / 'relays').iterdir():
        target = attacker.root / 'relays' / entry.name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        target.write_bytes(entry.read_bytes())
        target.chmod(0o600)
    endpoint = uuid.UUID(bytes=bytes(Credentials.load(host.root / 'endpoints' / 'site' / 'endpoint.key').id))
    tried = [attacker.python(STOLEN.format(endpoint=str(endpoint), canary=str(canary), more=more)) for more in ('', ", credentials='operator'")]
    link = attacker.ok('invite', 'mallory', '--role', 'user', '--credentials', 'operator').strip()
    attacker.ok('join', link)
    tried.append(attacker.python(STOLEN.format(endpoint=str(endpoint), canary=str(canary), more=", credentials='mallory'")))
    assert all(each.stdout.startswith(('refused:', 'ended: ')) and 'ended: None' not in each.stdout for each in tried), tried
    assert not canary.exists()
    log = [json.loads(line) for line in (host.root / 'relay' / 'audit.log').read_text().splitlines()]
    his = [line['event'] for line in log if line.get('account') == stolen.id.hex()]
    assert 'invite' in his
    assert his.count('session') >= 2
    assert 'error' not in host.ok('audit', 'verify')
