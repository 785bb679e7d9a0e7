"""The relay's store on disk: SQLite, one file, one writer, group commit.

Integer keys only, for random ones halve the speed (measured). A lease touches two narrow tables and never the payload's row.
WAL with `synchronous=FULL`: a commit survives the power. Every row with bytes carries a sum over them, for SQLite does not see flipped bits.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from relay_parsl.errors import StoreError
from relay_parsl.relay.records import (
    AccountRow,
    Ended,
    Forgotten,
    FunctionRow,
    InviteRow,
    Lease,
    ObjectRow,
    ResultRow,
    Stage,
    TaskInfo,
    TaskRow,
)
from relay_parsl.relay.schema import ACCOUNT, APPLICATION, INFO, JOIN, LEAVE, RESULT, SCHEMA, STATUS, VERSION, account_row, checksum
from relay_parsl.relay.store import EVICTED, Store
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Hash, Id

log = logging.getLogger(__name__)

SCAN = 20_000
"""Rows that one `tasks` looks at, so that a listing stalls nobody."""


class SqliteStore(Store):
    """One relay's store in one file, which nobody else may open meanwhile."""

    def __init__(self, path: Path | str) -> None:
        """Open the file, or make it.

        Raises:
            StoreError: another relay uses it, a newer version wrote it, it is no relay's store, or the disk refuses.
        """
        self.broken = False
        self._path = str(path)
        self._ids: dict[int, Id] = {}
        self._numbers: dict[Id, int] = {}
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))  # its log takes the mode from it
            self._db = sqlite3.connect(self._path, timeout=1.0, isolation_level=None, check_same_thread=False)
        except OSError as error:
            raise StoreError(f'{self._path} cannot be opened: {error.strerror}; check the modes of the file and its directory') from error
        except sqlite3.Error as error:
            raise self._error(error) from error
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let others open it."""
        self._db.close()

    # -- Opening ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._one('PRAGMA locking_mode = EXCLUSIVE')
        if self._one('PRAGMA journal_mode = WAL')[0] != 'wal':
            raise StoreError(f'{self._path}: its filesystem cannot do write-ahead logging; keep the store on a local disk')
        for pragma in ('synchronous = FULL', 'wal_autocheckpoint = 4000', 'cache_size = -32768', 'temp_store = MEMORY', 'trusted_schema = OFF'):
            self._run(f'PRAGMA {pragma}')
        if self._one('PRAGMA synchronous')[0] != 2:
            raise StoreError(f'{self._path}: SQLite does not take synchronous=FULL')
        self.begin()  # and so the exclusive lock, until the file is closed
        self._migrate()
        self.commit()

    def _migrate(self) -> None:
        application, version = self._one('PRAGMA application_id')[0], self._one('PRAGMA user_version')[0]
        if version > VERSION:
            raise StoreError(f'{self._path} was written by a newer relay-parsl (store version {version}, this one knows {VERSION}): update this one')
        if application == APPLICATION and version == VERSION:
            return
        if application or version or self._one('SELECT count(*) FROM sqlite_schema')[0]:
            raise StoreError(f'{self._path} is not the store of a relay')
        for statement in filter(str.strip, SCHEMA.split(';')):
            self._run(statement)
        self._run(f'PRAGMA application_id = {APPLICATION}')
        self._run(f'PRAGMA user_version = {VERSION}')

    # -- Statements -------------------------------------------------------------------------------------------------

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._all(sql, values)[0]

    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """How many rows it changed."""
        try:
            return self._db.executemany(sql, rows).rowcount
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _in(self, sql: str, values: Collection[Any]) -> list[Any]:
        """A query with `IN ({})`, in a few sizes, so that prepared statements are found again."""
        found = []
        rest = list(dict.fromkeys(values))
        while rest:
            size = 512 if len(rest) >= 512 else 64 if len(rest) > 8 else 8
            part, rest = rest[:size], rest[size:]
            found += self._all(sql.format(','.join('?' * size)), part + part[:1] * (size - len(part)))
        return found

    def _error(self, error: sqlite3.Error) -> StoreError:
        """In words for the operator. A disk that fails once is not believed again: after that nothing is acknowledged."""
        text = str(error)
        if 'locked' in text or 'busy' in text:
            return StoreError(f'{self._path} is in use: another relay runs on this store')
        if 'not a database' in text:
            return StoreError(f'{self._path} is not the store of a relay')
        if 'unable to open' in text or 'readonly' in text:
            return StoreError(f'{self._path} cannot be opened: {text}; check the modes of the file and its directory')
        if 'full' not in text:
            self.broken = True
        return StoreError(f'{self._path}: {text}')

    # -- Turns ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._run('BEGIN IMMEDIATE')

    def commit(self) -> None:
        self._run('COMMIT')

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._run('ROLLBACK')

    def start(self) -> int:
        self._run("INSERT INTO marks VALUES ('start', 1) ON CONFLICT DO UPDATE SET value = value + 1")
        return int(self._one("SELECT value FROM marks WHERE name = 'start'")[0])

    def last(self) -> tuple[int, int]:
        number, done = self._one('SELECT (SELECT max(n) FROM tasks), (SELECT max(done) FROM results)')
        return number or 0, done or 0

    def size(self) -> int:
        pages, free, size = (self._one(f'PRAGMA {name}')[0] for name in ('page_count', 'freelist_count', 'page_size'))
        return int((pages - free) * size)

    # -- Accounts and objects ---------------------------------------------------------------------------------------

    def accounts(self) -> list[AccountRow]:
        rows = self._all('SELECT n, id, data FROM accounts')
        self._ids = {number: Id(account) for number, account, _ in rows}
        self._numbers = {account: number for number, account in self._ids.items()}
        return [account_row(codec.unpack(data)) for _, _, data in rows]

    def put_account(self, row: AccountRow) -> None:
        data = codec.pack([getattr(row, name) for name in ACCOUNT])
        self._run('INSERT INTO accounts (id, data) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data', (row.id, data))
        if row.id not in self._numbers:
            number = self._one('SELECT n FROM accounts WHERE id = ?', (row.id,))[0]
            self._ids[number], self._numbers[row.id] = row.id, number

    def invites(self) -> list[InviteRow]:
        return [InviteRow(curve, *codec.unpack(data)) for curve, data in self._all('SELECT curve, data FROM invites')]

    def put_invite(self, row: InviteRow) -> None:
        data = codec.pack([row.token, row.name, row.role, row.owner, row.expires])
        self._run('INSERT OR REPLACE INTO invites VALUES (?, ?)', (row.curve, data))

    def drop_invite(self, curve: bytes) -> None:
        self._run('DELETE FROM invites WHERE curve = ?', (curve,))

    def known_objects(self, hashes: Collection[Hash]) -> dict[Hash, float]:
        return dict(self._in('SELECT hash, until FROM objects WHERE hash IN ({})', hashes))

    def objects(self, hashes: Collection[Hash]) -> list[ObjectRow]:
        rows = self._in('SELECT hash, kind, account, data, until, sum FROM objects WHERE hash IN ({})', hashes)
        whole = [row for row in rows if checksum(row[0], row[3]) == row[5]]
        if len(whole) < len(rows):  # gone, so that it is missed, and the next client that has it brings it anew
            log.error('%s: %d objects are damaged on the disk, and dropped', self._path, len(rows) - len(whole))
            self._many('DELETE FROM objects WHERE hash = ?', [row[:1] for row in rows if row not in whole])
        return [ObjectRow(digest, kind, self._ids[account], data, until) for digest, kind, account, data, until, _ in whole]

    def put_objects(self, rows: Sequence[ObjectRow]) -> None:
        values = [(row.hash, row.kind, self._numbers[row.account], row.until, checksum(row.hash, row.data), row.data) for row in rows]
        self._many('INSERT OR IGNORE INTO objects (hash, kind, account, until, sum, data) VALUES (?, ?, ?, ?, ?, ?)', values)

    def keep_objects(self, hashes: Collection[Hash], until: float) -> None:
        self._many('UPDATE objects SET until = ? WHERE hash = ? AND until < ?', [(until, digest, until) for digest in hashes])

    def drop_objects(self, now: float, limit: int) -> int:
        return self._run('DELETE FROM objects WHERE n IN (SELECT n FROM objects WHERE until <= ? LIMIT ?)', (now, limit)).rowcount

    def put_function(self, row: FunctionRow) -> None:
        self._run(
            'INSERT INTO functions VALUES (?, ?, ?, ?, ?, ?)'
            ' ON CONFLICT (account, id) DO UPDATE SET size = excluded.size, sum = excluded.sum, data = excluded.data',
            (self._numbers[row.account], row.id, row.registered, row.size, checksum(row.id, row.data), row.data),
        )

    def function(self, account: Id, function: Id) -> FunctionRow | None:
        rows = self._all('SELECT registered, size, data, sum FROM functions WHERE account = ? AND id = ?', (self._numbers[account], function))
        if rows and checksum(function, rows[0][2]) != rows[0][3]:
            log.error('%s: a registered function is damaged on the disk', self._path)
            return None
        return FunctionRow(account, function, *rows[0][:3]) if rows else None

    def functions(self, account: Id, after: Id, limit: int) -> list[FunctionRow]:
        rows = self._all('SELECT id, registered, size FROM functions WHERE account = ? AND id > ? ORDER BY id LIMIT ?',
                         (self._numbers[account], after, limit))  # fmt: skip
        return [FunctionRow(account, *row) for row in rows]

    def functions_size(self, account: Id, without: Id) -> int:
        return self._one('SELECT ifnull(sum(size), 0) FROM functions WHERE account = ? AND id != ?', (self._numbers[account], without))[0]  # type: ignore[no-any-return]

    def drop_function(self, account: Id, function: Id) -> bool:
        return self._run('DELETE FROM functions WHERE account = ? AND id = ?', (self._numbers[account], function)).rowcount > 0

    # -- Tasks ------------------------------------------------------------------------------------------------------

    def add(self, rows: Sequence[TaskRow]) -> set[Id]:
        numbers = self._numbers
        added = self._many(
            "INSERT OR IGNORE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', ?, ?, ?)",
            [
                (row.number, row.id, numbers[row.account], row.group, numbers[row.endpoint], row.pool, row.priority, row.expires, row.at_most_once,
                 row.submitted, row.body, len(row.header) + len(row.payload) + row.body, row.attempt, checksum(row.header, row.payload),
                 row.header, row.payload)
                for row in rows
            ],
        )  # fmt: skip
        known: set[Id] = set()
        if added < len(rows):
            own = {row.id: row.number for row in rows}
            known = {each for each, number in self._in('SELECT id, n FROM tasks WHERE id IN ({})', own) if own[each] != number}
        new = [(numbers[row.endpoint], row.pool, numbers[row.account], row.priority, row.number) for row in rows if row.id not in known]
        self._many('INSERT INTO queue VALUES (?, ?, ?, ?, ?)', new)
        return known

    def find(self, ids: Collection[Id]) -> list[TaskInfo]:
        return list(map(self._info, self._in(f'{INFO} {JOIN} WHERE t.id IN ({{}})', ids)))

    def queued(self) -> list[tuple[Id, str, Id, int]]:
        rows = self._all('SELECT endpoint, pool, account, count(*) FROM queue GROUP BY endpoint, pool, account')
        return [(self._ids[endpoint], pool, self._ids[account], count) for endpoint, pool, account, count in rows]

    def waiting(self, endpoint: Id, pool: str, account: Id, limit: int, size: int) -> list[TaskRow]:
        cursor = self._run(
            """SELECT t.n, t.id, t.grp, t.priority, t.due, t.once, t.submitted, t.header, t.payload, t.body, t.attempt, t.sum
            FROM queue q CROSS JOIN tasks t ON t.n = q.n WHERE q.endpoint = ? AND q.pool = ? AND q.account = ? ORDER BY q.priority, q.n LIMIT ?""",
            (self._numbers[endpoint], pool, self._numbers[account], limit),
        )
        rows = []
        try:
            for row in cursor:
                rows.append(row)
                size -= len(row[8])
                if size <= 0:
                    break
            cursor.close()
        except sqlite3.Error as error:
            raise self._error(error) from error
        return [
            TaskRow(
                n, i, account, group, endpoint, pool, priority, due, bool(once), at, header, payload, body, attempt, checksum(header, payload) != crc
            )
            for n, i, group, priority, due, once, at, header, payload, body, attempt, crc in rows
        ]

    def lease(self, leases: Sequence[Lease]) -> None:
        numbers = [(each.number,) for each in leases]
        self._many('INSERT INTO leases SELECT endpoint, n, ?, ?, ?, ?, 0 FROM tasks WHERE n = ?',
                   [(each.attempt, each.session, each.serial, each.epoch, each.number) for each in leases])  # fmt: skip
        self._many(LEAVE, numbers)

    def requeue(self, tasks: Sequence[tuple[int, int]]) -> None:
        numbers = [(number,) for number, _ in tasks]
        self._many('DELETE FROM leases WHERE (endpoint, n) = (SELECT endpoint, n FROM tasks WHERE n = ?)', numbers)
        self._many('UPDATE tasks SET attempt = ? WHERE n = ?', [(attempt, number) for number, attempt in tasks])
        self._many('INSERT INTO queue SELECT endpoint, pool, account, priority, n FROM tasks WHERE n = ?', numbers)

    def ask_cancel(self, numbers: Sequence[int]) -> None:
        self._many(
            'UPDATE leases SET cancel = 1 WHERE (endpoint, n) = (SELECT endpoint, n FROM tasks WHERE n = ?)', [(number,) for number in numbers]
        )

    def leases(self, endpoint: Id) -> list[TaskInfo]:
        rows = self._all(f'{INFO} FROM leases l CROSS JOIN tasks t ON t.n = l.n WHERE l.endpoint = ?', (self._numbers[endpoint],))
        return list(map(self._info, rows))

    def unfinished(self, endpoint: Id, limit: int) -> list[TaskInfo]:
        rows = self._all(f'{INFO} {JOIN} WHERE t.n IN (SELECT n FROM queue WHERE endpoint = ?1'  # noqa: S608  words of ours
                         ' UNION ALL SELECT n FROM leases WHERE endpoint = ?1 LIMIT ?2)', (self._numbers[endpoint], limit))  # fmt: skip
        return list(map(self._info, rows))

    def tasks(self, after: int, limit: int, **where: Id) -> tuple[list[tuple[TaskInfo, bytes]], int]:
        keys = {'account': 't.account', 'endpoint': 't.endpoint', 'group': 't.grp', 'id': 't.id'}
        values = [self._numbers.get(value, 0) if key in ('account', 'endpoint') else value for key, value in where.items()]
        test = ' AND '.join([f'{keys[key]} = ?' for key in where] or ['1'])
        end = -1 if 'id' in where else after + SCAN
        rows = self._all(f'{INFO}, t.header {JOIN} WHERE {test} AND t.n > ? AND (? < 0 OR t.n <= ?) ORDER BY t.n LIMIT ?',
                         (*values, after, end, end, limit))  # fmt: skip
        if len(rows) == limit:
            end = rows[-1][0]
        elif end < 0 or end >= self.last()[0]:
            end = 0
        return [(self._info(row[:-1]), row[-1]) for row in rows], end

    def _info(self, row: Sequence[Any]) -> TaskInfo:
        number, task_id, account, group, endpoint, pool, once, at, size, body, attempt, done, status, priority, due, *lease = row
        leased = lease[0] is not None
        stage = Stage.DONE if done else Stage.LEASED if leased else Stage.QUEUED
        if leased:
            attempt = lease[0]
        return TaskInfo(
            number, task_id, self._ids[account], group, self._ids[endpoint], pool, bool(once), at, size, body, stage, attempt,
            lease[1] or 0, lease[2] or 0, lease[3] or 0, bool(lease[4]), STATUS[status] if done else None, priority, due,
        )  # fmt: skip

    # -- Results ----------------------------------------------------------------------------------------------------

    def finish(self, ended: Sequence[Ended]) -> None:
        numbers = self._numbers
        waited = [(each.task.number,) for each in ended if each.task.stage == Stage.QUEUED]
        self._many(LEAVE, waited)
        self._many('DELETE FROM leases WHERE endpoint = ? AND n = ?',
                   [(numbers[each.task.endpoint], each.task.number) for each in ended if each.task.stage == Stage.LEASED])  # fmt: skip
        self._many("UPDATE tasks SET done = ?, status = ?, payload = x'' WHERE n = ?",
                   [(each.done, each.status, each.task.number) for each in ended])  # fmt: skip
        later = [(each.until, each.task.number) for each in ended if each.until not in (0.0, each.task.expires)]
        self._many('UPDATE tasks SET due = ? WHERE n = ?', later)  # apart, for it moves an index entry
        self._many(
            'INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
            [
                (each.done, each.task.id, numbers[each.task.account], each.task.group, each.status, each.attempt, each.body, each.reason,
                 checksum(each.header, each.payload), each.header, each.payload)
                for each in ended
            ],
        )  # fmt: skip

    def results(self, ids: Collection[Id]) -> list[ResultRow]:
        return list(map(self._result, self._in(f'{RESULT} JOIN tasks t ON t.done = r.done WHERE t.id IN ({{}}) AND t.done > 0', ids)))

    def ended_after(self, account: Id, group: Id, done: int, limit: int) -> list[ResultRow]:
        rows = self._all(
            f'{RESULT} WHERE r.account = ? AND r.grp = ? AND r.done > ? ORDER BY r.done LIMIT ?', (self._numbers[account], group, done, limit)
        )
        return list(map(self._result, rows))

    def _result(self, row: Sequence[Any]) -> ResultRow:
        task_id, account, done, status, header, payload, body, attempt, reason, check = row
        damaged = checksum(header, payload) != check
        return ResultRow(task_id, self._ids[account], done, STATUS[status], header, payload, body, attempt, reason, damaged)

    def received(self, done: Collection[int]) -> None:
        self._many('INSERT OR IGNORE INTO received VALUES (?)', [(each,) for each in done])

    def due(self, now: float, limit: int) -> list[TaskInfo]:
        return list(map(self._info, self._all(f'{INFO} {JOIN} WHERE t.due <= ? ORDER BY t.due LIMIT ?', (now, limit))))

    def forget(self, numbers: Sequence[int]) -> list[Forgotten]:
        rows = self._in(
            'SELECT t.id, t.body, r.body, r.attempt, r.done FROM tasks t LEFT JOIN results r ON r.done = t.done WHERE t.n IN ({})', numbers
        )
        self._many('DELETE FROM results WHERE done = ?', [(row[4],) for row in rows])
        self._many('DELETE FROM received WHERE done = ?', [(row[4],) for row in rows])
        self._many('DELETE FROM tasks WHERE n = ?', [(number,) for number in numbers])
        return [Forgotten(task_id, bool(body), attempt if spooled else 0) for task_id, body, spooled, attempt, _ in rows]

    def evict(self, limit: int) -> list[Forgotten]:
        rows = self._all(
            'SELECT r.done, r.id, r.body, r.attempt FROM received v CROSS JOIN results r ON r.done = v.done ORDER BY v.done LIMIT ?', (limit,)
        )
        self._many("UPDATE results SET header = x'', payload = x'', body = 0, sum = ?, reason = ? WHERE done = ?",
                   [(checksum(b'', b''), EVICTED, row[0]) for row in rows])  # fmt: skip
        self._many('DELETE FROM received WHERE done = ?', [(row[0],) for row in rows])
        return [Forgotten(task_id, task=False, result=attempt if body else 0) for _, task_id, body, attempt in rows]
