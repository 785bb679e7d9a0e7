"""Threads for calls of action providers: a bounded number, started as they are needed.

Not `concurrent.futures.ThreadPoolExecutor`, for whose threads the interpreter waits when it ends: a provider that hangs must not keep a script from
ending. What was not through by then is done again by the next engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

THREADS = 32
"""Most calls wait: for a disk, a network, another process."""


class Pool:
    """Calls in threads; what they return goes to `done`."""

    def __init__(self, threads: int = THREADS) -> None:
        """`threads`: how many calls at once."""
        self._limit = threads
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def submit(self, work: Callable[[], None]) -> None:
        """Have it called; it may not raise. From one thread."""
        self._work.put(work)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._limit:
            thread = threading.Thread(target=self._serve, name='relay-parsl action', daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            self._idle.release()

    def close(self, grace: float) -> None:
        """Take no more, and wait up to `grace` seconds for what runs; what is queued is dropped."""
        while not self._work.empty():
            self._work.get()
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(grace)
            grace = grace if not thread.is_alive() else 0.0
