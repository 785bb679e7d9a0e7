"""Who is connected to a listening socket, as libzmq reports it, and how to hang up on somebody: it has no call for that."""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import zmq

from relay_parsl.transport.address import source
from relay_parsl.transport.callers import Callers
from relay_parsl.transport.floods import Floods
from relay_parsl.transport.sockets import READABLE, Frame, Socket, happened

log = logging.getLogger(__name__)

_NAME = 'inproc://doorway'
_AGAIN = 60.0
"""Seconds between two lines of the log about connections that were cut."""
_GROWTH = 32 << 20
"""Bytes by which this process must have grown before anybody is looked at for it."""
_RECEIVED = 128
"""Where `tcpi_bytes_received` stands in the kernel's `tcp_info`: eight bytes, the same in all versions that have it."""


class Doorway:
    """Watches the connections of one socket, and cuts those that are too many."""

    def __init__(self, context: Any, watched: Socket, most: int, inside: Callable[[bytes], bool]) -> None:
        """Watch before the socket is bound.

        Args:
            context: that of the socket.
            watched: the socket.
            most: connections without a session.
            inside: says by its routing id who has a session.
        """
        self._watched, self._inside = watched, inside
        self._callers, self._peers = Callers(most), dict[int, Any]()
        watched.monitor(_NAME, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.events: Socket = context.socket(zmq.PAIR)
        self.events.setsockopt(zmq.RCVHWM, 0)  # where it is full, libzmq waits for us, and holds what `close` needs
        self.events.connect(_NAME)
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._hand = os.dup(self._nothing)
        self._cut, self._told = 0, -_AGAIN
        self._floods, self._size = Floods(), 0
        self._memory = -1
        with suppress(OSError):  # no such file, no such look: the limit of the service must do
            self._memory = os.open('/proc/self/statm', os.O_RDONLY | os.O_CLOEXEC)

    def __len__(self) -> int:
        return len(self._callers)

    def look(self) -> None:
        """Take note of what has happened, and cut whoever is too much."""
        while self.events.getsockopt(zmq.EVENTS) & READABLE:
            event, descriptor = happened(self.events)
            self._peers.pop(descriptor, None)
            self._callers.left(descriptor)
            self._floods.forget(descriptor)
            if event == zmq.EVENT_ACCEPTED and (peer := self._reach(descriptor)):
                self._peers[descriptor] = peer
                self._callers.came(descriptor, source(peer[0]))
        for descriptor in self._callers.excess(self._inside):
            self._reach(descriptor, self._peers.pop(descriptor))
            self._cut += 1
        self._tell()

    def heard(self, frame: Frame) -> None:
        """A whole message came, of which this is a frame."""
        self._floods.heard(int(frame.get('__fd')))

    def weigh(self) -> None:
        """Cut whoever sends a message without end, when this process grows. To be called when all messages were read."""
        size = self._resident()
        if size < self._size + _GROWTH:
            self._size = min(self._size, size)
            return
        self._size = size
        received = {descriptor: self._received(descriptor, peer) for descriptor, peer in self._peers.items()}
        for descriptor in self._floods.excess(received):
            log.warning('a connection from %s was cut: it sends a message that does not end', source(self._peers[descriptor][0]))
            self._reach(descriptor, self._peers[descriptor])

    def _resident(self) -> int:
        """Bytes of memory that this process has."""
        return int(os.pread(self._memory, 64, 0).split()[1]) * os.sysconf('SC_PAGE_SIZE') if self._memory >= 0 else 0

    def _received(self, descriptor: int, peer: Any) -> int:
        with suppress(OSError, struct.error), self._holding(descriptor) as held:
            if held.getpeername() == peer:
                info = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                return int(struct.unpack_from('=Q', info, _RECEIVED)[0])
        return 0

    def asked(self, frame: Frame, routing: bytes) -> None:
        """The sender of this frame asks to come in."""
        self._callers.asked(int(frame.get('__fd')), routing)

    def close(self) -> None:
        """Watch no more. The socket is still there."""
        self._watched.disable_monitor()
        self.events.close(0)
        os.close(self._nothing)
        os.close(self._hand)
        if self._memory >= 0:
            os.close(self._memory)

    def _reach(self, descriptor: int, cut: Any = None) -> Any:
        """Who is at the other end of a descriptor of libzmq's, None when nobody is any more; `cut`: hang up if it is still this peer.

        libzmq's threads may close the descriptor at any moment, and give its number to another connection. So the connection is held by a descriptor
        of our own before it is looked at. That one is always there: a flood may have taken all others.
        """
        with suppress(OSError), self._holding(descriptor) as held:
            peer = held.getpeername()
            if cut is not None and peer == cut:
                held.shutdown(socket.SHUT_RDWR)
            return peer
        return None

    @contextmanager
    def _holding(self, descriptor: int) -> Iterator[socket.socket]:
        os.dup2(descriptor, self._hand, inheritable=False)
        try:
            held = socket.socket(fileno=self._hand)
            try:
                yield held
            finally:
                held.detach()
        finally:
            os.dup2(self._nothing, self._hand, inheritable=False)

    def _tell(self) -> None:
        if self._cut and time.monotonic() - self._told >= _AGAIN:
            log.warning('too many connections without a session: %d were cut; limit them in the firewall, per address', self._cut)
            self._cut, self._told = 0, time.monotonic()
