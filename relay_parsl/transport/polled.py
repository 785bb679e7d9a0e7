"""A socket to wait for with a poll of one's own, beside other things."""

from __future__ import annotations

import zmq

from relay_parsl.transport import Dealer
from relay_parsl.transport.sockets import READABLE


class Polled(Dealer):
    """A `Dealer` whose descriptors may stand in a poll."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to wait for, to be read. They tell of a change once: so ask before each poll whether it is `ready`."""
        return tuple(int(each.getsockopt(zmq.FD)) for each in (self._socket, self._monitor))

    @property
    def ready(self) -> bool:
        """Whether `receive` has something to do."""
        return bool(self._socket.getsockopt(zmq.EVENTS) & READABLE or self._monitor.getsockopt(zmq.EVENTS) & READABLE)
