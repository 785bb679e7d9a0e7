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

SLOWEST, QUICKEST = 2.0, 0.02
"""Bounds of how the time that attempts take stands to what was thought."""
TRUST = 0.3
"""How much of it the last ones say."""
POURED = 200
"""Attempts that a runner has at once: the ends of most fit into a socket, so that it need not wait for its worker."""
BYTES = 512 * 1024
"""Bytes of them; one always goes."""


SOON = 1e-6
"""Seconds that are left to what may end at any moment."""
TOO_LONG = 0.01
"""Seconds after which it has turned out to take longer than was thought: then nothing is asked for that would only wait behind it, and go back."""
WORTH = 0.02
"""Seconds that an attempt takes whose end is worth a look while others are behind it; those of shorter ones are told of together."""


@dataclass(eq=False)
class Attempt:
    """One attempt here."""

    place: int
    """Its place among those that came."""
    frame: bytes = field(repr=False)
    head: Head
    until: float
    """When it goes elsewhere, if it has not started by then."""
    seconds: float
    """How long it takes, as is thought; inf: nobody knows."""
    limit: float
    """Seconds that its function may run; 0: for ever."""


Ends = list[tuple[Attempt, bytes]]


class Shift:
    """Attempts that came to a worker. Time is handed in, in seconds of any one clock."""

    def __init__(self, limit: float, patient: Callable[[float, float], Patience]) -> None:
        """Has nothing to do. `limit`: seconds for what has no timeout of its own, 0 for none; `patient` makes a Patience of a moment and a limit."""
        self.ends: Ends = []
        """What has ended, in that order, and was not fetched."""
        self._limit = limit
        self._patient = patient
        self._waiting: deque[Attempt] = deque()
        self._poured: deque[Attempt] = deque()
        self._count = 0
        self._bytes = 0  # of what the runner has
        self._pace = 1.0  # how long they take, beside what was thought
        self._seen = 0.0  # since when the one that runs has run, as it looks
        self._looked = 0.0  # when ends were last looked for, or since when the runner has something to do
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

    def take(self, frames: Sequence[bytes], now: float, seconds: float | None = None) -> None:
        """A chunk has come, which takes so many seconds, if anybody knows. Raises ProtocolError for what is none."""
        each = inf if seconds is None else seconds / len(frames)
        attempts = []
        for place, frame in enumerate(frames, self._count):
            head = head_of(frame)
            attempts.append(Attempt(place, frame, head, now + BUDGET, each, head.timeout or self._limit))
        self._count += len(attempts)
        self._waiting += attempts

    def left(self, now: float) -> float:
        """Seconds that what is here will take, as it looks: inf if nobody knows, as of what takes longer than was thought; 0 if there is nothing."""
        if not self.busy:
            return 0.0
        left = self._pace * sum([each.seconds for each in self.here]) - (now - self._seen if self._poured else 0.0)
        return max(SOON, left) if left > -TOO_LONG else inf

    def fetch(self) -> Ends:
        """What has ended since the last time."""
        ends, self.ends = self.ends, []
        return ends

    def pour(self, now: float) -> list[bytes]:
        """What the runner is to be given now: of one account; one with a time limit alone, and nothing behind what has been told to end."""
        poured: list[bytes] = []
        while self._waiting and self._goes(self._waiting[0]):
            attempt = self._waiting.popleft()
            if not self._poured:
                self.patience, self._seen, self._looked = self._patient(now, attempt.limit), now, now
            self._poured.append(attempt)
            self._bytes += len(attempt.frame)
            poured.append(attempt.frame)
        return poured

    def _goes(self, attempt: Attempt) -> bool:
        if not self._poured:
            return True
        first = self._poured[0]
        alone = self.patience.reason or first.limit or attempt.limit or attempt.head.account != first.head.account
        return not alone and len(self._poured) < POURED and self._bytes + len(attempt.frame) <= BYTES

    def ended(self, frames: Sequence[bytes], now: float) -> None:
        """The runner has ended as many as these are, the one that ran first. What it says beyond what it has, user code has said."""
        if not frames or not self._poured:
            return
        ended = [(self._poured.popleft(), frame) for frame in frames[: len(self._poured)]]
        self._bytes -= sum([len(attempt.frame) for attempt, _ in ended])
        self.ends += ended
        self._learn([attempt.seconds for attempt, _ in ended], now)
        if self._poured:
            self.patience = self._patient(now, self._poured[0].limit)

    def _learn(self, thought: Sequence[float], now: float) -> None:
        """What the ends of attempts, that were thought to take so long, say of the pace.

        Only the last one rings. Ends that are seen while others are with the runner came since the last look, the last of them some time ago: so the
        pace lies between bounds.
        """
        took, looked, whole = now - self._looked, self._looked, sum(thought)
        self._looked = now
        if not 0 < whole < inf:
            self._seen = now
        elif self._poured:
            most = took / (whole - thought[0]) if whole > thought[0] else inf
            self._pace = _bounded(min(max(self._pace, took / (whole + self._poured[0].seconds)), most))
            self._seen = min(now, max(looked, self._seen + self._pace * whole))
        else:  # of long ones the engine knows better: it learns from all workers, and what goes with a task matters to short ones
            self._pace = 1.0 if max(thought) >= WORTH else self._pace + TRUST * (_bounded((now - self._seen) / whole) - self._pace)
            self._seen = now

    def lost(self, frame: bytes, now: float) -> None:
        """The one that ran has this end, and its runner is gone; if none ran, the next one."""
        if not self._poured:
            self._poured.append(self._waiting.popleft())
            self._bytes = len(self._poured[0].frame)
        self.ended([frame], now)

    def back(self, count: int) -> None:
        """The last `count` of what the runner had have not started, and will not."""
        for _ in range(min(count, len(self._poured))):  # user code may have said an end that was none of its own
            attempt = self._poured.pop()
            self._bytes -= len(attempt.frame)
            self._waiting.appendleft(attempt)

    def late(self, now: float, *, full: bool = False) -> bool:
        """Whether some have waited too long, or results are too many (`full`): then they have to `leave`, all but one that runs."""
        behind = len(self._poured) > 1 or (bool(self._waiting) and (full or bool(self._poured) or len(self._waiting) > 1))
        return behind and (full or now >= self._oldest())

    def leave(self, now: float, *, full: bool = False) -> list[Attempt]:
        """Those that go elsewhere, once what has not started was taken back. One stays if none runs: else two workers might send it to and fro."""
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
        due = min(self._oldest(), self._looks(now)) if len(self._poured) > 1 or self._waiting else inf
        own = self.patience.pause(now) if self._poured else None
        pause = min(due - now, inf if own is None else own)
        return None if pause == inf else max(0.0, pause)

    def _looks(self, now: float) -> float:
        """When the end of the one that runs is looked for: with others behind it, it does not ring."""
        seconds = self._pace * self._poured[0].seconds if len(self._poured) > 1 else inf
        if not WORTH <= seconds < inf:
            return inf
        end = self._seen + seconds
        return end if end > now else now + seconds / 20

    def _oldest(self) -> float:
        """When the first of those that have not started has waited too long: they are in the order in which they came."""
        return self._poured[1].until if len(self._poured) > 1 else self._waiting[0].until if self._waiting else inf


def _bounded(pace: float) -> float:
    return min(SLOWEST, max(QUICKEST, pace))
