"""A TCP proxy that does to a connection what networks do: it delays, stalls, pauses, swallows, cuts, refuses, flips bits, forgets who is idle.

```
with Proxy('127.0.0.1', relay_port) as proxy:     # dial proxy.port in place of the relay's
    proxy.up.delay = 0.5                          # up: from who dialled to the upstream; down: back
    proxy.down.swallow = True                     # one-way: what comes back vanishes
    proxy.reset()                                 # RST on every connection
    proxy.upstream = ('127.0.0.1', other_port)    # for connections from now on
```

All may be set while it runs, from any thread. TCP delivers in order or not at all, so *loss* is what a lost packet looks like from inside a
connection: everything behind it waits for the repetition.
"""

from __future__ import annotations

import random
import selectors
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

TICK = 0.01
CHUNK = 16 << 10
FULL = 256 << 10
"""Bytes that a direction of a connection holds before its sender must wait."""


@dataclass
class Way:
    """What befalls the bytes of one direction, of all connections alike.

    Attributes:
        delay: Seconds that each byte takes; give or take `jitter`.
        jitter: Seconds.
        loss: Probability that a chunk of bytes is held for `stall` seconds, with all that is behind it.
        stall: Seconds that the repetition of what was lost takes.
        paused: Nothing is read: the sender's buffers fill, and what it sent comes when this ends.
        swallow: What comes is thrown away. A connection that lost bytes stays mute in this direction for ever; a new one, made later, does not.
        flip_every: Flip a bit once in so many bytes; 0: never.
        passed: Bytes that have come so far.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    stall: float = 0.3
    paused: bool = False
    swallow: bool = False
    flip_every: int = 0
    passed: int = 0
    _flips: list[int] = field(default_factory=list)

    def flip(self, *after: int) -> None:
        """Flip one bit in each of the bytes that are so many bytes ahead, counted from now."""
        self._flips += [self.passed + each for each in after]

    def due(self, now: float, dice: random.Random) -> float:
        """When bytes that come now are to go on."""
        return now + max(0.0, self.delay + dice.uniform(-self.jitter, self.jitter)) + (self.stall if dice.random() < self.loss else 0.0)

    def changed(self, data: bytes, dice: random.Random) -> bytes:
        """The bytes as they go on."""
        begin, self.passed = self.passed, self.passed + len(data)
        at = [each - begin for each in self._flips if begin <= each < self.passed]
        self._flips = [each for each in self._flips if each >= self.passed]
        if self.flip_every:
            at += [each - begin for each in range(-(-begin // self.flip_every) * self.flip_every, self.passed, self.flip_every)]
        if not at:
            return data
        made = bytearray(data)
        for each in at:
            made[each] ^= 1 << dice.randrange(8)
        return bytes(made)


@dataclass
class _Half:
    """One direction of one connection."""

    source: socket.socket
    sink: socket.socket
    way: Way
    queue: deque[tuple[float, bytes]] = field(default_factory=deque)
    size: int = 0
    mute: bool = False
    ended: bool = False


@dataclass
class _Link:
    halves: tuple[_Half, _Half]
    used: float
    forgotten: bool = False

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self.halves[0].source, self.halves[0].sink


class Proxy:
    """One port before one upstream. A context manager; its thread ends with it."""

    def __init__(self, host: str, port: int, *, seed: int = 0, listen: tuple[str, int] = ('127.0.0.1', 0)) -> None:
        """Listens at once, and dials `host:port` for each connection that comes."""
        self.upstream = (host, port)
        self.up, self.down = Way(), Way()
        self.refuse = False
        """Whoever dials is cut at once."""
        self.idle_cut = 0.0
        """Seconds without a byte, in either direction, after which a connection is cut; 0: never."""
        self.idle_silent = False
        """A connection that was idle is not cut but forgotten: what is sent on it vanishes."""
        self.accepted = 0
        self.cuts = 0
        self._dice = random.Random(seed)
        self._links: list[_Link] = []
        self._resets = self._resets_done = 0
        self._ended = False
        self._listener = socket.create_server(listen, backlog=256)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run, name='proxy', daemon=True)

    @property
    def port(self) -> int:
        """What to dial."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._links)

    def __enter__(self) -> Proxy:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._ended = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def reset(self) -> None:
        """Cut every connection that there is with a RST; returns when that is done."""
        self._resets += 1
        wanted = self._resets
        while self._resets_done < wanted and self._thread.is_alive():
            time.sleep(0.001)

    def both(self, **settings: float | bool) -> None:
        """The same for both directions: `proxy.both(swallow=True)`."""
        for way in (self.up, self.down):
            for name, value in settings.items():
                assert hasattr(way, name), name
                setattr(way, name, value)

    def heal(self) -> None:
        """No faults any more. What a connection has lost stays lost."""
        self.refuse, self.idle_cut = False, 0.0
        self.both(delay=0.0, jitter=0.0, loss=0.0, paused=False, swallow=False, flip_every=0)

    # -- The thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended:
            wanted = self._resets
            if wanted > self._resets_done:
                for link in list(self._links):
                    self._cut(link)
                self._resets_done = wanted
            ready = {key.fileobj for key, _ in self._selector.select(TICK)}
            if self._listener in ready:
                self._accept()
            now = time.monotonic()
            for link in list(self._links):
                self._serve(link, ready, now)
        for link in list(self._links):
            self._cut(link)
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            near, _ = self._listener.accept()
            self.accepted += 1
            try:
                assert not self.refuse
                far = socket.create_connection(self.upstream, timeout=2)
            except (OSError, AssertionError):
                _reset(near)
                return
            for each in (near, far):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link((_Half(near, far, self.up), _Half(far, near, self.down)), time.monotonic())
            self._links.append(link)
            for half in link.halves:
                self._selector.register(half.source, selectors.EVENT_READ)

    def _serve(self, link: _Link, ready: set[object], now: float) -> None:
        if self.idle_cut and now - link.used > self.idle_cut and not link.forgotten:
            link.forgotten = self.idle_silent
            if not self.idle_silent:
                self._cut(link)
                return
        try:
            for half in link.halves:
                self._watch(half, wanted=not half.way.paused and half.size < FULL and not half.ended)
                if half.source in ready and not half.way.paused and not half.ended:
                    self._read(link, half, now)
                self._write(half, now)
        except OSError:
            self._cut(link)
            return
        if all(half.ended and not half.queue and not half.mute for half in link.halves):
            self._cut(link)

    def _watch(self, half: _Half, *, wanted: bool) -> None:
        """What is not to be read must not wake the loop."""
        watched = half.source in self._selector.get_map()
        if wanted and not watched:
            self._selector.register(half.source, selectors.EVENT_READ)
        elif watched and not wanted:
            self._selector.unregister(half.source)

    def _read(self, link: _Link, half: _Half, now: float) -> None:
        half.mute |= half.way.swallow or link.forgotten
        with suppress(BlockingIOError):
            try:
                data = half.source.recv(CHUNK)
            except ConnectionError:
                if not half.mute:
                    raise
                data = b''  # the other side is not to learn of it
            link.used = now
            half.ended = not data
            if half.mute:
                return
            due = half.way.due(now, self._dice)
            half.queue.append((max(due, half.queue[-1][0] if half.queue else 0.0), half.way.changed(data, self._dice)))
            half.size += len(data)

    def _write(self, half: _Half, now: float) -> None:
        while half.queue and half.queue[0][0] <= now and not half.way.paused:
            due, data = half.queue[0]
            if not data:
                half.queue.popleft()
                half.sink.shutdown(socket.SHUT_WR)
                return
            try:
                sent = half.sink.send(data)
            except BlockingIOError:
                return
            half.size -= sent
            if sent < len(data):
                half.queue[0] = (due, data[sent:])
                return
            half.queue.popleft()

    def _cut(self, link: _Link) -> None:
        self._links.remove(link)
        self.cuts += 1
        for each in link.sockets:
            if each in self._selector.get_map():
                self._selector.unregister(each)
            _reset(each)


def _reset(connection: socket.socket) -> None:
    """Close with a RST: a linger of zero seconds."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()
