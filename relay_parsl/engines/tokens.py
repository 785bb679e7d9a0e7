"""Between a worker and its runner: frames on a socket, *tokens* on another that say which of them may start, and a pipe that rings.

```
worker ── frames, many at once ──────────► runner     socket, and back: end frames, as they come
       ── numbers of frames that may start ─►         socket; who reads a number has it: the runner starts that frame, the worker takes it back
       ◄── a byte: no token is left ────────          pipe; the only thing that wakes the worker
```
The kernel lets one process at a time read a socket: so what the worker has taken back has not started, and never will, and everything else has.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Sequence

from relay_parsl.errors import ProtocolError

WIDTH = 4
"""Bytes of a token, and of a frame's length."""
ONCE = 1 << 18
"""Bytes that are read at once."""
LONGEST = 64 << 20
"""Bytes of a frame, at most."""
_MOST = 4096


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
        """Whole frames that have come.

        Raises:
            EOFError: no more will.
            OSError: the socket is gone.
            ProtocolError: what came is no frame, so that nothing after it can be understood.
        """
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
        while at + WIDTH <= have:
            length = int.from_bytes(self._in[at : at + WIDTH], 'big')
            if length > LONGEST:  # user code wrote here too: to wait for the rest would be to hear nothing more, and to keep it
                raise ProtocolError(f'a frame of {length} bytes')
            if at + WIDTH + length > have:
                break
            frames.append(bytes(self._in[at + WIDTH : at + WIDTH + length]))
            at += WIDTH + length
        del self._in[:at]
        return frames

    def close(self) -> None:
        """The other side sees the end."""
        self._socket.close()


class Tokens:
    """The worker's hand on the tokens and the bell."""

    def __init__(self) -> None:
        """Open them. Raises OSError when there are no more descriptors."""
        self._giver, self._taker = socket.socketpair()
        try:
            self.bell, self.ringer = os.pipe()
        except OSError:
            self._giver.close()
            self._taker.close()
            raise
        os.set_blocking(self.bell, False)
        self._given = 0

    def theirs(self) -> tuple[int, int]:
        """What the runner inherits: where it reads tokens, and where it rings."""
        return self._taker.fileno(), self.ringer

    def started(self) -> None:
        """The runner has what is its own."""
        os.close(self.ringer)
        self.ringer = -1

    def give(self, count: int) -> None:
        """The next `count` frames may start. Few enough at a time for a socket: see `engines.shift`."""
        numbers = range(self._given, self._given + count)
        self._giver.sendall(b''.join([number.to_bytes(WIDTH, 'big') for number in numbers]))
        self._given += count

    def take_back(self) -> int:
        """How many of the last frames have not started; they never will.

        Both read from one end, and user code could have it wait: not with this flag, which is why it is no pipe. A worker that waited here
        would hear of no cancel and no timeout any more.
        """
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while data := self._taker.recv(_MOST, socket.MSG_DONTWAIT):
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
        self._giver.close()
        self._taker.close()
        for number in {self.bell, self.ringer} - {-1}:
            os.close(number)
        self.bell = self.ringer = -1


class Inlet:
    """The runner's hand: one frame after the other, as there are tokens for them."""

    def __init__(self, end: socket.socket, tokens: socket.socket, ringer: int) -> None:
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
                data = self._tokens.recv(WIDTH, socket.MSG_DONTWAIT)
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
        ringer, self._ringer = self._ringer, -1
        if ringer >= 0:  # a child of that child calls this again, and has others of its own under this number
            with contextlib.suppress(OSError):
                os.close(ringer)
        self._tokens.close()
        self._stream.close()
