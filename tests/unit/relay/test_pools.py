"""Tasks for pools that their endpoint does not have: they end as soon as that is known, and nothing else does."""

from __future__ import annotations

import pytest

from relay_parsl.relay import leases
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Status
from tests.unit.relay.stage import Party, Stage, an_id

ROOM = (100, 1 << 30)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def joined(stage: Stage, **pools: tuple[int, int]) -> Party:
    """The endpoint, judged; it has named these pools, or not said anything of pools."""
    party = stage.party('site')
    party.say(m.Hello('endpoint', an_id('site', 1), 1))
    window = [m.Window({name.removeprefix('_'): room for name, room in pools.items()})] if pools else []
    party.say(*window, m.Held(party.one(m.Welcome).session, 0, True, ()))
    return party


def ends(client: Party) -> dict[m.Id, m.Delivered]:
    return {each.task_id: each for message in client.got(m.Deliver) for each in message.results}


def test_a_task_for_a_pool_that_its_endpoint_does_not_have_ends_at_once(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', 'b', pool='nope')
    stage.submit(client, 'c', pool='gpu')
    endpoint = joined(stage, gpu=ROOM, cpu=ROOM)
    ended = ends(client)
    assert set(ended) == {an_id('a'), an_id('b')}
    assert {(each.status, each.header) for each in ended.values()} == {(Status.FAILED, b'')}
    assert ended[an_id('a')].reason == "no-pool: the endpoint has no pool 'nope' (it has: 'cpu', 'gpu')"
    assert endpoint.ids(m.Dispatch) == [an_id('c')]
    stage.submit(client, 'd', pool='nope')
    assert set(ends(client)) == {an_id('d')}, 'one that comes later too'
    assert endpoint.got(m.Dispatch) == []
    assert stage.reactor._core.waiting[an_id('site')] == {}


def test_a_pool_without_a_name_is_told_in_words(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', pool='nope')
    first = joined(stage, _=ROOM)
    assert ends(client)[an_id('a')].reason == "no-pool: the endpoint has no pool 'nope' (it has: one, without a name)"
    stage.turn((first, m.Goodbye('gone')))
    joined(stage, gpu=ROOM)
    stage.submit(client, 'b')
    assert ends(client)[an_id('b')].reason == "no-pool: the endpoint has no pool without a name, say which one (it has: 'gpu')"


def test_an_endpoint_that_drains_or_has_named_no_pool_ends_nothing(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', pool='gpu')
    first = joined(stage, gpu=(0, 0))
    assert ends(client) == {}, 'it has the pool, and no room'
    stage.turn((first, m.Goodbye('drained')))
    second = joined(stage)
    stage.wait(3)
    assert ends(client) == {}, 'it has not said which pools it has'
    second.say(m.Window({}))
    stage.wait(3)
    assert ends(client) == {}, 'it says that it has none'
    second.say(m.Window({'gpu': ROOM}))
    assert second.ids(m.Dispatch) == [an_id('a')]


def test_nothing_ends_before_the_endpoint_was_judged(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', pool='nope')
    party = stage.party('site')
    party.say(m.Hello('endpoint', an_id('site', 1), 1), m.Window({'gpu': ROOM}))
    assert ends(client) == {}
    party.say(m.Held(party.one(m.Welcome).session, 0, True, ()))
    assert set(ends(client)) == {an_id('a')}


def test_more_pools_than_are_counted_end_nothing(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', pool='last')
    joined(stage, **{f'p{number}': ROOM for number in range(leases.POOLS)}, last=ROOM)
    assert ends(client) == {}


def test_many_end_slice_by_slice(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, 'SLICE', 10)
    client = stage.client()
    for pool in ('nope', 'neither'):
        stage.submit(client, *[f'{pool}{number}' for number in range(24)], pool=pool)
    joined(stage, gpu=ROOM)
    found, turns = ends(client), 1
    assert len(found) == 10
    while stage.reactor.busy:
        stage.turn(tick=True)
        found.update(ends(client))
        turns += 1
    assert len(found) == 48
    assert turns == 5
