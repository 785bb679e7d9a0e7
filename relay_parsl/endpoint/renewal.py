"""An endpoint's keys change while it runs: the file is looked at, and whoever works with the keys gets the new ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from relay_parsl.endpoint.gate import Gate
from relay_parsl.errors import HomeError
from relay_parsl.home import Credentials
from relay_parsl.transport import Dealer

log = logging.getLogger(__name__)


class Renewal:
    """Notices new keys in `endpoint.key`, and the end of the time for which old ones count."""

    def __init__(self, path: Path, credentials: Credentials, gate: Gate, dealer: Dealer, audit: Callable[..., None]) -> None:
        """`credentials` are those that `gate` and `dealer` have now. `audit`: called with an event and its fields."""
        self._path, self._credentials = path, credentials
        self._gate, self._dealer, self._audit = gate, dealer, audit
        self._stamp = self._look()

    def look(self) -> bool:
        """Hand on what has changed; whether there is a new connection, on which one must greet anew."""
        stamp = self._look()
        over = any(each.until <= time.time() for each in self._credentials.retired)
        if stamp == self._stamp and not over:
            return False
        self._stamp = stamp
        try:
            found = Credentials.load(self._path)
        except HomeError as error:
            log.error('%s; this endpoint goes on with the keys that it has', error)
            return False
        return self._change(found) if found.id == self._credentials.id else False

    def _change(self, found: Credentials) -> bool:
        before, self._credentials = self._credentials, found
        self._gate.renew(found.keys)
        log.info('the card of this endpoint has serial %d, and %d keys from before it count', found.card.serial, len(found.retired))
        self._audit('keys', serial=found.card.serial, old=len(found.retired))
        if found.keys.curve == before.keys.curve:
            return False
        self._dealer.reconnect(found.keys.curve)
        return True

    def _look(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return found.st_mtime_ns, found.st_size, found.st_ino
