"""What a runner is given, and what becomes of it: pure, with a runner that does anything it may."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.engines.base import Work
from relay_parsl.engines.frames import Head, Place, encode_work, head_of
from relay_parsl.engines.fusion import BUDGET
from relay_parsl.engines.patience import Patience
from relay_parsl.engines.shift import BYTES, POURED, TOO_LONG, Shift


def shift_of(limit: float = 0.0) -> Shift:
    return Shift(limit, lambda now, seconds: Patience(now, seconds, 3.0))


def frame(number: int, account: bytes = b'a', timeout: float = 0.0, size: int = 1) -> bytes:
    options = {'timeout': timeout} if timeout else {}
    return encode_work(Work(number.to_bytes(16, 'big'), 1, account, bytes(size), b'', None, options), Place())


def test_a_runner_gets_many_at_once_of_one_account_and_not_too_much() -> None:
    shift = shift_of()
    shift.take([frame(n) for n in range(POURED + 5)], 0.0)
    assert len(shift.pour(0.0)) == POURED
    shift.ended([b'end'] * 3, 0.0)
    assert len(shift.pour(0.0)) == 3
    other = shift_of()
    other.take([frame(0), frame(1, b'b'), frame(2)], 0.0)
    assert len(other.pour(0.0)) == 1
    large = shift_of()
    large.take([frame(0, size=2 * BYTES), frame(1)], 0.0)
    assert len(large.pour(0.0)) == 1


@pytest.mark.parametrize('limit', [0.0, 5.0])
def test_what_has_a_limit_goes_alone(limit: float) -> None:
    shift = shift_of(limit)
    shift.take([frame(0), frame(1, timeout=3.0), frame(2)], 0.0)
    for expected in (limit, 3.0, limit):
        assert len(shift.pour(0.0)) == 1
        assert shift.running is not None
        assert shift.running.limit == expected
        shift.ended([b'end'], 0.0)


def test_nothing_goes_behind_what_was_told_to_end() -> None:
    shift = shift_of()
    shift.take([frame(0)], 0.0)
    shift.pour(0.0)
    shift.patience.interrupt('cancel')
    shift.take([frame(1)], 0.0)
    assert shift.pour(0.0) == []


def test_one_of_those_that_waited_too_long_stays_if_none_runs() -> None:
    shift = shift_of()
    shift.take([frame(n) for n in range(3)], 0.0)
    shift.pour(0.0)
    assert shift.pause(0.0) == BUDGET
    assert not shift.late(BUDGET / 2)
    assert shift.late(BUDGET)
    shift.back(3)
    assert [each.place for each in shift.leave(BUDGET)] == [1, 2]
    assert shift.next is not None
    assert not shift.late(BUDGET)


def test_how_long_it_will_take_is_learned() -> None:
    shift = shift_of()
    assert shift.left(0.0) == 0.0
    now = 0.0
    for _ in range(30):
        shift.take([frame(n) for n in range(10)], now, 0.02)
        shift.pour(now)
        now += 0.005
        shift.ended([b'end'] * 10, now)
    shift.take([frame(n) for n in range(10)], now, 0.02)
    shift.pour(now)
    assert shift.left(now) == pytest.approx(0.005, rel=0.1)
    assert shift.left(now + 0.002) == pytest.approx(0.003, rel=0.2)
    shift.take([frame(0)], now)
    assert shift.left(now) == float('inf')


def test_of_one_that_takes_longer_than_was_thought_nobody_knows_how_long() -> None:
    shift = shift_of()
    shift.take([frame(0)], 0.0, 0.001)
    shift.pour(0.0)
    assert 0 < shift.left(0.001 + TOO_LONG / 2) < TOO_LONG
    assert shift.left(0.002 + TOO_LONG) == float('inf')
    shift.ended([b'end'], 9.0)
    shift.take([frame(1)], 9.0, 0.001)
    shift.pour(9.0)
    assert 0 < shift.left(9.0) < TOO_LONG


def test_more_ends_than_it_was_given_are_none() -> None:
    shift = shift_of()
    shift.take([frame(0)], 0.0)
    shift.pour(0.0)
    shift.ended([b'end', b'forged', b'forged'], 0.0)
    shift.ended([b'forged'], 0.0)
    assert [(each.place, end) for each, end in shift.fetch()] == [(0, b'end')]


def test_what_user_code_has_ended_is_not_taken_back() -> None:
    shift = shift_of()
    shift.take([frame(0), frame(0), frame(0)], 0.0)
    shift.pour(0.0)
    shift.ended([b'end', b'forged', b'forged'], 0.0)
    shift.back(2)
    assert not shift.busy


attempts = st.lists(
    st.tuples(st.sampled_from([b'a', b'b']), st.sampled_from([0.0, 0.0, 0.0, 9.0]), st.sampled_from([1, 1000, BYTES])), min_size=1, max_size=30
)


@settings(deadline=None)
@given(st.integers(), st.lists(attempts, min_size=1, max_size=4))
def test_each_is_in_one_place_and_ends_or_goes_once(seed: int, chunks: list[list[tuple[bytes, float, int]]]) -> None:
    shift, now, count, chance = shift_of(), 0.0, 0, Random(seed)
    runner: list[Head] = []
    gone: list[int] = []
    while chunks or shift.busy:
        now += chance.choice([0.0, 0.001, BUDGET])
        step = chance.randint(0, 4)
        if step == 0 and chunks:
            chunk = chunks.pop()
            shift.take([frame(count + n, *each) for n, each in enumerate(chunk)], now)
            count += len(chunk)
        elif step == 1 and runner:
            ended = chance.randint(1, len(runner))
            del runner[:ended]
            shift.ended([b'end'] * ended, now)
        elif step == 2 and len(runner) > 1:
            back = chance.randint(0, len(runner))
            del runner[len(runner) - back :]
            shift.back(back)
        elif step == 3 and shift.late(now):
            shift.back(len(runner) - 1)
            del runner[1:]
            gone += [each.place for each in shift.leave(now)]
        elif step == 4:
            runner += [head_of(each) for each in shift.pour(now)]
        assert len({each.account for each in runner}) <= 1
        assert len(runner) <= (1 if any(each.timeout for each in runner) else POURED)
        assert shift.crowded == (len(runner) > 1)
        pause = shift.pause(now)
        assert pause is None or pause >= 0
    assert sorted([attempt.place for attempt, _ in shift.fetch()] + gone) == list(range(count))


def test_long_tasks_take_what_the_engine_says_however_wrong_it_was_of_the_last_ones() -> None:
    shift, now = Shift(0.0, lambda now, limit: Patience(now, limit, 1.0)), 0.0
    for thought in (0.03, 0.05, 0.08):  # they take 0.1, and the engine is about to find out
        shift.take([frame(1)], now, thought)
        shift.pour(now)
        now += 0.1
        shift.ended([b'end'], now)
    shift.take([frame(1)], now, 0.1)
    shift.pour(now)
    assert shift.left(now + 0.02) == pytest.approx(0.08)
