"""Gives one parser bytes, and holds it to its errors, to memory and to time."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.fuzz.mutation import mutated

EXAMPLES = int(os.environ.get('FUZZ', '0'))
"""Examples for each parser: `make fuzz` says how many. 0: few, and the same each time."""
FACTOR, ROOM = 400, 8 << 20
"""Bytes of memory for each byte that came, and beside them."""
SECONDS = 3.0
"""For one input, traced, on a busy machine. What is quadratic in some kilobytes takes longer."""


@dataclass(frozen=True)
class Target:
    """A parser that a stranger's bytes reach.

    Attributes:
        name: For people.
        parse: Takes the bytes.
        errors: All that it may raise.
        seeds: Bytes that are right.
        few: Examples in `make test`.
    """

    name: str
    parse: Callable[[bytes], Any]
    errors: tuple[type[BaseException], ...]
    seeds: Sequence[bytes]
    few: int = 30


class TooMuch(AssertionError):
    """More memory or time than the input is worth."""


def attempt(target: Target, data: bytes) -> None:
    """One input. Raises what the parser may not raise, and TooMuch."""
    tracemalloc.reset_peak()
    before, began = tracemalloc.get_traced_memory()[0], time.perf_counter()
    with suppress(*target.errors):
        target.parse(data)
    taken, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1] - before
    if peak > FACTOR * len(data) + ROOM:
        raise TooMuch(f'{target.name}: {peak} bytes of memory for {len(data)}')
    if taken > SECONDS:
        raise TooMuch(f'{target.name}: {taken:.1f} s for {len(data)} bytes')


def fuzz(target: Target, examples: int = EXAMPLES) -> None:
    """Many inputs, nearly right ones and others. Raises what `attempt` raises, for the smallest input that does it."""
    for seed in target.seeds:
        target.parse(seed)  # whatever a seed raises, it is none

    @settings(max_examples=examples or target.few, derandomize=not EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated(target.seeds))
    def check(data: bytes) -> None:
        attempt(target, data)

    gc.collect()
    tracemalloc.start()
    try:
        check()
    finally:
        tracemalloc.stop()
