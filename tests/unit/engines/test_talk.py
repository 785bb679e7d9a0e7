"""What a worker says of its shift: pure, then in a world whose connections break and lose what is on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.engines import control
from relay_parsl.engines.control import Refill, say_recorded, say_refill
from relay_parsl.engines.frames import NO_SERIAL, decode_ends
from relay_parsl.engines.talk import AHEAD, LIFE, LINGER, RESULTS, Talk
from relay_parsl.wire.messages import Dispatch, Held, Message, Recorded, Results, Returned, Window

SHIFT = 7


def refill(serial: int, shift: int = SHIFT, heard: tuple[int, ...] = ()) -> Dispatch:
    return say_refill(Refill(shift, serial, None, b'chunk', heard))


def kinds(messages: list[Message]) -> list[type]:
    return [type(each) for each in messages]


def connected(now: float = 0.0) -> Talk:
    talk = Talk(SHIFT, now)
    assert control.hear_window(talk.connect(1)[0]) == (SHIFT, 0, 0)  # type: ignore[arg-type]
    return talk


def test_it_asks_once_for_each_chunk_and_a_little_before_it_is_through() -> None:
    talk = connected()
    assert talk.say(inf, 0.0) == []
    assert talk.say(2 * AHEAD, 0.0) == []
    assert talk.pause(2 * AHEAD, 0.0) == AHEAD
    assert kinds(talk.say(AHEAD / 2, 0.0)) == [Window]
    assert talk.say(0.0, 0.0) == []
    heard = talk.hear(refill(1))
    assert heard is not None
    assert heard.chunk == b'chunk'
    assert kinds(talk.say(0.0, 0.0)) == [Window]


def test_it_asks_no_more_when_it_turns_out_to_be_busy_for_long() -> None:
    talk = connected()
    assert kinds(talk.say(AHEAD / 2, 0.0)) == [Window]
    assert AHEAD < talk.pause(AHEAD / 2, 0.0) < 10 * AHEAD
    (message,) = talk.say(inf, 0.1)
    assert control.hear_window(message) == (SHIFT, 0, 0)  # type: ignore[arg-type]
    assert talk.say(inf, 0.2) == []
    assert control.hear_window(talk.say(0.0, 0.3)[0])[1] > 0  # type: ignore[arg-type]


def test_it_takes_its_own_next_chunk_only() -> None:
    talk = connected()
    assert talk.hear(refill(2)) is None
    assert talk.hear(refill(1, SHIFT + 1)) is None
    assert talk.hear(refill(1)) is not None
    assert talk.hear(refill(1)) is None
    assert talk.last == 1


def test_without_a_connection_it_ends_with_its_first_chunk() -> None:
    talk = Talk(SHIFT, 0.0)
    talk.ended([(0, b'end')])
    assert talk.say(0.0, 0.0) == []
    assert talk.returned([(b'a', 1)]) == []
    assert not talk.open(0.0)
    assert talk.pause(0.0, 0.0) == inf
    assert talk.close() == []
    assert decode_ends(talk.result(), 1) == (NO_SERIAL, [(0, b'end')])
    assert decode_ends(talk.result(dialling=True), 1) == (0, [(0, b'end')])
    assert kinds(talk.connect(1)) == [Window, Returned, Held]


def test_nobody_to_talk_to_is_a_shift_of_one_chunk() -> None:
    talk = Talk(0, 0.0)
    assert talk.connect(3) == []
    assert not talk.open(0.0)
    talk.ended([(0, b'end')])
    assert decode_ends(talk.result(), 1) == (NO_SERIAL, [(0, b'end')])


def test_it_lingers_for_more_and_does_not_live_for_ever() -> None:
    talk = connected(0.0)
    talk.say(1.0, 0.0)
    talk.say(0.0, 1.0)
    assert talk.open(1.0)
    assert talk.open(1.0 + LINGER / 2)
    assert talk.pause(0.0, 1.0) == pytest.approx(LINGER)
    assert not talk.open(1.0 + LINGER)
    assert talk.hear(refill(1)) is not None
    talk.say(1.0, 1.2)
    assert kinds(talk.say(1.0, LIFE)) == [Held]
    assert not talk.open(LIFE)
    assert talk.hear(refill(2)) is None
    assert talk.close() == []
    assert decode_ends(talk.result(), 0) == (1, [])


def test_what_was_heard_is_forgotten() -> None:
    talk = connected()
    talk.ended([(0, b'one'), (1, b'two')])
    assert kinds(talk.say(1.0, 0.0)) == [Results]
    talk.ended([(2, b'three')])
    assert kinds(talk.say(1.0, 0.0)) == [Results]
    talk.hear(say_recorded(SHIFT, [0]))
    talk.hear(say_recorded(SHIFT + 1, [1]))
    talk.hear(say_recorded(SHIFT, [0]))
    assert decode_ends(talk.result(), 3) == (0, [(2, b'three')])
    talk.hear(refill(1, SHIFT + 1, (1,)))
    assert decode_ends(talk.result(), 3) == (0, [(2, b'three')])
    assert talk.hear(refill(1, heard=(1,))) is not None
    assert decode_ends(talk.result(), 3) == (1, [])


def test_it_asks_for_nothing_while_too_many_results_were_not_heard() -> None:
    talk = connected()
    talk.ended([(0, bytes(RESULTS))])
    assert talk.full
    assert kinds(talk.say(0.0, 0.0)) == [Results]
    talk.hear(say_recorded(SHIFT, [0]))
    assert not talk.full
    assert kinds(talk.say(0.0, 0.0)) == [Window]


@dataclass
class World:
    """A worker with its talk, an engine process, and a connection that loses what is on its way when it breaks."""

    draw: Callable[[int], int]
    tasks: int
    now: float = 0.0
    connection: int = 0
    up: list[Message] = field(default_factory=list)
    down: list[Message] = field(default_factory=list)
    # the engine process's book
    serial: int = 0
    given: list[list[int]] = field(default_factory=list)  # tasks, by serial
    ended: list[int] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    # the worker's
    places: list[int] = field(default_factory=list)
    todo: list[int] = field(default_factory=list)
    ran: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.talk = Talk(SHIFT, 0.0)
        self.waiting = list(range(self.tasks))
        self.take(self.give())

    def give(self) -> list[int]:
        count = 1 + self.draw(3)
        chunk, self.waiting = self.waiting[:count], self.waiting[count:]
        self.given.append(chunk)
        return chunk

    def take(self, tasks: list[int]) -> None:
        self.todo += range(len(self.places), len(self.places) + len(tasks))
        self.places += tasks

    def step(self) -> None:
        self.now += 0.01 * self.draw(20)
        [self.work, self.work, self.hear_worker, self.hear_engine, self.reconnect if self.draw(4) == 0 else self.work, self.send_back][self.draw(6)]()
        self.up += self.talk.connect(self.connection) + self.talk.say(0.001 * len(self.todo), self.now)

    def work(self) -> None:
        if self.todo:
            place = self.todo.pop(0)
            self.ran.append(self.places[place])
            self.talk.ended([(place, str(self.places[place]).encode())])

    def send_back(self) -> None:
        gone, self.todo = self.todo[1:], self.todo[:1]
        self.up += self.talk.returned([(bytes([self.places[place]]), 0) for place in gone])

    def reconnect(self) -> None:
        self.connection += 1
        self.up, self.down = [], []

    def hear_worker(self) -> None:
        if not self.up:
            return
        message = self.up.pop(0)
        if isinstance(message, Results):
            parcel = control.hear_parcel(message, lambda shift: len(self.places))
            self.ended += [int(end) for _, end in parcel.ends if int(end) not in self.ended]
            self.down.append(say_recorded(parcel.shift, [parcel.number]))
        elif isinstance(message, Returned):
            _, last, keys = control.hear_not_started(message)
            known = [task for chunk in self.given[: last + 1] for task in chunk]
            self.back += [task for (name, _) in keys if (task := name[0]) in known and task not in self.back]
        elif isinstance(message, Window) and control.hear_window(message)[1] and self.waiting:
            chunk = self.give()
            self.serial += 1
            self.down.append(say_refill(Refill(SHIFT, self.serial, None, bytes(chunk))))

    def hear_engine(self) -> None:
        if self.down:
            message = self.down.pop(0)
            assert isinstance(message, Dispatch | Recorded)
            if (chunk := self.talk.hear(message)) is not None:
                self.take(list(chunk.chunk))


@settings(deadline=None)
@given(st.data(), st.integers(1, 60))
def test_whatever_breaks_nothing_is_lost_and_what_goes_back_was_not_started(data: st.DataObject, steps: int) -> None:
    world = World(lambda most: data.draw(st.integers(0, most - 1)), 100)
    for _ in range(steps):
        world.step()
    while world.todo:
        world.work()
    world.talk.close()
    last, ends = decode_ends(world.talk.result(), len(world.places))
    assert last == (world.talk.last if world.connection else NO_SERIAL)
    known = set(world.ended) | {int(end) for _, end in ends}
    assert known == set(world.ran), 'an end is heard or in the result, and nothing else is'
    assert len(world.ran) == len(set(world.ran)), 'once'
    taken = {task for chunk in world.given[: max(last, 0) + 1] for task in chunk}
    assert set(world.ran) <= taken, 'nothing of a later chunk has started'
    assert not set(world.back) & set(world.ran), 'what goes back at once has not started'
