"""A worker and its runner in a shift, with an engine process's socket at the other end: all real."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay_parsl.engines import control, talk
from relay_parsl.engines import line as line_module
from relay_parsl.engines.base import Work
from relay_parsl.engines.control import Refill, hear_parcel, hear_window, say_cancel, say_recorded, say_refill
from relay_parsl.engines.frames import NO_SERIAL, Death, End, Place, decode_end, decode_ends, encode_chunk, encode_work
from relay_parsl.engines.fusion import BUDGET
from relay_parsl.engines.line import Line
from relay_parsl.engines.patience import LONG, Patience
from relay_parsl.engines.shift import Shift
from relay_parsl.engines.worker import Worker
from relay_parsl.transport import Router, new_key, public_key
from relay_parsl.wire import payload
from relay_parsl.wire.messages import Held, Message, Results, Returned, States, Window

SHIFT = 1 << 60


def frame(number: int, fn: Callable[..., Any], *args: Any) -> bytes:
    return encode_work(Work(bytes([number]) * 16, 1, b'a', payload.dump_function(fn), payload.dump_arguments(args, {})), Place())


class Engine:
    """The engine process, and a worker in a thread."""

    def __init__(self) -> None:
        self.ours, workers = new_key(), new_key()
        self.router = Router('tcp://127.0.0.1:0', self.ours, public_key(workers).__eq__)
        self.address = f'tcp://127.0.0.1:{self.router.port}'
        self.admit = public_key(workers).__eq__
        self.worker = Worker(line=Line([self.address, public_key(self.ours), workers]))
        self.worker.prepare()
        self.routing = b''
        self.heard: list[Message] = []
        self.ends: dict[int, End | Death] = {}
        self.serial = 0
        self.result: list[bytes] = []
        self.records = True

    def begin(self, *frames: bytes) -> None:
        chunk = encode_chunk(frames)
        self.thread = threading.Thread(target=lambda: self.result.append(self.worker.run_shift(chunk, {}, SHIFT)))
        self.thread.start()

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 60
        while not (found := condition()):
            assert time.monotonic() < deadline, f'it did not come about; heard {self.heard}'
            self.router.wait(0.01)
            self.turn()
        return found

    def turn(self) -> None:
        if self.result:  # what comes last may come so
            self.ends.update({place: decode_end(end) for place, end in decode_ends(self.result[0], 1000)[1]})
        for peer, message in self.router.receive():
            assert not isinstance(message, Exception)
            self.routing = peer.routing
            self.heard.append(message)
            if isinstance(message, Results):
                parcel = hear_parcel(message, lambda shift: 1000)
                self.ends.update({place: decode_end(end) for place, end in parcel.ends})
                if self.records:
                    self.router.send(peer.routing, say_recorded(parcel.shift, [parcel.number]))

    def asked(self) -> bool:
        """Whether it wants more than it got."""
        return len([each for each in self.heard if isinstance(each, Window) and hear_window(each)[1]]) > self.serial

    def give(self, *frames: bytes, seconds: float | None = None) -> None:
        self.serial += 1
        self.router.send(self.routing, say_refill(Refill(SHIFT, self.serial, seconds, encode_chunk(frames))))

    def returned(self) -> list[bytes]:
        return [key[0][:1] for each in self.heard if isinstance(each, Returned) for key in control.hear_not_started(each)[2]]

    def over(self) -> tuple[int, list[tuple[int, bytes]]]:
        self.until(lambda: not self.thread.is_alive())
        return decode_ends(self.result[0], 1000)

    def value(self, place: int) -> Any:
        end = self.ends[place]
        assert isinstance(end, End), end
        return payload.load_outcome(payload.decode_outcome(end.outcome).data)


@pytest.fixture(name='engine')
def _engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.worker.kill()
    engine.thread.join()
    engine.worker.close()
    engine.router.close()


def test_a_shift_goes_on_for_as_long_as_it_gets_more(engine: Engine) -> None:
    engine.begin(frame(0, abs, -100))
    for round_ in range(1, 4):
        engine.until(engine.asked)
        engine.give(*[frame(10 * round_ + n, abs, -n) for n in range(5)], seconds=0.001)
    engine.until(lambda: len(engine.ends) == 16)
    assert [engine.value(place) for place in range(16)] == [100, *[0, 1, 2, 3, 4] * 3]
    assert engine.over() == (3, [])
    assert isinstance(engine.heard[-1], Held)


def test_what_nobody_recorded_is_in_the_result(engine: Engine) -> None:
    engine.records = False
    engine.begin(frame(0, abs, -100))
    engine.until(engine.asked)
    engine.give(frame(1, abs, -1))
    engine.until(lambda: len(engine.ends) == 2)
    last, ends = engine.over()
    assert last == 1
    assert [place for place, _ in ends] == [0, 1]


def test_nobody_waits_behind_one_that_takes_long_and_that_one_can_be_cancelled(engine: Engine) -> None:
    engine.begin(frame(0, abs, -1))
    engine.until(engine.asked)
    began = time.monotonic()
    engine.give(frame(1, abs, -1), frame(2, time.sleep, 60), frame(3, abs, -3), frame(4, abs, -4))
    engine.until(lambda: len(engine.returned()) == 2)
    assert time.monotonic() - began >= BUDGET
    assert engine.returned() == [b'\x03', b'\x04']
    engine.until(lambda: len(engine.ends) == 2)
    engine.until(lambda: any(isinstance(each, States) for each in engine.heard))
    engine.router.send(engine.routing, say_cancel((b'\x02' * 16, 1)))
    engine.until(lambda: 2 in engine.ends)
    end = engine.ends[2]
    assert isinstance(end, End)
    assert end.cancelled
    engine.until(engine.asked)
    engine.give(frame(5, abs, -5))
    engine.until(lambda: len(engine.ends) == 4)
    assert engine.value(5) == 5


def test_behind_one_that_takes_longer_than_was_thought_nothing_is_asked_for(engine: Engine) -> None:
    engine.begin(frame(0, abs, -1))
    engine.until(engine.asked)
    engine.give(frame(1, time.sleep, 1.5), frame(2, abs, -2), seconds=0.0005)
    engine.until(lambda: engine.returned() == [b'\x02'])
    asks = [hear_window(each)[1] > 0 for each in engine.heard if isinstance(each, Window)]
    assert not asks[-1], 'the next one would wait behind it, and come back'
    before = len(engine.heard)
    engine.until(lambda: 1 in engine.ends)
    engine.until(lambda: [each for each in engine.heard[before:] if isinstance(each, Window) and hear_window(each)[1]])


def test_a_cancel_finds_one_in_the_middle_of_a_chunk(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('relay_parsl.engines.shift.BUDGET', 60.0)
    engine.begin(frame(0, abs, -1))
    engine.until(engine.asked)
    engine.give(frame(1, time.sleep, 1.0), frame(2, time.sleep, 60), frame(3, abs, -3))
    engine.router.send(engine.routing, say_cancel((b'\x03' * 16, 1)))
    engine.until(lambda: engine.returned() == [b'\x03'])
    engine.until(lambda: 1 in engine.ends)
    engine.router.send(engine.routing, say_cancel((b'\x02' * 16, 1)))
    engine.until(lambda: 2 in engine.ends)
    assert engine.value(1) is None
    end = engine.ends[2]
    assert isinstance(end, End)
    assert end.cancelled


def exit_with(code: int) -> None:
    import os

    os._exit(code)


def test_a_death_is_charged_to_the_guilty_and_the_others_run_on(engine: Engine) -> None:
    engine.begin(frame(0, abs, -1))
    engine.until(engine.asked)
    engine.give(frame(1, abs, -1), frame(2, exit_with, 9), frame(3, abs, -3))
    engine.until(lambda: len(engine.ends) + len(engine.returned()) == 4)
    assert engine.value(1) == 1
    end = engine.ends[2]
    assert isinstance(end, Death)
    assert 'exited with code 9' in end.evidence


def test_a_connection_that_breaks_ends_the_shift_and_loses_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, 'LINGER', 15.0)
    monkeypatch.setattr(talk, 'LIFE', 60.0)
    engine.begin(frame(0, abs, -1))
    engine.until(engine.asked)
    engine.records = False
    engine.give(frame(1, abs, -7))
    engine.until(lambda: len(engine.ends) == 2)
    engine.router.close()
    engine.ends.clear()
    engine.router = Router(engine.address, engine.ours, engine.admit)
    last, ends = engine.over()
    assert last == 1
    assert [place for place, _ in ends][-1] == 1
    engine.until(lambda: 1 in engine.ends)
    assert engine.value(1) == 7


def test_a_worker_without_a_channel_runs_its_chunk_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it cannot be reached once it has tried in vain."""
    monkeypatch.setattr(line_module, 'DIAL', 0.5)
    worker = Worker(line=Line(['tcp://127.0.0.1:9', new_key(), new_key()]))
    try:
        deadline, last = time.monotonic() + 20, 0
        while last != NO_SERIAL:
            assert time.monotonic() < deadline
            last, ends = decode_ends(worker.run_shift(encode_chunk([frame(0, abs, -1), frame(1, abs, -2)]), {}, SHIFT), 2)
            assert {place for place, _ in ends} >= {0}
    finally:
        worker.close()


