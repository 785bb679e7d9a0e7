"""Every parser raises its own errors and nothing else, in bounded memory and time, whatever comes. `make fuzz` tries longer."""

from __future__ import annotations

import pytest

from tests.fuzz.file_targets import TARGETS as FILES
from tests.fuzz.harness import Target, TooMuch, fuzz
from tests.fuzz.wire_targets import TARGETS as WIRE

TARGETS = [*WIRE, *FILES]


@pytest.mark.attack(38)
@pytest.mark.parametrize('target', TARGETS, ids=lambda target: target.name)
def test_only_errors_of_its_own_come_out(target: Target) -> None:
    fuzz(target)


def test_a_fault_that_was_planted_is_found() -> None:
    """A parser of `count, then as many items` that trusts the count: it is found in as many examples as each parser gets."""

    def trusting(data: bytes) -> int:
        if not data.startswith(b'RP'):
            raise ValueError
        return data[3 + data[2]]

    with pytest.raises(IndexError):
        fuzz(Target('planted', trusting, (ValueError,), [b'RP\x01abc']), 120)


def test_memory_that_was_planted_is_found() -> None:
    def greedy(data: bytes) -> bytes:
        return bytes(int.from_bytes(data[:4], 'little') % (1 << 28))

    with pytest.raises(TooMuch, match='bytes of memory'):
        fuzz(Target('planted', greedy, (), [b'\0\0\0\0abc']), 120)
