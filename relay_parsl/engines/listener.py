"""The engine process's end of the control channel: one socket, one thread, keys that are made here and end here."""

from __future__ import annotations

import logging
import random
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from relay_parsl.engines.control import CAP, LARGEST, OVERHEAD, Desk, Key, hear_ends, hear_running, ports, say_cancel
from relay_parsl.errors import ConfigError, ProtocolError
from relay_parsl.transport import Peer, Router, new_key, public_key
from relay_parsl.wire.messages import Message, Results, Returned

logger = logging.getLogger(__name__)

Shared = Callable[[list[tuple[int, bytes]], list[int]], None]
TICK = 5.0
"""Seconds between looks at what has ended."""
TRIES = 20
"""Ports of the range that are tried."""
OPENING = 10.0
"""Seconds that the first attempt waits for the socket at most: it goes without a control channel rather than never."""


class Listener:
    """Hears which workers run what, and tells them what to end."""

    def __init__(self, address: str, port_range: tuple[int, int], tell: Callable[[int, dict[str, str]], None], shared: Shared) -> None:
        """Starts at once, in a thread of its own.

        Args:
            address: of this host, as its workers reach it: the interchange's.
            port_range: as the interchange's.
            tell: called with the number of an attempt and where it runs.
            shared: called with end frames by the numbers of attempts, and with numbers of what will not start there, for a part of a chunk.
        """
        self.desk = Desk()
        self._address, self._range, self._tell, self._shared = address, port_range, tell, shared
        self._orders: SimpleQueue[int] = SimpleQueue()
        self._opened, self._closed = threading.Event(), threading.Event()
        self._contact: list[Any] = []
        self._router: Router | None = None
        self._thread = threading.Thread(target=self._serve, name='control', daemon=True)
        self._thread.start()

    @property
    def contact(self) -> list[Any]:
        """What a worker needs to dial: URL, this side's public key, the workers' private key. Empty when nobody listens."""
        self._opened.wait(OPENING)
        return self._contact

    def cancel(self, number: int) -> None:
        """Have an attempt ended by its worker. From any thread."""
        self._orders.put(number)
        if self._router is not None:
            self._router.wake()

    def close(self) -> None:
        """End the thread and the socket."""
        self._closed.set()
        if self._router is not None:
            self._router.wake()
        self._thread.join(2 * TICK)

    def _serve(self) -> None:
        ours, workers = new_key(), new_key()
        try:
            admitted, most = public_key(workers), _room()
            self._router = router = self._open(ours, lambda key: key == admitted, most)
        except (ConfigError, OSError) as error:
            logger.warning('no control channel, so a cancel takes effect at the end of a task only: %s', error)
            self._opened.set()
            return
        host = f'[{self._address}]' if ':' in self._address else self._address
        self._contact = [f'tcp://{host}:{router.port}', public_key(ours), workers]
        router.wake()  # there may be orders already
        self._opened.set()
        while not self._closed.is_set():
            router.wait(TICK)
            try:
                self._turn(router)
            except Exception:
                logger.exception('a turn of the control channel failed')
        router.close()

    def _open(self, key: bytes, admit: Callable[[bytes], bool], most: int) -> Router:
        host = f'[{self._address}]' if ':' in self._address else self._address
        failure = ConfigError(f'no port in {self._range}')
        for port in ports(*self._range, [random.random() for _ in range(TRIES)]):  # noqa: S311  any free port will do
            try:
                return Router(f'tcp://{host}:{port}', key, admit, most=most, largest=LARGEST + OVERHEAD)
            except ConfigError as error:  # noqa: PERF203  the first one nearly always
                failure = error
        raise failure

    def _turn(self, router: Router) -> None:
        for peer, message in router.receive():
            self._hear(router, peer, message)
        with suppress(Empty):
            while True:
                self._send(router, self.desk.cancel(self._orders.get_nowait()))
        self.desk.tidy()

    def _hear(self, router: Router, peer: Peer, message: Message | ProtocolError) -> None:
        try:
            if isinstance(message, ProtocolError):
                raise message
            if isinstance(message, Results | Returned):
                self._take(message)
                return
            for said in hear_running(message):
                number, cancels = self.desk.running(peer.routing, said)
                if number is not None:
                    self._tell(number, said.detail)
                self._send(router, cancels)
        except ProtocolError as error:
            logger.warning('a worker said what it may not: %s', error)

    def _take(self, message: Results | Returned) -> None:
        """Of attempts that are inside; the others have ended already."""
        if isinstance(message, Results):
            ends = [(self.desk.number(key), end) for key, end in hear_ends(message)]
            return self._shared([(number, end) for number, end in ends if number is not None], [])
        numbers = [self.desk.number((bytes(each.task_id), each.attempt)) for each in message.tasks]
        return self._shared([], [number for number in numbers if number is not None])

    def _send(self, router: Router, cancels: list[tuple[bytes, Key]]) -> None:
        for routing, key in cancels:
            router.send(routing, say_cancel(key))


def _room() -> int:
    """How many workers may connect: each takes a file descriptor, of which HTEX keeps its half."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CAP if hard == resource.RLIM_INFINITY else min(2 * CAP, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return CAP if soft == resource.RLIM_INFINITY else min(CAP, soft // 2)
