"""Functions that the tests of compute run; endpoints in this process import them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def note(path: str, value: Any = None, seconds: float = 0.0) -> Any:
    """Leaves a line for each execution, and returns the value."""
    with Path(path).open('a') as file:
        file.write('done\n')
    time.sleep(seconds)
    return value


def fail(path: str, text: str) -> None:
    note(path)
    raise ValueError(text)


def wait_for(path: str) -> bool:
    """Until the file is there."""
    end = time.monotonic() + 60
    while not Path(path).exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
