"""Objects that make trouble when they are pickled or read."""

from __future__ import annotations

import threading
from typing import Any


class Hostile:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


def nested(depth: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    return deep


UNPICKLABLE = [threading.Lock(), Hostile(ValueError('no')), Hostile(RecursionError()), Hostile(MemoryError()), nested(100_000), (x for x in [1])]


class Fires:
    """Its pickle appends to a list when it is read."""

    def __init__(self, fired: list[int]) -> None:
        self.fired = fired

    def __reduce__(self) -> Any:
        return (fire, ())


FIRED: list[int] = []


def fire() -> int:
    FIRED.append(1)
    return 1


class Firing(Exception):
    def __reduce__(self) -> Any:
        return (fire, ())
