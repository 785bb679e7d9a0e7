"""What the engine process does with chunks: hands them to HTEX and to workers that ask for more, and hears what came of them. One thread works it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from parsl.executors.errors import BadStateException
from parsl.executors.high_throughput.errors import ManagerLost

from relay_parsl.engines.control import (
    Desk,
    Key,
    Refill,
    hear_closed,
    hear_not_started,
    hear_parcel,
    hear_running,
    hear_window,
    say_cancel,
    say_refill,
)
from relay_parsl.engines.frames import NO_SERIAL, Death, decode_ends, encode_end, without
from relay_parsl.engines.listener import Listener
from relay_parsl.engines.receipts import Receipts
from relay_parsl.engines.shifts import Chunk, Shifts
from relay_parsl.errors import ProtocolError
from relay_parsl.wire.messages import Held, Message, Results, Returned, States, Window

logger = logging.getLogger(__name__)

RUN_TASK = {'f': 'relay_parsl.engines.worker.run_task', 'a': ()}
"""What HTEX calls on its workers."""


@dataclass(frozen=True)
class Ways:
    """Where what happens here goes."""

    submit: Callable[[dict[str, Any], bytes], Future[Any]]
    """To HTEX: a context and a chunk."""
    say: Callable[[list[Any]], None]
    """To the endpoint."""
    runs: Callable[[int, dict[str, str]], None]
    """An attempt runs, here."""
    orphaned: Callable[[list[int], ManagerLost], None]
    """These were with a manager that was lost."""


class Dispatcher:
    """Chunks from the endpoint to their ends."""

    def __init__(self, listener: Listener, ways: Ways, room: int, *, fuses: bool) -> None:
        """`room`: shifts that HTEX gets before anybody knows its workers; without `fuses` no shift goes on after its first chunk."""
        self.room = room
        """Workers that take tasks of HTEX. Any thread sets it."""
        self._listener, self._ways, self._fuses = listener, ways, fuses
        self._desk = Desk()
        self._shifts = Shifts(lambda: secrets.randbits(63) or 1, fuses=fuses)
        self._results: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()
        self._ends: list[tuple[int, bytes]] = []
        self._returned: list[int] = []
        self._answers: list[tuple[bytes, Message]] = []
        self._receipts = Receipts()
        self._ears: dict[type, Callable[[bytes, Any], None]] = {
            Window: self._asks,
            Results: self._ended,
            Returned: self._not_started,
            Held: self._closed,
            States: self._runs,
        }

    @property
    def waiting(self) -> bool:
        """Whether something waits for a worker. From any thread."""
        return self._shifts.waiting

    @property
    def resting(self) -> int:
        """Tasks of HTEX in which nothing is left to do. From any thread."""
        return self._shifts.resting

    # -- What the endpoint says --------------------------------------------------------------------------------------

    def work(self, chunks: Iterable[Sequence[Any]]) -> None:
        """Chunks as `inside.pack` made them."""
        for numbers, keys, specification, seconds, strict, data in chunks:
            if numbers:  # else all of it was refused, or has been lost with an engine before this one
                self._desk.enter(numbers, [(task_id, attempt) for task_id, attempt in keys])
                self._shifts.put(Chunk(numbers, data, seconds, strict, specification))

    def cancel(self, numbers: Iterable[int]) -> None:
        """These shall end. What is on the shelf goes back, of the rest a worker is told."""
        for number in numbers:
            if self._shifts.take_back(number, without):
                self._returned.append(number)
            else:
                self._cancel(self._desk.cancel(number, *filter(None, [self._shifts.where(number)])))

    def _cancel(self, cancels: Iterable[tuple[bytes, Key]]) -> None:
        self._answers += [(routing, say_cancel(key)) for routing, key in cancels]

    # -- One turn ----------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Take what workers and HTEX have said, give out what may go now, and pass on what came."""
        for peer, message in self._listener.receive():
            self._hear(peer.routing, message)
        with suppress(Empty):
            while True:
                self._over(*self._results.get_nowait())
        for chunk in self._shifts.deal(self.room):
            self._give(chunk)
        self._pass_on()

    def _give(self, chunk: Chunk) -> None:
        if not chunk.serial:
            k = {'contact': self._listener.contact, 'shift': chunk.shift if self._fuses else 0, 'seconds': chunk.seconds}
            context = {'task_executor': {**RUN_TASK, 'k': k}, 'resource_spec': chunk.specification}
            return self._ways.submit(context, chunk.data).add_done_callback(partial(self._settled, chunk.shift))
        refill = Refill(chunk.shift, chunk.serial, chunk.seconds, chunk.data, self._receipts.take(chunk.shift))
        if not self._listener.send(self._shifts.where(chunk.numbers[0]), say_refill(refill)):
            self._shifts.unsent(chunk)
        return None

    def _settled(self, shift: int, future: Future[Any]) -> None:
        """In HTEX's thread."""
        self._results.put((shift, future))
        self._listener.wake()

    def _pass_on(self) -> None:
        """To the endpoint first: only what it has is recorded."""
        if self._ends:
            self._desk.leave(number for number, _ in self._ends)
            self._ways.say(['ended', self._ends])
            self._ends = []
        if self._returned:
            self._desk.leave(self._returned)
            self._ways.say(['returned', self._returned])
            self._returned = []
        for routing, answer in [*self._receipts.passed_on(), *self._answers]:
            self._listener.send(routing, answer)
        self._answers.clear()

    # -- What workers say --------------------------------------------------------------------------------------------

    def _hear(self, routing: bytes, message: Message | ProtocolError) -> None:
        try:
            if isinstance(message, ProtocolError):
                raise message
            if type(message) not in self._ears:
                raise ProtocolError(f'{type(message).__name__} is no word of a worker')
            self._ears[type(message)](routing, message)
        except ProtocolError as error:
            logger.warning('a worker said what it may not: %s', error)

    def _asks(self, routing: bytes, message: Window) -> None:
        shift, tasks, _ = hear_window(message)
        if self._shifts.ask(shift, routing, tasks):
            self._cancel((routing, key) for key in self._desk.doomed(self._shifts.of(shift)))

    def _ended(self, routing: bytes, message: Results) -> None:
        parcel = hear_parcel(message, self._shifts.given)
        self._ends += self._shifts.heard(parcel.shift, parcel.ends)
        if self._shifts.given(parcel.shift) is not None:
            self._receipts.heard(routing, parcel)

    def _not_started(self, _routing: bytes, message: Returned) -> None:
        shift, last, keys = hear_not_started(message)
        self._returned += self._shifts.not_started(shift, last, self._desk.numbers(keys))

    def _closed(self, _routing: bytes, message: Held) -> None:
        self._returned += self._shifts.closed(*hear_closed(message))

    def _runs(self, routing: bytes, message: States) -> None:
        for said in hear_running(message):
            number, cancels = self._desk.running(routing, said)
            self._cancel(cancels)
            if number is not None:
                self._ways.runs(number, said.detail)

    # -- What HTEX says ----------------------------------------------------------------------------------------------

    def _over(self, shift: int, future: Future[Any]) -> None:
        self._receipts.over(shift)
        error = future.exception()
        if isinstance(error, BadStateException):
            return None  # the whole engine dies of it, and says so once
        if error is None:
            return self._came(shift, future.result())
        numbers = self._shifts.died(shift)
        self._desk.leave(numbers)
        if isinstance(error, ManagerLost):
            return self._ways.orphaned(numbers, error)
        if len(numbers) > 1:
            return self._ways.say(['parted', numbers])
        self._ends += [(number, encode_end(Death('worker', f'{type(error).__name__}: {error}'))) for number in numbers]
        return None

    def _came(self, shift: int, result: Any) -> None:
        """What a worker says of its shift; what it does not mention, and nobody has heard of, has not started there."""
        try:
            last, ends = decode_ends(result, self._shifts.given(shift) or 0)
        except ProtocolError as error:
            death = encode_end(Death('worker', f'the worker answered with bytes that are no result ({error})'))
            self._ends += [(number, death) for number in self._shifts.died(shift)]
            return
        ended, returned = self._shifts.over(shift, ends, reached=last != NO_SERIAL)
        self._ends += ended
        self._returned += returned
