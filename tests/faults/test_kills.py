"""kill -9 of a relay or an endpoint at each step of its loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults import failpoints
from tests.faults.rig import Site, Work

pytestmark = pytest.mark.integration

TASKS = range(40)
SLOW = pytest.mark.slow
QUICKLY = ('relay:before_commit/Submit', 'relay:before_send/Accepted', 'relay:after_commit/Results')
NOT_EACH = [pytest.param(point, marks=[] if point in QUICKLY else [SLOW]) for point in failpoints.RELAY]


@pytest.mark.fault(4, 5, 6)
@pytest.mark.parametrize('point', NOT_EACH)
def test_a_relay_dies_at_a_step_and_nothing_is_lost_or_run_twice(site: Site, work: Callable[..., Work], point: str) -> None:
    site.start('relay', at=point)
    site.configure('one')
    site.start('one')
    mine = work()
    mine.submit([1000])
    mine.done()
    site.arm()
    mine.submit(TASKS)
    site.running['relay'].died()
    site.start('relay')
    mine.done()
    mine.once()
    site.check(mine.ids)
