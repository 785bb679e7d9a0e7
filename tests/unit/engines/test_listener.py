"""The two ends of the control channel, with real sockets."""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from math import inf
from queue import SimpleQueue
from typing import Any

import pytest

from relay_parsl.engines import line as line_module
from relay_parsl.engines import listener as listener_module
from relay_parsl.engines.control import LARGEST, Running, hear_cancel, say_cancel, say_running
from relay_parsl.engines.dispatcher import Dispatcher, Ways
from relay_parsl.engines.frames import Head, encode_chunk
from relay_parsl.engines.line import Line
from relay_parsl.engines.listener import Listener
from relay_parsl.transport import Dealer, new_key
from relay_parsl.wire.messages import Id, Ping, State, States, TaskState

TASK = b'\x07' * 16
RANGE = (49152, 65535)


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, 'it did not come about'
        time.sleep(0.01)
    return found


class Rig:
    """An engine process's end with an HTEX that only notes what it gets, and all that was passed on."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, str]]] = []
        self.said: list[list[Any]] = []
        self.htex: list[tuple[dict[str, Any], bytes, Future[Any]]] = []
        self.pipe = os.pipe()
        self.listener = Listener('127.0.0.1', RANGE, self.pipe[0])
        ways = Ways(self._submit, self.said.append, lambda *said: self.told.append(said), lambda *lost: self.said.append(['orphaned', *lost]))
        self.dispatcher = Dispatcher(self.listener, ways, 100, fuses=True)
        self.orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        self.lines: list[Line] = []
        self.cancelled: list[tuple[bytes, int]] = []

    def _submit(self, context: dict[str, Any], chunk: bytes) -> Future[Any]:
        future: Future[Any] = Future()
        self.htex.append((context, chunk, future))
        return future

    def _serve(self) -> None:
        """As `Service`, but for orders from this process."""
        while True:
            while not self.orders.empty():
                order = self.orders.get()
                if order is None:
                    return
                order()
            self.dispatcher.turn()
            self.listener.wait(0.2)

    def do(self, order: Callable[[], None] | None) -> None:
        self.orders.put(order)
        self.listener.wake()

    def enter(self, number: int, key: tuple[bytes, int]) -> None:
        """An attempt comes from the endpoint, and HTEX has it."""
        before = len(self.htex)
        self.do(lambda: self.dispatcher.work([[[number], [list(key)], {'priority': 0}, None, False, encode_chunk([b'work'])]]))
        eventually(lambda: len(self.htex) > before)

    def cancel(self, number: int) -> None:
        self.do(lambda: self.dispatcher.cancel([number]))

    def close(self) -> None:
        self.do(None)
        self.thread.join()
        self.listener.close()
        for end in self.pipe:
            os.close(end)

    def line(self) -> Line:
        self.lines.append(Line(self.listener.contact))
        return self.lines[-1]

    def tell(self, line: Line, attempt: int = 1) -> None:
        line.tell(Head(b'a', TASK, attempt, 0.0))

    def eventually(self, condition: Callable[[], Any]) -> Any:
        """Meanwhile workers do as theirs do."""
        return eventually(lambda: [self.turn(line) for line in self.lines] and condition())

    def turn(self, line: Line) -> None:
        line.dial()
        line.flush()
        for message in line.hear():
            self.cancelled += hear_cancel(message)


@pytest.fixture(name='rig')
def _rig() -> Iterator[Rig]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    rig = Rig()
    yield rig
    for line in rig.lines:
        line.close()
    rig.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_worker_says_that_it_runs_and_is_told_to_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PARSL_WORKER_RANK', '3')
    monkeypatch.setenv('PARSL_WORKER_BLOCK_ID', '5')
    rig.enter(9, (TASK, 1))
    rig.tell(rig.line())
    rig.eventually(lambda: rig.told)
    number, detail = rig.told[0]
    assert number == 9
    assert (detail['worker'], detail['block']) == ('3', '5')
    assert detail['host']
    rig.cancel(9)
    rig.eventually(lambda: rig.cancelled)
    assert rig.cancelled == [(TASK, 1)]


def test_a_cancel_that_came_first_waits_for_the_worker(rig: Rig) -> None:
    rig.enter(9, (TASK, 1))
    rig.cancel(9)
    rig.tell(rig.line())
    rig.eventually(lambda: rig.cancelled)


def test_one_connection_serves_attempt_after_attempt_and_says_each_once(rig: Rig) -> None:
    for number in range(3):
        rig.enter(number, (TASK, number))
    line = rig.line()
    for number in range(3):
        rig.tell(line, number)
        rig.eventually(lambda number=number: number in [told for told, _ in rig.told])
        rig.turn(line)
        line.over()
        rig.turn(line)
    assert [told for told, _ in rig.told] == [0, 1, 2]
    router = rig.listener._router
    assert router is not None
    assert router.connections == 1
    line.close()
    eventually(lambda: router.connections == 0)


def test_what_no_engine_holds_is_not_passed_on(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.tell(rig.line(), attempt=77)
    other = rig.line()
    rig.enter(1, (TASK, 1))
    rig.tell(other)
    rig.eventually(lambda: rig.told)
    assert [number for number, _ in rig.told] == [1]


def dial(rig: Rig, key: bytes | None = None) -> Dealer:
    url, server, ours = rig.listener.contact
    return Dealer(url, server, key or ours)


def test_a_strange_key_is_refused(rig: Rig) -> None:
    stranger = dial(rig, new_key())
    try:
        stranger.send(say_running(Running(TASK, 1)))
        rig.enter(1, (TASK, 1))
        eventually(lambda: (stranger.wait(0.05), stranger.failure == 'unknown-key')[1])
        assert rig.told == []
    finally:
        stranger.close()


def test_junk_is_dropped_and_the_channel_lives(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.enter(1, (TASK, 1))
    hostile = dial(rig)
    try:
        hostile.send(Ping())
        hostile._socket.send_multipart([b'\xff' * 100, b''])
        hostile._socket.send(b'')
        hostile.send(States((TaskState(Id(TASK), State.RUNNING, {'attempt': 1, 'host': 'x' * 1000}),)))
        hostile.send(say_running(Running(TASK, 1, {'host': 'really'})))
        eventually(lambda: rig.told)
        assert rig.told == [(1, {'host': 'really'})]
    finally:
        hostile.close()


def test_a_flood_cuts_its_own_connection(rig: Rig) -> None:
    rig.enter(1, (TASK, 1))
    hostile = dial(rig)
    try:
        eventually(lambda: (hostile.wait(0.05), hostile.handshakes)[1])
        hostile._socket.send_multipart([b'x' * (2 * LARGEST), b''])
        eventually(lambda: (hostile.wait(0.05), hostile.handshakes > 1)[1])
    finally:
        hostile.close()
    rig.tell(rig.line())
    rig.eventually(lambda: rig.told)


def test_beyond_the_cap_nobody_gets_in(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(listener_module, 'CAP', 2)
    rig: Rig = request.getfixturevalue('rig')
    first = [dial(rig), dial(rig)]
    eventually(lambda: all((each.wait(0.05), each.handshakes)[1] for each in first))
    third = dial(rig)
    try:
        eventually(lambda: (third.wait(0.05), third.failure == 'unknown-key')[1])
        first.pop().close()
        eventually(lambda: rig.listener._router is not None and rig.listener._router.connections < 2)
        third.reconnect()
        eventually(lambda: (third.wait(0.05), third.handshakes)[1])
    finally:
        for each in (*first, third):
            each.close()


def test_an_address_that_is_not_here_leaves_no_channel_and_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe()
    listener = Listener('203.0.113.7', RANGE, reader)
    assert listener.contact == []
    assert listener.receive() == []
    assert not listener.send(b'worker', say_cancel((TASK, 1)))
    for wake in (listener.wake, lambda: os.write(writer, b'.')):
        began = time.monotonic()
        wake()
        listener.wait(30.0)
        assert time.monotonic() - began < 20
    listener.close()
    os.close(reader)
    os.close(writer)
    assert 'a cancel takes effect at the end of a task only' in caplog.text


def test_a_worker_that_cannot_get_through_says_so_once_and_tries_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name, value in (('DIAL', 0.2), ('REST', 0.05)):
        monkeypatch.setattr(line_module, name, value)
    line = Line(['tcp://127.0.0.1:9', new_key(), new_key()])
    dialled = 0
    with caplog.at_level(logging.WARNING):
        line.tell(Head(b'a', TASK, 1, 0.0))
        while dialled < 3:
            assert line.pause(time.monotonic()) <= 0.2
            dialled += line.dial()
            line.flush()
            line.hear()
            time.sleep(0.01)
    line.over()
    line.close()
    assert caplog.text.count('no control channel to tcp://127.0.0.1:9 (unreachable)') == 1
    assert not line.ready
    assert line.pause(time.monotonic()) == inf
