"""The suites, by name. Each module has `run(run)`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from benchmarks.run import Run
from benchmarks.suites import curves, depth, flows, latency, parsl_apps, payload, per_accelerator, sessions, throughput

SUITES: dict[str, Callable[[Run], None]] = {
    'throughput': throughput.run,
    'latency': latency.run,
    'per_accelerator': per_accelerator.run,
    'payload': payload.run,
    'parsl_apps': parsl_apps.run,
    'sessions': sessions.run,
    'flows': flows.run,
    'curves': curves.run,
    'depth': depth.run,  # it goes as deep as the time allows
}


DEEP = ('depth', 'payload')
"""Those with a case that has no place in ten minutes."""


def run_suite(name: str, run: Run) -> None:
    """Run one, and say how long it took. What goes wrong in it becomes a note."""
    print(f'== {name}', flush=True)
    begin = time.monotonic()
    try:
        SUITES[name](run)
    except Exception as error:  # noqa: BLE001  the other suites may be well, and what was measured is kept
        traceback.print_exc()
        run.report.note(f'{name}: {type(error).__name__}: {error}')
    run.report.write(run.path)
    print(f'== {name}: {time.monotonic() - begin:.0f} s', flush=True)
