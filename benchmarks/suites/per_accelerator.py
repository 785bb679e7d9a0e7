"""What the users of accelerators pay for: tasks a second for each, and the share of time in which the least busy one is busy.

Without a GPU the accelerators are names only and the task sleeps; with GPUs, and torch or cupy, it is a kernel, and the accelerators are those GPUs.
"""

from __future__ import annotations

from benchmarks import figures, kernels
from benchmarks.aims import HTEX, OURS
from benchmarks.run import Run, Stop
from benchmarks.systems import Shape
from benchmarks.visit import Visit

NAME = 'per_accelerator'
COUNTS, SHARED = (1, 4, 8), (1, 4)
"""Accelerators, and workers on each."""
TIMES = {'10 ms': 0.01, '100 ms': 0.1}
BACKLOG = 1000
"""Tasks that wait at the start."""
LONGEST = 3.0
"""Seconds that are looked at: what is left of the backlog then counts for nothing."""


def run(run: Run) -> None:
    """Ours beside HTEX, in every shape."""
    gpus = kernels.devices()
    counts = [count for count in COUNTS if count <= len(gpus)] if gpus else list(COUNTS)
    pairs = [(count, shared) for shared in SHARED for count in counts]
    pairs = pairs[-1:] if run.quick and gpus else [(4, 1)] if run.quick else pairs
    stops = [Stop(f'{system}, {count} x {shared}', system, shape(count, shared)) for count, shared in pairs for system in (OURS, HTEX)]
    task = 'stamp_kernel' if gpus else 'stamp'
    run.rounds_of(NAME, stops, run.budget(105.0), lambda visit, stop: measure(run, visit, stop, task), first=())


def shape(count: int, shared: int) -> Shape:
    """So many accelerators with so many workers on each."""
    return Shape(count * shared, tuple(str(number) for number in range(count) for _ in range(shared)))


def measure(run: Run, visit: Visit, stop: Stop, task: str) -> None:
    """Both lengths of task."""
    slots, count = stop.shape.workers, len(set(stop.shape.accelerators))
    for label, nominal in TIMES.items():
        numbers = visit.order('occupy', task=task, nominal=nominal, count=BACKLOG, slots=slots, seconds=LONGEST)
        case = f'{count} x {slots // count}, {label}'
        add(run, case, stop.system, numbers, count)


def add(run: Run, case: str, system: str, numbers: dict[str, float], count: int) -> None:
    """A busy share means nothing when tasks took longer than they should, or an accelerator was not seen at all."""
    run.report.add(
        NAME,
        case,
        system,
        tasks_per_s_each=(numbers['tasks_per_s'] / count, '1/s'),
        nominal_share=(numbers['nominal_share'], ''),
        overshoot=(numbers['overshoot'], ''),
    )
    if numbers['seen'] < count:
        run.report.note(f'{NAME}: {case}: {system} used {numbers["seen"]} of {count} accelerators')
        run.report.add(NAME, case, system, busy_share=(0.0, ''))
    elif numbers['overshoot'] > figures.OVERSHOOT:
        run.report.note(f'{NAME}: {case}: {system}: invalid, for the median task took {100 * numbers["overshoot"]:.1f} % longer than it should')
    else:
        run.report.add(NAME, case, system, busy_share=(numbers['busy_share'], ''))
