"""A cancel at any moment of a task's life: one end, the same everywhere, and what ran is dead."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from relay_parsl.errors import TaskCancelled
from tests.faults.rig import PATIENCE, PROCESSES, QUICK, Site, Work, until

pytestmark = [pytest.mark.integration, pytest.mark.fault(49)]


def lasting() -> Callable[[str], None]:
    """A function that writes down which process it is, and stays."""

    def last(path: str) -> None:
        import os
        import time

        with open(path, 'w') as paper:
            paper.write(f'{os.getpid()}\n')
        time.sleep(3600)

    return last


def written(paper: Path) -> int:
    """The process that has written it."""
    until(lambda: paper.exists() and paper.read_text().endswith('\n'))
    return int(paper.read_text())


def cancelled(future: Any) -> None:
    assert future.cancel()
    with pytest.raises(TaskCancelled):
        future.result(PATIENCE)


@pytest.fixture
def mine(site: Site, work: Callable[..., Work]) -> Work:
    """The client of an endpoint that runs one task at a time."""
    site.start('relay', settings=QUICK)
    site.configure('one', config=PROCESSES)
    site.start('one', settings=QUICK)
    made = work()
    made.submit([1000])
    made.done()
    return made


def test_at_each_step_of_its_life(site: Site, mine: Work) -> None:
    first, second = site.cli.cwd / 'first', site.cli.cwd / 'second'
    running = mine.executor.submit(lasting(), str(first))
    process = written(first)
    queued = mine.executor.submit(lasting(), str(second))
    queued.accepted(PATIENCE)
    site.running['relay'].signal(signal.SIGSTOP)
    unsent = mine.executor.submit(lasting(), str(second))
    cancelled(unsent)
    site.running['relay'].signal(signal.SIGCONT)
    cancelled(queued)
    cancelled(running)
    until(lambda: not psutil.pid_exists(process))
    mine.submit([1])
    mine.done()
    assert not mine.futures[1].cancel(), 'it is over'
    assert not second.exists(), 'none of those that waited has begun'
    ids = [*mine.ids, running.task_id, queued.task_id]
    known = {row['id'] for row in mine.executor.session.list('tasks')} & {unsent.id}
    site.check([*ids, *[unsent.task_id for _ in known]], {'success', 'cancelled'})


@pytest.mark.slow
def test_while_its_endpoint_is_away_or_dead(site: Site, mine: Work) -> None:
    """It is not run again when the endpoint is back; what ran there died with it."""
    first, second = site.cli.cwd / 'first', site.cli.cwd / 'second'
    running = mine.executor.submit(lasting(), str(first))
    process = written(first)
    waiting = mine.executor.submit(lasting(), str(second))
    waiting.accepted(PATIENCE)
    site.running['one'].kill()
    cancelled(running)
    cancelled(waiting)
    until(lambda: not psutil.pid_exists(process))
    first.unlink()
    site.start('one')
    mine.submit([1])
    mine.done()
    assert not first.exists()
    assert not second.exists()
    site.check([*mine.ids, running.task_id, waiting.task_id], {'success', 'cancelled'})


@pytest.mark.slow
@pytest.mark.parametrize('count', [60, 1000])
def test_at_any_moment(site: Site, mine: Work, count: int) -> None:
    """Each has one end: what was not cancelled in time has its value, and what was is `cancelled` at the relay, or ended there before."""
    dice = random.Random(count)
    mine.submit(range(count), seconds=0.01)
    mine.flush()
    ends = dict.fromkeys(mine.futures, False)
    for number in dice.sample(range(count), count):
        ends[number] = mine.futures[number].cancel()
        time.sleep(dice.uniform(0, 0.02))
    for number, was_cancelled in ends.items():
        error = mine.futures[number].exception(PATIENCE)
        assert isinstance(error, TaskCancelled) if was_cancelled else error is None
    assert {True, False} == set(ends.values()), 'some were in time, and some were not'
    assert max(site.runs().values()) == 1
    site.check(mine.ids, {'success', 'cancelled'})
