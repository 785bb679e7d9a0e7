"""Whose tasks an endpoint runs: `trusted.json` in its directory, read again whenever it changes."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from relay_parsl.errors import HomeError
from relay_parsl.home import Pin, read_private
from relay_parsl.home.files import damaged, from_json, version_of

log = logging.getLogger(__name__)

LOOK_AGAIN = 0.5
"""Seconds for which the file is taken to be as it was: looking at it for each task would cost more than opening the task."""


class Trusted:
    """Identity keys of the accounts that may send tasks. Call it for those of this moment."""

    def __init__(self, path: Path) -> None:
        """Reads the file. Raises HomeError when it is missing, damaged, or readable by others."""
        self._path = path
        self._looked = time.monotonic()
        self._stamp = version_of(self._path)
        self._identities = self._read()

    def __call__(self) -> frozenset[bytes]:
        """The keys, at most half a second old; of a file that cannot be read now, those that it last had."""
        if time.monotonic() - self._looked < LOOK_AGAIN:
            return self._identities
        self._looked = time.monotonic()
        stamp = version_of(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._identities = self._read()
                log.info('%s has changed: %d accounts may send tasks', self._path, len(self._identities))
            except HomeError as error:
                log.error('%s; the accounts that it last named may still send tasks', error)
        return self._identities

    def _read(self) -> frozenset[bytes]:
        values = from_json(self._path, read_private(self._path))
        with damaged(self._path):
            return frozenset(Pin.from_plain(name, each).identity for name, each in values.items())
