"""The endpoint's journal on disk: SQLite in WAL mode with full synchronisation, one writer, locked against a second process.

An empty turn costs nothing: the transaction begins with its first statement.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from typing import Any
from zlib import crc32

from relay_parsl.endpoint.ledger import Kept, Spent
from relay_parsl.errors import StoreError, store_error
from relay_parsl.wire.messages import Hash, Id

log = logging.getLogger(__name__)

VERSION = 2
_SCHEMA = """
    CREATE TABLE life (epoch INTEGER NOT NULL, sum INTEGER NOT NULL DEFAULT 0);
    INSERT INTO life VALUES (0, row_sum(0));
    CREATE TABLE spent (handle BLOB PRIMARY KEY, sequences BLOB NOT NULL, until REAL NOT NULL, sum INTEGER NOT NULL DEFAULT 0)
        WITHOUT ROWID;
    CREATE TABLE results (
        number INTEGER PRIMARY KEY, task BLOB UNIQUE NOT NULL, attempt INTEGER NOT NULL, header BLOB NOT NULL, payload BLOB NOT NULL,
        sum INTEGER NOT NULL DEFAULT 0);
    PRAGMA user_version = 2;
"""
_DAMAGED = '{path} is damaged ({what}): delete the endpoint and make a new one, since what it had finished is not known any more'
_FROM_1 = """
    ALTER TABLE spent ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE results ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
    UPDATE spent SET sum = row_sum(handle, sequences, until);
    UPDATE results SET sum = row_sum(task, attempt, header, payload);
    ALTER TABLE life ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
    UPDATE life SET sum = row_sum(epoch);
    PRAGMA user_version = 2;
