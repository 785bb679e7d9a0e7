"""kill -9 of an endpoint at each step of its loop: what it held runs again, what it had finished and written down does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay_parsl.errors import TaskLost
from tests.faults import failpoints
from tests.faults.rig import Site, Work, until

pytestmark = pytest.mark.integration

TASKS = range(40)
SLOW = pytest.mark.slow
QUICKLY = ('endpoint:after_submit',)
NOT_EACH = [pytest.param(point, marks=[] if point in QUICKLY else [SLOW]) for point in failpoints.ENDPOINT]
WRITTEN = ('endpoint:after_commit/keep', 'endpoint:before_send/Results', 'endpoint:after_send/Results', 'endpoint:taken/Recorded')
"""Steps behind that at which the result of a task that may run only once is on the endpoint's disk."""


def begin(site: Site, work: Callable[..., Work], point: str) -> Work:
    """An endpoint that has done a task and dies at a step of the next ones."""
    site.start('relay')
    site.configure('one')
    site.start('one', at=point)
    mine = work()
    mine.submit([1000])
    mine.done()
    if point in failpoints.ENDPOINT:
        until(site.passed)  # the client has the result before the endpoint hears that the relay has: it is not to die of this task
    site.arm()
    return mine


@pytest.mark.fault(7, 8)
@pytest.mark.parametrize('point', NOT_EACH)
def test_an_endpoint_dies_at_a_step_and_nothing_is_lost(site: Site, work: Callable[..., Work], point: str) -> None:
    mine = begin(site, work, point)
    mine.submit(TASKS)
    site.running['one'].died()
    site.start('one')
    mine.done()
    assert max(site.runs().values()) <= 2, 'one kill, one more attempt'
    site.check(mine.ids)


@pytest.mark.fault(9)
@pytest.mark.parametrize('point', [pytest.param(point, marks=[] if point == WRITTEN[2] else [SLOW]) for point in WRITTEN])
def test_a_result_that_was_written_is_sent_again_and_its_task_runs_once(site: Site, work: Callable[..., Work], point: str) -> None:
    mine = begin(site, work, point)
    mine.submit([1], at_most_once=True)
    site.running['one'].died()
    site.start('one')
    mine.done()
    mine.once()
    site.check(mine.ids)


@pytest.mark.fault(9)
@pytest.mark.slow
def test_results_that_the_relay_was_not_there_for_are_written_and_sent_again(site: Site, work: Callable[..., Work]) -> None:
    mine = begin(site, work, 'endpoint:after_commit/keep')
    mine.submit([1, 2], seconds=2.0)
    until(lambda: site.runs().keys() >= {1, 2})
    site.running['relay'].kill()
    site.running['one'].died()  # a second after their end: they are written
    site.start('relay')
    site.start('one')
    mine.done()
    mine.once()
    site.check(mine.ids)


@pytest.mark.fault(7)
@pytest.mark.slow
@pytest.mark.parametrize('point', ['endpoint:after_commit/spend', 'endpoint:before_submit', 'endpoint:after_submit', 'endpoint:finished/Finished'])
def test_what_may_run_only_once_ends_as_lost_where_it_may_have_begun(site: Site, work: Callable[..., Work], point: str) -> None:
    mine = begin(site, work, point)
    mine.submit([1], at_most_once=True)
    site.running['one'].died()
    site.start('one')
    with pytest.raises(TaskLost, match='may not start twice'):
        mine.futures[1].result(60)
    mine.submit([2])
    assert mine.futures[2].result(60) == 4
    assert site.runs()[1] <= 1
    site.check(mine.ids, {'success', 'failed'})


@pytest.mark.fault(7)
@pytest.mark.slow
def test_a_queue_of_which_nothing_had_begun_comes_again(site: Site, work: Callable[..., Work]) -> None:
    site.whole('one')
    mine = work()
    mine.submit([1, 2], seconds=600.0)
    until(lambda: site.runs().keys() == {1, 2})
    mine.submit(range(3, 203))
    mine.submit([203], at_most_once=True)
    until(lambda: mine.futures[203].state() == 'waiting-for-nodes')
    site.running['one'].kill()
    for number in (1, 2):
        mine.futures[number].cancel()
    mine.submit([204])
    mine.flush()  # the relay knows of the cancels too
    site.start('one')
    with pytest.raises(TaskLost, match='may not start twice'):
        mine.futures[203].result(60)
    rest = {*range(3, 203), 204}
    assert [mine.futures[number].result(60) for number in sorted(rest)] == [number * number for number in sorted(rest)]
    assert site.runs() == dict.fromkeys({1, 2} | rest, 1)
    site.check(mine.ids, {'success', 'failed', 'cancelled'})
