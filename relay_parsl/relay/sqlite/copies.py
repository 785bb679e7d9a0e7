"""Copies of a store: page by page through the connection that owns it, so that they are of one moment however much is written meanwhile."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from relay_parsl.errors import StoreError
from relay_parsl.relay.schema import APPLICATION, SUM
from relay_parsl.relay.sums import BOOKED, row_sum

PAGES = 500
"""Pages of one step: 4 MB, some milliseconds in which the relay's turn waits."""
EPOCH = 1_735_689_600
"""Seconds since 1970 when 2025 began: restored stores count their starts on from the seconds since then."""

SUMMED = 4
"""The first version of the tables in which every row has a sum."""

Step = Callable[[int, int], None]
"""Called after each step with the pages that are left, and all of them."""


@dataclass(frozen=True)
class Copied:
    """What a file says of itself: the version of its tables, and how many tasks are in it."""

    version: int
    tasks: int


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
            made.execute('PRAGMA synchronous = OFF')  # it is synced below, when nobody waits for it
            made.execute('PRAGMA journal_mode = OFF')
            source.backup(made, pages=PAGES if step else -1, progress=(lambda _status, left, total: step(left, total)) if step else None, sleep=0.01)
        sync(part)
        Path(part).replace(target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    sync(Path(target).parent)


def copy_file(source: Path, target: Path, step: Step) -> None:
    """Copy a store that no relay has open, whatever its version. Raises OSError, StoreError."""
    try:
        with closing(sqlite3.connect(source, timeout=1.0, isolation_level=None)) as opened:
            opened.execute('PRAGMA locking_mode = EXCLUSIVE')
            opened.execute('BEGIN IMMEDIATE')  # refused while a relay has it open; the lock stays
            opened.execute('COMMIT')
            copy(opened, target, step)
    except sqlite3.Error as error:
        raise StoreError(f'{source} cannot be copied: {error}; a store that a relay has open is copied by that relay') from error


def examine(path: Path) -> Copied:
    """Whether a copy is whole. Raises StoreError."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as opened:
            [application], [version] = opened.execute('PRAGMA application_id').fetchone(), opened.execute('PRAGMA user_version').fetchone()
            if application != APPLICATION:
                raise StoreError(f'{path} is not the store of a relay')
            [said] = opened.execute('PRAGMA quick_check(1)').fetchone()
            if said != 'ok':
                raise StoreError(f'{path} is damaged: {said}')
            return Copied(version, opened.execute('SELECT count(*) FROM tasks').fetchone()[0])
    except sqlite3.Error as error:
        raise StoreError(f'{path} cannot be read: {error}') from error


def bodies(path: Path) -> set[str]:
    """The spooled bodies that a copy refers to, as the spool names them. Raises StoreError."""
    query = """SELECT lower(hex(id)) || '.0.task' FROM tasks WHERE body > 0 AND done = 0
        UNION ALL SELECT lower(hex(id)) || '.' || tried || '.result' FROM tasks WHERE spooled > 0"""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as opened:
            return {name for (name,) in opened.execute(query)}
    except sqlite3.Error as error:
        raise StoreError(f'{path} cannot be read: {error}') from error


def renew(path: Path, now: float, made: float) -> None:
    """Make another incarnation of a copy that was made at `made`: no session number of the one that it was made of comes again. Raises StoreError."""
    begin = 'INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value + 1, excluded.value)'
    note = 'INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)'
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as opened:
            opened.execute('BEGIN IMMEDIATE')
            opened.execute(begin, ('start', int(now) - EPOCH))
            opened.executemany(note, [('restored', int(now)), ('saved', int(made))])
            if opened.execute('PRAGMA user_version').fetchone()[0] >= SUMMED:
                opened.create_function('row_sum', -1, row_sum)
                opened.execute(SUM.format(table='marks', columns=BOOKED['marks']))
            opened.execute('COMMIT')
    except sqlite3.Error as error:
        raise StoreError(f'{path} cannot be written: {error}') from error


def sync(path: str | Path) -> None:
    """A file, or the names in a directory, are on the disk when this returns."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
