"""What a worker has to do, and what becomes of it: which attempts its runner is given, which have to go elsewhere, which have ended. Pure.

```
 take ──► waiting ── pour ──► with the runner ── ended ──► ends
             ▲  │                  │
             │  └─ leave ──► back  │    BUDGET after their chunk came
             └──────── back ◄──────┘    taken back: not started
```
The runner is given many at once and works them off in order. What it has not started can be taken back at any moment, so nobody waits longer than
BUDGET behind another, one that turns out long included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from relay_parsl.engines.frames import Head, head_of
from relay_parsl.engines.fusion import BUDGET
from relay_parsl.engines.patience import Patience

RESULTS = 1 << 20
"""Bytes of results after which the rest of a chunk goes elsewhere: large ones jam a node's manager."""
POURED = 100
"""Attempts that a runner has at once: their ends fit into a socket, so that it need not wait for its worker."""
BYTES = 128 * 1024
"""Bytes of them; one always goes."""


@dataclass(eq=False)
class Attempt:
    """One attempt here."""

    place: int
    """Its place among those that came."""
    frame: bytes = field(repr=False)
    head: Head
    until: float
    """When it goes elsewhere, if it has not started by then."""


Ends = list[tuple[Attempt, bytes]]


class Shift:
    """Attempts that came to a worker. Time is handed in, in seconds of any one clock."""

    def __init__(self, limit: float, patient: Callable[[float, float], Patience]) -> None:
        """Has nothing to do. `limit`: seconds for what has no timeout of its own, 0 for none; `patient` makes a Patience of a moment and a limit."""
        self.ends: Ends = []
        """What has ended, in that order."""
        self._limit = limit
        self._patient = patient
        self._waiting: deque[Attempt] = deque()
        self._poured: deque[Attempt] = deque()
        self._size = 0  # bytes of `ends`
        self._count = 0
        self.patience = patient(inf, 0.0)
        """With the attempt that runs now, if one does."""

    @property
    def busy(self) -> bool:
        """Whether there is anything left to do."""
        return bool(self._waiting or self._poured)

    @property
    def running(self) -> Attempt | None:
        """The attempt that runs now, or will as soon as the runner is there."""
        return self._poured[0] if self._poured else None

    @property
    def next(self) -> Attempt | None:
        """The one that is to be given to the runner next."""
        return self._waiting[0] if self._waiting else None

    @property
    def crowded(self) -> bool:
        """Whether others are with the runner, behind the one that runs."""
        return len(self._poured) > 1

    @property
    def here(self) -> list[Attempt]:
        """Those that have not ended."""
        return [*self._poured, *self._waiting]

    def take(self, frames: Sequence[bytes], now: float) -> None:
        """A chunk has come. Raises ProtocolError for what is none."""
        attempts = [Attempt(self._count + place, frame, head_of(frame), now + BUDGET) for place, frame in enumerate(frames)]
        self._count += len(attempts)
        self._waiting += attempts

    def pour(self, now: float) -> list[bytes]:
        """What the runner is to be given now: of one account; one with a time limit alone, and nothing behind what has been told to end."""
        poured: list[bytes] = []
        size = sum([len(each.frame) for each in self._poured])
        while self._waiting and self._goes(self._waiting[0], size):
            attempt = self._waiting.popleft()
            if not self._poured:
                self.patience = self._patient(now, self.limit(attempt))
            self._poured.append(attempt)
            poured.append(attempt.frame)
            size += len(attempt.frame)
        return poured

    def limit(self, attempt: Attempt) -> float:
        """Seconds that its function may run; 0: for ever."""
        return attempt.head.timeout or self._limit

    def _goes(self, attempt: Attempt, size: int) -> bool:
        if not self._poured:
            return True
        first = self._poured[0]
        return (
            not self.patience.reason
            and not self.limit(first)
            and not self.limit(attempt)
            and attempt.head.account == first.head.account
            and len(self._poured) < POURED
            and size + len(attempt.frame) <= BYTES
        )

    def ended(self, frames: Sequence[bytes], now: float) -> None:
        """The runner has ended as many as these are, the one that ran first."""
        for frame in frames:
            self.ends.append((self._poured.popleft(), frame))
            self._size += len(frame)
        if frames and self._poured:
            self.patience = self._patient(now, self.limit(self._poured[0]))

    def lost(self, frame: bytes, now: float) -> None:
        """The one that ran has this end, and its runner is gone; if none ran, the next one."""
        if not self._poured:
            self._poured.append(self._waiting.popleft())
        self.ended([frame], now)

    def back(self, count: int) -> None:
        """The last `count` of what the runner had have not started, and will not."""
        for _ in range(count):
            self._waiting.appendleft(self._poured.pop())

    def late(self, now: float) -> bool:
        """Whether some have waited too long, or more results would be too many: then they have to `leave`, all but one that runs."""
        full = self._size >= RESULTS
        behind = len(self._poured) > 1 or (bool(self._waiting) and (full or bool(self._poured) or len(self._waiting) > 1))
        return behind and (full or now >= self._oldest())

    def leave(self, now: float) -> list[Attempt]:
        """Those that go elsewhere, once what has not started was taken back. One stays if none runs: else two workers might send it to and fro."""
        full = self._size >= RESULTS
        stays = [self._waiting.popleft()] if self._waiting and not self._poured and not full else []
        held = list(self._waiting)
        self._waiting = deque([*stays, *[each for each in held if not full and now < each.until]])
        return [each for each in held if full or now >= each.until]

    def drop(self, key: tuple[bytes, int]) -> Attempt | None:
        """Take out one that waits; it goes elsewhere."""
        found = next((each for each in self._waiting if each.head.key == key), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def pause(self, now: float) -> float | None:
        """Seconds until something is due; None: nothing will be."""
        due = self._oldest() if len(self._poured) > 1 or self._waiting else inf
        own = self.patience.pause(now) if self._poured else None
        pause = min(due - now, inf if own is None else own)
        return None if pause == inf else max(0.0, pause)

    def _oldest(self) -> float:
        """When the first of those that have not started has waited too long: they are in the order in which they came."""
        return self._poured[1].until if len(self._poured) > 1 else self._waiting[0].until if self._waiting else inf
