"""Whether a database file is whole, as SQLite sees it, without writing to it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

STEPS = 20_000
"""Instructions of SQLite between two looks at the clock."""
TELLS = 5
"""Faults that are told of one file."""


def quick_check(path: Path, seconds: float) -> tuple[tuple[str, ...], str]:
    """What `PRAGMA quick_check` says: its faults, and a note why there was no answer, '' when there was.

    Args:
        path: Any SQLite file; it is opened for reading only.
        seconds: After these the look is given up.
    """
    end = time.monotonic() + seconds
    try:
        with closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=0.5)) as file:
            file.set_progress_handler(lambda: int(time.monotonic() > end), STEPS)
            found = [str(row[0]) for row in file.execute(f'PRAGMA quick_check({TELLS})')]
    except sqlite3.DatabaseError as error:
        text = str(error)
        if 'locked' in text or 'busy' in text:
            return (), 'in use by its process, which alone may read it; it was not looked at'
        if 'interrupted' in text:
            return (), f'so far whole; the look was ended after {seconds:g} s'
        return (text,), ''
    return tuple(each for each in found if each != 'ok'), ''
