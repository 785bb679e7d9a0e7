"""Who is connected to a listening socket, as libzmq reports it, and how to hang up on somebody: it has no call for that."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq

from relay_parsl.transport.address import source
from relay_parsl.transport.callers import Callers
from relay_parsl.transport.sockets import READABLE, Frame, Socket, happened

log = logging.getLogger(__name__)

_NAME = 'inproc://doorway'
_AGAIN = 60.0
"""Seconds between two lines of the log about connections that were cut."""


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

    def __len__(self) -> int:
        return len(self._callers)

    def look(self) -> None:
        """Take note of what has happened, and cut whoever is too much."""
        while self.events.getsockopt(zmq.EVENTS) & READABLE:
            event, descriptor = happened(self.events)
            self._peers.pop(descriptor, None)
            self._callers.left(descriptor)
            if event == zmq.EVENT_ACCEPTED and (peer := self._reach(descriptor)):
                self._peers[descriptor] = peer
                self._callers.came(descriptor, source(peer[0]))
        for descriptor in self._callers.excess(self._inside):
            self._reach(descriptor, self._peers.pop(descriptor))
            self._cut += 1
        self._tell()

    def asked(self, frame: Frame, routing: bytes) -> None:
        """The sender of this frame asks to come in."""
        self._callers.asked(int(frame.get('__fd')), routing)

    def close(self) -> None:
        """Watch no more. The socket is still there."""
        self._watched.disable_monitor()
        self.events.close(0)
        os.close(self._nothing)
        os.close(self._hand)

    def _reach(self, descriptor: int, cut: Any = None) -> Any:
        """Who is at the other end of a descriptor of libzmq's, None when nobody is any more; `cut`: hang up if it is still this peer.

        libzmq's threads may close the descriptor at any moment, and give its number to another connection. So the connection is held by a descriptor
        of our own before it is looked at. That one is always there: a flood may have taken all others.
        """
        with suppress(OSError):
            os.dup2(descriptor, self._hand, inheritable=False)
            held = socket.socket(fileno=self._hand)
            try:
                peer = held.getpeername()
                if cut is not None and peer == cut:
                    held.shutdown(socket.SHUT_RDWR)
                return peer
            finally:
                held.detach()
                os.dup2(self._nothing, self._hand, inheritable=False)
        return None

    def _tell(self) -> None:
        if self._cut and time.monotonic() - self._told >= _AGAIN:
            log.warning('too many connections without a session: %d were cut; limit them in the firewall, per address', self._cut)
            self._cut, self._told = 0, time.monotonic()
