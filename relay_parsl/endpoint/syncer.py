"""Result files on disk for good: fsync in threads of its own, for a gigabyte takes a while and the loop must not."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from relay_parsl.endpoint.effects import BodyKey
from relay_parsl.spool import Helper, Key, Spool
from relay_parsl.wire.messages import Id

log = logging.getLogger(__name__)


class Syncer(Helper):
    """Makes result files durable, and removes what nobody needs."""

    def __init__(self, spool: Spool, wake: Callable[[], None]) -> None:
        """`wake` is called, in a thread, when `done` has something to say."""
        super().__init__(spool, self._note)
        self._wake = wake
        self._done: deque[BodyKey] = deque()

    def done(self) -> list[BodyKey]:
        """Those that are durable since the last call, as far as the disk can do that."""
        return [self._done.popleft() for _ in range(len(self._done))]

    def _note(self, key: Key, error: OSError | None) -> None:
        if error is not None:
            log.error('the result of task %s may not survive a power failure: %s', key[0].hex(), error)
        self._done.append((Id(key[0]), key[1], key[2]))
        self._wake()
