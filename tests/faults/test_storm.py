"""The storm in small: see `storm.py`. `make storm` is the large one."""

from __future__ import annotations

import pytest

from tests.faults.rig import Site
from tests.faults.storm import Plan, run, say

pytestmark = pytest.mark.integration
TINY = Plan(seed=11, tasks=150, clients=2, endpoints=1, window=20, seconds=0.03, every=0.4, endpoint_every=0.5, kills=2, probe=1.0, limit=100)
SMALL = Plan(seed=12, tasks=4000, clients=4, endpoints=3, window=200, seconds=0.01, engine='processes', kills=20, limit=300)
ON_HTEX = Plan(
    seed=13, tasks=1000, clients=2, endpoints=1, window=100, seconds=0.02, engine='htex', every=2.0, endpoint_every=6.0, kills=3, limit=400
)


@pytest.mark.fault(4, 8)
@pytest.mark.parametrize(
    'plan',
    [
        pytest.param(TINY, id='tiny'),
        pytest.param(SMALL, id='small', marks=[pytest.mark.slow, pytest.mark.timeout(400)]),
        pytest.param(ON_HTEX, id='htex', marks=[pytest.mark.slow, pytest.mark.timeout(500)]),
    ],
)
def test_nothing_is_lost_or_settled_twice_in_a_storm(site: Site, plan: Plan) -> None:
    outcome = run(plan, site, say)
    assert outcome.good, outcome.line(plan)
    assert min(outcome.kills[name] for name in ('relay', *plan.names)) >= 1, outcome.line(plan)
