"""Which key a relay is dialled with, before, while and after another one takes its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.errors import HomeError
from relay_parsl.home import Following, Home, RelayEntry
from relay_parsl.home.records import CLOCKS
from relay_parsl.wire.seal import Keys, issue_card, issue_succession, new_curve

DAY, SINCE = 86400.0, 1_800_000_000.0
RELAY, STRANGER = Keys.generate(), Keys.generate()
NEXT = replace(RELAY, curve=new_curve())
ENTRY = RelayEntry('site', 'tcp://relay:7400', RELAY.curve_public, 'accounts/ann.key')


def said(keys: Keys, heir: Keys | None = None, serial: int = 1, since: float = SINCE) -> bytes:
    card = issue_card(keys, 'relay', serial=serial, not_after=2e9)
    if heir is None:
        return issue_succession(keys, card).data
    return issue_succession(keys, card, issue_card(heir, 'relay', serial=serial + 1, not_after=2e9), since).data


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def following(entry: RelayEntry = ENTRY, now: float = SINCE - DAY) -> tuple[Following, Clock, list[RelayEntry]]:
    clock, kept = Clock(now), list[RelayEntry]()
    return Following(entry, lambda _before, after: kept.append(after), clock=clock), clock, kept


def test_what_is_said_over_a_session_is_kept_and_the_next_key_takes_its_place() -> None:
    relay, clock, kept = following()
    relay.told(said(RELAY))
    assert [each.identity for each in kept] == [RELAY.identity_public]
    relay.told(said(RELAY, NEXT))
    relay.told(said(RELAY, NEXT))
    assert [(each.key, each.heir, each.since) for each in kept[1:]] == [(RELAY.curve_public, NEXT.curve_public, SINCE)]
    assert relay.turn('') == b''
    clock.now = SINCE + 1
    assert relay.turn('') == b'', 'a session that lives stays'
    assert relay.turn('handshake') == relay.key == NEXT.curve_public
    relay.told(said(NEXT, serial=2))
    assert (relay.entry.key, relay.entry.heir, kept[-1]) == (NEXT.curve_public, b'', relay.entry)


def test_around_its_time_both_keys_are_tried_in_turn_and_not_too_fast() -> None:
    entry = replace(ENTRY, heir=NEXT.curve_public, since=SINCE)
    relay, clock, _ = following(entry, SINCE - 60)
    assert relay.key == RELAY.curve_public
    tried = []
    for _ in range(40):
        clock.now += 0.25
        tried += [key] if (key := relay.turn('handshake')) else []
    assert tried[:3] == [NEXT.curve_public, RELAY.curve_public, NEXT.curve_public]
    assert len(tried) <= 6
    assert following(entry, SINCE)[0].key == NEXT.curve_public
    assert relay.turn('unreachable') == b''


def test_after_its_time_the_key_of_before_counts_no_more() -> None:
    relay, clock, _ = following(replace(ENTRY, heir=NEXT.curve_public, since=SINCE))
    clock.now = SINCE + CLOCKS
    assert relay.turn('') == NEXT.curve_public, 'also with a session that lives'
    for _ in range(10):
        clock.now += 10.0
        assert relay.turn('handshake') == b''
    assert following(relay.entry, SINCE + CLOCKS)[0].key == NEXT.curve_public


@pytest.mark.parametrize(
    'data',
    [
        b'junk',
        said(STRANGER, replace(STRANGER, curve=new_curve())),
        said(replace(STRANGER, curve=RELAY.curve), replace(STRANGER, curve=new_curve())),
        said(NEXT, replace(RELAY, curve=new_curve()), serial=2),
    ],
    ids=['junk', 'of another relay', 'for this key by another identity', 'for another key by this identity'],
)
def test_what_does_not_count_changes_nothing(data: bytes) -> None:
    relay, _, kept = following(replace(ENTRY, identity=RELAY.identity_public))
    relay.told(data)
    assert (kept, relay.entry.heir) == ([], b'')


def test_that_it_has_another_key_is_told_once_with_the_remedy_and_not_for_a_restart(caplog: pytest.LogCaptureFixture) -> None:
    relay, clock, _ = following()
    for failure in ('handshake', 'unreachable', 'handshake', ''):
        clock.now += 3.0
        relay.turn(failure)
    assert caplog.records == []
    for _ in range(20):
        clock.now += 1.0
        assert relay.turn('handshake') == b''
    [record] = caplog.records
    assert 'relay-parsl relay pin KEY' in record.getMessage()


def test_what_was_announced_may_be_taken_back_until_then() -> None:
    relay, _, kept = following()
    relay.told(said(RELAY, NEXT))
    relay.told(said(RELAY))
    assert (relay.entry.heir, kept[-1].heir) == (b'', b'')


def test_a_home_keeps_it_wherever_it_knows_this_relay(tmp_path: Path) -> None:
    home = Home(tmp_path / 'home')
    other = RelayEntry('other', 'tcp://other:7400', STRANGER.curve_public, 'accounts/ann.key')
    for entry in (ENTRY, replace(ENTRY, name='again', credentials='accounts/bob.key'), other):
        home.add_relay(entry)
    before = home.relays()
    relay = Following(ENTRY, home.follow_relay, clock=Clock(SINCE - DAY))
    relay.told(said(RELAY, NEXT))
    found = home.relays()
    assert {name: (each.heir, each.credentials) for name, each in found.items()} == {
        'again': (NEXT.curve_public, 'accounts/bob.key'), 'other': (b'', 'accounts/ann.key'), 'site': (NEXT.curve_public, 'accounts/ann.key'),
    }  # fmt: skip
    assert found['other'] == before['other']
    assert found['site'].is_that_of(replace(ENTRY, key=NEXT.curve_public))
    assert not found['site'].is_that_of(other)


def test_where_it_cannot_be_kept_it_holds_for_this_process(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_before: RelayEntry, _after: RelayEntry) -> None:
        raise HomeError('no room')

    relay = Following(ENTRY, refuse, clock=Clock(SINCE - DAY))
    relay.told(said(RELAY))
    assert 'cannot be kept' not in caplog.text, 'that much may be read-only'
    relay.told(said(RELAY, NEXT))
    assert relay.entry.heir == NEXT.curve_public
    assert 'cannot be kept here: no room' in caplog.text


def test_what_is_no_key_in_the_file_is_refused() -> None:
    values = replace(ENTRY, heir=b'short', since=SINCE).plain()
    with pytest.raises(HomeError):
        RelayEntry.from_plain('site', values, 'site.json')
    whole = replace(ENTRY, identity=RELAY.identity_public, heir=NEXT.curve_public, since=SINCE)
    assert RelayEntry.from_plain('site', whole.plain(), 'site.json') == whole
    assert set(ENTRY.plain()) == {'url', 'key', 'credentials'}, 'as it was always written, where there is nothing more'
