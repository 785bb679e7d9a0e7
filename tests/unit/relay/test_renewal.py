"""New keys of an account: which cards the relay takes, and how long the key of before is admitted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from relay_parsl.wire import messages as m
from tests.unit.relay.stage import FAR, Party, Stage, account, an_id
from tests.unit.relay.test_admin import ask, enrolment


@pytest.fixture
def stage() -> Stage:
    return Stage()


def renew(stage: Stage, party: Party, **more: Any) -> m.Message:
    named = {'id': party.id, 'kind': party.row.role, 'curve': b'2' * 32, 'card': b'second', 'serial': 2, 'overlap': 50.0, **more}
    stage.store.begin()
    stage.reactor.enrol(party, enrolment(**named), stage.now)
    stage.store.commit()
    stage.turn()
    return party.inbox.pop()


def test_both_keys_are_admitted_until_the_overlap_ends_and_then_live_sessions_with_the_old_one_end(stage: Stage) -> None:
    ann = stage.client('ann')
    assert renew(stage, ann) == m.Enrolled(an_id('ann'), 'ann', 'user')
    assert renew(stage, ann) == m.Enrolled(an_id('ann'), 'ann', 'user'), 'the answer was lost'
    [row] = ask(stage.client('ann', 'two'), 'cards', name='ann')
    assert row['card'] == b'second'
    stage.restart()
    new = Party(stage, replace(ann.row, curve=b'2' * 32), b'new')
    stage.parties[b'new'] = new
    for party in (ann, new):
        party.say(m.Hello('client', an_id(party.routing)))
        party.one(m.Welcome)
    stage.now += 25.0
    for party in (ann, new):
        party.say(m.Ping())  # nobody is out for silence
    stage.now += 26.0
    assert [stage.reactor.admits(each.key, stage.now) for each in (ann, new)] == [False, True]
    ann.inbox.clear()
    new.say(m.Ping())
    stage.turn(tick=True)
    assert len(ann.got(m.Goodbye)) == 1
    assert new.got(m.Goodbye) == []


@pytest.mark.parametrize(
    'lie',
    [
        {'serial': 1}, {'serial': 0}, {'id': an_id('bob')}, {'kind': 'operator'},
        {'curve': account('bob', 'user').curve}, {'curve': account('ann', 'user').curve},
    ],
)  # fmt: skip
def test_only_the_next_card_of_the_same_account_is_taken(stage: Stage, lie: dict[str, Any]) -> None:
    ann = stage.client('ann')
    assert isinstance(renew(stage, ann, **lie), m.Refused)
    assert [row['card'] for row in ask(ann, 'cards', name='ann')] == [b'card of ann']
    assert stage.reactor.admits(stage.rows['bob'].curve, stage.now)


def test_a_card_is_not_followed_by_an_older_one_and_lengthens_no_account(stage: Stage) -> None:
    ann = stage.client('ann')
    renew(stage, ann, serial=5, not_after=FAR + 1e6)
    assert isinstance(renew(stage, ann, serial=4, card=b'fourth', curve=b'4' * 32), m.Refused)
    assert [row['not_after'] for row in ask(ann, 'accounts', name='ann')] == [FAR]
    renew(stage, ann, serial=6, card=b'sixth', curve=b'6' * 32, overlap=0.0)
    assert not stage.reactor.admits(ann.key, stage.now), 'no overlap, and that before it is over'
