"""Guessed tokens: how long who guesses has to wait, what is on record of it, and whom it does not keep out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay_parsl.relay import guesses
from relay_parsl.relay.effects import Audit
from relay_parsl.relay.guesses import FREE, LONGEST, Guesses
from relay_parsl.wire import messages as m
from tests.unit.relay.stage import Party, Stage, an_id
from tests.unit.relay.test_admin import enrolment, invitation

KEY = b'k' * 32
HERE, THERE = '192.0.2.1', '192.0.2.2'


def tried(count: Guesses, seconds: float, address: str = HERE, key: bytes = KEY) -> list[float]:
    """When somebody who tries as often as it can is looked at."""
    looked = []
    for tenth in range(int(seconds * 10)):
        if not count.wait(address, key, 1000 + tenth / 10):
            count.wrong(address, key, 1000 + tenth / 10)
            looked.append(tenth / 10)
    return looked


def test_the_wait_doubles_after_the_first_tries() -> None:
    looked = tried(Guesses(), 100)
    assert looked[:FREE] == [0.0, 0.1, 0.2, 0.3, 0.4]
    waits = [round(after - before) for before, after in zip(looked[FREE - 1 :], looked[FREE:])]
    assert waits == [1, 2, 4, 8, 16, 32]


def test_an_hour_of_guesses_is_a_hundred() -> None:
    assert len(tried(Guesses(), 3600)) < 3600 / LONGEST + FREE + 7


def test_others_and_other_invitations_are_looked_at_at_once() -> None:
    count = Guesses()
    tried(count, 100)
    assert count.wait(HERE, KEY, 1100) > 0
    assert count.wait(THERE, KEY, 1100) == 0
    assert count.wait(HERE, b'o' * 32, 1100) == 0


def test_nothing_is_held_against_who_has_been_quiet() -> None:
    count = Guesses()
    tried(count, 100)
    assert count.wait(HERE, KEY, 1100 + guesses.FORGOTTEN) == 0
    assert count.wrong(HERE, KEY, 1100 + guesses.FORGOTTEN)['tries'] == 1


def test_tries_that_were_not_looked_at_are_on_record_with_the_next() -> None:
    count = Guesses()
    assert [count.wrong(HERE, KEY, 1000) for _ in range(FREE)][-1] == {'address': HERE, 'tries': FREE}
    assert [count.wait(HERE, KEY, 1000.5) for _ in range(7)] == [0.5] * 7
    assert count.wrong(HERE, KEY, 1001) == {'address': HERE, 'tries': FREE + 1, 'left_out': 7}
    assert 'left_out' not in count.wrong(HERE, KEY, 1003)


def test_in_all_there_is_a_pace_and_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, 'MOST', 10)
    count = Guesses()
    looked = 0
    for number in range(1000):
        address = f'192.0.2.{number}'
        if not count.wait(address, KEY, 1000 + number / 100):
            count.wrong(address, KEY, 1000 + number / 100)
            looked += 1
    assert 10 <= looked <= 10 + 10, 'ten that are remembered, and one a second of the rest'
    assert len(count._records) == 10
    assert count.wait('192.0.2.250', KEY, 1000 + 2 * guesses.FORGOTTEN) == 0
    assert len(count._records) == 0


# -- At the relay ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stage() -> Stage:
    """A relay with two open invitations."""
    made = Stage()
    ann = made.client('ann')
    ann.say(m.Admin(1, 'invite', invitation()), m.Admin(2, 'invite', invitation(name='other', curve=b'o' * 32)))
    assert len(ann.got(m.Done)) == 2
    return made


def joins(stage: Stage, key: bytes = b'c' * 32, **more: object) -> m.Message:
    """What the relay answers a joiner."""
    party = Party(stage, replace(stage.rows['ann'], curve=key), b'joiner')
    stage.parties[b'joiner'] = party
    stage.store.begin()
    stage.reactor.enrol(party, enrolment(**more), stage.now)
    stage.store.commit()
    stage.turn()
    return party.inbox[-1]


@pytest.mark.attack(30)
def test_who_guesses_waits_also_with_the_right_token_and_nobody_else_does(stage: Stage) -> None:
    answers = [joins(stage, token=bytes([number]) * 32, address=HERE) for number in range(FREE)]
    assert {each.code for each in answers if isinstance(each, m.Refused)} == {'denied'}
    assert [joins(stage, address=HERE) for _ in range(3)] == [
        m.Refused('rate', 'too many wrong tries to join came from your address: try again in 1 s')
    ] * 3, 'or its guesses would not be slowed'
    assert isinstance(joins(stage, b'o' * 32, id=an_id('second'), curve=b'2' * 32, address=HERE), m.Enrolled), 'another invitation, on the same host'
    assert isinstance(joins(stage, address=THERE), m.Enrolled)
    lines = [each.fields for each in stage.effects if isinstance(each, Audit) and each.event == 'enrol-denied']
    assert [(each['address'], each['tries']) for each in lines] == [(HERE, number + 1) for number in range(FREE)]


@pytest.mark.attack(30)
def test_who_guesses_gets_in_with_the_right_token_after_its_wait(stage: Stage) -> None:
    for number in range(FREE):
        joins(stage, token=bytes([number]) * 32, address=HERE)
    stage.now += 1
    assert isinstance(joins(stage, address=HERE), m.Enrolled)


@pytest.mark.attack(30)
def test_one_account_cannot_keep_others_from_inviting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('relay_parsl.relay.admin.OWN_INVITES', 2)
    ann, bob = stage.client('ann'), stage.client('bob')
    ann.say(m.Admin(3, 'invite', invitation(name='third', curve=b'3' * 32)))
    assert ann.one(m.Refused).reason.startswith('2 invitations are open, 2 of them yours')
    ann.say(m.Admin(4, 'invite', invitation()))
    assert ann.one(m.Done).result['name'] == 'new', 'the answer was lost, and the same is asked for again'
    bob.say(m.Admin(5, 'invite', invitation(curve=b'5' * 32)))
    bob.one(m.Done)
