"""Who is connected to a listening socket, as libzmq reports it, and how to hang up on somebody: it has no call for that."""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import zmq

from relay_parsl.transport.address import source
from relay_parsl.transport.callers import Callers
from relay_parsl.transport.floods import Floods
from relay_parsl.transport.lookout import Lookout
from relay_parsl.transport.memory import Growth
from relay_parsl.transport.sockets import READABLE, Frame, Socket, happened

log = logging.getLogger(__name__)

_NAME = 'inproc://doorway'
_AGAIN = 60.0
"""Seconds between two lines of the log about connections that were cut."""
_AT_ONCE = struct.pack('ii', 1, 0)
"""A close resets: where the window was full, a sender was told for a minute that it still is, and the kernel kept what had come."""
_RECEIVED = 128
"""Where `tcpi_bytes_received` stands in the kernel's `tcp_info`: eight bytes, the same in all versions that have it."""


class Doorway:
    """Watches the connections of one socket, and cuts those that are too many."""

    def __init__(self, context: Any, watched: Socket, most: int, inside: Callable[[bytes], bool], unread: int = 0) -> None:
        """Watch before the socket is bound.

        Args:
            context: that of the socket.
            watched: the socket.
            most: connections without a session.
            inside: says by its routing id who has a session.
            unread: bytes that one connection may have brought of which nothing was read; looked at by a thread of its own. 0: no bound.
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
        self._floods, self._growth, self._unread = Floods(), Growth(), unread
        self._mine = Lock()  # connections, floods and the hand are looked at by two threads
        self._lookout, self._seen = None, Growth()
        if unread:
            self._lookout = Lookout(self._weigh_unread)

    def __len__(self) -> int:
        return len(self._callers)

    def look(self) -> None:
        """Take note of what has happened, and cut whoever is too much."""
        while self.events.getsockopt(zmq.EVENTS) & READABLE:
            event, descriptor = happened(self.events)
            with self._mine:
                self._note(event, descriptor)
        for descriptor in self._callers.excess(self._inside):
            with self._mine:
                self._reach(descriptor, self._peers.pop(descriptor))
            self._cut += 1
        self._tell()

    def _note(self, event: int, descriptor: int) -> None:
        self._peers.pop(descriptor, None)
        self._callers.left(descriptor)
        self._floods.forget(descriptor)
        if event == zmq.EVENT_ACCEPTED and (peer := self._reach(descriptor)):
            self._peers[descriptor] = peer
            self._callers.came(descriptor, source(peer[0]))

    def heard(self, frames: Iterable[Frame]) -> None:
        """Whole messages came, of each of which one is a frame."""
        with self._mine:
            self._floods.heard(int(frame.get('__fd')) for frame in frames)

    def weigh(self) -> None:
        """Cut whoever sends a message without end, when this process grows. To be called when all messages were read."""
        if self._growth.grown():
            with self._mine:
                self._end(self._floods.excess(self._counts()), 'it sends a message that does not end')

    def _weigh_unread(self) -> None:
        """In the lookout's thread, at any time: so whole messages that were not read yet count as well."""
        if self._seen.grown():
            with self._mine:
                self._end(self._floods.unread(self._counts(), self._unread), 'it sends faster than is read')

    def _counts(self) -> dict[int, int]:
        return {descriptor: self._received(descriptor, peer) for descriptor, peer in self._peers.items()}

    def _end(self, descriptors: list[int], why: str) -> None:
        for descriptor in descriptors:
            log.warning('a connection from %s was cut: %s', source(self._peers[descriptor][0]), why)
            self._reach(descriptor, self._peers[descriptor])

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
        if self._lookout is not None:
            self._lookout.close()
        self._watched.disable_monitor()
        self.events.close(0)
        os.close(self._nothing)
        os.close(self._hand)
        for each in (self._growth, self._seen):
            each.close()

    def _reach(self, descriptor: int, cut: Any = None) -> Any:
        """Who is at the other end of a descriptor of libzmq's, None when nobody is any more; `cut`: hang up if it is still this peer.

        libzmq's threads may close the descriptor at any moment, and give its number to another connection. So the connection is held by a descriptor
        of our own before it is looked at. That one is always there: a flood may have taken all others.
        """
        with suppress(OSError), self._holding(descriptor) as held:
            peer = held.getpeername()
            if cut is not None and peer == cut:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
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
