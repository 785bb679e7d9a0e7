"""Which of a relay's keys to dial it with, while one takes the place of another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from relay_parsl.errors import HomeError, SealError
from relay_parsl.home.records import RelayEntry

log = logging.getLogger(__name__)

AGAIN = 2.0
"""Seconds, at least, between two changes of the key: a handshake needs its time."""

STRANGE = 5.0
"""Seconds of failing handshakes until it is told."""
REPLACED = 'If its key was replaced while this machine was away: `relay-parsl relay pin KEY`, with what `relay-parsl relay key` prints on its host'
"""What to do where a relay has another key than the one that is pinned."""
Keep = Callable[[RelayEntry, RelayEntry], None]
"""Writes what is now known of a relay, in the place of what was."""


class Following:
    """One relay as one process knows it. Told what comes with each `Welcome`, and asked when a handshake has failed."""

    def __init__(self, entry: RelayEntry, keep: Keep | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """`keep` writes it down, if given."""
        self.entry = entry
        self._keep, self._clock = keep, clock
        self.key = entry.keys(clock())[0]
        self._changed = float('-inf')
        self._data = b''
        self._strange = 0.0
        self._wondered = False

    def told(self, data: bytes) -> None:
        """What the relay says of its keys, over a session under `key`; older relays say nothing. What does not count is logged and passed over."""
        if not data or data == self._data:
            return
        try:
            after = self.entry.told(self.key, data)
        except SealError as error:
            log.warning('relay %r: %s; its key stays as it is pinned', self.entry.name, error)
            return
        self._data = data
        before, self.entry = self.entry, after
        if after != before:
            self._tell(before, after)
            self._write(before, after)

    def turn(self, failure: str) -> bytes:
        """The key to dial with from now on, if it is another one than before; empty: stay. `failure` as a dealer tells it."""
        now = self._clock()
        self._wonder(failure, now)
        keys = self.entry.keys(now)
        fits = self.key in keys and (failure != 'handshake' or len(keys) == 1)
        if fits or (self.key in keys and now - self._changed < AGAIN):
            return b''
        self.key = next((key for key in keys if key != self.key), self.key)
        self._changed, self._data = now, b''
        return self.key

    def _wonder(self, failure: str, now: float) -> None:
        """Say once that it has another key, and not for a handshake that a restart cut off."""
        if failure != 'handshake':
            self._strange, self._wondered = 0.0, False
            return
        self._strange = self._strange or now
        if now - self._strange >= STRANGE and not self._wondered and not self.entry.heir:
            self._wondered = True
            log.warning('what answers at %s is no relay, or has another key than the one that is pinned here. %s', self.entry.url, REPLACED)

    def _tell(self, before: RelayEntry, after: RelayEntry) -> None:
        if after.key != before.key:
            log.info('relay %r has the key that it announced', after.name)
        elif after.heir:
            log.info('relay %r will have another key from %s on', after.name, time.strftime('%Y-%m-%d %H:%M', time.localtime(after.since)))
        elif before.heir:
            log.info('relay %r keeps its key', after.name)

    def _write(self, before: RelayEntry, after: RelayEntry) -> None:
        if self._keep is not None:
            try:
                self._keep(before, after)
            except (HomeError, OSError) as error:
                matters = (before.key, before.heir) != (after.key, after.heir)  # a home that is read-only is one's own choice until then
                log.log(logging.WARNING if matters else logging.DEBUG, 'what relay %r says of its keys cannot be kept here: %s', after.name, error)
