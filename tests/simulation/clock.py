"""Virtual time: a heap of events, one random generator, and a trace that a replay prints."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.counters import Tally


class Clock:
    """The only source of time and chance; the same seed gives the same events."""

    def __init__(self, seed: int, show: Callable[[str], None] | None = None) -> None:
        """`show` takes the lines of the trace; without it none is made."""
        self.now = 1_000_000.0
        self.random = Random(seed)
        self.tally = Tally(seeds=1)
        self.show = show
        self.digest = 0
        self.after_step: Callable[[], None] = lambda: None
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._serial = 0

    def at(self, when: float, do: Callable[..., None], *args: Any) -> None:
        """Have `do(*args)` called at virtual time `when`."""
        self._serial += 1
        heapq.heappush(self._heap, (when if when > self.now else self.now, self._serial, do, args))

    def after(self, delay: float, do: Callable[..., None], *args: Any) -> None:
        """Have `do(*args)` called `delay` seconds from now."""
        self.at(self.now + delay, do, *args)

    def run(self, until: float, stop: Callable[[], bool] | None = None) -> bool:
        """Step until `until`, or until `stop()` holds, which is asked once a second; says whether it came to hold."""
        ask = self.now
        heap, tally = self._heap, self.tally
        while heap and heap[0][0] <= until:
            if stop and heap[0][0] >= ask:
                if stop():
                    return True
                ask = heap[0][0] + 1.0
            self.now, _, do, args = heapq.heappop(heap)
            tally.steps += 1
            do(*args)
            self.after_step()
        self.now = max(self.now, until)
        return bool(stop and stop())

    def log(self, text: str, *args: Any) -> None:
        """A line of the trace; its digest is kept always, so that two runs can be compared."""
        self.digest = zlib.crc32(text.encode(), self.digest + int(self.now * 1000) & 0xFFFFFFFF)
        self.note(text, *args)

    def note(self, text: str, *args: Any) -> None:
        """A line for a reader only."""
        if self.show:
            line = text % args if args else text
            self.show(f'{self.now - 1_000_000.0:10.3f}  {line}')
