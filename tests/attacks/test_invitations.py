"""An invitation in the hands of two, or of somebody who has its one-use key and guesses its token: a real relay, real sockets and commands."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.client.admin import Desk, enrol
from relay_parsl.client.enrol import invite, join
from relay_parsl.errors import AccessDenied, RelayUnavailable
from relay_parsl.home import Credentials, Home, Invitation, RelayEntry
from relay_parsl.relay.guesses import FREE, LONGEST
from relay_parsl.transport import Dealer
from relay_parsl.wire.messages import Enrol, Enrolled, Message, Refused
from relay_parsl.wire.seal import enrolment_mac
from tests.integration.commands import commands, until
from tests.integration.relay_site import YEAR, Site, site_in

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    """Of ann, at a relay that serves."""
    with site.serving() as server:
        entry = RelayEntry('here', f'tcp://127.0.0.1:{server.port}', site.relay_key, '')
        with Desk(entry, site.people['ann']) as made:
            yield made


def joiner(link: Invitation) -> tuple[Credentials, Enrol]:
    """New keys, and what they say to join."""
    made = Credentials.create(link.name, link.role, now=time.time(), lifetime=YEAR, inviter=link.inviter_identity)
    return made, Enrol(link.token, made.card.data, enrolment_mac(link.secret, made.card.data, link.name, link.role))


def audited(home: Home, event: str) -> list[dict[str, Any]]:
    lines = (home.directory('relay') / 'audit.log').read_text().splitlines()
    return [line for line in map(json.loads, lines) if line['event'] == event]


def answer(dealer: Dealer) -> Message:
    """The next message."""
    end = time.monotonic() + 30
    while not (got := dealer.receive(1)):
        assert time.monotonic() < end, dealer.failure
        dealer.wait(0.1)
    return got[0]


@pytest.mark.attack(30)
def test_of_many_who_join_at_once_by_one_invitation_one_joins(site: Site, desk: Desk) -> None:
    link = invite(site.home, desk, 'new', 'endpoint')
    with ExitStack() as stack:
        all_of_them = [(*joiner(link), Dealer(desk.entry.url, link.relay_key, link.curve)) for _ in range(8)]
        for _, _, dealer in all_of_them:
            stack.callback(dealer.close)
            until(lambda: dealer.receive() or dealer.handshakes)  # noqa: B023  called in this round
        for _, said, dealer in all_of_them:
            assert dealer.send(said)
        answers = [answer(dealer) for _, _, dealer in all_of_them]
    in_ = [credentials.id for (credentials, _, _), got in zip(all_of_them, answers) if isinstance(got, Enrolled)]
    assert len(in_) == 1
    assert {got.code for got in answers if not isinstance(got, Enrolled)} <= {'denied', 'rate'}  # type: ignore[attr-defined]
    assert [row['id'] for row in desk.rows('accounts', name='new')] == in_
    assert len(audited(site.home, 'enrolled')) == 1
    assert len(audited(site.home, 'enrol-denied')) >= FREE
    with pytest.raises(RelayUnavailable, match='the invitation was used'):
        enrol(desk.entry.url, link.relay_key, link.curve, joiner(link)[1])


@pytest.mark.slow
@pytest.mark.attack(30)
def test_two_commands_with_the_same_link_at_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        homes = []
        for name in ('host', 'one', 'two'):
            (tmp_path / name).mkdir()
            homes.append(stack.enter_context(commands(tmp_path / name / 'home')))
        homes[0].relay()
        link = homes[0].ok('invite', 'laptop', '--role', 'endpoint').strip()
        running = [each.start('join', link) for each in homes[1:]]
        said = [each.communicate(timeout=60)[0] for each in running]
        assert sorted(each.returncode for each in running) == [0, 2], said
        loser = homes[1:][[each.returncode for each in running].index(2)]
        assert list(loser.root.rglob('*.key')) == [], 'who was not let in keeps no keys'
        assert 'Traceback' not in ''.join(said)
        assert len(audited(Home(homes[0].root), 'enrolled')) == 1


def joined(link: Invitation, kept: list[Credentials]) -> bool:
    """Whether somebody honest gets in by now."""
    with suppress(AccessDenied):
        join(link, keep=kept.append, drop=kept.remove)
    return bool(kept)


@pytest.mark.attack(30)
def test_who_guesses_the_token_is_slowed_and_on_record_and_the_honest_joiner_gets_in(site: Site, desk: Desk, tmp_path: Path) -> None:
    """He has the one-use key of the invitation, which is the most that anybody could have without having all of it."""
    link = invite(site.home, desk, 'new', 'endpoint')
    guesser = Dealer(desk.entry.url, link.relay_key, link.curve)
    try:
        for _ in range(20 * FREE):
            assert guesser.send(replace(joiner(link)[1], token=os.urandom(32)))
        said = [answer(guesser) for _ in range(20 * FREE)]
        codes = [each.code for each in said if isinstance(each, Refused)]
        assert len(codes) == 20 * FREE
        assert codes[:FREE] == ['denied'] * FREE
        looked = codes.count('denied')
        assert looked <= FREE + 7, 'each next one waits twice as long'
        assert guesser.send(joiner(link)[1])
        wait = answer(guesser)
        assert isinstance(wait, Refused)
        assert wait.code == 'rate', 'a right one has to wait too'
    finally:
        guesser.close()
    lines = audited(site.home, 'enrol-denied')
    assert [line['tries'] for line in lines] == list(range(1, looked + 1))
    assert {line['address'] for line in lines} == {'127.0.0.1'}
    kept: list[Credentials] = []
    until(lambda: joined(link, kept), LONGEST)
    assert [row['id'] for row in desk.rows('accounts', name='new')] == [kept[0].id]


@pytest.mark.attack(30)
def test_the_relay_keeps_the_hash_of_a_token_and_nothing_of_the_secret(site: Site, desk: Desk) -> None:
    link = invite(site.home, desk, 'new', 'endpoint')
    held = b''.join(path.read_bytes() for path in site.home.directory('relay').rglob('*') if path.is_file())
    assert link.token_hash in held
    assert link.token not in held
    assert link.secret not in held
    assert link.curve not in held
