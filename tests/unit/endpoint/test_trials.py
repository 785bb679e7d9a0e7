"""Which values may begin pools: whatever a client thinks of, the number of jobs that come to nothing is bounded."""

from __future__ import annotations

import random

import pytest

from relay_parsl.endpoint.trials import BEGINS, BROKEN, BURST, PERIOD, REMEMBERED, Trials
from relay_parsl.engines.breaker import LIMIT, PER_MINUTE


def key(number: int) -> tuple[str, str]:
    return f'{{"number": {number}}}', '{}'


def with_broken(count: int) -> Trials:
    trials = Trials()
    for number in range(count):
        trials.broke(key(number), f'words of {number}', 0.0)
    return trials


def test_a_broken_value_keeps_its_words() -> None:
    trials = with_broken(2)
    assert (trials.reason(key(1)), trials.reason(key(2))) == ('words of 1', '')
    trials.broke(key(3), '', 0.0)
    assert trials.reason(key(3)), 'a broken one always has words'


def test_new_values_wait_once_several_have_broken_and_known_good_ones_do_not() -> None:
    trials = with_broken(BROKEN - 1)
    trials.good(key(100))
    assert trials.hold(key(50), 1.0) == ''
    for _ in range(5):
        trials.broke(key(BROKEN - 1), 'said again and again', 0.0)
    assert f'{BROKEN} values' in trials.hold(key(50), 1.0)
    assert 'restarted' in trials.hold(key(50), PERIOD - 1)
    assert trials.hold(key(100), 1.0) == ''
    assert trials.hold(key(50), PERIOD) == ''
    assert trials.reason(key(0)) == 'words of 0', 'but a broken one stays broken'


def test_one_value_that_breaks_often_counts_once() -> None:
    trials = Trials()
    for second in range(100):
        trials.broke(key(0), 'words', float(second))
    assert trials.hold(key(1), 100.0) == ''


def test_a_value_that_was_good_and_breaks_is_broken_and_one_whose_worker_came_late_is_not() -> None:
    trials = with_broken(BROKEN)
    trials.good(key(0))
    assert (trials.reason(key(0)), trials.hold(key(0), 1.0)) == ('', '')
    trials.broke(key(0), 'words', 1.0)
    assert trials.reason(key(0)) == 'words'
    assert trials.hold(key(0), 2.0)


def test_what_is_remembered_is_bounded() -> None:
    trials = with_broken(REMEMBERED + 1)
    assert trials.reason(key(0)) == ''
    assert trials.reason(key(1)) == 'words of 1'


@pytest.mark.parametrize('limit', [1, BURST, 40])
def test_pools_begin_at_once_and_then_a_few_a_minute(limit: int) -> None:
    trials, begun = Trials(limit), 0
    while not trials.hold(key(begun), 1000.0):
        trials.begun(1000.0)
        begun += 1
    assert begun == max(limit, BURST)
    assert 'pools have begun' in trials.hold(key(0), 1029.0)
    for second in range(1000, 1600):
        if not trials.hold(key(begun), float(second)):
            trials.begun(float(second))
            begun += 1
    assert abs(begun - max(limit, BURST) - 10 * BEGINS) <= 1
    assert BEGINS * LIMIT == PER_MINUTE


@pytest.mark.parametrize('seed', range(10))
@pytest.mark.parametrize('limit', [1, 4, 16])
def test_a_day_of_ever_new_bad_values_costs_few_jobs(seed: int, limit: int) -> None:
    """A client that sends a new bad value as soon as there is room for a pool, and now and then one that works."""
    chance = random.Random(seed)
    trials, pools, number, bad = Trials(limit), list[tuple[int, float, bool]](), 0, list[float]()
    for now in range(0, 86_400, 10):
        for each in [each for each in pools if each[1] <= now]:
            pools.remove(each)
            trials.good(key(each[0])) if each[2] else trials.broke(key(each[0]), 'words', float(now))
        while len(pools) < limit and not trials.hold(key(number), float(now)):
            trials.begun(float(now))
            works = chance.random() < 0.1
            pools.append((number, now + chance.choice([10, 60, 600]), works))
            bad += [] if works else [float(now)]
            number += 1
    assert all(sum(now - PERIOD < then <= now for then in bad) < 2 * (BROKEN + limit) for now in bad)
    assert len(bad) <= 25 * (BROKEN + limit)
