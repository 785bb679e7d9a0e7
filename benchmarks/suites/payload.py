"""Arguments that come back: MB/s one way, and the peak memory of each party; and one argument of 1 GB."""

from __future__ import annotations

import psutil

from benchmarks.aims import HTEX, OURS
from benchmarks.run import Run, Stop
from benchmarks.visit import Visit, VisitError

NAME = 'payload'
SIZES = {'1 kB': 1000, '10 kB': 10_000, '100 kB': 100_000, '1 MB': 1_000_000, '10 MB': 10_000_000}
LARGEST = '10 MB'
NEEDED = 6e9
"""Bytes of memory for an argument of 1 GB: two processes hold it, and files of it may stay in the cache."""
BACKLOG = 50e6
"""Bytes that are under way at a time, at most, but for ten of the largest."""


def run(run: Run) -> None:
    """Sizes rise, so that the peaks are those of the largest. All in the first round, then the largest alone."""
    seen: set[str] = set()

    def measure(visit: Visit, stop: Stop) -> None:
        cases = SIZES if stop.name not in seen and not run.quick else {LARGEST: SIZES[LARGEST]}
        seen.add(stop.name)
        for case, size in cases.items():
            most, seconds = (10, 2.0) if case == LARGEST else (min(1000, int(BACKLOG / size)), 0.7)
            try:
                numbers = visit.order('burst', task='echo', arguments=[{'bytes': size}], most=most, seconds=seconds)
            except VisitError as error:  # Globus Compute refuses what is over 10 MiB in its encoding
                run.report.note(f'{NAME}: {case}: {error}')
                continue
            run.report.add(NAME, case, stop.system, rate=(numbers['tasks_per_s'] * size / 1e6, 'MB/s'))
        peaks(run, visit, stop.system, 'peak memory')

    if not run.deep:
        run.rounds_of(NAME, run.installed(), run.budget(55.0), measure, first=(OURS, HTEX), repeat=0.6)
    free = psutil.virtual_memory().available
    if free < NEEDED:
        run.report.note(f'{NAME}: 1 GB: left out, for it needs {NEEDED / 1e9:g} GB of memory, and {free / 1e9:.1f} are free')
    elif not run.quick:
        run.rounds_of(f'{NAME}, 1 GB', [Stop(OURS, OURS)], 1.0, lambda visit, stop: gigabyte(run, visit, stop), most=1)


def gigabyte(run: Run, visit: Visit, stop: Stop) -> None:
    """One argument of 1 GB."""
    numbers = visit.order('arrive', timeout=300.0, size=10**9)
    memory = {party: (peak, 'MB') for party, peak in numbers['memory'].items()}
    run.report.add(NAME, '1 GB', stop.system, rate=(1000 / numbers['seconds'], 'MB/s'), **memory)


def peaks(run: Run, visit: Visit, system: str, case: str) -> None:
    """Of each party's largest process, since its start."""
    run.report.add(NAME, case, system, **{party: (peak, 'MB') for party, peak in visit.order('memory')['memory'].items() if party != 'other'})
