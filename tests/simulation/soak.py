"""`make soak`: seed after seed for hours, each failing one printed as it is found; and the seed to go on from another time."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

from tests.simulation.counters import Tally
from tests.simulation.run import Report, run_many
from tests.simulation.scale import DENSE

FIRST = 10_001
"""Beyond the seeds that CI runs."""
SMALL_FOR_A_DENSE = 10
ROUND = 10
"""Dense seeds between two looks at the clock: a process pool each."""
SAY = 60.0
"""Seconds between two lines of progress."""


def say(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(line + '\n')
    sys.stdout.flush()


def turns(first: int) -> Iterator[list[int]]:
    """Seeds from `first` on, a round at a time; each round has dense ones as well."""
    size = ROUND * SMALL_FOR_A_DENSE
    for start in count(first, size):
        dense = DENSE + start // SMALL_FOR_A_DENSE
        yield [*range(dense, dense + ROUND), *range(start, start + size)]


class Progress:
    """What was run so far."""

    def __init__(self, hours: float) -> None:
        """From now on, for so long."""
        self.began = self.said = time.monotonic()
        self.end = self.began + hours * 3600
        self.total, self.failures = Tally(), 0

    def add(self, report: Report) -> None:
        """Another seed."""
        self.total.add(report.tally)
        if report.failure:
            self.failures += 1
            say(f'FAILED {report.failure}\n  again, with its trace: python -m tests.simulation {report.seed}')
        if time.monotonic() - self.said >= SAY:
            self.said = time.monotonic()
            say(self.line())

    def line(self) -> str:
        """How far it is."""
        spent = timedelta(seconds=round(time.monotonic() - self.began))
        crashed, total = sum(self.total.crashed.values()), self.total
        return f'{spent} {total.seeds} seeds, {total.through} tasks, {crashed} crashes, {total.steps} steps, {self.failures} failed'

    @property
    def over(self) -> bool:
        """Whether the time is."""
        return time.monotonic() >= self.end


def main() -> int:
    """Exit 1 when some seed has broken a promise."""
    parser = argparse.ArgumentParser(prog='python -m tests.simulation.soak', description=__doc__)
    parser.add_argument('--hours', type=float, default=8.0)
    parser.add_argument('--first', type=int, default=FIRST, help='the seed to go on from')
    parser.add_argument('--workers', type=int, default=None, help='processes; as many as there are cores')
    asked = parser.parse_args()
    progress, following = Progress(asked.hours), asked.first
    try:
        for seeds in turns(asked.first):
            for report in run_many(seeds, workers=asked.workers):
                progress.add(report)
            following = seeds[-1] + 1
            if progress.over:
                break
    except KeyboardInterrupt:
        pass
    say(f'{progress.line()}; go on with --first {following}')
    return 1 if progress.failures else 0


if __name__ == '__main__':
    sys.exit(main())
