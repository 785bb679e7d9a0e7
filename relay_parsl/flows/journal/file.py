"""The journal's file: opened by several processes at once, one writer at a time; what every statement goes through.

WAL with `synchronous=FULL`: a commit survives the power. It must lie on a disk that all of its processes see as one machine does: SQLite's
write-ahead log does not work between the hosts of a network filesystem.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from relay_parsl.errors import StoreError, StoreFailed, store_error
from relay_parsl.flows.journal.schema import APPLICATION, TABLES, VERSION

BUSY = 20.0
"""Seconds that a statement waits for the writer before it."""


_WRITERS: dict[Path, threading.RLock] = {}
"""One for all connections of this process to a file: threads that wait for one another in Python need not sleep and try again."""


class StoreWaits(StoreFailed):
    """It may be otherwise in a while: the disk is full, or somebody writes for very long. Nothing was written."""


_MAKING = threading.Lock()


def _make(path: Path) -> None:
    """Make the file with mode 0600, if it is not there; one that is there is left alone.

    Not even opened: to close a descriptor of it would take away, as POSIX has it, the locks of every connection of this process. Another process
    then thinks that it is the last one, and removes the log from under us.

    Raises:
        OSError: it cannot be made, or is a symbolic link.
    """
    with _MAKING:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            if path.is_symlink():
                raise OSError(errno.ELOOP, 'is a symbolic link', str(path)) from None


class JournalFile:
    """One connection; threads may share it, one turn at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it with mode 0600.

        Raises:
            StoreError: a newer version wrote it, it is damaged or no journal, or it cannot be read and written.
        """
        self.path = path
        self._lock = threading.RLock()
        self._writer = _WRITERS.setdefault(path.absolute(), threading.RLock())
        with self._errors():
            _make(path)
            self._database = sqlite3.connect(path, isolation_level=None, timeout=BUSY, check_same_thread=False, cached_statements=256)
        try:
            with self._errors():
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Let go of the file; what was not committed is gone."""
        with self._lock:
            self._database.close()

    def version(self) -> int:
        """Grows with every commit, whoever made it. A few microseconds."""
        with self._lock:
            return int(self.one('PRAGMA data_version')[0]) + self._database.total_changes

    def others(self) -> int:
        """Another number after each commit that did not go through this connection."""
        return int(self.one('PRAGMA data_version')[0])

    # -- Opening -----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if self.one('PRAGMA journal_mode = WAL')[0] != 'wal':
            raise StoreError(f'{self.path}: its filesystem cannot do write-ahead logging; set $RELAY_PARSL_HOME to a directory on a local disk')
        for pragma in ('synchronous = FULL', 'temp_store = MEMORY', 'trusted_schema = OFF', 'cache_size = -16384', 'wal_autocheckpoint = 2000'):
            self.run(f'PRAGMA {pragma}')
        if self._foreign():
            raise StoreError(f'{self.path} is not a journal of flows')
        if self._age() != VERSION:
            with self.turn():
                self._migrate()

    def _age(self) -> int:
        return int(self.one('PRAGMA user_version')[0])

    def _foreign(self) -> bool:
        application = self.one('PRAGMA application_id')[0]
        return application != APPLICATION and bool(application or self._age() or self.one('SELECT count(*) FROM sqlite_schema')[0])

    def _migrate(self) -> None:
        """Under the write lock: of several processes that open a new file at once, one makes the tables."""
        age = self._age()
        if age > VERSION:
            raise StoreError(f'{self.path} was written by a newer relay-parsl (format {age}, this one knows {VERSION}): update this one')
        if age == 0:
            for statement in filter(str.strip, TABLES.split(';')):
                self.run(statement)
        self.run(f'PRAGMA application_id = {APPLICATION}')
        self.run(f'PRAGMA user_version = {VERSION}')

    # -- Statements --------------------------------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[None]:
        """All or nothing, on the disk when the block has ended; other threads and processes wait."""
        with self._writer, self._lock:
            self.run('BEGIN IMMEDIATE')
            try:
                yield
                self.run('COMMIT')
            except BaseException:
                with suppress(sqlite3.Error):
                    if self._database.in_transaction:
                        self._database.execute('ROLLBACK')
                raise

    @contextmanager
    def glance(self) -> Iterator[None]:
        """Several queries see one state of the file."""
        with self._lock:
            self.run('BEGIN')
            try:
                yield
            finally:
                with suppress(sqlite3.Error):
                    self._database.execute('ROLLBACK')

    def run(self, statement: str, *values: Any) -> int:
        """How many rows it changed."""
        with self._lock, self._errors():
            return self._database.execute(statement, values).rowcount

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """One statement for many rows."""
        with self._lock, self._errors():
            self._database.executemany(statement, rows)

    def all(self, statement: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        with self._lock, self._errors():
            return self._database.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> Any:
        """The first row of a query; None where there is none."""
        with self._lock, self._errors():
            return self._database.execute(statement, values).fetchone()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _error(self.path, str(error)) from error
        except OSError as error:
            raise StoreError(f'{self.path}: {error.strerror}: the journal must be a file that this user can read and write') from error


def _error(path: Path, text: str) -> StoreError:
    """In words for the user."""
    if 'locked' in text or 'busy' in text:
        return StoreWaits(f'{path} is in use: another process has been writing for {BUSY:g} s; try again')
    if 'full' in text:
        return StoreWaits(f'{path}: the disk is full: make room, and the runs go on')
    if 'malformed' in text or 'not a database' in text:
        return StoreError(
            f'{path} is damaged ({text}): put back a copy of it, or move it away with its -wal and -shm: then a new one is made, without runs'
        )
    if 'unable to open' in text or 'readonly' in text:
        return StoreError(f'{path} cannot be written ({text}): check the modes of the file and its directory')
    return store_error(f'{path}: {text}', text)
