"""Who would have clients take another key for the relay's: without the identity's signature, or with the keys of before, after their time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.client import session
from relay_parsl.client.defaults import Target
from relay_parsl.client.executor import Executor
from relay_parsl.client.loop import TICK
from relay_parsl.home import following
from relay_parsl.home.records import CLOCKS
from relay_parsl.wire import messages as m
from relay_parsl.wire.seal import Keys, issue_card, issue_succession, new_curve
from tests.unit.client.calls import LONG, double, until
from tests.unit.client.fake_relay import FakeRelay, a_home

pytestmark = pytest.mark.attack(4)
RELAY, THIEF = Keys.generate(), Keys.generate()
NEXT = replace(RELAY, curve=new_curve())


@contextmanager
def serving(tmp_path: Path, keys: Keys, succession: bytes, port: int = 0) -> Iterator[FakeRelay]:
    relay = FakeRelay(a_home(tmp_path), keys=keys, port=port)
    relay.succession = succession
    try:
        yield relay
    finally:
        for each in list(session._sessions.values()):
            each.close()
        session._sessions.clear()
        relay.close()


def said(keys: Keys, serial: int = 1, heir: Keys | None = None, since: float = 0.0) -> bytes:
    """What a relay of these keys says of them."""
    card = issue_card(keys, 'relay', serial=serial, not_after=time.time() + 1e6)
    return issue_succession(keys, card, issue_card(heir, 'relay', serial=serial + 1, not_after=card.not_after) if heir else None, since).data


def pinned(relay: FakeRelay) -> tuple[bytes, bytes]:
    """The key that is kept, and the next one."""
    entry = relay.home.relays()['fake']
    return entry.key, entry.heir


def test_a_key_that_the_pinned_identity_has_not_signed_is_not_followed(tmp_path: Path) -> None:
    """The attacker has the key of the connection, and not that of the identity: a relay would have both in one file, its memory need not."""
    thief = replace(THIEF, curve=RELAY.curve)
    with serving(tmp_path, RELAY, said(thief, heir=THIEF, since=time.time() + 3600)) as relay:
        entry = replace(relay.target.relay, identity=RELAY.identity_public)
        relay.home.add_relay(entry)
        executor = Executor('polaris', relay=Target(entry, relay.user, relay.home))
        assert executor.submit(double, 21).result(LONG) == 42
        assert pinned(relay) == (RELAY.curve_public, b'')
        assert relay.home.relays()['fake'].identity == RELAY.identity_public


def test_the_keys_of_before_move_nobody_who_has_gone_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, RELAY, said(RELAY, heir=NEXT, since=time.time())) as relay:
        relay.home.add_relay(relay.target.relay)
        assert Executor('polaris', relay=relay.target).submit(double, 1).result(LONG) == 2
        assert pinned(relay) == (RELAY.curve_public, NEXT.curve_public)
        port = relay.port
    with serving(tmp_path, NEXT, said(NEXT, 2), port) as relay:
        target = Target(relay.home.relays()['fake'], relay.user, relay.home)
        assert Executor('polaris', relay=target).submit(double, 2).result(LONG) == 4
        assert pinned(relay) == (NEXT.curve_public, b'')
    with serving(tmp_path, RELAY, said(RELAY, heir=replace(RELAY, curve=THIEF.curve), since=time.time()), port) as relay:
        nobody_says_a_word(relay, monkeypatch)
        assert pinned(relay) == (NEXT.curve_public, b'')


def test_after_their_time_they_serve_nobody_who_had_only_heard_of_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = time.time() - CLOCKS - 60
    with serving(tmp_path, RELAY, said(RELAY, heir=replace(RELAY, curve=THIEF.curve), since=time.time())) as relay:
        relay.home.add_relay(replace(relay.target.relay, identity=RELAY.identity_public, heir=NEXT.curve_public, since=late))
        nobody_says_a_word(relay, monkeypatch)
        assert pinned(relay) == (RELAY.curve_public, NEXT.curve_public)


def nobody_says_a_word(relay: FakeRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of this home, which finds a thief in the place of its relay: whatever it tries within some looks around."""
    monkeypatch.setattr(following, 'AGAIN', 0.0)
    executor = Executor('polaris', relay=Target(relay.home.relays()['fake'], relay.user, relay.home))
    future = executor.submit(double, 3)
    until(lambda: executor.session._loop._dealer.failure == 'handshake')
    time.sleep(6 * TICK)
    assert not future.done()
    assert relay.of(m.Hello) == []
    executor.shutdown(wait=False, cancel_futures=True)
