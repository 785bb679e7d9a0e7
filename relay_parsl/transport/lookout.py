"""Who looks by a timer of his own while the thread that reads is in its turn: a turn may take a second, in which a quick sender brings a gigabyte."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

PERIOD = 0.05
"""Seconds between two looks. While nothing comes they take less than a thousandth of a core."""


class Lookout:
    """Calls `look` from a thread, until it is closed."""

    def __init__(self, look: Callable[[], None]) -> None:
        """`look` must be quick, and may not fail."""
        self._look, self._over = look, Event()
        self._thread = Thread(target=self._run, name='lookout', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for the look that goes on; there is none after it."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(PERIOD):
            self._look()
