"""Copies of a store: page by page through the connection that owns it, so that they are of one moment however much is written meanwhile."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

PAGES = 500
"""Pages of one step: 4 MB, some milliseconds in which the relay's turn waits."""

Step = Callable[[int, int], None]
"""Called after each step with the pages that are left, and all of them."""


def copy(source: sqlite3.Connection, target: str | Path, step: Step | None = None) -> None:
    """Copy a whole store into a file, readable by its owner alone, that replaces one of that name when it is complete and on the disk.

    Raises:
        OSError: the file cannot be made.
        sqlite3.Error: the disk is full, or one of the two cannot be read or written.
    """
    part = f'{target}.part'
    Path(part).unlink(missing_ok=True)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(part, isolation_level=None, check_same_thread=False)) as made:
            source.backup(made, pages=PAGES if step else -1, progress=(lambda _status, left, total: step(left, total)) if step else None, sleep=0.01)
            made.execute('PRAGMA journal_mode = DELETE')  # one file, without a log beside it
        Path(part).replace(target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    sync_directory(Path(target).parent)


def sync_directory(path: Path) -> None:
    """What was renamed into it stays there when the power fails."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
