"""A worker's work on a chunk: one attempt after the other, until the budget of the chunk is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from relay_parsl.engines.frames import encode_ends
from relay_parsl.engines.fusion import BUDGET

RESULTS = 1 << 20
"""Bytes of results after which a chunk ends: large ones jam a node's manager."""
Ends = list[tuple[int, bytes]]
Run = Callable[[bytes, float | None, Callable[[], None]], bytes]
"""Runs a work frame to its end frame. The third is called once when the moment of the second has come and it still runs."""


class Chunk:
    """Work frames in their order. What has not started when the budget is over is not run here; whoever sent it sees that it is missing."""

    def __init__(self, frames: Sequence[bytes], hand: Callable[[Ends, list[int]], None], now: Callable[[], float] = time.monotonic) -> None:
        """`hand` is given what has ended and what will not start, by place, while another takes longer than was thought; `now` is the clock."""
        self._frames = list(frames)
        self._hand = hand
        self._ends: Ends = []
        self._size = 0
        self._now = now
        self._until = now() + BUDGET

    def run(self, run: Run) -> bytes:
        """Everything, within the budget; the end frames with their places. The first attempt runs in any case."""
        place = 0
        while place < len(self._frames):
            others = len(self._frames) > 1
            end = run(self._frames[place], self._until if others else None, self._share)
            self._ends.append((place, end))
            self._size += len(end)
            place += 1
            if self._now() >= self._until or self._size >= RESULTS:
                break
        return encode_ends(self._ends)

    def _share(self) -> None:
        """The one that runs keeps the worker; the others go."""
        running = len(self._ends)
        self._hand(list(self._ends), list(range(running + 1, len(self._frames))))
        del self._frames[running + 1 :]
