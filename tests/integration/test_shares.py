"""Sharing an endpoint from end to end: two accounts, real processes, and a relay that brings an old statement back."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.wire.messages import Id
from tests.integration.commands import Commands, Short, commands, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CALL = """
import relay_parsl as rp
def double(number):
    return 2 * number
with rp.Executor({endpoint!r}, serializer='json') as executor:
    calls = dict(sqrt=('math:sqrt', 49), cos=('math:cos', 0), own=(executor.register_function(double), 21))
    print(executor.register_function(double))
    for name, (function, number) in calls.items():
        future = executor.submit_to_registered_function(function, (number,))
        error = future.exception(timeout=40)
        print(name, future.result() if error is None else f'{{type(error).__name__}}: {{error}}')
    print(type(executor.submit_to_registered_function('builtins:complex', (1, 2)).exception(timeout=40)).__name__)
"""
Party = Callable[[str], Commands]


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    """A machine by its name, each with a home of its own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(commands(tmp_path / name, Short))


def told(user: Commands, endpoint: str) -> dict[str, str]:
    """What came of each call; `id`: the id of the user's own function."""
    done = user.python(CALL.format(endpoint=endpoint))
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    return {'id': lines[0], 'complex': lines[-1], **dict(line.split(' ', 1) for line in lines[1:-1])}


def shares(owner: Commands) -> list[dict[str, Any]]:
    return json.loads(owner.ok('endpoint', 'shares', 'site', '--json'))  # type: ignore[no-any-return]


def in_force(owner: Commands) -> bool:
    return all(row['state'] == 'in force' for row in shares(owner))


def account(user: Commands) -> str:
    return next(row['id'] for row in json.loads(user.ok('account', 'list', '--json')) if row['you'])


def test_a_guest_runs_what_it_may_for_as_long_as_it_may(party: Party) -> None:
    alice, bob, cluster = party('alice'), party('bob'), party('cluster')
    alice.relay()
    bob.ok('join', alice.ok('invite', 'bob', '--role', 'user').strip())
    cluster.ok('join', alice.ok('invite', 'site', '--role', 'endpoint').strip())
    cluster.endpoint('site')
    alice.ok('account', 'list')  # confirms the endpoint
    guest = account(bob)
    site = str(uuid.UUID(json.loads(alice.ok('endpoint', 'show', 'site', '--json'))['id']))

    # a stranger's tasks do not even get to the endpoint
    assert 'error' in bob.refused('endpoint', 'confirm', 'hers', site, '--yes')

    # by name only; other code is refused, and the refusal says which policy and what to do
    alice.ok('endpoint', 'share', 'site', guest, '--functions', 'math:sqrt', '--yes')
    until(lambda: in_force(alice))
    found = told(bob, site)
    assert found['sqrt'] == '7.0'
    known = json.loads(alice.ok('endpoint', 'show', 'site', '--json'))
    assert (known['function_policy'], known['shared']) == ('any', [guest])
    known = json.loads(bob.ok('endpoint', 'show', 'site', '--json'))
    assert (known['terms']['policy'], 'shared' in known) == ('names', False)
    assert json.loads(bob.ok('endpoint', 'show', site, '--json')) == known, 'by the UUID that its owner told'
    assert 'the share of this endpoint with your account (function policy: names) does not allow this' in found['cos']
    assert '(math:sqrt)' in found['own']

    # by hash only, under a name that the guest has confirmed, and for some seconds
    alice.ok('endpoint', 'share', 'site', guest, '--functions', found['id'], '--until', '1d', '--yes')
    bob.ok('endpoint', 'confirm', 'hers', site, '--yes')
    assert json.loads(bob.ok('endpoint', 'show', 'hers', '--json'))['id'] == site, 'by what it is called here'
    until(lambda: in_force(alice))
    found = told(bob, 'hers')
    assert found['own'] == '42'
    assert 'function policy: hashes' in found['sqrt']

    # a share ends by itself: the relay goes on letting tasks pass, the endpoint does not
    alice.ok('endpoint', 'share', 'site', guest, '--until', '1s', '--yes')
    until(lambda: shares(alice)[0]['state'] == 'over')
    assert 'is not trusted by this endpoint' in told(bob, 'hers')['sqrt']


QUEUE = """
import time, pathlib
import relay_parsl as rp
def hold(go, mark):
    pathlib.Path(mark).touch()
    while not pathlib.Path(go).exists():
        time.sleep(0.05)
    return 'ran'
with rp.Executor({endpoint!r}) as executor:
    running = [executor.submit(hold, {go!r}, {mark!r} + str(number)) for number in range(2)]
    while not all(pathlib.Path({mark!r} + str(number)).exists() for number in range(2)):
        time.sleep(0.05)
    waiting = [executor.submit(hold, {go!r}, {mark!r} + str(number)) for number in range(2, 5)]
    while not all(future.is_accepted for future in waiting):
        time.sleep(0.05)
    print('all sent', flush=True)
    print([str(future.exception(timeout=40)) for future in waiting], flush=True)
    pathlib.Path({go!r}).touch()
    print([future.result(timeout=40) for future in running])
"""


