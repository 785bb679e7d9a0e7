"""What the simulation has found in the endpoint's reactor, each as small as it can be told."""

from __future__ import annotations

from relay_parsl.endpoint.effects import Start
from relay_parsl.wire.messages import Goodbye, Held, Welcome
from tests.unit.endpoint.desk import Desk, only, sent, task


def test_a_crash_that_costs_a_result_does_not_leave_its_task_refused() -> None:
    """The number of a task that had just finished was written with another's result, its own result was not; then the relay's retry was refused."""
    desk = Desk()
    desk.open()
    plain, once = desk.run(task(1), task(2, at_most_once=True))
    desk.finish(plain)
    desk.finish(once)  # is on disk at once, and whatever else is due with it
    again = Desk(desk.journal, now=desk.now)
    again.open()
    (start,) = again.run(task(1))
    assert isinstance(start, Start)


def test_a_second_welcome_to_the_same_session_does_not_begin_it_anew() -> None:
    """A late `Goodbye` crossed the `Hello`: serials and rounds began at 0 again, so that pages of two declarations were mixed."""
    desk = Desk()
    desk.open(session=5)
    first = desk.dispatch(task(1))
    desk.turn(first)
    desk.turn(Goodbye('say Hello first', hello=True))
    desk.pass_time(1)
    (held,) = sent(desk.turn(Goodbye('say Hello first', hello=True)) + desk.turn(Welcome(5, desk.now)), Held)
    assert (held.session, held.up_to, held.round) == (5, 1, 1)
    assert not only(desk.turn(first), Start)
    assert len(desk.reactor.held()) == 1
