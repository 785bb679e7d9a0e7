"""When the I/O thread takes what other threads submit: at once, or in a burst later, and more of it. Pure.

Whoever submits in a loop wants his thread back. Each turn of the I/O thread costs that one its place at the interpreter, and each task that is sent
costs it the processor, where relay and endpoint are on the same host: so what is not needed yet waits until the loop is through.
"""

from __future__ import annotations

PIECE = 250
"""Things that one turn takes."""
BURST = 20
"""So many at once, and more are coming."""
LINGER, REST = 0.002, 0.02
"""Seconds between two pieces of a burst: of tasks that are needed soon, and while there is plenty to go on with."""
PLENTY = 1000
"""Tasks that are under way and not settled."""
LEAST = 0.001
"""Seconds. A shorter pause would be none."""


class Pace:
    """Knows what was left over, and so whether more has come."""

    def __init__(self) -> None:
        self._left = 0
        self._until = 0.0

    def pause(self, now: float) -> float:
        """Seconds to wait before the next piece; 0 when it may be taken."""
        return max(LEAST, self._until - now) if now < self._until else 0.0

    def take(self, waiting: int, under_way: int, now: float) -> int:
        """How many of those that wait to take now; `under_way` are sent or about to be, and not settled."""
        burst = waiting > self._left and waiting >= BURST
        count = min(waiting, PIECE)
        self._left = waiting - count
        self._until = now + (REST if under_way >= PLENTY else LINGER) if burst else 0.0
        return count
