"""Large bodies between an endpoint and a relay on the same host: linked, or by segments when that fails."""

from __future__ import annotations

import pytest

from relay_parsl.endpoint.effects import SpoolDelete, SpoolSend, SpoolTake, Start
from relay_parsl.wire.messages import SEGMENT, Body, Fetch, Segment, Welcome
from tests.unit.endpoint.desk import FUNCTION, GRANT, Desk, only, sent, task, task_id

KEY = (task_id(1), 1, 'task')


def open_session(desk: Desk, mark: str) -> Desk:
    """The relay says that it is in this neighbourhood."""
    desk.reactor.connect(desk.now)
    desk.session = 1
    desk.turn(Welcome(1, desk.now, near=mark))
    return desk


@pytest.fixture
def desk() -> Desk:
    """Its relay is a neighbour, and a task with large arguments has come."""
    desk = open_session(Desk(near='here', door='/spool'), 'here')
    assert sent(desk.turn(desk.dispatch(task(1, body=3 * SEGMENT))), Fetch) == [Fetch(task_id(1), 1, 'task', 0, SEGMENT, '/spool')]
    desk.provide(GRANT, FUNCTION)
    return desk


def test_a_neighbour_links_large_arguments(desk: Desk) -> None:
    effects = desk.turn(Segment(task_id(1), 1, 'task', 0, 3 * SEGMENT, Body(b''), linked=True))
    assert only(effects, SpoolTake) == [SpoolTake(KEY, 3 * SEGMENT)]
    assert only(effects, Start) == []
    desk.reactor.linked(KEY, whole=True)
    assert len(only(desk.turn(), Start)) == 1


def test_what_is_not_where_it_was_linked_comes_by_segments(desk: Desk) -> None:
    desk.turn(Segment(task_id(1), 1, 'task', 0, 3 * SEGMENT, Body(b''), linked=True))
    desk.reactor.linked(KEY, whole=False)
    effects = desk.turn()
    assert only(effects, SpoolDelete) == [SpoolDelete(KEY)]
    assert sent(effects, Fetch) == [Fetch(task_id(1), 1, 'task', at * SEGMENT, SEGMENT) for at in range(3)]


def test_a_neighbour_that_cannot_link_sends_segments(desk: Desk) -> None:
    effects = desk.turn(Segment(task_id(1), 1, 'task', 0, 3 * SEGMENT, Body(bytes(SEGMENT))))
    assert sent(effects, Fetch) == [Fetch(task_id(1), 1, 'task', at * SEGMENT, SEGMENT) for at in (1, 2)]


@pytest.mark.parametrize(('mark', 'into'), [('here', '/relay'), ('there', ''), ('', '')])
def test_only_a_neighbour_may_say_where_a_result_is_linked(mark: str, into: str) -> None:
    desk = open_session(Desk(near='here'), mark)
    (start,) = desk.run(task(1))
    desk.finish(start, body=5000)
    desk.reactor.spooled((task_id(1), 1, 'result'), desk.now)
    desk.turn()
    (effect,) = only(desk.turn(Fetch(task_id(1), 1, 'result', 0, 10, '/relay')), SpoolSend)
    assert effect.fetch.into == into
