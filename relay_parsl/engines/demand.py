"""How many workers the work is worth: what HTEX's scaling gets to see instead of the number of tasks.

```
function never measured          a worker for each of its tasks: the first scale-out happens at once
measured, shorter than HORIZON   as many as finish the work within HORIZON: ten thousand 1 ms tasks are worth one
measured, longer                 a worker for each of its tasks
nothing ended for PATIENCE       every task is taken to run for at least that long, whatever was measured
```
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

HORIZON = 60.0
"""Seconds in which the present work may as well be done by the workers that are there: a new block takes about as long to come."""
PATIENCE = 10.0
"""Seconds without any end after which busy workers show that the tasks are longer than those before: shorter ones are a busy machine."""
MEMORY = 600.0
"""Seconds for which a run time is believed when no task has ended since."""
RECENT, NEWEST = 1 / 8, 1 / 2
"""What the newest run time counts for: in the average that nodes are asked for by, which forgets a first run that imported half a library,
and in what the next task is thought to take, which follows a function that is given other work."""
FUNCTIONS = 1000
"""Functions that are known at once, at most."""


AHEAD, PACE = 0.05, 0.25
"""Seconds of work that waits for workers in the engine process, at the pace of the last quarter of a second: what waits before it travels in larger
chunks, and short tasks that travel alone wait for nobody's word."""


def wanted(count: int, work: float, horizon: float = HORIZON) -> int:
    """Workers for `count` tasks with `work` seconds of run time in all: never more than tasks, never none while there is one."""
    return min(count, max(1, math.ceil(work / horizon - 1e-9)))


class Load:
    """What HTEX has, by function, and how long functions run. A few additions a task, whatever the number of functions; not thread-safe.

    A function is any number that stands for it, a time is in seconds on a clock that never goes back.
    """

    def __init__(self) -> None:
        """Nothing is inside, and nothing is known."""
        self._inside: Counter[int] = Counter()
        self._size = self._strangers = 0  # tasks inside, and those of them whose function is not known
        self._seconds: dict[int, float] = {}
        self._next: dict[int, float] = {}
        self._work = 0.0  # seconds of all tasks inside whose function is known
        self._recent = HORIZON  # seconds of a task of the last ones that ended
        self._learned = self._heard = -math.inf

    def add(self, function: int, now: float, tasks: int = 1) -> None:
        """HTEX gets so many tasks."""
        if not self._size:
            self._heard = now
        self._inside[function] += tasks
        self._count(function, tasks)

    def drop(self, function: int, tasks: int = 1) -> None:
        """HTEX has so many less."""
        self._count(function, -tasks)
        self._inside[function] -= tasks
        if not self._inside[function]:
            del self._inside[function]
        if not self._size:
            self._work = 0.0  # what rounding has left

    def clear(self) -> None:
        """HTEX has none."""
        self._inside.clear()
        self._size, self._strangers, self._work = 0, 0, 0.0

    def end(self, function: int, seconds: float | None, now: float) -> None:
        """HTEX has one less. It ran for `seconds`; None: it was lost, nobody knows."""
        self.ends(function, [seconds], now)

    def ends(self, function: int, ran: Sequence[float | None], now: float) -> None:
        """HTEX has so many less, in this order; see `end`."""
        self.drop(function, len(ran))
        self._heard = now
        known = [min(seconds, HORIZON) for seconds in ran if seconds is not None]
        if known:
            self._learn(function, known)
            self._learned = now

    def seconds(self, function: int) -> float | None:
        """How long a function will run next, by the last times; None while nobody knows."""
        return self._next.get(function)

    def wanted(self, count: int, working: bool, now: float) -> int:
        """Workers for `count` tasks, of which HTEX has the first. `working`: it has workers, so that tasks could have ended."""
        if not count:
            return 0
        if now - self._learned > MEMORY and self._seconds:
            self._forget()
        if not working:
            self._heard = now
        rest, silence = max(0, count - self._size), now - self._heard
        each = HORIZON if not self._seconds or 0 < self._size == self._strangers else self._recent
        work = self._work + HORIZON * self._strangers + each * rest
        if self._size and silence >= PATIENCE:
            work = max(work, count * min(silence, HORIZON))
        return wanted(count, work)

    def _count(self, function: int, tasks: int) -> None:
        seconds = self._seconds.get(function)
        self._size += tasks
        if seconds is None:
            self._strangers += tasks
        else:
            self._work += tasks * seconds

    def _learn(self, function: int, ran: Sequence[float]) -> None:
        if function not in self._seconds and len(self._seconds) >= FUNCTIONS:
            self._forget()
        inside = self._inside[function]
        self._count(function, -inside)
        self._recent = _average(self._recent if self._seconds else None, ran, RECENT)
        self._seconds[function] = _average(self._seconds.get(function), ran, RECENT)
        self._next[function] = _average(self._next.get(function), ran, NEWEST)
        self._count(function, inside)

    def _forget(self) -> None:
        self._seconds.clear()
        self._next.clear()
        self._strangers, self._work = self._size, 0.0


class Pace:
    """Tasks that end in a second, of late."""

    def __init__(self) -> None:
        """Nothing has ended."""
        self._pace, self._counted, self._since = 0.0, 0, 0.0

    def count(self, ended: int, now: float) -> None:
        """So many have."""
        self._counted += ended
        if now - self._since >= PACE:
            self._pace, self._counted, self._since = self._counted / (now - self._since), 0, now

    def ahead(self, now: float) -> int:
        """Tasks that end in `AHEAD` seconds; what ended long ago says nothing about the tasks of now."""
        return int(AHEAD * self._pace) if now - self._since < 2 * PACE else 0


def _average(before: float | None, ran: Sequence[float], weight: float) -> float:
    """With these times, the newest of which count for `weight`; `before` is None when they are the first."""
    average = ran[0] if before is None else before
    for seconds in ran:
        average += weight * (seconds - average)
    return average
