"""Large bodies between a relay and parties on the same host: linked, or by segments when that fails."""

from __future__ import annotations

import pytest

from relay_parsl.relay.effects import SpoolDelete, SpoolSend, SpoolSync, SpoolTake
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import SEGMENT, Body, Fetch, Segment
from tests.unit.relay.stage import Party, Stage, an_id

KEY = (an_id('a'), 0, 'task')
TOTAL = 3 * SEGMENT
LINKED = Segment(KEY[0], 0, 'task', 0, TOTAL, Body(b''), linked=True)


@pytest.fixture
def stage() -> Stage:
    return Stage(near='here', door='/spool')


def client(stage: Stage, near: str) -> Party:
    """A session that says it is in this neighbourhood, and submits a large task."""
    party = stage.party('ann')
    party.say(m.Hello('client', an_id('ann', near), near=near))
    assert party.one(m.Welcome).near == (near if near == 'here' else '')
    stage.submit(party, 'a', body=TOTAL)
    return party


def did(stage: Stage, *kinds: type) -> list[object]:
    found, stage.effects = [each for each in stage.effects if isinstance(each, kinds)], []
    return found


def test_a_neighbour_links_a_body_and_its_task_is_accepted_when_that_is_on_the_disk(stage: Stage) -> None:
    party, endpoint = client(stage, 'here'), stage.endpoint()
    assert party.got(Fetch) == [Fetch(KEY[0], 0, 'task', 0, SEGMENT, '/spool')]
    party.say(LINKED, LINKED)
    assert did(stage, SpoolTake, SpoolSync) == [SpoolTake(KEY, TOTAL)]
    stage.wait(20)
    assert party.got(Fetch) == []
    assert party.got(m.Accepted) == []
    stage.store.begin()
    stage.reactor.spooled(KEY, stage.now)
    stage.store.commit()
    stage.turn()
    assert party.ids(m.Accepted) == [KEY[0]]
    assert endpoint.ids(m.Dispatch) == [KEY[0]]


def test_what_is_not_where_it_was_linked_comes_by_segments(stage: Stage) -> None:
    party = client(stage, 'here')
    party.got(Fetch)
    party.say(LINKED)
    stage.reactor.not_linked(KEY, stage.now)
    stage.turn()
    assert did(stage, SpoolDelete) == [SpoolDelete(KEY)]
    assert party.got(Fetch) == [Fetch(KEY[0], 0, 'task', at * SEGMENT, SEGMENT) for at in range(3)]


def test_a_neighbour_that_cannot_link_sends_segments(stage: Stage) -> None:
    party = client(stage, 'here')
    party.got(Fetch)
    party.say(Segment(KEY[0], 0, 'task', 0, TOTAL, Body(bytes(SEGMENT))))
    assert party.got(Fetch) == [Fetch(KEY[0], 0, 'task', at * SEGMENT, SEGMENT) for at in (1, 2)]


def test_strangers_learn_no_path_and_are_not_believed_that_they_linked(stage: Stage) -> None:
    party = client(stage, 'there')
    assert {each.into for each in party.got(Fetch)} == {''}
    party.say(LINKED)
    assert did(stage, SpoolTake, SpoolDelete) == [SpoolDelete(KEY)]  # as every segment that lies


@pytest.mark.parametrize(('near', 'into'), [('here', '/theirs'), ('there', '')])
def test_only_a_neighbour_may_say_where_a_body_is_linked(stage: Stage, near: str, into: str) -> None:
    party = client(stage, 'here')
    party.say(LINKED)
    stage.store.begin()
    stage.reactor.spooled(KEY, stage.now)
    stage.store.commit()
    endpoint = stage.party('site')
    endpoint.say(m.Hello('endpoint', an_id('site'), 1, near=near))
    endpoint.say(m.Window({'': (10, 1 << 30)}), m.Held(endpoint.one(m.Welcome).session, 0, True, ()))
    did(stage)
    endpoint.say(Fetch(KEY[0], 1, 'task', 0, SEGMENT, '/theirs'))
    [effect] = did(stage, SpoolSend)
    assert isinstance(effect, SpoolSend)
    assert effect.fetch.into == into
