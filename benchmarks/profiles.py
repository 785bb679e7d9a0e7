"""`python -m benchmarks.profiles`: what each party does in the time that a no-op costs it, by py-spy (`pip install py-spy`; root, or ptrace allowed).

Counts threads that hold Python's lock: what a party computes, and not what it waits for, sends or writes to disk.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from benchmarks import parties
from benchmarks.aims import OURS
from benchmarks.tables import PARTIES, markdown, number
from benchmarks.visit import Visit

RATE = 250
"""Samples a second of each process."""
LONGEST = 600
TOP = 8
INNERMOST = re.compile(r'([^;]+) \(([^;()]+):\d+\)$')
HEAD = """# Where each party's time goes

{tasks:,} no-ops, {time}; made by `python -m benchmarks.profiles`.
A share is that of the samples in which a thread of the party holds Python's lock: what is computed, not what is waited for."""
DEFAULT = Path(__file__).parent / 'results' / 'profile.md'


def main(arguments: list[str] | None = None) -> None:
    """Profile a burst, and print a table."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.profiles', description=__doc__)
    parser.add_argument('--tasks', type=int, default=40_000, help='no-ops (default: %(default)s)')
    parser.add_argument('--output', type=Path, default=DEFAULT, metavar='FILE', help='where the table goes (default: %(default)s)')
    options = parser.parse_args(arguments)
    spy = shutil.which('py-spy') or shutil.which('py-spy', path=str(Path(sys.executable).parent))
    if spy is None:
        parser.error('py-spy is not installed: pip install py-spy')
    with Visit(OURS) as visit, tempfile.TemporaryDirectory() as directory:
        before = {process.pid: _used(process) for _, process in parties.tree(visit.pid)}
        visit.order('burst', task='nothing', arguments=[], seconds=0.0, most=2000, least=2000)
        spies = {party: _watch(spy, process, Path(directory, party)) for party, process in busiest(visit.pid, before).items()}
        most = options.tasks
        numbers = visit.order('burst', timeout=LONGEST, task='nothing', arguments=[], seconds=0.0, most=most, least=most)
        for each in spies.values():
            each.send_signal(signal.SIGINT)
        for each in spies.values():
            each.wait()
        costs = {party: 1e6 * seconds / numbers['tasks'] for party, seconds in numbers['cpu'].items()}
        found = {party: Path(directory, party) for party in PARTIES if party in spies}
        text = table({party: shares(path.read_text().splitlines()) for party, path in found.items() if path.exists()}, costs)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(f'{HEAD.format(tasks=most, time=time.strftime("%Y-%m-%d"))}\n\n{text}\n')
    print(f'{text}\n\nwritten: {options.output}')


def busiest(pid: int, before: Mapping[int, float]) -> dict[str, psutil.Process]:
    """The process of each party that has used the most processor time since `before` [s], of a driver and what is below it."""
    found: dict[str, tuple[float, psutil.Process]] = {}
    for party, process in parties.tree(pid):
        used = _used(process) - before.get(process.pid, 0.0)
        if party in PARTIES and used >= found.get(party, (0.0, process))[0]:
            found[party] = used, process
    return {party: process for party, (_, process) in found.items()}


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _watch(spy: str, process: psutil.Process, path: Path) -> subprocess.Popen[bytes]:
    """A profiler of one process, until it is told to stop."""
    how = ['--gil', '--nonblocking', '--rate', str(RATE), '--duration', str(LONGEST), '--format', 'raw', '--output', str(path)]
    return subprocess.Popen([spy, 'record', *how, '--pid', str(process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  py-spy


def shares(lines: Iterable[str]) -> Counter[str]:
    """Of raw samples (`outer;…;inner (file:line) count`), the share of each innermost function, a number between 0 and 1."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(' ')
        if found := INNERMOST.search(stack):
            counts[f'{found[1]} ({_home(found[2])})'] += int(count)
    total = sum(counts.values())
    return Counter({function: count / total for function, count in counts.items()})


def _home(file: str) -> str:
    """A file's name, or its package's."""
    path = Path(file)
    return path.parent.name if path.name == '__init__.py' else path.name


def table(found: Mapping[str, Counter[str]], costs: Mapping[str, float]) -> str:
    """The functions that take most of each party's time.

    Args:
        found: By party, as from `shares`.
        costs: Processor time of each party for a task [us].
    """
    lines = [
        [party, number(costs.get(party, 0.0)), ', '.join(f'`{function}` {100 * share:.0f} %' for function, share in functions.most_common(TOP))]
        for party, functions in found.items()
        if functions
    ]
    return markdown(['party', 'µs a task', 'functions that take most of it'], lines)


if __name__ == '__main__':
    main()
