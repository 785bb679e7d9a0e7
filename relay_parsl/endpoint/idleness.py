"""When an endpoint ends by itself: it has nothing to do (soft), or nothing has moved for very long, whatever it holds (hard)."""

from __future__ import annotations


class Idleness:
    """Watches one endpoint. Both limits are in seconds; 0 is never."""

    def __init__(self, soft: float, hard: float, now: float) -> None:
        """The clocks run from now."""
        self._soft, self._hard = soft, hard
        self._moved = -1
        self._moved_at = self._busy_at = now

    def verdict(self, now: float, *, moved: int, busy: bool) -> tuple[str, bool]:
        """Why the endpoint should end ('' when it should not), and whether it should do so at once.

        Args:
            now: Seconds; never jumps back.
            moved: A count that grows with each task that comes and each that ends.
            busy: Whether it holds a task or a result, or cannot know what waits for it, because the relay is away.
        """
        if moved != self._moved:
            self._moved, self._moved_at, self._busy_at = moved, now, now
        if busy:
            self._busy_at = now
        if self._hard and now - self._moved_at >= self._hard:
            return f'no task came or ended for {self._hard:g} s (idle_heartbeats_hard)', True
        if self._soft and now - self._busy_at >= self._soft:
            return f'nothing to do for {self._soft:g} s (idle_heartbeats_soft)', False
        return '', False