HELD = """
import time, os, pathlib
import relay_parsl as rp
def hold(mark):
    pathlib.Path(mark + '.new').write_text(str(os.getpid()))
    pathlib.Path(mark + '.new').rename(mark)
    time.sleep(600)
with rp.Executor({endpoint!r}) as executor:
    future = executor.submit(hold, {mark!r})
    while not pathlib.Path({mark!r}).exists():
        time.sleep(0.05)
    print('runs', flush=True)
    print(type(future.exception(timeout=40)).__name__)
"""


@contextmanager
def begun(user: Commands, code: str, said: str) -> Iterator[subprocess.Popen[str]]:
    """A script that goes on while the test looks at it, once it has said so."""
    program = [sys.executable, '-c', code]
    with subprocess.Popen(program, env=user.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=user.cwd) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == said
            yield process
        finally:
            process.kill()


def test_who_is_taken_off_is_refused_also_where_the_relay_brings_an_old_statement_back(party: Party) -> None:
    alice, bob = party('alice'), party('bob')
    alice.relay()
    bob.ok('join', alice.ok('invite', 'bob', '--role', 'user').strip())
    alice.endpoint('site')
    guest, site = account(bob), str(uuid.UUID(json.loads(alice.ok('endpoint', 'show', 'site', '--json'))['id']))
    alice.ok('endpoint', 'share', 'site', guest, '--yes')
    until(lambda: in_force(alice))
    old = json.loads(next((alice.root / 'shares').glob('*.json')).read_text())['statement']

    code = QUEUE.format(endpoint=site, go=str(bob.cwd / 'go'), mark=str(bob.cwd / 'began-'))
    with begun(bob, code, 'all sent') as process:  # two that run, and three that wait behind them inside the engine
        alice.ok('endpoint', 'unshare', 'site', guest)
        waiting, ran = process.communicate(timeout=60)[0].splitlines()
    assert waiting.count('is not shared with it') == 3, 'what waits in the engine comes back and is refused'
    assert ran == "['ran', 'ran']", 'what runs goes on'
    assert shares(alice) == []
    assert 'error' in bob.refused('endpoint', 'confirm', 'hers', site, '--yes')

    bring_back(alice, old, guest)
    bob.ok('endpoint', 'confirm', 'hers', site, '--yes')
    assert 'is not trusted by this endpoint' in told(bob, 'hers')['sqrt'], 'the relay lets the task pass, the endpoint does not'
    record = (alice.root / 'endpoints' / 'site' / 'audit.log').read_text()
    assert 'an older one is being brought back' in record
    assert [row['account'] for row in shares(alice)] == [], 'nor does the owner take it for what holds'


def bring_back(owner: Commands, statement: str, guest: str) -> None:
    """What a relay can do that wants an old statement to hold: show it, and let the account pass."""
    entry = json.loads(next((owner.root / 'relays').glob('*.json')).read_text())
    owner.ok('relay', 'stop')
    store = SqliteStore(owner.root / 'relay' / 'relay.db')
    store.begin()
    [row] = [each for each in store.accounts() if each.role == 'endpoint']
    store.put_account(replace(row, share=b64decode(statement), shared=(Id(uuid.UUID(guest).bytes),)))
    store.commit()
    store.close()
    owner.ok('relay', 'start', '--bind', entry['url'].removeprefix('tcp://'), '--detach')


@pytest.mark.slow
@pytest.mark.fault(49)
def test_cancel_ends_what_runs_of_a_guest(party: Party) -> None:
    alice, bob = party('alice'), party('bob')
    alice.relay()
    bob.ok('join', alice.ok('invite', 'bob', '--role', 'user').strip())
    alice.endpoint('site', 'display_name: s\nengine:\n  type: ProcessPoolEngine\n  max_workers: 2\n')
    guest, site = account(bob), str(uuid.UUID(json.loads(alice.ok('endpoint', 'show', 'site', '--json'))['id']))
    alice.ok('endpoint', 'share', 'site', guest, '--yes')
    until(lambda: in_force(alice))
    code = HELD.format(endpoint=site, mark=str(bob.cwd / 'began'))
    with begun(bob, code, 'runs') as process:
        alice.ok('endpoint', 'unshare', 'site', guest, '--cancel')
        assert process.communicate(timeout=60)[0].split() == ['TaskCancelled']
    runner = int((bob.cwd / 'began').read_text())
    until(lambda: not psutil.pid_exists(runner))
