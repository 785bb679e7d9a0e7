"""The relay's store on disk: SQLite, one file, one writer, group commit.

Integer keys only, for random ones halve the speed (measured). A lease touches two narrow tables and never the payload's row.
WAL with `synchronous=FULL`: a commit survives the power. Every row with bytes carries a sum over them, for SQLite does not see flipped bits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from relay_parsl.relay.records import (
    Ended,
    Forgotten,
    Lease,
    ResultRow,
    Stage,
    TaskInfo,
    TaskRow,
)
from relay_parsl.relay.schema import INFO, JOIN, LEAVE, RESULT, STATUS, checksum
from relay_parsl.relay.sqlite.books import Books
from relay_parsl.relay.sqlite.file import Blob
from relay_parsl.relay.store import EVICTED
from relay_parsl.wire.messages import Id

SCAN = 20_000
"""Rows that one `tasks` looks at, so that a listing stalls nobody."""


class SqliteStore(Books):
    """One relay's store in one file, which nobody else may open meanwhile."""

    def last(self) -> tuple[int, int]:
        number, done = self._one('SELECT (SELECT max(n) FROM tasks), (SELECT max(done) FROM results)')
        return number or 0, done or 0

    # -- Tasks ------------------------------------------------------------------------------------------------------

    def add(self, rows: Sequence[TaskRow]) -> set[Id]:
        numbers = self._numbers
        added = self._many(
            "INSERT OR IGNORE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', ?, ?, ?)",
            [
                (row.number, Blob(row.id), numbers[row.account], Blob(row.group), numbers[row.endpoint], row.pool, row.priority, row.expires,
                 row.at_most_once, row.submitted, row.body, len(row.header) + len(row.payload) + row.body, row.attempt,
                 checksum(row.header, row.payload), Blob(row.header), Blob(row.payload))
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
                (each.done, Blob(each.task.id), numbers[each.task.account], Blob(each.task.group), each.status, each.attempt, each.body, each.reason,
                 checksum(each.header, each.payload), Blob(each.header), Blob(each.payload))
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
