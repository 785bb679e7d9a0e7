"""One thread that calls back at given times, for as many actions as wait."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

LONGEST = 3600.0
"""Seconds, at most, between two looks at the clock: it may be set."""


class Alarms:
    """Its thread starts with the first alarm and ends at `close`. Thread-safe.

    Args:
        ring: Called with the name, in the thread; what it raises is logged.
        clock: Seconds since 1970.
    """

    def __init__(self, ring: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._ring = ring
        self._clock = clock
        self._changed = threading.Condition()
        self._due: list[tuple[float, str]] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def set(self, name: str, at: float) -> None:
        """Call back at `at`, once for each setting: to be called too often does no harm."""
        with self._changed:
            heapq.heappush(self._due, (at, name))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name='relay-parsl alarms', daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """No more calls, but for one that goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while (name := self._next()) is not None:
            try:
                self._ring(name)
            except Exception:  # noqa: PERF203  the other alarms must still ring
                log.exception('an alarm of %s failed', name)

    def _next(self) -> str | None:
        with self._changed:
            while not self._closed:
                left = self._due[0][0] - self._clock() if self._due else LONGEST
                if left <= 0:
                    return heapq.heappop(self._due)[1]
                self._changed.wait(min(left, LONGEST))
        return None
