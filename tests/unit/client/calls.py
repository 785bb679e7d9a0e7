"""What tests of the client have run, and how they wait."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

LONG = 30


class OwnError(Exception):
    """The user's."""


def double(number: int) -> int:
    return 2 * number


def fail(text: str) -> None:
    raise OwnError(text)


def leave() -> None:
    sys.exit(3)


def thread_name() -> str:
    return threading.current_thread().name


class Where:
    """Its pickle is read as the name of the thread that reads it."""

    def __reduce__(self) -> Any:
        return thread_name, ()


def until(happened: object, timeout: float = LONG) -> None:
    end = threading.Event()
    for _ in range(int(timeout / 0.01)):
        if happened():  # type: ignore[operator]
            return
        end.wait(0.01)
    pytest.fail('it never happened')
