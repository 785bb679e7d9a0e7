"""What the simulation has found in the endpoint's reactor, each as small as it can be told."""

from __future__ import annotations

from relay_parsl.endpoint.effects import Start
from tests.unit.endpoint.desk import Desk, task


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
