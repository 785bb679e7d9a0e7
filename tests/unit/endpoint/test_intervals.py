"""Sets of sequence numbers, against Python's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.endpoint.intervals import Intervals
from relay_parsl.errors import StoreError
from relay_parsl.wire import codec


@given(st.lists(st.integers(0, 60)))
def test_it_is_a_set(numbers: list[int]) -> None:
    found = Intervals()
    for number in numbers:
        found.add(number)
    assert {number for number in range(-1, 63) if number in found} == set(numbers)
    runs = sum(number - 1 not in numbers for number in set(numbers))
    assert len(found) == runs, 'no two intervals touch'
    again = Intervals.decode(found.encode())
    assert {number for number in range(63) if number in again} == set(numbers)


def test_counting_up_is_one_interval() -> None:
    found = Intervals()
    for number in range(100_000):
        found.add(number)
    assert len(found) == 1
    assert len(found.encode()) < 20


@pytest.mark.parametrize('value', [None, [[1]], [[1], []], [1, 2]])
def test_damage_is_named(value: object) -> None:
    with pytest.raises(StoreError):
        Intervals.decode(codec.pack(value))
