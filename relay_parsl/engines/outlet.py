"""What the endpoint says to an engine process, in order, without waiting for it where that must not be."""

from __future__ import annotations

import contextlib
import select
import threading
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

from relay_parsl.wire import codec

AT_ONCE = 64 * 1024
"""Bytes of a message that a socket takes at once, when it says that it can be written to: three quarters of its buffer are free then."""


class Outlet:
    """The writing half of a connection. `send` and `offer` may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        """`connection` stays the caller's to close."""
        self._connection = connection
        self._sending = threading.Lock()
        self._offered: deque[bytes] = deque()
        self._writable = select.poll()
        self._writable.register(connection.fileno(), select.POLLOUT)

    def send(self, message: list[Any] | None = None) -> None:
        """Write what was offered and is still here, then this message. May block while nobody reads; does nothing when the reader is dead."""
        with self._sending, contextlib.suppress(OSError):
            while self._offered:
                self._connection.send_bytes(self._offered.popleft())
            if message is not None:
                self._connection.send_bytes(codec.pack(message))

    def offer(self, message: list[Any]) -> None:
        """Write a message if that takes no waiting; else it is kept for the next `send`."""
        data = codec.pack(message)
        if not self._offered and self._sending.acquire(blocking=False):
            try:
                if len(data) <= AT_ONCE and self._writable.poll(0):
                    with contextlib.suppress(OSError):
                        self._connection.send_bytes(data)
                    return
            finally:
                self._sending.release()
        self._offered.append(data)

    @property
    def behind(self) -> bool:
        """Whether something that was offered waits for a `send`."""
        return bool(self._offered)

    def close(self) -> None:
        """Close the connection, when nobody writes any more."""
        with self._sending:
            self._connection.close()
