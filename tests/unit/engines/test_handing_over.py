"""How attempts reach the engine process: in the thread that knows of them, which never waits."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.engines.base import Event, Finished, Work
from relay_parsl.engines.frames import End, encode_end
from relay_parsl.engines.htex import HtexEngine


class Child:
    """Takes what is offered."""

    def __init__(self) -> None:
        self.offered: list[list[Any]] = []
        self.behind = False

    def offer(self, message: list[Any]) -> None:
        self.offered.append(message)

    def numbers(self) -> list[int]:
        """Those of all attempts that came."""
        return [number for verb, what in self.offered if verb == 'work' for chunk in what for number in chunk[0]]


@pytest.fixture
def child() -> Child:
    return Child()


@pytest.fixture
def engine(child: Child) -> HtexEngine:
    engine = HtexEngine(max_workers_per_node=1)
    engine._build, engine._state = child, 'ready'  # type: ignore[assignment]
    return engine


def work(number: int) -> Work:
    return Work(bytes([number]) * 16, 1, b'', b'function', b'')


def test_attempts_wait_for_the_flush_and_go_with_it(engine: HtexEngine, child: Child) -> None:
    for number in range(3):
        engine.submit(work(number))
    assert child.offered == []
    engine.flush()
    assert len(child.numbers()) == 3
    engine.flush()
    assert len(child.numbers()) == 3, 'each goes once'


def test_an_attempt_that_was_cancelled_before_the_flush_does_not_go(engine: HtexEngine, child: Child) -> None:
    engine.submit(work(1))
    engine.submit(work(2))
    assert engine.cancel(work(1).task_id, 1)
    engine.flush()
    assert len(child.numbers()) == 1


def test_ends_make_room_for_more_at_once(engine: HtexEngine, child: Child) -> None:
    events: list[Event] = []
    engine._deliver = events.append
    for number in range(100):
        engine.submit(work(number))
    engine.flush()
    first = child.numbers()
    assert 0 < len(first) < 100
    engine._ended([(number, encode_end(End(True, b'outcome', seconds=60.0))) for number in first])
    assert [type(event) for event in events] == [Finished] * len(first)
    assert len(child.numbers()) > len(first)


def test_a_flush_does_not_wait_for_another_thread_that_hands_over(engine: HtexEngine, child: Child) -> None:
    engine.submit(work(1))
    with engine._feeding:
        engine.flush()  # would hang here for ever if it waited
        assert child.numbers() == []
    assert engine._may_feed(), 'the feeding thread is called, and finds it'


def test_a_demand_is_said_when_it_grows(engine: HtexEngine, child: Child) -> None:
    engine.demand(5)
    engine.demand(3)
    assert child.offered == [['demand', 5]]
    engine.demand(7)
    assert child.offered == [['demand', 5], ['demand', 7]]