"""
_SHARE = 'CREATE TABLE IF NOT EXISTS share (one INTEGER PRIMARY KEY CHECK (one = 1), data BLOB NOT NULL)'
"""Came later. Who does not know it leaves it alone, so the format is the same."""


class SqliteJournal:
    """A `ledger.Journal` in one file."""

    def __init__(self, path: Path) -> None:
        """Opens the journal, or makes it with mode 0600.

        Raises:
            StoreError: it is in use by another process, written by a newer version, damaged, or cannot be written.
        """
        self.broken = False
        """Whether the disk has failed, rather than being full: nothing that is written after a failed sync can be believed."""
        self._path = path
        self._open = False
        with self._errors():
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            owner = os.fstat(fd).st_uid
            os.close(fd)
            if owner != os.geteuid():
                raise StoreError(f'{path} belongs to another user (uid {owner}): start the endpoint as that user, or chown the file')
            self._database = sqlite3.connect(path, isolation_level=None, timeout=0.5, check_same_thread=False)
        try:
            with self._errors():
                self._prepare()
        except StoreError:
            self._database.close()
            raise

    def close(self) -> None:
        """Let go of the file; what was not committed is gone."""
        self.rollback()
        self._database.close()

    # -- Turns -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a turn."""
        if self._open:
            raise StoreError('a turn is open')
        self._open = True

    def commit(self) -> None:
        """Write the turn to disk."""
        if self._database.in_transaction:
            self._run('COMMIT')
        self._open = False

    def rollback(self) -> None:
        """Forget the turn."""
        self._open = False
        with suppress(sqlite3.Error):
            if self._database.in_transaction:
                self._database.execute('ROLLBACK')

    # -- Statements --------------------------------------------------------------------------------------------------

    def advance(self) -> int:
        """The next epoch. Raises StoreError when the disk has changed the last one: a later process may have had this number."""
        if self._run('SELECT row_sum(epoch) IS sum FROM life').fetchone() != (1,):
            raise StoreError(_DAMAGED.format(path=self._path, what='the number of its process has changed'))
        self._write('UPDATE life SET epoch = epoch + 1, sum = row_sum(epoch + 1)')
        return int(self._run('SELECT epoch FROM life').fetchone()[0])

    def spent(self) -> list[Spent]:
        """Every grant's spent numbers. Raises StoreError when the disk has changed one: then it is not known what must never run again."""
        rows = self._run('SELECT handle, sequences, until, sum FROM spent').fetchall()
        if any(_sum(handle, sequences, until) != found for handle, sequences, until, found in rows):
            raise StoreError(_DAMAGED.format(path=self._path, what='the numbers of a grant have changed'))
        return [Spent(Hash(handle), sequences, until) for handle, sequences, until, _ in rows]

    def results(self) -> list[Kept]:
        """Every result kept, oldest first, but for those that the disk has changed: their tasks count as lost."""
        rows = self._run('SELECT task, attempt, header, payload, sum FROM results ORDER BY number').fetchall()
        whole = [row for row in rows if _sum(*row[:4]) == row[4]]
        for row in rows if len(whole) < len(rows) else ():
            if row not in whole:
                log.error('%s: the result of task %s is damaged on the disk, and not used', self._path, bytes(row[0]).hex())
        return [Kept(Id(task), attempt, header, payload) for task, attempt, header, payload, _ in whole]

    def spend(self, spent: Spent) -> None:
        """Replace what is known of a grant."""
        found = _sum(spent.grant, spent.sequences, spent.until)
        self._write('INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?)', spent.grant, spent.sequences, spent.until, found)

    def unspend(self, grant: Hash) -> None:
        """Forget a grant."""
        self._write('DELETE FROM spent WHERE handle = ?', grant)

    def keep(self, kept: Kept) -> None:
        """Keep a result."""
        statement = 'INSERT OR REPLACE INTO results (task, attempt, header, payload, sum) VALUES (?, ?, ?, ?, ?)'
        self._write(statement, kept.task_id, kept.attempt, kept.header, kept.payload, _sum(kept.task_id, kept.attempt, kept.header, kept.payload))

    def forget(self, task_id: Id) -> None:
        """Forget a result."""
        self._write('DELETE FROM results WHERE task = ?', task_id)

    def share(self) -> bytes:
        """The last statement about guests that held here; empty: there was none."""
        rows = self._run('SELECT data FROM share').fetchall()
        return bytes(rows[0][0]) if rows else b''

    def put_share(self, data: bytes) -> None:
        """Replace it."""
        self._write('INSERT OR REPLACE INTO share VALUES (1, ?)', data)

    # -- SQLite ------------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        for pragma in ('locking_mode = EXCLUSIVE', 'journal_mode = WAL', 'synchronous = FULL', 'wal_autocheckpoint = 400'):
            self._database.execute(f'PRAGMA {pragma}')
        self._database.execute('BEGIN IMMEDIATE')  # takes the lock now, and keeps it: that is what a second process meets
        version = self._database.execute('PRAGMA user_version').fetchone()[0]
        if version > VERSION:
            raise StoreError(f'{self._path} was written by a newer relay-parsl (format {version}, this one knows {VERSION}): update this one')
        self._database.create_function('row_sum', -1, _sum, deterministic=True)
        for statement in filter(str.strip, {0: _SCHEMA, 1: _FROM_1}.get(version, '').split(';')):
            self._database.execute(statement)
        self._database.execute(_SHARE)
        self._database.execute('COMMIT')

    def _write(self, statement: str, *values: Any) -> None:
        if not self._open:
            raise StoreError('a statement outside a turn')
        if not self._database.in_transaction:
            self._run('BEGIN IMMEDIATE')
        self._run(statement, *values)

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with self._errors():
            return self._database.execute(statement, values)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # what is said of a damaged table may hold the damage, and be no text
            self.broken = self.broken or not any(word in str(error) for word in ('full', 'locked'))
            raise store_error(_words(self._path, error), str(error)) from error
        except OSError as error:
            raise StoreError(f'{self._path}: {error.strerror}: the journal must be a file that this user can read and write') from error


def _sum(*values: bytes | float) -> int:
    """Over a row: SQLite does not see flipped bits."""
    return reduce(lambda found, value: crc32(value if isinstance(value, bytes) else repr(value).encode(), found), values, 0)


def _words(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> str:
    text = 'its tables are malformed' if isinstance(error, UnicodeDecodeError) else str(error)
    if 'locked' in text:
        return f'{path} is in use: another process runs this endpoint; stop it first'
    if 'full' in text:
        return f'{path}: the disk is full'
    if 'malformed' in text or 'not a database' in text:
        return _DAMAGED.format(path=path, what=text)
    return f'{path}: {text}'
