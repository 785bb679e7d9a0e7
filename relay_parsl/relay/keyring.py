"""The relay's own keys: those that it serves under, and those that will take their place at an announced time.

```
 relay.key        Credentials: those of now
 relay.key.next   Credentials, and `since`: from when it serves under them; made by `relay-parsl relay rotate`
```

A socket has one CURVE key. So there is no time when both are served: until `since` everybody who comes hears of the next key, signed by the
identity, over a session under the key that they have pinned; then the port has the next one. `relay.key.next` takes the place of `relay.key` in one
step: after a crash at any moment there is a whole key, and the announcement holds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from relay_parsl.errors import HomeError, SealError
from relay_parsl.home import Credentials, from_json, read_private, to_json, write_private
from relay_parsl.home.files import version_of
from relay_parsl.wire.seal import issue_card, issue_succession

log = logging.getLogger(__name__)

KEY, NEXT = 'relay.key', 'relay.key.next'


@dataclass(frozen=True)
class Heir:
    """The keys that follow, and from when [s since 1970]."""

    credentials: Credentials
    since: float


def heir_of(directory: Path) -> Heir | None:
    """What stands in `relay.key.next`, None where there is none. Raises HomeError for a file that cannot be used."""
    path = directory / NEXT
    if not path.exists():
        return None
    values = from_json(path, read_private(path))
    since = values.get('since')
    if not isinstance(since, (int, float)):
        raise HomeError(f'{path} is damaged: it does not say from when it counts')
    return Heir(Credentials.from_plain(values, str(path)), float(since))


def announce(directory: Path, since: float, now: float, lifetime: float) -> Heir:
    """Make the keys that follow those of now, or give those that were made already another time. Raises HomeError.

    Args:
        directory: the relay's.
        since: from when they count, in seconds since 1970.
        now: the time, likewise.
        lifetime: seconds that the new card is valid.
    """
    found = heir_of(directory)
    heir = Heir(found.credentials if found else _successor(Credentials.load(directory / KEY), now, lifetime), since)
    write_private(directory / NEXT, to_json({**heir.credentials.plain(), 'since': since}))
    return heir


def _successor(current: Credentials, now: float, lifetime: float) -> Credentials:
    """A new CURVE key under the same identity. Nothing was ever sealed for a relay: no old key is kept."""
    keys = current.rotated(now=now, overlap=0.0).keys
    fresh = replace(keys, old=())
    return replace(current, keys=fresh, card=issue_card(fresh, 'relay', serial=current.card.serial + 1, not_after=now + lifetime), retired=())


class Keyring:
    """The keys of a relay that serves; notices within a look what `relay-parsl relay rotate` has written."""

    def __init__(self, directory: Path, now: float) -> None:
        """Reads both files; what is due already has taken the place of the old one afterwards. Raises HomeError."""
        self._directory = directory
        self.current = Credentials.load(directory / KEY)
        self.heir = heir_of(directory)
        self._stamp = version_of(self._directory / NEXT)
        if self.due(now):
            self.advance()
        self.succession = self._sign()

    def due(self, now: float) -> bool:
        """Whether the time of the next keys has come."""
        return self.heir is not None and now >= self.heir.since

    def advance(self) -> None:
        """The next keys are those of now. Raises HomeError."""
        assert self.heir is not None  # noqa: S101  it is due
        path = self._directory / NEXT
        try:
            path.replace(self._directory / KEY)
        except OSError as error:
            raise HomeError(f'{path} cannot take the place of {KEY}: {error.strerror}') from None
        self.current, self.heir = self.heir.credentials, None
        self._stamp = version_of(self._directory / NEXT)
        self.succession = self._sign()

    def look(self) -> bool:
        """Whether what is to be said has changed. A file that cannot be used is told, and changes nothing."""
        stamp = version_of(self._directory / NEXT)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.heir = heir_of(self._directory)
            before, self.succession = self.succession, self._sign()
        except (HomeError, SealError) as error:
            log.error('%s; the relay goes on as it was', error)
            return False
        return self.succession != before

    def _sign(self) -> bytes:
        heir = (self.heir.credentials.card, self.heir.since) if self.heir else ()
        return issue_succession(self.current.keys, self.current.card, *heir).data
