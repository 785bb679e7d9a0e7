"""The attempts that HTEX has: by a number, in the order in which they were handed over, and what they are worth to scaling."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from relay_parsl.engines.base import Work
from relay_parsl.engines.demand import Load


class Inside:
    """Not thread-safe. Times are in seconds on a clock that never goes back."""

    def __init__(self) -> None:
        """HTEX has none."""
        self.load = Load()
        self._entries: OrderedDict[int, tuple[Work, float]] = OrderedDict()
        self._number = 0

    def __len__(self) -> int:
        return len(self._entries)

    def admit(self, work: Work, now: float) -> int:
        """HTEX gets it; returns its number, which no other attempt had."""
        self._number += 1
        self._entries[self._number] = (work, now)
        self.load.add(hash(work.function), now)
        return self._number

    def get(self, number: int) -> Work | None:
        """The attempt of this number, if HTEX has it."""
        entry = self._entries.get(number)
        return None if entry is None else entry[0]

    def pop(self, number: int) -> Work | None:
        """It has ended, and its run time is yet to be told to `load`."""
        entry = self._entries.pop(number, None)
        return None if entry is None else entry[0]

    def drop(self, number: int) -> Work | None:
        """HTEX has it no more, and it did not run."""
        work = self.pop(number)
        if work is not None:
            self.load.drop(hash(work.function))
        return work

    def clear(self) -> list[Work]:
        """HTEX has none any more; returns those that it had."""
        works = [work for work, _ in self._entries.values()]
        self._entries.clear()
        self.load.clear()
        return works

    def oldest(self, count: int) -> list[tuple[Work, float]]:
        """Those that were handed over first, and when."""
        return list(islice(self._entries.values(), count))
