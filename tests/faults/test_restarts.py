"""A relay that dies while nothing happens, and one that stands still."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.rig import QUICK, Site, Work

pytestmark = pytest.mark.integration

BACK = 10.0
"""Seconds within which everybody is connected again, and a task goes all the way."""


@pytest.mark.fault(3)
@pytest.mark.parametrize('times', [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(400)])])
def test_an_idle_relay_dies_and_everybody_is_back_at_once(site: Site, work: Callable[..., Work], times: int) -> None:
    site.whole('one')
    mine = work()
    mine.submit([0])
    mine.done()
    for life in range(1, times + 1):
        site.running['relay'].kill()
        site.start('relay')
        begun = time.monotonic()
        mine.submit([life])
        mine.done(2 * BACK)
        assert time.monotonic() - begun < BACK
    mine.once()
    site.check(mine.ids)


@pytest.mark.fault(18)
@pytest.mark.parametrize('seconds', [5, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_a_relay_that_stood_still_goes_on_with_everything(site: Site, work: Callable[..., Work], seconds: int) -> None:
    quick = QUICK if seconds < 60 else ()
    site.whole('one', settings=quick)
    mine = work()
    mine.submit(range(10))
    mine.done()
    site.running['relay'].signal(signal.SIGSTOP)
    mine.submit(range(10, 30))
    time.sleep(seconds)
    assert not [future for future in mine.futures.values() if future.done() and future.exception()]
    site.running['relay'].signal(signal.SIGCONT)
    mine.submit(range(30, 40))
    mine.done()
    mine.once()
    site.check(mine.ids)
