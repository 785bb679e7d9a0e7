"""A wall clock that is set by a day, forward or back, under a relay and an endpoint that work: nothing expires or is let go, nothing runs twice."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from relay_parsl.client import executor
from tests.faults.rig import PROCESSES, Site, Work, until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.fault(43)]

DAY = 86400
HALF = DAY / 2
"""Seconds that the tasks that wait have left when the clock is set: for one who went by it they expire."""
DURING = 100
"""The number of the task that runs while the clock is set."""


@pytest.mark.parametrize('jump', [DAY, -DAY], ids=['forward', 'back'])
def test_a_clock_that_is_set_expires_nothing_and_ends_no_lease(
    site: Site, work: Callable[..., Work], jump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = site.cli.cwd / 'clock'
    settings = [f'clock:file={clock}', f'relay:keep={3 * DAY}']  # so long it remembers what ended, to be asked at the end
    site.start('relay', settings=settings)
    site.configure('one', config=PROCESSES)
    site.start('one', settings=settings)
    mine = work()
    mine.submit(range(5))
    mine.done()
    monkeypatch.setattr(executor, 'EXPIRES', HALF)
    mine.submit([DURING], seconds=3.0)
    mine.submit(range(5, 10))
    mine.flush()
    until(lambda: site.runs()[DURING])
    clock.write_text(str(jump))
    mine.submit(range(10, 20))
    mine.done()
    monkeypatch.undo()
    site.running['relay'].kill()
    site.start('relay', settings=settings)  # which goes by the new clock from its start on
    mine.submit(range(20, 30))
    mine.done()
    mine.once()
    starts = [each for each in map(json.loads, (site.home.root / 'relay' / 'audit.log').read_text().splitlines()) if each['event'] == 'start']
    assert starts[-1]['time'] - starts[0]['time'] == pytest.approx(jump, abs=DAY / 2), 'its clock was really set'
    site.check(mine.ids)
