"""`@python_app` under one DataFlowKernel: on `RelayExecutor`, and on HighThroughputExecutor."""

from __future__ import annotations

import time

from benchmarks.run import Run
from benchmarks.systems import Shape
from benchmarks.visit import Visit, VisitError

NAME = 'parsl_apps'
WAYS = ('htex', 'relay-parsl')


def run(run: Run) -> None:
    """Both executors are up all the time; bursts take turns."""
    budget = run.budget(30.0, 25.0)
    begin = time.monotonic()
    try:
        with Visit('parsl-apps', Shape()) as visit:
            for number in range(run.rounds):
                if number and (time.monotonic() - begin) * (number + 1) / number > budget:
                    run.report.note(f'{NAME}: cut after {budget:.0f} s: {run.rounds - number} of {run.rounds} rounds')
                    return
                for way in WAYS:
                    burst(run, visit, way)
    except VisitError as error:
        run.report.note(f'{NAME}: {error}')


def burst(run: Run, visit: Visit, way: str) -> None:
    """No-ops as apps on one of them."""
    numbers = visit.order('burst', task='nothing', arguments=[], most=10_000, seconds=1.5 if run.quick else 2.5, way=way)
    run.report.add(NAME, 'no-op', way, tasks_per_s=(numbers['tasks_per_s'], '1/s'), submits_per_s=(numbers['submits_per_s'], '1/s'))
