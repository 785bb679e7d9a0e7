"""The suites, by name. Each module has `run(run)`."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.run import Run
from benchmarks.suites import depth, latency, parsl_apps, payload, per_accelerator, sessions, throughput

SUITES: dict[str, Callable[[Run], None]] = {
    'throughput': throughput.run,
    'latency': latency.run,
    'per_accelerator': per_accelerator.run,
    'payload': payload.run,
    'depth': depth.run,
    'sessions': sessions.run,
    'parsl_apps': parsl_apps.run,
}


def run_suite(name: str, run: Run) -> None:
    """Run one, and say how long it took."""
    print(f'== {name}', flush=True)
    begin = time.monotonic()
    SUITES[name](run)
    run.report.write(run.path)
    print(f'== {name}: {time.monotonic() - begin:.0f} s', flush=True)
