"""What systemd is told by a service of `Type=notify`: a datagram to the socket that it names. Without one, nothing happens."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

_SOCKET = os.environ.pop('NOTIFY_SOCKET', '')  # children are not to speak for us
_EVERY = float(os.environ.pop('WATCHDOG_USEC', '0') or 0) / 2e6 if _SOCKET else 0.0
"""Seconds between two signs of life: half of what systemd waits."""
_LAST = [0.0]


def tell(words: str) -> None:
    """`READY=1`, `STOPPING=1`, `STATUS=…`: as in sd_notify(3)."""
    if _SOCKET:
        address = '\0' + _SOCKET[1:] if _SOCKET.startswith('@') else _SOCKET
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(words.encode(), address)


def alive() -> None:
    """A turn of the loop is over. Costs a comparison, and now and then a datagram."""
    if _EVERY and time.monotonic() - _LAST[0] >= _EVERY:
        _LAST[0] = time.monotonic()
        tell('WATCHDOG=1')