def test_what_ended_while_others_were_there_was_over_before_it_was_seen() -> None:
    """A runner rings for the last one only: the next has run since the one before is thought to have ended."""
    shift = Shift(0.0, lambda now, limit: Patience(now, limit, 1.0))
    shift.take([frame(0, abs, -1)], 0.0, 0.1)
    shift.pour(0.0)
    shift.take([frame(1, abs, -1)], 0.09, 0.1)
    shift.pour(0.09)
    shift.ended([b'end'], 0.15)
    assert shift.left(0.15) == pytest.approx(0.05)
    shift.ended([b'end'], 0.2)
    shift.take([frame(2, abs, -1)], 0.2, 0.1)
    shift.pour(0.2)
    assert shift.left(0.2) == pytest.approx(0.1)


def test_ends_that_are_seen_late_tell_the_pace_within_bounds() -> None:
    shift = Shift(0.0, lambda now, limit: Patience(now, limit, 1.0))
    shift.take([frame(number, abs, -1) for number in range(20)], 0.0, 1.0)
    shift.pour(0.0)
    shift.ended([b'end'] * 4, 0.045)
    assert shift.left(0.045) == pytest.approx(16 * 0.015, abs=0.04), 'they take 10 ms, and not 50'
    shift.ended([b'end'] * 4, 0.085)
    assert shift.left(0.085) == pytest.approx(12 * 0.0133, abs=0.03)
    shift.ended([b'end'] * 4, 0.405)
    assert shift.left(0.405) >= 7 * 0.06, 'and now they take 80'


def test_the_end_of_a_long_one_is_looked_for_while_others_are_behind_it() -> None:
    shift = Shift(0.0, lambda now, limit: Patience(now, limit, 1.0))
    shift.take([frame(0, abs, -1)], 0.0, 0.03)
    shift.pour(0.0)
    assert shift.pause(0.0) == pytest.approx(LONG), 'it rings'
    shift.take([frame(1, abs, -1)], 0.02, 0.03)
    shift.pour(0.02)
    assert shift.pause(0.02) == pytest.approx(0.01)
    assert shift.pause(0.03) == pytest.approx(0.0015), 'a little later than was thought'
    shift.ended([b'end'], 0.0315)
    shift.take([frame(2, abs, -1)], 0.05, 0.001)
    assert shift.pause(0.04) is not None
