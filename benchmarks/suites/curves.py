"""How cost grows: with the work, which must be in proportion, and with endpoints on one relay, which must be not at all.

With backlog and with sessions: the suites `depth` and `sessions`.
"""

from __future__ import annotations

from benchmarks.aims import OURS
from benchmarks.run import Run, Stop
from benchmarks.systems import Shape
from benchmarks.visit import Visit

NAME = 'curves'
AMOUNTS = (1000, 5000, 20_000)
"""No-ops of one burst."""
ENDPOINTS = (1, 4, 16)
"""On one relay, with one thread each: their engines are not what is measured."""
SHARED = 8000
"""No-ops of all endpoints together."""


def run(run: Run) -> None:
    """Both curves, of ours alone; the shorter ends when quick."""
    counts = ENDPOINTS[:2] if run.quick else ENDPOINTS
    stops = [Stop('work', OURS), *(Stop(f'endpoints: {count}', 'many-endpoints', Shape(count)) for count in counts)]
    run.rounds_of(NAME, stops, run.budget(50.0), lambda visit, stop: measure(run, visit, stop), first=())


def measure(run: Run, visit: Visit, stop: Stop) -> None:
    """One visit of either kind."""
    if stop.system != OURS:
        burst(run, visit, stop.name, SHARED)
        return
    for amount in AMOUNTS[:2] if run.quick else AMOUNTS:
        burst(run, visit, f'tasks: {amount}', amount)


def burst(run: Run, visit: Visit, case: str, count: int) -> None:
    """So many no-ops: their rate, and what one costs the relay, an endpoint and all parties together."""
    numbers = visit.order('burst', task='nothing', arguments=[], most=count, least=count, seconds=0.0)
    costs = {party: 1e6 * seconds / numbers['tasks'] for party, seconds in numbers['cpu'].items()}
    some = {f'cpu_{party}': (costs.get(party, 0.0), 'us/task') for party in ('relay', 'endpoint')}
    run.report.add(NAME, case, OURS, tasks_per_s=(numbers['tasks_per_s'], '1/s'), cpu_together=(sum(costs.values()), 'us/task'), **some)
