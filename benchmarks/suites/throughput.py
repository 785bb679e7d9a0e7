"""Tasks a second: no-ops, short sleeps, arguments of several sizes; two workers each."""

from __future__ import annotations

from typing import Any

from benchmarks.aims import HTEX, OURS
from benchmarks.measures import SUBMITS
from benchmarks.run import Run, Stop
from benchmarks.suites import latency
from benchmarks.visit import Visit, VisitError

NAME = 'throughput'
NO_OP = 'no-op'
"""Its argument is empty, so that it is also the case of 0 bytes."""
MOST = 20_000
"""No-ops of one burst: so many of ours; of the others as many as go in 4 s."""

CASES: dict[str, dict[str, Any]] = {
    '1 ms': {'task': 'nap', 'arguments': [0.001], 'most': 2000, 'seconds': 0.7},
    '10 ms': {'task': 'nap', 'arguments': [0.01], 'most': 400, 'seconds': 0.7},
    '100 ms': {'task': 'nap', 'arguments': [0.1], 'most': 40, 'seconds': 0.7},
    '1 kB': {'task': 'ignore', 'arguments': [{'bytes': 1000}], 'most': 5000, 'seconds': 0.7},
    '100 kB': {'task': 'ignore', 'arguments': [{'bytes': 100_000}], 'most': 500, 'seconds': 0.7},
    '10 MB': {'task': 'ignore', 'arguments': [{'bytes': 10_000_000}], 'most': 10, 'seconds': 0.7},
}


def run(run: Run) -> None:
    """No-ops in every round, the other cases in the first. Quick: no-ops only."""
    seen: set[str] = set()

    def measure(visit: Visit, stop: Stop) -> None:
        if latency.NAME in run.suites and not run.quick:
            latency.measure(run, visit, stop)
        no_ops(run, visit, stop.system)
        cases = {} if run.quick or stop.name in seen else CASES
        seen.add(stop.name)
        for case, order in cases.items():
            try:
                numbers = visit.order('burst', **order)
            except VisitError as error:
                run.report.note(f'{NAME}: {case}: {error}')
                break
            run.report.add(NAME, case, stop.system, tasks_per_s=(numbers['tasks_per_s'], '1/s'))

    run.rounds_of(NAME, run.installed(), run.budget(185.0), measure, repeat=1.0 if run.quick else 0.6)


def no_ops(run: Run, visit: Visit, system: str) -> None:
    """One burst, with what it costs each party."""
    least = 1 if run.quick else {OURS: MOST, HTEX: SUBMITS}.get(system, 1)
    numbers = visit.order('burst', task='nothing', arguments=[], most=MOST, least=least, seconds=1.5 if run.quick else 4.0)
    costs = {f'cpu_{party}': (1e6 * seconds / numbers['tasks'], 'us/task') for party, seconds in numbers['cpu'].items() if seconds > 0}
    rates = {name: (numbers[name], '1/s') for name in ('tasks_per_s', 'submits_per_s')}
    run.report.add(NAME, NO_OP, system, **rates, tasks=(numbers['tasks'], ''), **costs)
