"""Result files on disk for good: fsync in a thread of its own, for a gigabyte takes a while and the loop must not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from relay_parsl.endpoint.effects import BodyKey
from relay_parsl.errors import RelayError
from relay_parsl.spool import Spool

log = logging.getLogger(__name__)


class Syncer:
    """Makes result files durable, one after the other."""

    def __init__(self, spool: Spool, wake: Callable[[], None]) -> None:
        """`wake` is called, in the thread, when `done` has something to say."""
        self._spool = spool
        self._wake = wake
        self._todo: list[BodyKey] = []
        self._done: list[BodyKey] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, key: BodyKey) -> None:
        """Sync this one, after those before it."""
        with self._changed:
            self._todo.append(key)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name='endpoint-sync', daemon=True)
            self._thread.start()

    def done(self) -> list[BodyKey]:
        """Those that are durable since the last call."""
        with self._changed:
            done, self._done = self._done, []
        return done

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._todo or self._closed)
                if self._closed:
                    return
                key = self._todo.pop(0)
            try:
                self._spool.sync(key)
            except (OSError, RelayError) as error:
                log.error('the result of task %s may not survive a power failure: %s', key[0].hex(), error)
            with self._changed:
                self._done.append(key)
            self._wake()
