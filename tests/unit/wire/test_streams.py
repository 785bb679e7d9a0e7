"""Large values through sealed bodies: they come back whole, and are never held a second time on the way."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.errors import ProtocolError, SealError, SerializationError
from relay_parsl.wire import codec, payload
from relay_parsl.wire.messages import SEGMENT
from relay_parsl.wire.seal import new_body_key, open_stream, seal_parts, sealed_size

KEY = new_body_key()


class Buffer:
    """Has a large buffer of its own, as arrays do."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, _protocol: int) -> tuple[Any, ...]:
        import pickle

        return Buffer, (pickle.PickleBuffer(self.data),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Buffer) and bytes(self.data) == bytes(other.data)

    __hash__ = None  # type: ignore[assignment]


VALUES = [
    b'short',
    os.urandom(3 * SEGMENT + 7),
    os.urandom(SEGMENT),
    'é' * SEGMENT,
    bytearray(os.urandom(2 * SEGMENT)),
    [os.urandom(100_000), 'x', os.urandom(100_000)],
    list(range(300_000)),
    Buffer(bytearray(os.urandom(2 * SEGMENT))),
    {'a': Buffer(os.urandom(SEGMENT)), 'b': None},
]


def stream(parts: list[payload.Part]) -> io.BufferedReader:
    """Sealed, and opened again."""
    sealed = io.BytesIO()
    length = seal_parts(KEY, parts, sealed)
    assert sealed.tell() == sealed_size(length)
    sealed.seek(0)
    return open_stream(KEY, length, sealed)


@pytest.mark.parametrize('value', VALUES, ids=lambda value: type(value).__name__)
def test_arguments_and_values_come_back_from_a_stream_as_from_bytes(value: Any) -> None:
    parts = payload.argument_parts((value, 1), {'key': value})
    assert payload.load_arguments(stream(parts)) == ((value, 1), {'key': value})
    assert payload.load_arguments(b''.join(parts)) == ((value, 1), {'key': value})
    parts = payload.value_parts(value)
    assert payload.load_outcome(stream(parts)) == value
    assert payload.load_outcome(b''.join(parts)) == value


def test_what_may_be_changed_may_be_changed_afterwards() -> None:
    found = payload.load_outcome(stream(payload.value_parts(Buffer(bytearray(SEGMENT)))))
    found.data[0] = 1
    assert type(payload.load_outcome(stream(payload.value_parts(bytearray(SEGMENT))))) is bytearray


def test_json_and_failures_come_by_streams_too() -> None:
    assert payload.load_arguments(stream(payload.argument_parts(('x' * SEGMENT,), {}, 'json')), ['json']) == (('x' * SEGMENT,), {})
    assert payload.load_outcome(stream(payload.value_parts(['x' * SEGMENT], ['json'])), trusted=False) == ['x' * SEGMENT]
    with pytest.raises(SerializationError, match='not allowed here'):
        payload.load_arguments(stream(payload.argument_parts((b'x' * SEGMENT,), {})), ['json'])
    with pytest.raises(SerializationError, match='ask for JSON'):
        payload.load_outcome(stream(payload.value_parts(b'x' * SEGMENT)), trusted=False)
    with pytest.raises(ValueError, match='xxx'):
        payload.load_outcome(stream([payload.dump_failure(ValueError('x' * SEGMENT))]))


@pytest.mark.parametrize('load', [payload.load_arguments, payload.load_outcome])
def test_what_is_no_blob_or_goes_on_is_refused(load: Callable[..., Any]) -> None:
    more = payload.argument_parts((b'x' * SEGMENT,), {}) if load is payload.load_arguments else payload.value_parts(b'x' * SEGMENT)
    for parts in ([b'x' * SEGMENT], [codec.pack([1, 2])], [b''], [*more, b'x']):
        with pytest.raises(ProtocolError):
            load(stream(parts))


def test_a_body_that_does_not_hold_is_no_value() -> None:
    sealed = io.BytesIO()
    length = seal_parts(KEY, payload.value_parts(b'x' * 3 * SEGMENT), sealed)
    data = sealed.getvalue()
    for wrong in (data[:-1], data + b'x', data[:-1] + bytes([data[-1] ^ 1]), data[: 2 * (SEGMENT + 16)]):
        with pytest.raises(SealError):
            payload.load_outcome(open_stream(KEY, length, io.BytesIO(wrong)))


@given(st.lists(st.integers(0, 3 * SEGMENT), max_size=6), st.lists(st.integers(1, 2 * SEGMENT), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_pieces_of_any_sizes_are_read_in_any_sizes(sizes: list[int], reads: list[int]) -> None:
    whole = os.urandom(sum(sizes))
    parts, at = [], 0
    for size in sizes:
        parts.append(memoryview(whole)[at : at + size])
        at += size
    found, source = bytearray(), stream(parts)
    for size in reads * (len(whole) // sum(reads) + 1):
        found += source.read(size)
    assert found == whole
    assert source.read(1) == b''


def test_a_length_that_cannot_be_costs_nothing() -> None:
    with pytest.raises(SealError):
        open_stream(KEY, 2**62, io.BytesIO(b'x')).read(1)


@pytest.mark.parametrize('kind', [bytes, bytearray, lambda size: Buffer(bytearray(size))], ids=['bytes', 'bytearray', 'buffer'])
def test_a_large_value_is_there_once_on_each_side(kind: Callable[[int], Any]) -> None:
    size = 64 * SEGMENT
    value = kind(size)

    class Disk(io.BytesIO):
        """One that this process's memory does not know of."""

        def __init__(self) -> None:
            self.file = os.memfd_create('disk')

        def write(self, data: Any, /) -> int:
            return os.write(self.file, data)

        def readinto(self, buffer: Any, /) -> int:
            return os.readv(self.file, [buffer])

        def read(self, count: int | None = -1, /) -> bytes:
            return os.read(self.file, count or 0)

    disk = Disk()
    tracemalloc.start()
    try:
        length = seal_parts(KEY, payload.argument_parts((value,), {}), disk)
        sent = tracemalloc.get_traced_memory()[1]
        os.lseek(disk.file, 0, 0)
        tracemalloc.reset_peak()
        (found,), _ = payload.load_arguments(open_stream(KEY, length, disk))
        received = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        os.close(disk.file)
    assert found == value
    assert sent < 4 * SEGMENT
    assert received < size + 6 * SEGMENT
