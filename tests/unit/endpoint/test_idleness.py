"""When an endpoint ends by itself, and what becomes of what it holds."""

from __future__ import annotations

from relay_parsl.endpoint.effects import Effect, Exit
from relay_parsl.endpoint.idleness import Idleness
from relay_parsl.wire.messages import Attempt, Phase, Pong, Recorded, Returned
from tests.unit.endpoint.desk import Desk, exits, only, sent, task, task_id


def test_never_by_default() -> None:
    idle = Idleness(0.0, 0.0, 0.0)
    assert idle.verdict(1e9, moved=0, busy=False) == ('', False)


def test_soft_counts_from_the_last_moment_with_something_to_do() -> None:
    idle = Idleness(10.0, 0.0, 0.0)
    assert idle.verdict(9.0, moved=0, busy=True) == ('', False)
    assert idle.verdict(18.0, moved=0, busy=False) == ('', False)
    assert idle.verdict(19.0, moved=0, busy=False) == ('nothing to do for 10 s (idle_heartbeats_soft)', False)
    assert idle.verdict(20.0, moved=2, busy=False) == ('', False), 'one that came and ended between two looks'
    assert idle.verdict(29.9, moved=2, busy=False) == ('', False)


def test_hard_counts_from_the_last_task_that_came_or_ended_whatever_runs() -> None:
    idle = Idleness(0.0, 100.0, 0.0)
    assert idle.verdict(50.0, moved=1, busy=True) == ('', False)
    assert idle.verdict(149.0, moved=1, busy=True) == ('', False)
    assert idle.verdict(150.0, moved=1, busy=True) == ('no task came or ended for 100 s (idle_heartbeats_hard)', True)


def connected(desk: Desk, seconds: int) -> list[Effect]:
    """The time passes, and the relay is there."""
    effects: list[Effect] = []
    for _ in range(seconds):
        effects += desk.pass_time(1.0)
        effects += desk.turn(Pong(desk.session, desk.serial))
    return effects


def test_an_idle_endpoint_drains_and_ends_with_0() -> None:
    desk = Desk(idle_soft=60.0)
    desk.open()
    (start,) = desk.run(task(1))
    assert exits(connected(desk, 200)) == [], 'a task runs'
    desk.finish(start)
    desk.turn(Recorded((Attempt(task_id(1), 1),)))
    assert exits(connected(desk, 50)) == []
    (end,) = only(connected(desk, 15), Exit)
    assert (end.code, end.reason) == (0, 'nothing to do for 60 s (idle_heartbeats_soft)')


def test_a_task_that_comes_too_late_goes_back() -> None:
    desk = Desk(idle_soft=20.0)
    desk.open()
    desk.pass_time(21)
    late = desk.turn(desk.dispatch(task(2)))
    assert [each.task_id for message in sent(late, Returned) for each in message.tasks] == [task_id(2)]


def test_without_a_session_nobody_knows_what_waits() -> None:
    desk = Desk(idle_soft=20.0)
    assert exits(desk.pass_time(300)) == []


def test_hard_gives_back_what_runs() -> None:
    desk = Desk(idle_hard=100.0)
    desk.open()
    desk.run(task(1))
    effects = connected(desk, 120)
    (end,) = only(effects, Exit)
    assert (end.code, end.reason) == (0, 'no task came or ended for 100 s (idle_heartbeats_hard); 1 tasks go back unfinished')
    assert Phase.STARTED in {holding.phase for holding in desk.reactor._books.holdings.values()}, 'no end was made up for it'
