"""Large bodies: what comes out went in, whole, in order, and no sooner than it holds."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import pytest

from relay_parsl.errors import SealError
from relay_parsl.wire.messages import SEGMENT
from relay_parsl.wire.seal import (
    new_body_key,
    open_body,
    seal_body,
    sealed_size,
)
from tests.unit.wire.parties import body, every_flip_is_refused, pattern, sealed

LENGTHS = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 2 * SEGMENT + 77]


@pytest.mark.parametrize('length', LENGTHS)
def test_bodies_come_back_and_have_the_size_that_was_said(length: int) -> None:
    key = new_body_key()
    data = sealed(length, key)
    assert len(data) == sealed_size(length)
    assert body(key, length, data) == pattern(length)
    assert sealed(length, key) == data  # a resend is byte-identical


def test_bodies_come_from_sources_that_give_them_in_pieces() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 1000))

    key, target = new_body_key(), io.BytesIO()
    seal_body(key, 5000, Trickle(pattern(5000)), target)
    assert b''.join(open_body(key, 5000, Trickle(target.getvalue()))) == pattern(5000)


@pytest.mark.parametrize('length', [0, 100, SEGMENT])
@pytest.mark.parametrize('wrong', [-1, 1])
def test_a_body_is_exactly_as_long_as_was_said(length: int, wrong: int) -> None:
    key = new_body_key()
    with pytest.raises(SealError):
        seal_body(key, length, io.BytesIO(pattern(max(0, length + wrong)) if length + wrong >= 0 else b'x'), io.BytesIO())
    with pytest.raises(SealError):
        body(key, length + wrong, sealed(length, key))


@pytest.mark.attack(12, 16)
def test_changed_bodies_are_not_opened() -> None:
    key = new_body_key()
    data = sealed(100, key)
    every_flip_is_refused(data, lambda changed: body(key, 100, changed))
    with pytest.raises(SealError):
        body(new_body_key(), 100, data)
    with pytest.raises(SealError, match='32 bytes'):
        body(b'short', 100, data)


@pytest.mark.attack(12, 16)
def test_segments_cannot_be_moved_dropped_repeated_or_cut_off() -> None:
    key, length, size = new_body_key(), 3 * SEGMENT, SEGMENT + 16
    data = sealed(length, key)
    first, second, third = data[:size], data[size : 2 * size], data[2 * size :]
    for wrong, said in (
        (second + first + third, length),
        (first + first + third, length),
        (first + third, length - SEGMENT),
        (first + second, length - SEGMENT),
        (first + second + third + third, length + SEGMENT),
        (first + second + third + b'x', length),
    ):
        with pytest.raises(SealError):
            body(key, said, wrong)


def test_no_plaintext_leaves_before_its_segment_holds() -> None:
    key, length = new_body_key(), 2 * SEGMENT
    data = bytearray(sealed(length, key))
    data[-1] ^= 1
    segments = open_body(key, length, io.BytesIO(bytes(data)))
    assert next(segments) == pattern(SEGMENT)
    with pytest.raises(SealError, match='segment 1'):
        next(segments)


@pytest.mark.parametrize('length', [-1, -(2**40)])
def test_bodies_of_negative_length(length: int) -> None:
    with pytest.raises(SealError):
        seal_body(new_body_key(), length, io.BytesIO(), io.BytesIO())
    with pytest.raises(SealError):
        list(open_body(new_body_key(), length, io.BytesIO()))


def test_a_body_costs_no_more_memory_than_a_few_segments() -> None:
    class Zeros(io.RawIOBase):
        def __init__(self, left: int) -> None:
            self.left = left

        def read(self, size: int = -1, /) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    class Sink(io.RawIOBase):
        count = 0

        def write(self, data: Any, /) -> int:
            self.count += len(data)
            return len(data)

    sink, length = Sink(), 20 * SEGMENT
    tracemalloc.start()
    try:
        seal_body(new_body_key(), length, Zeros(length), sink)  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.count == sealed_size(length)
    assert peak < 5 * SEGMENT
