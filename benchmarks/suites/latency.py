"""Round trips of single no-ops, and the time from nothing to the first result."""

from __future__ import annotations

from benchmarks.run import Run, Stop
from benchmarks.visit import Visit

NAME = 'latency'


def run(run: Run) -> None:
    """Each round is a cold start. Where `throughput` runs too, its visits were used."""
    if not run.report.rows(NAME):
        run.rounds_of(NAME, run.installed(), run.budget(75.0), lambda visit, stop: measure(run, visit, stop))


def measure(run: Run, visit: Visit, stop: Stop) -> None:
    """A visit that has just begun."""
    run.report.add(NAME, 'cold-start', stop.system, first_result=(visit.cold_start, 's'))
    numbers = visit.order('trips', most=300, seconds=1.5)
    run.report.add(NAME, 'round-trip', stop.system, **{name: (numbers[name], 'ms') for name in ('p50', 'p95', 'p99')})
