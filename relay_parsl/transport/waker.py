"""What ends a poll from another thread."""

from __future__ import annotations

import contextlib
import socket


class Waker:
    """A socket pair that ends another thread's poll. Who was woken looks at whatever may have come, after the `drain`."""

    def __init__(self) -> None:
        """An open one; `reader` is what a poll waits for."""
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)
        self._woken = False

    def wake(self) -> None:
        """From any thread. A byte that is there already wakes for all; of a closed pair nobody is left to wake."""
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):
                self._writer.send(b'\0')

    def drain(self) -> None:
        """Be ready to be woken again. In this order: a `wake` in between is one whose reason is looked at after this."""
        with contextlib.suppress(BlockingIOError):
            self.reader.recv(4096)
        self._woken = False

    def close(self) -> None:
        """Nobody polls any more."""
        self.reader.close()
        self._writer.close()
