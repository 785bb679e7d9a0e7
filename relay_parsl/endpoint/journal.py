"""The endpoint's journal on disk: SQLite in WAL mode with full synchronisation, one writer, locked against a second process.

An empty turn costs nothing: the transaction begins with its first statement.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from relay_parsl.endpoint.ledger import Kept, Spent
from relay_parsl.errors import StoreError
from relay_parsl.wire.messages import Hash, Id

VERSION = 1
_SCHEMA = """
    CREATE TABLE life (epoch INTEGER NOT NULL);
    INSERT INTO life VALUES (0);
    CREATE TABLE spent (handle BLOB PRIMARY KEY, sequences BLOB NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE results (
        number INTEGER PRIMARY KEY, task BLOB UNIQUE NOT NULL, attempt INTEGER NOT NULL, header BLOB NOT NULL, payload BLOB NOT NULL);
    PRAGMA user_version = 1;
"""


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
        """The next epoch."""
        self._write('UPDATE life SET epoch = epoch + 1')
        return int(self._run('SELECT epoch FROM life').fetchone()[0])

    def spent(self) -> list[Spent]:
        """Every grant's spent numbers."""
        return [
            Spent(Hash(handle), sequences, until) for handle, sequences, until in self._run('SELECT handle, sequences, until FROM spent').fetchall()
        ]

    def results(self) -> list[Kept]:
        """Every result kept, oldest first."""
        rows = self._run('SELECT task, attempt, header, payload FROM results ORDER BY number').fetchall()
        return [Kept(Id(task), attempt, header, payload) for task, attempt, header, payload in rows]

    def spend(self, spent: Spent) -> None:
        """Replace what is known of a grant."""
        self._write('INSERT OR REPLACE INTO spent VALUES (?, ?, ?)', spent.grant, spent.sequences, spent.until)

    def unspend(self, grant: Hash) -> None:
        """Forget a grant."""
        self._write('DELETE FROM spent WHERE handle = ?', grant)

    def keep(self, kept: Kept) -> None:
        """Keep a result."""
        statement = 'INSERT OR REPLACE INTO results (task, attempt, header, payload) VALUES (?, ?, ?, ?)'
        self._write(statement, kept.task_id, kept.attempt, kept.header, kept.payload)

    def forget(self, task_id: Id) -> None:
        """Forget a result."""
        self._write('DELETE FROM results WHERE task = ?', task_id)

    # -- SQLite ------------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        for pragma in ('locking_mode = EXCLUSIVE', 'journal_mode = WAL', 'synchronous = FULL', 'wal_autocheckpoint = 400'):
            self._database.execute(f'PRAGMA {pragma}')
        self._database.execute('BEGIN IMMEDIATE')  # takes the lock now, and keeps it: that is what a second process meets
        version = self._database.execute('PRAGMA user_version').fetchone()[0]
        if version > VERSION:
            raise StoreError(f'{self._path} was written by a newer relay-parsl (format {version}, this one knows {VERSION}): update this one')
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(';')):
                self._database.execute(statement)
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
        except sqlite3.Error as error:
            self.broken = self.broken or not any(word in str(error) for word in ('full', 'locked'))
            raise StoreError(_words(self._path, error)) from error
        except OSError as error:
            raise StoreError(f'{self._path}: {error.strerror}: the journal must be a file that this user can read and write') from error


def _words(path: Path, error: sqlite3.Error) -> str:
    text = str(error)
    if 'locked' in text:
        return f'{path} is in use: another process runs this endpoint; stop it first'
    if 'full' in text:
        return f'{path}: the disk is full'
    if 'malformed' in text or 'not a database' in text:
        return f'{path} is damaged ({text}): delete the endpoint and make a new one, since what it had finished is not known any more'
    return f'{path}: {text}'
