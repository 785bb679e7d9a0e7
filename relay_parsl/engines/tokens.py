"""Between a worker and its runner: frames on a socket, *tokens* in a pipe that say which of them may start, and a pipe that rings.

```
worker ── frames, many at once ──────────► runner     socket, and back: end frames, as they come
       ── numbers of frames that may start ─►         pipe; who reads a number has it: the runner starts that frame, the worker takes it back
       ◄── a byte: no token is left ────────          pipe; the only thing that wakes the worker
```
The kernel lets one process at a time read a pipe: so what the worker has taken back has not started, and never will, and everything else has.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Sequence

WIDTH = 4
"""Bytes of a token, and of a frame's length."""
ONCE = 1 << 18
"""Bytes that are read at once."""
_MOST = 4096  # bytes: what a pipe takes as one


class Stream:
    """Frames over a socket, without waiting: what does not go out is kept, what comes in is cut where a frame ends."""

    def __init__(self, end: socket.socket) -> None:
        """Takes over one end."""
        self._socket = end
        self._out = b''
        self._in = bytearray()

    def fileno(self) -> int:
        """Of the socket."""
        return self._socket.fileno()

    def put(self, frames: Sequence[bytes]) -> bool:
        """Send; whether all is out. Raises OSError when nobody reads any more."""
        self._out += b''.join([part for frame in frames for part in (len(frame).to_bytes(WIDTH, 'big'), frame)])
        return self.push()

    def push(self) -> bool:
        """Send what waits; whether all is out. Raises OSError when nobody reads any more."""
        with contextlib.suppress(BlockingIOError):
            while self._out:
                self._out = self._out[self._socket.send(self._out, socket.MSG_DONTWAIT) :]
        return not self._out

    def get(self, flags: int = socket.MSG_DONTWAIT) -> list[bytes]:
        """Whole frames that have come. Raises EOFError when no more will, OSError when the socket is gone."""
        try:
            data = self._socket.recv(ONCE, flags)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        self._in += data
        return self._cut()

    def _cut(self) -> list[bytes]:
        frames, at, have = [], 0, len(self._in)
        while at + WIDTH <= have and (end := at + WIDTH + int.from_bytes(self._in[at : at + WIDTH], 'big')) <= have:
            frames.append(bytes(self._in[at + WIDTH : end]))
            at = end
        del self._in[:at]
        return frames

    def close(self) -> None:
        """The other side sees the end."""
        self._socket.close()


class Tokens:
    """The worker's hand on both pipes."""

    def __init__(self) -> None:
        """Open them. Raises OSError when there are no more descriptors."""
        self.reader, self._writer = os.pipe()
        try:
            self.bell, self.ringer = os.pipe()
        except OSError:
            os.close(self.reader)
            os.close(self._writer)
            raise
        os.set_blocking(self.reader, False)
        os.set_blocking(self.bell, False)
        self._given = 0

    def theirs(self) -> tuple[int, int]:
        """What the runner inherits: where it reads tokens, and where it rings."""
        return self.reader, self.ringer

    def started(self) -> None:
        """The runner has what is its own."""
        os.close(self.ringer)
        self.ringer = -1

    def give(self, count: int) -> None:
        """The next `count` frames may start. Few enough at a time for a pipe: see `engines.shift`."""
        numbers = range(self._given, self._given + count)
        os.write(self._writer, b''.join([number.to_bytes(WIDTH, 'big') for number in numbers]))
        self._given += count

    def take_back(self) -> int:
        """How many of the last frames have not started; they never will."""
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.reader, _MOST):
                taken += len(data) // WIDTH
        return taken

    def hush(self) -> bool:
        """It rang, and was heard. False: it will ring no more."""
        try:
            return bool(os.read(self.bell, _MOST))
        except BlockingIOError:
            return True

    def close(self) -> None:
        """No more tokens."""
        for number in {self.reader, self._writer, self.bell, self.ringer} - {-1}:
            os.close(number)
        self.reader = self._writer = self.bell = self.ringer = -1


class Inlet:
    """The runner's hand: one frame after the other, as there are tokens for them."""

    def __init__(self, end: socket.socket, tokens: int, ringer: int) -> None:
        """Takes over what the worker left to it."""
        self._stream = Stream(end)
        self._tokens, self._ringer = tokens, ringer
        self._frames: list[bytes] = []
        self._seen = 0  # frames before those in hand
        self._poll = select.poll()
        self._poll.register(tokens, select.POLLIN)
        self._room = select.poll()
        self._room.register(end.fileno(), select.POLLOUT)

    def recv_bytes(self) -> bytes:
        """The next frame that may start; waits for one. Raises EOFError when none will come, OSError when user code closed what is ours."""
        number = self._token()
        while number >= self._seen + len(self._frames):
            self._seen += len(self._frames)
            self._frames = self._stream.get(0)
        place = number - self._seen
        frame, self._frames[place] = self._frames[place], b''
        return frame

    def send_bytes(self, frame: bytes) -> None:
        """Say something. The worker hears it when no token is left, or when there is no room for more."""
        out = self._stream.put([frame])
        while not out:
            self._ring()  # each time: who has read all that there was sleeps again
            self._room.poll()
            out = self._stream.push()

    def tell(self, frame: bytes) -> None:
        """Say something that the worker is to hear now."""
        self.send_bytes(frame)
        self._ring()

    def _ring(self) -> None:
        os.write(self._ringer, b'.')

    def _token(self) -> int:
        rung = False
        while True:
            try:
                data = os.read(self._tokens, WIDTH)
            except BlockingIOError:
                if not rung:
                    self._ring()
                    rung = True
                self._poll.poll()
                continue
            if not data:
                raise EOFError
            return int.from_bytes(data, 'big')

    def close(self) -> None:
        """A child of the runner has nothing to read or say here."""
        numbers, self._tokens, self._ringer = (self._tokens, self._ringer), -1, -1
        for number in numbers if numbers[0] >= 0 else ():  # a child of that child calls this again, and has others of its own under these numbers
            with contextlib.suppress(OSError):
                os.close(number)
        self._stream.close()
