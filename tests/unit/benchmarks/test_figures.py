"""Statistics of measured times."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import figures

TIMES = st.integers(0, 50)
SPANS = st.lists(st.tuples(TIMES, TIMES).map(sorted).map(tuple), max_size=12)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_quantile_of_a_half_is_the_median(values: list[float]) -> None:
    assert figures.quantile(values, 0.5) == pytest.approx(statistics.median(values))
    assert figures.quantile(values, 0.0) == min(values)
    assert figures.quantile(values, 1.0) == max(values)


def test_a_quantile_lies_between_its_neighbours_in_proportion() -> None:
    assert figures.quantile([4.0, 1.0, 2.0, 3.0], 0.95) == pytest.approx(3.85)
    with pytest.raises(ValueError, match='no values'):
        figures.quantile([], 0.5)


@given(SPANS)
def test_a_union_is_as_long_as_the_unit_steps_that_it_covers(spans: list[tuple[int, int]]) -> None:
    steps = {step for start, stop in spans for step in range(start, stop)}
    assert figures.covered(spans) == len(steps)


def test_what_overlaps_counts_once_and_gaps_do_not_count() -> None:
    assert figures.covered([(0, 4), (1, 2), (3, 5), (7, 8)]) == 6
    assert figures.busy_share([(0, 4), (1, 2), (3, 5), (7, 8)]) == 6 / 8
    assert figures.busy_share([(3, 3)]) == 1.0
    with pytest.raises(ValueError, match='never used'):
        figures.busy_share([])


def test_the_least_busy_accelerator_is_the_one_that_counts() -> None:
    stamps = [('0', 0.0, 1.0), ('1', 0.0, 1.0), ('0', 1.0, 2.0), ('1', 3.0, 4.0)]
    assert figures.least_busy(stamps) == 0.5


def test_overshoot_is_that_of_the_median_task() -> None:
    assert figures.overshoot([(0.0, 0.1), (0.0, 0.12), (0.0, 9.0)], 0.1) == pytest.approx(0.2)


@pytest.mark.parametrize(('pace', 'seconds', 'expected'), [(100.0, 2.0, 200), (1e9, 2.0, 500), (0.1, 2.0, 3)])
def test_a_batch_is_as_large_as_the_time_allows(pace: float, seconds: float, expected: int) -> None:
    assert figures.batch_size(pace, seconds, 500, 3) == expected
