"""The engine process's end of the control channel: one socket, keys that are made here and end here."""

from __future__ import annotations

import logging
import random
import resource
import select
import threading
from typing import Any

from relay_parsl.engines.control import CAP, LARGEST, OVERHEAD, ports
from relay_parsl.errors import ConfigError, ProtocolError
from relay_parsl.transport import Peer, Router, new_key, public_key
from relay_parsl.transport.waker import Waker
from relay_parsl.wire.messages import Message

logger = logging.getLogger(__name__)

TRIES = 20
"""Ports of the range that are tried."""
OPENING = 10.0
"""Seconds that the engine waits for the socket at most: it goes on without a control channel rather than never."""


class Listener:
    """Hears workers, and the endpoint in the same wait. One thread uses it; `wake` alone may be called from any."""

    def __init__(self, address: str, port_range: tuple[int, int], descriptor: int) -> None:
        """Opens the socket at once, in a thread of its own.

        Args:
            address: of this host, as its workers reach it: the interchange's.
            port_range: as the interchange's.
            descriptor: ends a `wait` when it is readable, too.
        """
        self._address, self._range, self._descriptor = address, port_range, descriptor
        self._contact: list[Any] = []
        self._router: Router | None = None
        self._given_up = False
        self._waker = Waker()
        self._poll = select.poll()
        for number in (descriptor, self._waker.reader.fileno()):
            self._poll.register(number, select.POLLIN)
        self._opening = threading.Thread(target=self._open, name='control-opening', daemon=True)
        self._opening.start()

    @property
    def contact(self) -> list[Any]:
        """What a worker needs to dial: URL, this side's public key, the workers' private key. Empty when nobody listens."""
        return self._contact if self._listens() is not None else []

    def wait(self, timeout: float) -> None:
        """Until a worker says something, the descriptor is readable, a `wake`, or `timeout` seconds."""
        router = self._listens()
        if router is not None:
            return router.wait(timeout)
        for ready, _ in self._poll.poll(1000 * timeout):
            if ready == self._waker.reader.fileno():
                self._waker.drain()
        return None

    def receive(self) -> list[tuple[Peer, Message | ProtocolError]]:
        """What workers have said; an error in the place of what is no message."""
        router = self._listens()
        return [] if router is None else router.receive()

    def send(self, routing: bytes, message: Message) -> bool:
        """Say something to a worker. False: it is not there any more, or does not read."""
        router = self._listens()
        return router is not None and router.send(routing, message)

    def wake(self) -> None:
        """End a `wait`."""
        self._waker.wake()
        if self._router is not None:
            self._router.wake()

    def close(self) -> None:
        """End the socket."""
        router = self._listens()
        self._given_up = True
        if router is not None:
            router.close()
        self._waker.close()

    def _listens(self) -> Router | None:
        """The socket, once it is open: from then on it is the caller's."""
        if not self._given_up and self._opening.is_alive():
            self._opening.join(OPENING)
            self._given_up = self._opening.is_alive()
        return None if self._given_up else self._router

    def _open(self) -> None:
        ours, workers = new_key(), new_key()
        host = f'[{self._address}]' if ':' in self._address else self._address
        try:
            router = self._bind(host, ours, public_key(workers))
        except (ConfigError, OSError) as error:
            logger.warning('no control channel, so a cancel takes effect at the end of a task only: %s', error)
            return None
        if self._given_up:
            return router.close()
        router.watch(self._descriptor)
        self._contact = [f'tcp://{host}:{router.port}', public_key(ours), workers]
        self._router = router
        return router.wake()  # somebody may have been early

    def _bind(self, host: str, key: bytes, admitted: bytes) -> Router:
        most, admit = _room(), admitted.__eq__
        failure = ConfigError(f'no port in {self._range}')
        for port in ports(*self._range, [random.random() for _ in range(TRIES)]):  # noqa: S311  any free port will do
            try:
                return Router(f'tcp://{host}:{port}', key, admit, most=most, largest=LARGEST + OVERHEAD)
            except ConfigError as error:  # noqa: PERF203  the first one nearly always
                failure = error
        raise failure


def _room() -> int:
    """How many workers may connect: each takes a file descriptor, of which HTEX keeps its half."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CAP if hard == resource.RLIM_INFINITY else min(2 * CAP, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return CAP if soft == resource.RLIM_INFINITY else min(CAP, soft // 2)
