"""How many workers the work is worth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsl.executors import HighThroughputExecutor

from relay_parsl.engines.base import Changed, Work
from relay_parsl.engines.demand import FUNCTIONS, HORIZON, MEMORY, PATIENCE, Load, wanted
from relay_parsl.engines.frames import End, encode_end
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.service import Htex

QUICK, SLOW, NEW = 1, 2, 3


def known(times: dict[int, float], now: float = 0.0) -> Load:
    load = Load()
    for function, seconds in times.items():
        load.add(function, now)
        load.end(function, seconds, now)
    return load


@pytest.mark.parametrize(
    ('count', 'seconds', 'workers'),
    [
        (0, 1.0, 0),
        (1, 0.0, 1),
        (1, 0.001, 1),
        (10_000, 0.001, 1),
        (3_000, 0.1, 5),
        (60, 1.0, 1),
        (61, 1.0, 2),
        (8, 2.0, 1),
        (1_000, 30.0, 500),
        (1_000, HORIZON, 1_000),
        (1_000, 3600.0, 1_000),
        (1_000, math.inf, 1_000),
    ],
)
def test_short_tasks_share_workers_and_long_ones_do_not(count: int, seconds: float, workers: int) -> None:
    assert known({QUICK: seconds}).wanted(count, True, 1.0) == workers
    assert wanted(count, count * min(seconds, HORIZON)) == workers


def test_what_was_never_measured_is_worth_a_worker_each() -> None:
    assert Load().wanted(3000, True, 0.0) == 3000
    load = known({QUICK: 0.001})
    for _ in range(8):
        load.add(NEW, 0.0)
    assert load.wanted(8, True, 0.0) == 8
    assert load.wanted(3000, True, 0.0) == 3000, 'all that HTEX has is new: so may be the rest'
    load.add(QUICK, 0.0)
    assert load.wanted(3000, True, 0.0) == 9, 'as many as are new, and one for all others'
    load.clear()
    assert load.wanted(3000, True, 0.0) == 1


def test_a_worker_each_for_the_long_ones_among_short_ones() -> None:
    load = known({QUICK: 0.001, SLOW: 3600.0})
    for _ in range(40):  # what ended last is what is to come
        load.add(QUICK, 0.0)
        load.end(QUICK, 0.001, 0.0)
    for _ in range(5):
        load.add(SLOW, 0.0)
    assert load.wanted(5, True, 0.0) == 5
    assert 6 <= load.wanted(300, True, 0.0) <= 7


def test_a_first_run_that_was_slow_is_soon_forgotten() -> None:
    load = known({QUICK: 2.0})
    assert load.wanted(3000, True, 0.0) == 100
    for _ in range(60):
        load.add(QUICK, 0.0)
        load.end(QUICK, 0.001, 0.0)
    assert load.wanted(3000, True, 0.0) == 1


def test_nothing_ends_so_tasks_are_longer_than_those_before() -> None:
    load = known({QUICK: 0.001})
    load.add(QUICK, 1.0)
    assert load.wanted(600, True, 1.0 + PATIENCE / 2) == 1
    assert load.wanted(600, True, 1.0 + PATIENCE) == 600 * PATIENCE / HORIZON
    assert load.wanted(600, True, 1.0 + HORIZON) == load.wanted(600, True, 3 * HORIZON) == 600
    assert load.wanted(600, False, 3 * HORIZON) == 1, 'nothing could end: nobody works'
    assert load.wanted(600, True, 3 * HORIZON + PATIENCE / 2) == 1
    load.end(QUICK, None, 4 * HORIZON)
    assert load.wanted(600, True, 5 * HORIZON) == 1, 'nothing is there to end'


def test_a_run_time_of_long_ago_says_nothing() -> None:
    load = known({QUICK: 0.001})
    assert load.wanted(600, False, MEMORY) == 1
    assert load.wanted(600, False, MEMORY + 1.0) == 600


def test_what_is_known_stays_little() -> None:
    load = Load()
    for function in range(3 * FUNCTIONS):
        load.add(function, 0.0)
        load.end(function, 0.001, 0.0)
        assert len(load._seconds) <= FUNCTIONS
    assert not load._inside


steps = st.lists(
    st.tuples(st.sampled_from(['add', 'drop', 'end', 'lose', 'clear', 'wait']), st.integers(0, 4), st.floats(0, 2 * HORIZON)), max_size=60
)


@given(steps, st.integers(0, 5000), st.booleans())
def test_never_too_many_never_too_few(done: list[tuple[str, int, float]], more: int, working: bool) -> None:
    load, now, inside, seen = Load(), 0.0, [], set()
    for act, function, seconds in done:
        if act == 'add':
            load.add(function, now)
            inside.append(function)
        elif act == 'clear':
            load.clear()
            inside.clear()
        elif act == 'wait':
            now += seconds
        elif function in inside:
            inside.remove(function)
            if act == 'end':
                load.end(function, seconds, now)
                seen.add(function)
            else:
                load.drop(function) if act == 'drop' else load.end(function, None, now)
    count = len(inside) + more
    workers = load.wanted(count, working, now)
    strangers = sum(function not in load._seconds for function in inside)
    assert min(count, max(1, strangers)) <= workers <= count
    assert set(load._seconds) <= seen
    assert workers == count or seen, 'what is not known is not capped'
    assert load._size == len(inside)
    assert load._strangers == strangers
    assert load._work == pytest.approx(sum(load._seconds.get(function, 0.0) for function in inside))
    assert load.wanted(count + 1, working, now) >= workers


@pytest.mark.parametrize(
    ('demand', 'inside', 'workers', 'outstanding'),
    [(0, 0, 0, 0), (0, 0, 4, 0), (0, 3, 0, 1), (0, 3, 2, 2), (1, 3000, 1, 1), (1, 3000, 8, 8), (1, 2, 8, 2), (8, 8, 0, 8), (500, 12, 4, 500)],
)
def test_the_strategy_sees_what_is_wanted_and_never_less_than_what_runs(demand: int, inside: int, workers: int, outstanding: int) -> None:
    htex = Htex(address='127.0.0.1')
    htex.tasks.update(dict.fromkeys(range(inside)))
    assert HighThroughputExecutor.outstanding(htex) == inside
    htex.demand, htex.workers = demand, workers
    assert htex.outstanding() == outstanding


def test_the_engine_learns_from_what_ends_before_anybody_hears_of_it() -> None:
    engine, heard = HtexEngine(max_workers_per_node=1), []
    engine._deliver = lambda event: heard.append((event, engine._wanted()))
    for number in range(30):
        engine.submit(Work(bytes([number]) * 16, 1, b'', b'function', b''))
    engine.demand(3000)
    assert engine._wanted() == 3000
    engine._state = 'ready'
    chunks = engine._admit()
    numbers = [number for chunk in chunks for number in chunk]
    assert [engine._chunk(chunk)[0] for chunk in chunks] == [[number] for number in numbers], 'nobody knows how long they take'
    assert 0 < len(numbers) < 30
    assert engine._wanted() == 3000
    engine._ended([(numbers[0], encode_end(End(True, b'', seconds=0.001)))])
    assert [workers for _, workers in heard] == [1]
    assert engine._inside.load._size == len(engine._inside)
    engine._bury('killed')
    assert engine._inside.load._size == len(engine._inside) == 0
    assert engine._chunk(numbers)[0] == [], 'they were lost since they were admitted'
    assert len([event for event, _ in heard if not isinstance(event, Changed)]) == len(numbers), 'each ends once'
    engine.demand(0)
    assert engine._wanted() == 1, 'some wait'


def test_what_the_next_task_will_take_follows_other_work_at_once_and_what_scaling_goes_by_does_not() -> None:
    load = known({QUICK: 0.01})
    for _ in range(4):
        load.add(QUICK, 0.0)
        load.end(QUICK, 0.1, 0.0)
    assert load.seconds(QUICK) == pytest.approx(0.1, rel=0.1)
    load.add(QUICK, 0.0, 6000)
    assert load.wanted(6000, True, 0.0) == 5  # 0.047 s each; 10 by the last ones alone
