"""Flows: many short runs at once on one engine, every step on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.aims import OURS
from benchmarks.flow_engine import DOCUMENT, LIMIT, STATES
from benchmarks.run import Run
from benchmarks.visit import VisitError
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.journal import Journal
from relay_parsl.home import Home

NAME = 'flows'
LEVELS = (1000, 5000)
"""Runs at once."""
BUDGET = 60.0
"""Seconds."""


def run(run: Run) -> None:
    """Write down so many runs, then start an engine and wait until all have succeeded."""
    end = time.monotonic() + run.budget(BUDGET, 20.0)
    for level in LEVELS[:1] if run.quick else LEVELS:
        for number in range(run.rounds):
            if number and time.monotonic() > end:
                run.report.note(f'{NAME}: {level}: {number} of {run.rounds} rounds: the time is up')
                break
            measure(run, level)


def measure(run: Run, count: int) -> None:
    """One round."""
    with tempfile.TemporaryDirectory(prefix='relay-parsl-bench-') as root:
        submitted = submit(Path(root), count)
        command = [sys.executable, '-m', 'benchmarks.flow_engine', root]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=2 * LIMIT)  # noqa: S603  our own program
    if done.returncode:
        raise VisitError(f'the engine ended with {done.returncode}: {done.stderr[-1000:]}')
    took = json.loads(done.stdout)
    if took['succeeded'] != count:
        raise VisitError(f'{took["succeeded"]} of {count} runs succeeded')
    run.report.add(
        NAME,
        str(count),
        OURS,
        states_per_s=(count * len(STATES) / took['seconds'], '1/s'),
        runs_per_s=(count / took['seconds'], '1/s'),
        cpu=(1e6 * took['cpu'] / count / len(STATES), 'us'),
        memory=(took['memory'], 'MB'),
        submits_per_s=(count / submitted, '1/s'),
    )


def submit(root: Path, count: int) -> float:
    """Seconds until so many runs are on the disk, one commit each."""
    definition = Flow.from_dict(DOCUMENT).definition
    with Journal.open(Home(root)) as journal:
        begin = time.perf_counter()
        for number in range(count):
            journal.submit(definition, {'number': number})
        return time.perf_counter() - begin
