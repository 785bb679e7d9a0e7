"""From the endpoint's chunks to their ends: an HTEX that only notes what it gets, and workers that are made of the words of the control channel."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from parsl.executors.errors import BadStateException
from parsl.executors.high_throughput.errors import ManagerLost

from relay_parsl.engines import control
from relay_parsl.engines.dispatcher import Dispatcher, Ways
from relay_parsl.engines.frames import Death, decode_chunk, decode_end, encode_chunk, encode_ends
from relay_parsl.engines.listener import Listener
from relay_parsl.transport import Dealer
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Body, Cancel, Dispatch, Message, Ping, Result, Results

TASK = b'\x07' * 16


class Rig:
    """The test's own thread is the engine process's."""

    def __init__(self, room: int = 1) -> None:
        self.said: list[list[Any]] = []
        self.ran: list[tuple[int, dict[str, str]]] = []
        self.orphans: list[list[int]] = []
        self.htex: list[tuple[dict[str, Any], bytes, Future[Any]]] = []
        self.pipe = os.pipe()
        self.listener = Listener('127.0.0.1', (49152, 65535), self.pipe[0])
        ways = Ways(self._submit, self.said.append, lambda *said: self.ran.append(said), lambda numbers, _error: self.orphans.append(numbers))
        self.dispatcher = Dispatcher(self.listener, ways, room, fuses=True)
        self.workers: list[Worker] = []

    def _submit(self, context: dict[str, Any], chunk: bytes) -> Future[Any]:
        future: Future[Any] = Future()
        self.htex.append((context['task_executor']['k'], chunk, future))
        return future

    def work(self, *numbers: int, strict: bool = False) -> None:
        chunk = encode_chunk([str(number).encode() for number in numbers])
        self.dispatcher.work([[list(numbers), [[TASK, number] for number in numbers], {'priority': 0}, 0.5, strict, chunk]])
        self.dispatcher.turn()

    def until(self, condition: Callable[[], Any]) -> Any:
        for _ in range(400):
            self.dispatcher.turn()
            for worker in self.workers:
                worker.listen()
            if found := condition():
                return found
            self.listener.wait(0.05)
        raise AssertionError(f'it did not come about; {self.said}')

    def worker(self, number: int = 0) -> Worker:
        """One that HTEX has given this task, and that has dialled."""
        known, chunk, future = self.htex[number]
        worker = Worker(self, known, chunk, future)
        self.workers.append(worker)
        self.until(lambda: worker.dealer.handshakes)
        return worker


class Worker:
    """One worker in a shift."""

    def __init__(self, rig: Rig, known: dict[str, Any], chunk: bytes, future: Future[Any]) -> None:
        url, server, key = known['contact']
        self.dealer = Dealer(url, server, key)
        self.rig, self.shift, self.future = rig, int(known['shift']), future
        self.frames = decode_chunk(chunk)
        self.heard: list[Message] = []

    def listen(self) -> None:
        self.dealer.wait(0)
        self.heard += self.dealer.receive()

    def say(self, message: Message) -> None:
        assert self.dealer.send(message)

    def ask(self) -> None:
        self.say(control.say_window(self.shift, 100, 1 << 17))

    def hear(self, kind: type[Any]) -> Any:
        found = self.rig.until(lambda: [each for each in self.heard if isinstance(each, kind)])[0]
        self.heard.remove(found)
        return found

    def refill(self) -> control.Refill:
        refill = control.hear_refill(self.hear(Dispatch))
        self.frames += decode_chunk(refill.chunk)
        return refill


@pytest.fixture(name='rig')
def _rig() -> Iterator[Rig]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    rig = Rig()
    yield rig
    for worker in rig.workers:
        worker.dealer.close()
    rig.listener.close()
    for end in rig.pipe:
        os.close(end)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_shift_goes_on_with_what_waits_and_its_ends_are_passed_on_at_once(rig: Rig) -> None:
    for numbers in ((1, 2), (3,), (4,)):
        rig.work(*numbers)
    assert [known['seconds'] for known, _, _ in rig.htex] == [0.5]
    worker = rig.worker()
    worker.ask()
    refill = worker.refill()
    assert (refill.serial, refill.seconds, worker.frames) == (1, 0.5, [b'1', b'2', b'3'])
    worker.say(control.say_parcel(control.Parcel(worker.shift, 0, [(0, b'one'), (2, b'three')])))
    rig.until(lambda: rig.said == [['ended', [(1, b'one'), (3, b'three')]]])
    worker.ask()
    refill = worker.refill()
    assert (refill.serial, refill.heard) == (2, (0,)), 'what was heard is said in the next chunk'
    worker.future.set_result(encode_ends([(0, b'one'), (3, b'four')], 2))
    rig.until(lambda: len(rig.said) == 3)
    assert rig.said[1:] == [['ended', [(4, b'four')]], ['returned', [2]]]
    worker.say(control.say_parcel(control.Parcel(worker.shift, 1, [(1, b'late')])))
    rig.work(5)
    rig.until(lambda: len(rig.htex) == 2)
    assert len(rig.said) == 3


def test_what_a_worker_does_not_start_goes_back(rig: Rig) -> None:
    rig.work(1, 2, 3)
    worker = rig.worker()
    worker.say(control.say_not_started(worker.shift, 0, [(TASK, 2), (TASK, 9)]))
    rig.until(lambda: rig.said == [['returned', [2]]])
    worker.ask()
    rig.work(4)
    assert worker.refill().serial == 1
    worker.say(control.say_closed(worker.shift, 0))
    rig.until(lambda: rig.said[1:] == [['returned', [4]]])


def test_a_worker_that_has_gone_gets_nothing(rig: Rig) -> None:
    rig.work(1)
    worker = rig.worker()
    worker.ask()
    rig.until(lambda: rig.dispatcher._shifts.where(1))
    worker.dealer.close()
    rig.workers.remove(worker)
    router = rig.listener._router
    assert router is not None
    rig.until(lambda: router.connections == 0)
    rig.work(2)
    assert rig.dispatcher.waiting
    rig.htex[0][2].set_result(encode_ends([(0, b'one')], 0))
    rig.until(lambda: len(rig.htex) == 2)
    assert decode_chunk(rig.htex[1][1]) == [b'2']


def test_a_cancel_takes_off_the_shelf_or_reaches_the_worker_now_or_when_it_speaks(rig: Rig) -> None:
    rig.work(1, 2)
    rig.work(3, 4)
    rig.dispatcher.cancel([3, 1, 99])
    rig.until(lambda: rig.said == [['returned', [3]]])
    worker = rig.worker()
    worker.ask()
    assert control.hear_cancel(worker.hear(Cancel)) == [(TASK, 1)]
    assert worker.refill().chunk == encode_chunk([b'4'])
    rig.dispatcher.cancel([4])
    assert control.hear_cancel(worker.hear(Cancel)) == [(TASK, 4)]


def test_where_an_attempt_runs_is_told(rig: Rig) -> None:
    rig.work(1)
    worker = rig.worker()
    worker.say(control.say_running(control.Running(TASK, 1, {'host': 'n1'})))
    rig.until(lambda: rig.ran == [(1, {'host': 'n1'})])


def test_strange_words_are_dropped(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.work(1)
    worker = rig.worker()
    worker.say(Ping())
    worker.say(control.say_parcel(control.Parcel(worker.shift, 0, [(7, b'nobody')])))
    worker.say(control.say_parcel(control.Parcel(worker.shift, 1, [(0, b'one')])))
    rig.until(lambda: rig.said == [['ended', [(1, b'one')]]])
    assert caplog.text.count('a worker said what it may not') == 2


@pytest.mark.parametrize(('shift', 'number'), [(-1, 0), (None, -1), (None, 2**64 - 1)])
def test_numbers_that_are_none_do_not_end_the_engine(rig: Rig, shift: int | None, number: int) -> None:
    rig.work(1)
    worker = rig.worker()
    worker.say(Results((Result(codec.pack([worker.shift if shift is None else shift, number]), Body(encode_ends([]))),)))
    worker.say(control.say_parcel(control.Parcel(worker.shift, 1, [(0, b'one')])))
    rig.until(lambda: rig.said == [['ended', [(1, b'one')]]])


def test_what_a_worker_gives_back_twice_goes_back_once(rig: Rig) -> None:
    rig.work(1, 2)
    worker = rig.worker()
    worker.say(control.say_window(worker.shift, 0, 0))
    worker.say(control.say_not_started(worker.shift, 0, [(TASK, 2), (TASK, 2)]))
    rig.until(lambda: rig.said == [['returned', [2]]])


def test_the_death_of_a_worker_parts_those_who_were_with_it(rig: Rig) -> None:
    rig.dispatcher.room = 3
    rig.work(1, 2)
    rig.work(3)
    rig.work(4, 5)
    for _, _, future in rig.htex[:2]:
        future.set_exception(ValueError('the worker died'))
    rig.htex[2][2].set_result(b'junk')
    rig.until(lambda: len(rig.said) == 2)
    assert rig.said[0] == ['parted', [1, 2]]
    ends = {number: decode_end(end) for number, end in rig.said[1][1]}
    assert sorted(ends) == [3, 4, 5]
    assert all(isinstance(end, Death) and end.cause == 'worker' for end in ends.values())
    assert 'the worker died' in str(ends[3])
    assert 'no result' in str(ends[4])


def test_what_was_with_a_lost_manager_is_an_orphan_and_a_bad_state_is_the_engines_own_end(rig: Rig) -> None:
    rig.dispatcher.room = 2
    rig.work(1, 2)
    rig.work(3)
    rig.htex[0][2].set_exception(ManagerLost(b'manager', 'host'))
    rig.htex[1][2].set_exception(BadStateException('label', ValueError('bad')))
    rig.until(lambda: rig.orphans == [[1, 2]])
    assert rig.said == []
