"""What the threads of a session share: the futures that are not settled, and a bell for whoever waits."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable

from relay_parsl.client.futures import TaskFuture
from relay_parsl.errors import RelayError
from relay_parsl.wire.messages import Id


class Board:
    """Single steps on the dictionary are atomic; only waiting takes the lock, so that a task costs none."""

    def __init__(self) -> None:
        self.futures: dict[Id, TaskFuture] = {}
        self.refusal: RelayError | None = None
        self.rings = 0
        self._count = itertools.count(1)
        self._bell = threading.Condition()
        self._waiting = 0

    def changed(self) -> None:
        """Ring, if anybody listens. `rings` is another number afterwards, for who looks at many things and not at each ring."""
        self.rings = next(self._count)
        if self._waiting:
            with self._bell:
                self._bell.notify_all()

    def wait_for(self, happened: Callable[[], bool], timeout: float | None) -> bool:
        """Until something happened, at most `timeout` seconds (None: for ever); whether it did."""
        if happened():
            return True
        with self._bell:
            self._waiting += 1  # before the next look: who rings after that look sees us
            try:
                return self._bell.wait_for(happened, timeout)
            finally:
                self._waiting -= 1

    def wait_accepted(self, futures: Iterable[TaskFuture], timeout: float | None) -> list[TaskFuture]:
        """Until the relay has these on disk, at most `timeout` seconds; those that it has not."""
        end = None if timeout is None else time.monotonic() + timeout
        futures = list(futures)
        for future in futures:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not self.wait_for(lambda future=future: future.is_accepted or future.done(), left):  # type: ignore[misc]  # bound early
                break
        return [each for each in futures if not each.is_accepted and not each.done()]
