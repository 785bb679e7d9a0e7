"""A key is revoked while a session under it is open: a relay in a process of its own, the command of the operator, and the one who has the key."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.home import Credentials, Home
from relay_parsl.transport import Dealer
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Id
from tests.integration.commands import PATIENCE, Commands, commands
from tests.integration.relay_site import FUNCTION, GRANT, Party, an_id, leases, submit

pytestmark = pytest.mark.integration


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    """A relay with the user alice and her endpoint `site`, of which no process runs."""
    with commands(tmp_path / 'home') as made:
        made.relay()
        (made.cwd / 'site.yaml').write_text('engine: {type: ThreadPoolEngine}\n')
        made.ok('endpoint', 'configure', 'site', '--endpoint-config', str(made.cwd / 'site.yaml'))
        yield made


@contextlib.contextmanager
def connected(cli: Commands, path: str) -> Iterator[Party]:
    """Somebody with these keys, connected."""
    entry, _ = Home(cli.root).find_relay()
    credentials = Credentials.load(cli.root / path)
    party = Party(credentials, Dealer(entry.url, entry.key, credentials.keys.curve))
    try:
        yield party
    finally:
        party.dealer.close()


def task(alice: Party, site: Party, number: int) -> m.Task:
    header = m.TaskHeader(GRANT.hash, number, an_id(number), an_id(0), site.id, FUNCTION.hash, time.time() + 3600)
    return m.Task(codec.encode_header(header), m.Body(b'call'))


def result(site: Party, leased: m.Leased) -> m.Result:
    header = codec.task_header(leased.header)
    said = m.ResultHeader(GRANT.hash, 1, header.task_id, site.id, 1, leased.attempt, m.Status.SUCCESS)
    return m.Result(codec.encode_header(said), m.Body(b'outcome'))


def heard(party: Party, goodbyes: int = 1) -> list[m.Message]:
    """Everything but questions whether it lives, until so many goodbyes have come."""
    end = time.monotonic() + PATIENCE
    got: list[m.Message] = []
    while sum(isinstance(each, m.Goodbye) for each in got) < goodbyes:
        assert time.monotonic() < end, got
        party.dealer.wait(0.1)
        got += [each for each in party.dealer.receive() if not isinstance(each, m.Ping)]
    return got


@contextlib.contextmanager
def both(cli: Commands) -> Iterator[tuple[Party, Party]]:
    """Sessions of alice, and of her endpoint, which holds a task; another task waits."""
    with connected(cli, 'accounts/alice.key') as alice, connected(cli, 'endpoints/site/endpoint.key') as site:
        alice.say(m.Hello('client', Id(os.urandom(16))))
        site.say(m.Hello('endpoint', Id(os.urandom(16)), 1))
        alice.one(m.Welcome)
        session = site.one(m.Welcome).session
        site.say(m.Window({'': (1, 1 << 30)}), m.Held(session, 0, True, ()))
        submit(alice, [task(alice, site, 1), task(alice, site, 2)])
        yield alice, site


def audited(cli: Commands, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, (cli.root / 'relay' / 'audit.log').read_text().splitlines()) if line['event'] == event]


def shut_out(party: Party) -> None:
    """The key opens no connection any more."""
    party.dealer.reconnect()
    end = time.monotonic() + PATIENCE
    while party.dealer.failure != 'unknown-key':
        assert time.monotonic() < end
        party.dealer.wait(0.1)


@pytest.mark.attack(26)
def test_a_client_whose_key_is_revoked_is_out_before_the_operator_is_told_so(cli: Commands) -> None:
    with both(cli) as (alice, site):
        leases(site, 1)
        cli.ok('account', 'revoke', 'alice', '--credentials', 'operator')
        assert heard(alice) == [m.Goodbye('revoked')], 'without a word of her own'
        alice.say(m.Submit((task(alice, site, 3),)), m.Cancel((m.Attempt(an_id(1), 0), m.Attempt(an_id(2), 0))), m.List(1, 'tasks'), m.Ping())
        assert heard(alice, 4) == [m.Goodbye('revoked')] * 4
        site.say(m.Ping())
        site.one(m.Pong)
        assert [each for each in site.inbox if isinstance(each, (m.Cancel, m.Dispatch))] == [], 'the task goes on, the other does not begin'
        shut_out(alice)
        assert len(audited(cli, 'revoke')) == 1


@pytest.mark.slow
@pytest.mark.attack(26)
def test_an_endpoint_whose_key_is_revoked_delivers_nothing_and_gets_nothing(cli: Commands) -> None:
    with both(cli) as (alice, site):
        [leased] = leases(site, 1)
        cli.ok('account', 'revoke', 'site')
        assert heard(site) == [m.Goodbye('revoked')]
        site.say(m.Results((result(site, leased),)), m.Held(1, 0, True, ()), m.Window({'': (100, 1 << 30)}))
        assert heard(site, 3) == [m.Goodbye('revoked')] * 3
        alice.say(m.Ping())
        alice.one(m.Pong)
        assert [each for each in alice.inbox if isinstance(each, m.Deliver)] == [], 'what it says now is no result'
        shut_out(site)
