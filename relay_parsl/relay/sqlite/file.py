"""The file of the relay's store: opened by one relay at a time, and what every statement goes through."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from relay_parsl.errors import StoreError, store_error
from relay_parsl.relay.schema import APPLICATION, NEW, VERSION, WAYS
from relay_parsl.relay.sqlite.copies import Step, copy
from relay_parsl.relay.sqlite.mending import mend
from relay_parsl.relay.sums import end_sum, joined, key_sum, row_sum

log = logging.getLogger(__name__)

PAGE = 8192
"""Bytes of a page in a new file: with SQLite's 4096, a payload of 100 kB costs half as much again, and small tasks a tenth (measured)."""
LOG_PAGES = 500
"""Pages of the write-ahead log after which it goes back into the file and begins anew: few, so that no turn waits long for that."""
LOG_BYTES = LOG_PAGES * 9000
"""Its size from the start: overwriting a log syncs in half the time that a growing one takes (measured)."""

FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""What a statement may raise: what SQLite says of a damaged table may hold the damage, and be no text."""
Blob = bytearray
"""How bytes are bound where there are many: Python's sqlite3 looks for an adapter of each `bytes`, which takes six times as long (measured)."""


class StoreFile:
    """One file, which nobody else may open meanwhile."""

    def __init__(self, path: Path | str) -> None:
        """Open the file, or make it.

        Raises:
            StoreError: another relay uses it, a newer version wrote it, it is no relay's store, or the disk refuses.
        """
        self.broken = False
        self.migrated: tuple[int, str] | None = None
        """The version that it had until now, and where it stays as it was."""
        self._path = str(path)
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)  # its log takes the mode from it
            owner = os.fstat(fd).st_uid
            os.close(fd)
            if owner != os.geteuid():
                raise StoreError(f'{self._path} belongs to another user (uid {owner}): start the relay as that user, or chown the file')
            self._db = sqlite3.connect(self._path, timeout=1.0, isolation_level=None, check_same_thread=False)
        except OSError as error:
            raise StoreError(f'{self._path} cannot be opened: {error.strerror}; check the modes of the file and its directory') from error
        except sqlite3.Error as error:
            raise self._error(error) from error
        try:
            self._db.text_factory = _text
            for function in (row_sum, joined, key_sum, end_sum):
                self._db.create_function(function.__name__, -1, function, deterministic=True)
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let others open it."""
        self._db.close()

    # -- Opening ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._run(f'PRAGMA page_size = {PAGE}')  # an older file keeps its own
        self._one('PRAGMA locking_mode = EXCLUSIVE')
        if self._one('PRAGMA journal_mode = WAL')[0] != 'wal':
            raise StoreError(f'{self._path}: its filesystem cannot do write-ahead logging; keep the store on a local disk')
        pragmas = ('synchronous = FULL', f'wal_autocheckpoint = {LOG_PAGES}', 'cache_size = -32768', 'temp_store = MEMORY', 'trusted_schema = OFF')
        for pragma in pragmas:
            self._run(f'PRAGMA {pragma}')
        if self._one('PRAGMA synchronous')[0] != 2:
            raise StoreError(f'{self._path}: SQLite does not take synchronous=FULL')
        self.begin()  # and so the exclusive lock, until the file is closed
        version = self._found()
        self.commit()
        if 0 < version < VERSION:
            self._keep(version)
        self.begin()
        self._migrate(version)
        self._mend()
        self.commit()
        with suppress(OSError):  # it is there for speed
            self._make_room_for_log()

    def _make_room_for_log(self) -> None:
        """Zeros after what is in the log: no frame of it, so they are never read as one."""
        log_file = os.open(f'{self._path}-wal', os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            end = os.lseek(log_file, 0, os.SEEK_END)
            os.write(log_file, bytes(max(0, LOG_BYTES - end)))
            os.fsync(log_file)
        finally:
            os.close(log_file)

    def _found(self) -> int:
        """The version of what is there, 0 for nothing. Raises StoreError when it is not for this relay-parsl."""
        application, version = self._one('PRAGMA application_id')[0], int(self._one('PRAGMA user_version')[0])
        if version > VERSION:
            older = kept_copy(self._path, VERSION)
            back = f', or go back to {older}, made when it was brought to the newer version' if os.path.exists(older) else ''
            raise StoreError(
                f'{self._path} was written by a newer relay-parsl (store version {version}, this one knows {VERSION}): update this one{back}'
            )
        if application == APPLICATION and (version == VERSION or version in WAYS):
            return version
        if application or version or self._one('SELECT count(*) FROM sqlite_schema')[0]:
            raise StoreError(f'{self._path} is not the store of a relay')
        return 0

    def _keep(self, version: int) -> None:
        """A copy of the older store beside it, so that there is a way back."""
        target = kept_copy(self._path, version)
        try:
            copy(self._db, target)
        except OSError as error:
            raise StoreError(f'{self._path} cannot be brought to version {VERSION}, for it cannot be copied to {target} before: {error}') from error
        except sqlite3.Error as error:
            raise self._error(error) from error
        self.migrated = (version, target)
        log.warning('%s: the store of version %d is brought to version %d; as it was it stays in %s', self._path, version, VERSION, target)

    def _migrate(self, version: int) -> None:
        if version == VERSION:
            return
        self._script(WAYS[version] if version else NEW)
        self._run(f'PRAGMA application_id = {APPLICATION}')
        self._run(f'PRAGMA user_version = {VERSION}')

    def _mend(self) -> None:
        """What rows have changed on the disk is found now, and never believed."""
        try:
            for word in mend(self._db):
                log.error('%s: %s', self._path, word)
        except StoreError as error:
            raise StoreError(f'{self._path} is damaged: {error}') from None
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _script(self, script: str) -> None:
        for statement in filter(str.strip, script.split(';')):
            self._run(statement)

    # -- Statements -------------------------------------------------------------------------------------------------

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except FAULTS as error:
            raise self._error(error) from error

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except FAULTS as error:
            raise self._error(error) from error

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._all(sql, values)[0]

    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """How many rows it changed."""
        try:
            return self._db.executemany(sql, rows).rowcount
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _in(self, sql: str, values: Collection[Any], *more: Any) -> list[Any]:
        """A query with `IN ({})`, in a few sizes, so that prepared statements are found again; `more` are the values behind."""
        found = []
        rest = list(dict.fromkeys(values))
        while rest:
            size = 512 if len(rest) >= 512 else 64 if len(rest) > 8 else 8
            part, rest = rest[:size], rest[size:]
            found += self._all(sql.format(','.join('?' * size)), [*part, *part[:1] * (size - len(part)), *more])
        return found

    def _error(self, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
        """In words for the operator. A disk that fails once is not believed again: after that nothing is acknowledged."""
        text = 'its tables are malformed' if isinstance(error, UnicodeDecodeError) else str(error)
        if 'locked' in text or 'busy' in text:
            return StoreError(f'{self._path} is in use: another relay runs on this store')
        if 'not a database' in text:
            return StoreError(f'{self._path} is not the store of a relay')
        if 'unable to open' in text or 'readonly' in text:
            return StoreError(f'{self._path} cannot be opened: {text}; check the modes of the file and its directory')
        if 'full' not in text:
            self.broken = True
        return store_error(f'{self._path}: {text}', text)

    # -- Turns ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a turn."""
        self._run('BEGIN IMMEDIATE')

    def commit(self) -> None:
        """Make it true: on the disk when this returns."""
        self._run('COMMIT')

    def rollback(self) -> None:
        """Forget the turn, if there is one."""
        if self._db.in_transaction:
            self._run('ROLLBACK')

    def start(self) -> int:
        """Count this start."""
        self._run("INSERT OR IGNORE INTO marks VALUES ('start', 0, 0)")
        self._run("UPDATE marks SET value = value + 1, sum = row_sum(name, value + 1) WHERE name = 'start'")
        return int(self._one("SELECT value FROM marks WHERE name = 'start'")[0])

    def copy_to(self, target: Path, step: Step) -> None:
        """A copy of this moment, in another thread than the turns': none may run during a step. Raises OSError, StoreError."""
        try:
            copy(self._db, target, step)
        except sqlite3.Error as error:
            raise StoreError(f'{self._path} cannot be copied to {target}: {error}') from error

    def restored(self) -> tuple[float, float] | None:
        """When this store was restored, and when the backup was made; None for one that never was."""
        marks = dict(self._all("SELECT name, value FROM marks WHERE name IN ('restored', 'saved')"))
        return (marks['restored'], marks['saved']) if len(marks) == 2 else None

    def size(self) -> int:
        """Bytes of the pages in use."""
        pages, free, size = (self._one(f'PRAGMA {name}')[0] for name in ('page_count', 'freelist_count', 'page_size'))
        return int((pages - free) * size)

    def spare(self) -> int:
        """Bytes of the pages in the file that are not in use."""
        return int(self._one('PRAGMA freelist_count')[0] * self._one('PRAGMA page_size')[0])


def _text(data: bytes) -> str:
    """Text with a flipped bit may be none; its row's sum says so."""
    return str(data, 'utf-8', 'replace')


def kept_copy(path: str, version: int) -> str:
    """Where a store of an older version stays when it is brought to a newer one."""
    return f'{path}.{version}'
