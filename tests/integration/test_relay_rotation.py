"""A relay's own next key: who hears of it goes over by itself, under load; who was away is told what to do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.client.admin import Desk
from relay_parsl.errors import RelayUnavailable
from relay_parsl.home import Credentials, RelayEntry
from relay_parsl.relay.keyring import NEXT, announce
from relay_parsl.wire import messages as m
from relay_parsl.wire.seal import read_succession
from tests.integration.commands import Commands, commands, until
from tests.integration.relay_site import site_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CLIENT = """
import pathlib, time
import relay_parsl as rp
with rp.Executor('site') as executor:
    number = 0
    while not pathlib.Path('enough').exists() or number < 10:
        assert executor.submit(abs, -number).result(60) == number
        number += 1
        pathlib.Path('count').write_text(str(number))
        time.sleep(0.02)
print('all right')
"""


def test_a_relay_that_serves_announces_its_next_key_and_has_it_at_its_time(tmp_path: Path) -> None:
    site = site_in(tmp_path / 'home')
    directory = site.home.directory('relay')
    with site.serving() as server, site.client('ann', server.port) as ann:
        entry = RelayEntry('site', f'tcp://127.0.0.1:{server.port}', site.relay_key, '')
        site.home.add_relay(entry)
        heir = announce(directory, time.time() + 3600, time.time(), 1e8).credentials
        said = ann.wait(m.Welcome, lambda found: any(read_succession(each.succession).heir for each in found))
        assert len({each.session for each in said}) <= 1, 'in the session that there is'
        with Desk(entry, site.people['root'], home=site.home):
            assert site.home.relays()['site'].heir == heir.keys.curve_public
        announce(directory, time.time(), time.time(), 1e8)
        until(lambda: not (directory / NEXT).exists())
        with Desk(site.home.relays()['site'], site.people['root'], home=site.home) as desk:
            assert desk.order('status')['full'] is False
        assert (site.home.relays()['site'].key, site.home.relays()['site'].heir) == (heir.keys.curve_public, b'')
        with pytest.raises(RelayUnavailable, match='relay-parsl relay pin KEY'):
            Desk(entry, site.people['root'], timeout=2.0)
        assert Credentials.load(directory / 'relay.key') == heir


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Any]:
    """A machine by its name, each with a home of its own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(commands(tmp_path / name))


def pinned(user: Commands, pattern: str = 'relays/*.json') -> dict[str, Any]:
    [path] = user.root.glob(pattern)
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def count(user: Commands) -> int:
    path = user.cwd / 'count'
    return int(path.read_text() or 0) if path.exists() else 0


def record(user: Commands) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (user.root / 'relay' / 'audit.log').read_text().splitlines()]


def endpoint_of(user: Commands) -> str:
    return (user.root / 'endpoints' / 'site' / 'endpoint.pid').read_text()


@pytest.mark.slow
def test_whoever_heard_of_the_next_key_goes_over_and_who_was_away_is_told_the_remedy(party: Any) -> None:
    alice, bob, spare = party('alice'), party('bob'), party('spare')
    alice.relay()
    bob.ok('join', alice.ok('invite', 'bob', '--role', 'user').strip())
    alice.endpoint('site')
    old = alice.ok('relay', 'key').strip()
    assert pinned(alice)['key'] == pinned(bob)['key'] == old
    process = endpoint_of(alice)
    with subprocess.Popen([sys.executable, '-c', CLIENT], env=alice.environment, cwd=alice.cwd, stdout=subprocess.PIPE, text=True) as client:
        try:
            until(lambda: count(alice) > 5)
            assert 'serves under its key of now' in alice.ok('relay', 'rotate')
            until(lambda: pinned(alice, 'endpoints/site/relay.json').get('heir'))
            alice.ok('relay', 'rotate', '--cancel')
            until(lambda: not pinned(alice, 'endpoints/site/relay.json').get('heir'))
            assert 'no next key' in alice.refused('relay', 'rotate', '--cancel')
            alice.ok('relay', 'rotate', '--until', '1h')
            until(lambda: pinned(alice, 'endpoints/site/relay.json').get('heir'))
            new = pinned(alice, 'endpoints/site/relay.json')['heir']
            assert alice.ok('relay', 'key').split()[:2] == [old, new]
            assert 'next key' in alice.run('doctor').stdout
            alice.ok('relay', 'backup', 'both.backup', '--passphrase', 'correct horse')
            spare.ok('relay', 'restore', str(alice.cwd / 'both.backup'), '--passphrase', 'correct horse')
            assert spare.ok('relay', 'key').split()[:2] == [old, new], 'a backup has both'
            alice.ok('relay', 'rotate', '--until', '3s')
            until(lambda: not (alice.root / 'relay' / 'relay.key.next').exists())
            seen = count(alice)
            until(lambda: count(alice) > seen + 20)
            (alice.cwd / 'enough').touch()
            assert client.communicate(timeout=60)[0].strip() == 'all right'
        finally:
            client.kill()
    assert endpoint_of(alice) == process, 'it has gone over by itself'
    assert alice.ok('relay', 'key').strip() == new
    until(lambda: pinned(alice, 'endpoints/site/relay.json')['key'] == new)
    for where in ('relays/*.json', 'endpoints/site/relay.json'):
        assert (pinned(alice, where)['key'], 'heir' in pinned(alice, where)) == (new, False)
    assert [line['serial'] for line in record(alice) if line['event'] == 'keys'] == [1, 1, 1, 1, 2]
    alice.ok('audit', 'verify', 'relay')

    assert 'relay-parsl relay pin KEY' in bob.refused('account', 'list'), 'he was away all the time'
    assert 'relay pin' in bob.run('doctor').stdout
    assert 'no key' in bob.refused('relay', 'pin', new[:-4])
    bob.ok('relay', 'pin', new)
    bob.ok('account', 'list')
    where = pinned(bob)['url'].removeprefix('tcp://')
    bob.ok('relay', 'pin', new, '--at', 'localhost:1')
    assert pinned(bob)['url'] == 'tcp://localhost:1'
    bob.ok('relay', 'pin', new, '--at', where)

    alice.ok('relay', 'stop')  # a start finds the home's own entry
    alice.ok('relay', 'start', '--bind', pinned(alice)['url'].removeprefix('tcp://'), '--detach')
    bob.ok('account', 'list')
    assert 'nobody hears of it' in spare.run('relay', 'rotate').stderr
    assert len([*alice.root.glob('relays/*.json')]) == 1
