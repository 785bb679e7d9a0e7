"""Threads for calls of action providers and for transfers: a bounded number, started as they are needed.

Not `concurrent.futures.ThreadPoolExecutor`, for whose threads the interpreter waits when it ends: a provider that hangs, or a transfer of days, must
not keep a script from ending. What was not through by then is done again, or gone on with, by the next process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Pool:
    """Daemon threads that are started when there is work for them; more work than they can do at once waits its turn.

    Args:
        size: How many threads at the most.
        name: Of each of them.
    """

    def __init__(self, size: int, name: str) -> None:
        self.size, self.name = size, name
        self._todo: deque[Callable[[], None]] = deque()
        self._threads = self._idle = 0
        self._closed = False
        self._changed = threading.Condition()

    def submit(self, work: Callable[[], None]) -> None:
        """Do this when a thread is free. It must not raise."""
        with self._changed:
            self._todo.append(work)
            if self._idle < len(self._todo) and self._threads < self.size:
                self._threads += 1
                threading.Thread(target=self._serve, name=self.name, daemon=True).start()
            self._changed.notify()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._todo and not self._closed:
                    self._changed.wait()
                self._idle -= 1
                if not self._todo:
                    self._threads -= 1
                    self._changed.notify_all()
                    return
                work = self._todo.popleft()
            work()

    def close(self, timeout: float) -> None:
        """Drop what waits, and wait up to `timeout` seconds for what runs, which was told to end."""
        with self._changed:
            self._todo.clear()
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._threads, timeout)
