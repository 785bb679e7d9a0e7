"""New sealing and CURVE keys for an account or an endpoint: its identity signs the next card, and the relay takes it over the key of now.

```
 endpoint.key, or accounts/NAME.key            relay
 the next keys, in NAME.key.new  ── Enrol ───► card of a higher serial, of the same identity: admits both keys for the overlap
 NAME.key.new ──► NAME.key       ◄─ Enrolled ─
```

A relay that was restored from a backup older than the last rotation knows the CURVE key before that only; so it is tried, too.
The new keys are on the disk before the relay hears of them, and a rotation that was cut off goes on with them when it is said again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from relay_parsl.client.admin import TIMEOUT, enrol
from relay_parsl.errors import AccessDenied, ConfigError, RelayUnavailable
from relay_parsl.home import Credentials, RelayEntry
from relay_parsl.wire.messages import Enrol

CHANGE_OVER = 60.0
"""Seconds for which the relay admits an endpoint's key of before at least: a process that runs needs them to notice the new one."""


def rotate(path: Path, relays: Sequence[RelayEntry], overlap: float) -> Credentials:
    """Replace the keys in `path`, at all of these relays.

    Args:
        path: the credentials.
        relays: where their account is.
        overlap: seconds for which the keys of before count beside the new ones; 0: not at all.

    Raises:
        ConfigError: it is nobody's of any relay.
        RelayUnavailable, AccessDenied: a relay does not answer, or refuses. Then the keys are as they were, and saying it again goes on.
        HomeError: the files cannot be used.
    """
    if not relays:
        raise ConfigError(f'{path} is of no relay that is known here: give --relay')
    now, pending = time.time(), path.with_name(f'{path.name}.new')
    current = Credentials.load(path)
    left = Credentials.load(pending) if pending.exists() else None
    again = left is not None and (left.id, left.card.serial) == (current.id, current.card.serial + 1)
    new = left if left is not None and again else current.rotated(now=now, overlap=overlap)
    new.save(pending, replace=True)
    admitted = max(overlap, CHANGE_OVER) if current.role == 'endpoint' else overlap
    for relay in relays:
        _tell(relay, current, new, admitted, again=again)
    new.save(path, replace=True)
    pending.unlink(missing_ok=True)
    return new


def _tell(relay: RelayEntry, current: Credentials, new: Credentials, overlap: float, *, again: bool) -> None:
    """Over the key of now; where it may have been said before, the relay may know the new one only."""
    message, key = Enrol(b'', new.card.data, b'', overlap), relay.keys(time.time())[0]
    if again:
        try:
            enrol(relay.url, key, new.keys.curve, message, timeout=TIMEOUT / 2)
        except (RelayUnavailable, AccessDenied):
            pass
        else:
            return
    try:
        enrol(relay.url, key, current.keys.curve, message)
    except RelayUnavailable:
        if not current.before:
            raise
        enrol(relay.url, key, current.before, message)
