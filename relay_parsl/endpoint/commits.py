"""The end of each turn: what was decided is written before any of it leaves. While the disk is full, that is tried again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from relay_parsl.endpoint.ledger import Turns
from relay_parsl.endpoint.meter import Meter
from relay_parsl.errors import StoreError, StoreFailed

log = logging.getLogger(__name__)

STUCK = 600.0
"""Seconds for which a journal that refuses is tried again: a full disk is cleared by people."""
AFTER_ERROR = 0.2
"""Seconds to wait after the journal refused, so that a full disk is not asked a thousand times a second."""


class Commits:
    """Writes turns, and knows since when they cannot be written."""

    def __init__(self, journal: Turns, meter: Meter) -> None:
        """`meter` counts them."""
        self._journal, self._meter = journal, meter
        self._since: float | None = None

    @property
    def stuck(self) -> bool:
        """Whether the last turn was refused: until it is written nothing is taken in, and nothing leaves."""
        return self._since is not None

    def commit(self, flush: Callable[[float], None], now: float, *, stopping: bool = False) -> bool:
        """Write a turn.

        Args:
            flush: gives the journal its statements; may raise StoreError.
            now: in seconds, on the clock of `flush`.
            stopping: whether there is no time to try again.

        Returns:
            Whether it is on disk. If not, this has waited for a moment, and the same turn is to come again.

        Raises:
            StoreFailed: the disk fails, or it refuses for `STUCK` seconds, or while we are stopping.
        """
        try:
            self._journal.begin()
            flush(now)
            start = time.perf_counter()
            self._journal.commit()
            self._meter.commit(time.perf_counter() - start)
        except StoreError as error:
            self._journal.rollback()
            self._meter.error()
            self._judge(error, now, stopping=stopping)
            time.sleep(AFTER_ERROR)
            return False
        self._since = None
        return True

    def _judge(self, error: StoreError, now: float, *, stopping: bool) -> None:
        """Raises StoreFailed when it is of no use to try again."""
        if self._journal.broken or stopping:
            raise StoreFailed(str(error)) from error
        if self._since is None:
            self._since = now
            log.error('%s; this endpoint waits until it can write again', error)
        if now - self._since >= STUCK:
            raise StoreFailed(f'{error}; nothing could be written for {STUCK:g} s, and what has ended since then is lost') from error
