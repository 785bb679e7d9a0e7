"""The processes of a system under measurement: which party each is, its processor time, its peak of memory."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: what its parent leaves behind becomes a child of this process, and stays in its tree."""

WORDS = (
    ('relay_parsl.local.keeper', 'keeper'),
    ('relay_parsl.local.parties relay', 'relay'),
    ('relay_parsl.local.parties endpoint', 'endpoint'),
    ('relay_parsl.engines.child', 'engine'),
    ('relay_parsl.engines.runner', 'runner'),
    ('interchange', 'interchange'),
    ('resource_tracker', 'other'),
    ('multiprocessing.forkserver', 'worker'),
    ('multiprocessing.spawn', 'worker'),
    ('HTEX worker', 'worker'),
    ('process_worker_pool', 'manager'),
    ('dask', 'worker'),
    ('ray::', 'worker'),
    ('raylet', 'manager'),
    ('ipyparallel.controller', 'manager'),
    ('ipyparallel.engine', 'worker'),
)
"""What stands in a command line, and whose it is; the first that fits."""


def adopt() -> None:
    """Keep what daemonizes in this process's tree. Linux; elsewhere such processes are not counted."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def name_of(command: Sequence[str]) -> str:
    """The party that has this command line."""
    line = ' '.join(command)
    return next((party for word, party in WORDS if word in line), 'other')


def tree(pid: int | None = None) -> Iterator[tuple[str, psutil.Process]]:
    """Party and process, of this process (`client`) or that of `pid` and everything below it."""
    root = psutil.Process(pid)
    yield 'client', root
    for process in root.children(recursive=True):
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield name_of(process.cmdline()), process


def cpu() -> dict[str, float]:
    """Processor time [s] of each party until now, its processes together."""
    spent: dict[str, float] = {}
    for party, process in tree():
        with suppress(psutil.Error):
            times = process.cpu_times()
            spent[party] = spent.get(party, 0.0) + times.user + times.system
    return spent


def spent(before: dict[str, float]) -> dict[str, float]:
    """Processor time [s] of each party since `before`."""
    return {party: max(0.0, now - before.get(party, 0.0)) for party, now in cpu().items()}


def memory() -> dict[str, float]:
    """Peak memory [MB] of each party since its start: of its largest process."""
    peaks: dict[str, float] = {}
    for party, process in tree():
        with suppress(psutil.Error, OSError):
            peaks[party] = max(peaks.get(party, 0.0), peak(process))
    return peaks


def peak(process: psutil.Process) -> float:
    """A process's largest resident set until now [MB]; where the kernel does not keep it, that of now."""
    status = Path(f'/proc/{process.pid}/status')
    if not status.exists():
        return float(process.memory_info().rss) / 1e6
    lines = dict(line.partition(':')[::2] for line in status.read_text().splitlines())
    return int(lines.get('VmHWM', '0 kB').split()[0]) * 1024 / 1e6


def kill(processes: Sequence[psutil.Process]) -> None:
    """End those that still run."""
    for process in processes:
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.is_running():
                process.kill()
