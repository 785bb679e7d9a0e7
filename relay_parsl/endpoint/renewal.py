"""Keys change while an endpoint runs. Its own: the file is looked at, and whoever works with the keys gets the new ones. Its relay's: it says so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from relay_parsl.endpoint.gate import Gate
from relay_parsl.errors import HomeError
from relay_parsl.home import Credentials, Following
from relay_parsl.home.files import version_of
from relay_parsl.home.following import REPLACED
from relay_parsl.transport import Dealer

log = logging.getLogger(__name__)

FAILURES = {
    'unknown-key': 'the relay at {url} does not know the key of this endpoint: it was revoked, or enrolled elsewhere; invite and join it again. '
    'If the relay was restored from a backup that is older than the last rotation of its keys: relay-parsl endpoint rotate NAME',
    'handshake': f'what answers at {{url}} is no relay, or has another key than the one that is pinned here. {REPLACED}; else join again',
}
"""Why there is never a session, by what the wire says of it."""


class Renewal:
    """Notices new keys in `endpoint.key`, and the end of the time for which old ones count."""

    def __init__(self, path: Path, credentials: Credentials, relay: Following, gate: Gate, dealer: Dealer, audit: Callable[..., None]) -> None:
        """`credentials` and the relay's key are those that `gate` and `dealer` have now. `audit`: called with an event and its fields."""
        self._path, self._credentials, self._relay = path, credentials, relay
        self._gate, self._dealer, self._audit = gate, dealer, audit
        self._stamp = version_of(self._path)

    def look(self) -> bool:
        """Hand on what has changed; whether there is a new connection, on which one must greet anew."""
        if key := self._relay.turn(self._dealer.failure):
            self._dealer.reconnect(server_key=key)
            return True
        stamp = version_of(self._path)
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
