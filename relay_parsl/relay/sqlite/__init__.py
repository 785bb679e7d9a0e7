"""The relay's store on disk: SQLite, one file, one writer, group commit.

Integer keys only, for random ones halve the speed (measured). A task is one row, written twice: when it comes, and when it ends.
A lease never touches it: leases are a row a dispatch. What comes and goes within a turn is not written at all: a task that is leased in the
turn that brought it was never in the queue.
WAL with `synchronous=FULL`: a commit survives the power. Every row carries a sum, for SQLite does not see flipped bits.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from relay_parsl.relay.kept import enough_of
from relay_parsl.relay.records import Ended, Forgotten, ResultRow, Stage, TaskInfo, TaskRow
from relay_parsl.relay.schema import INFO, MANY, RESULT, STATUS, WAITING
from relay_parsl.relay.sqlite.books import Books
from relay_parsl.relay.sqlite.dispatches import Dispatches
from relay_parsl.relay.sqlite.file import Blob
from relay_parsl.relay.sqlite.runs import Place, dates, ends, runs, without
from relay_parsl.relay.store import EVICTED
from relay_parsl.relay.sums import CONTENT, HALF, KEYS, RECEIVED, both, checksum, end_sum, is_lower, is_upper, key_sum
from relay_parsl.wire.messages import NO_ID, Id, Status

log = logging.getLogger(__name__)

QUEUED = 'SELECT t.n FROM queue q CROSS JOIN tasks t ON t.n BETWEEN q.first AND q.last'
TOUCHED = """SELECT first, last FROM queue WHERE endpoint = ?1 AND pool = ?2 AND account = ?3 AND priority = ?4 AND first <= ?6 AND first >=
    ifnull((SELECT max(first) FROM queue WHERE endpoint = ?1 AND pool = ?2 AND account = ?3 AND priority = ?4 AND first <= ?5), 0)"""
RECEIVE = f'INSERT OR IGNORE INTO received SELECT account, n, {RECEIVED} FROM (SELECT ?1 AS account, ?2 AS n)'  # noqa: S608  ours
STANDS = f"""UPDATE tasks SET {{0}}, sum = CASE WHEN key_sum({KEYS}) = sum >> 32 THEN (key_sum({{1}}) << {HALF}) | (sum & {CONTENT}) ELSE sum END
    WHERE n = ?1"""  # noqa: S608  ours
"""A sum that did not hold does not hold afterwards."""
AGAIN = STANDS.format('attempt = ?2, cancel = 0', KEYS.replace('attempt, cancel', '?2, 0'))
CANCEL = STANDS.format('cancel = 1', KEYS.replace('cancel', '1'))
MARK = """INSERT INTO marks VALUES (?1, ?2, row_sum(?1, ?2))
    ON CONFLICT DO UPDATE SET value = max(value, excluded.value), sum = row_sum(name, max(value, excluded.value))"""
LEFT = 'UPDATE leases SET tasks = ?1, sum = row_sum(session, serial, endpoint, epoch, ?1) WHERE session = ?2 AND serial = ?3'
UNQUEUE = 'DELETE FROM queue WHERE endpoint = ? AND pool = ? AND account = ? AND priority = ? AND first = ?'
QUEUE = 'INSERT INTO queue VALUES (?1, ?2, ?3, ?4, ?5, ?6, row_sum(?1, ?2, ?3, ?4, ?5, ?6))'
DATE = 'INSERT INTO dates VALUES (?1, ?2, ?3, row_sum(CAST(?1 AS REAL), ?2, ?3))'
ENDED = """FROM ends e CROSS JOIN tasks t ON t.n BETWEEN e.n AND e.n + e.last - e.done WHERE e.account = ?1 AND e.grp = ?2 AND t.done > ?3
    AND e.done >= ifnull((SELECT max(done) FROM ends WHERE account = ?1 AND grp = ?2 AND done <= ?3), 0) ORDER BY e.done, t.n LIMIT ?4"""
UNENDED = """DELETE FROM ends WHERE account = ?1 AND grp = ?2
    AND done = (SELECT max(done) FROM ends WHERE account = ?1 AND grp = ?2 AND done <= ?3)
    AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.n BETWEEN ends.n AND ends.n + ends.last - ends.done)"""
OLDEST = f"""SELECT v.n, v.account, t.id, t.spooled, t.tried, length(t.result) + length(t.payload), t.done, t.status
    FROM (SELECT account, n FROM received WHERE account = ? AND sum = {RECEIVED}) v CROSS JOIN tasks t ON t.n = v.n ORDER BY v.n LIMIT ?"""  # noqa: S608  ours
OVER = """SELECT t.n, t.account, t.grp, t.done, t.id, t.body, t.spooled, t.tried, length(t.result) + length(t.payload)
    FROM tasks t WHERE t.n IN ({})"""
SCAN = 20_000
"""Rows that one `tasks` looks at, so that a listing stalls nobody."""


class SqliteStore(Books):
    """One relay's store in one file, which nobody else may open meanwhile."""

    def __init__(self, path: Path | str) -> None:
        """Open the file, or make it. Raises StoreError, as `StoreFile` does."""
        self._new: dict[int, TaskInfo] = {}
        self._leased: Dispatches | None = None
        self._strange: set[int] = set()
        super().__init__(path)

    # -- Turns ------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        self._settle()
        super().commit()

    def rollback(self) -> None:
        self._new.clear()
        self._leased = None
        super().rollback()

    def last(self) -> tuple[int, int]:
        marks = dict(self._all('SELECT name, value FROM marks'))
        number, done = self._one('SELECT (SELECT max(n) FROM tasks), (SELECT max(last) FROM ends)')
        return max(number or 0, marks.get('number', 0)), max(done or 0, marks.get('done', 0))

    def _mark(self, name: str, value: int) -> None:
        """The highest of what is forgotten, which is not had again: rows of leases, of ends and of dates name tasks by it."""
        self._run(MARK, (name, value))

    def _settle(self) -> None:
        """Write what has come into the queue in this turn, and not left it."""
        new, self._new = self._new, {}
        if new:
            self._many(QUEUE, runs(map(self._place, new.values())))

    @property
    def _dispatches(self) -> Dispatches:
        """Read once, and again after a rollback. A row may still name tasks that are done."""
        if self._leased is None:
            self._leased = Dispatches()
            for session, serial, endpoint, epoch, text in self._all('SELECT session, serial, endpoint, epoch, tasks FROM leases'):
                numbers = list(map(int, text.split(',')))
                still = [number for (number,) in self._in('SELECT n FROM tasks WHERE n IN ({}) AND done = 0', numbers)]
                self._leased.add((session, serial), endpoint, epoch, still)
            self._drop(self._leased.keys())
        return self._leased

    # -- Tasks ------------------------------------------------------------------------------------------------------

    def add(self, rows: Sequence[TaskRow]) -> set[Id]:
        numbers = self._numbers
        added = self._many(
            "INSERT OR IGNORE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', '', 0, 0, ?, ?, x'', ?)",
            [
                (row.number, Blob(row.id), numbers[row.account], Blob(row.group), numbers[row.endpoint], row.pool, row.priority, row.expires,
                 row.at_most_once, row.submitted, row.body, row.size, row.attempt,
                 both(self._keys(row, row.expires), checksum(row.header, row.payload)),
                 Blob(row.header), Blob(row.payload))
                for row in rows
            ],
        )  # fmt: skip
        known: set[Id] = set()
        if added < len(rows):
            own = {row.id: row.number for row in rows}
            known = {each for each, number in self._in('SELECT id, n FROM tasks WHERE id IN ({})', own) if own[each] != number}
        new = [row for row in rows if row.id not in known] if known else rows
        self._new.update({row.number: row for row in new})
        self._many(DATE, dates([(row.number, row.expires) for row in new]))
        return known

    def find(self, ids: Collection[Id], whose: Id | None = None) -> list[TaskInfo]:
        if whose is None:
            return self._infos(self._in(f'{INFO} FROM tasks t WHERE t.id IN ({{}})', ids))
        return self._infos(self._in(f'{INFO} FROM tasks t WHERE t.id IN ({{}}) AND t.account = ?', ids, self._numbers.get(whose, 0)))

    def queued(self) -> list[tuple[Id, str, Id, int]]:
        self._settle()
        rows = self._all('SELECT endpoint, pool, account, sum(last - first + 1) FROM queue GROUP BY endpoint, pool, account')
        return [(self._ids[endpoint], pool, self._ids[account], count) for endpoint, pool, account, count in rows]

    def waiting(self, endpoint: Id, pool: str, account: Id, limit: int, size: int) -> list[TaskRow]:
        self._settle()
        cursor = self._run(
            f"""{WAITING} FROM queue q CROSS JOIN tasks t ON t.n BETWEEN q.first AND q.last
            WHERE q.endpoint = ? AND q.pool = ? AND q.account = ? AND t.done = 0
            ORDER BY q.priority, q.first, t.n LIMIT ?""",
            (self._numbers[endpoint], pool, self._numbers[account], limit),
        )
        rows = []
        try:
            for row in cursor:
                rows.append(self._waiting(endpoint, account, row))
                size -= len(rows[-1].payload)
                if size <= 0:
                    break
            cursor.close()
        except sqlite3.Error as error:
            raise self._error(error) from error
        return rows

    def _waiting(self, endpoint: Id, account: Id, row: Sequence[Any]) -> TaskRow:
        """In a place of the queue that says for whom it is; what is damaged has no bytes."""
        n, task_id, _, group, _, pool, priority, once, body, size, _, _, at, attempt, _, due, found, header, payload = row
        damaged = not (is_upper(key_sum(*row[:MANY]), found) and is_lower(checksum(header, payload), found))
        if damaged:
            header, payload = b'', b''
        return TaskRow(n, task_id, account, group, endpoint, pool, bool(once), at, size, body, Stage.QUEUED, attempt, 0, 0, 0, False, None,
                       priority, due, header, payload, damaged)  # fmt: skip

    def lease(self, tasks: Sequence[TaskInfo]) -> None:
        self._leave(tasks)
        rows = [
            self._dispatches.add((session, serial), self._numbers[endpoint], epoch, [task.number for task in some])
            for (session, serial, endpoint, epoch), some in groupby(tasks, lambda task: (task.session, task.serial, task.endpoint, task.epoch))
        ]
        self._many('INSERT INTO leases VALUES (?1, ?2, ?3, ?4, ?5, row_sum(?1, ?2, ?3, ?4, ?5))', rows)

    def requeue(self, tasks: Sequence[tuple[int, int]]) -> None:
        self._release([number for number, _ in tasks])
        self._many(AGAIN, [(number, attempt) for number, attempt in tasks])
        places = self._in('SELECT endpoint, pool, account, priority, n FROM tasks WHERE n IN ({})', [number for number, _ in tasks])
        self._many(QUEUE, runs(places))

    def ask_cancel(self, numbers: Sequence[int]) -> None:
        self._many(CANCEL, [(number,) for number in numbers])

    def leases(self, endpoint: Id) -> list[TaskInfo]:
        return self._numbered(self._dispatches.of(self._numbers[endpoint]))

    def unfinished(self, endpoint: Id, limit: int) -> list[TaskInfo]:
        self._settle()
        number = self._numbers[endpoint]
        waiting = [each for (each,) in self._all(f'{QUEUED} WHERE q.endpoint = ? LIMIT ?', (number, limit))]
        return self._numbered([*waiting, *islice(self._dispatches.of(number), limit - len(waiting))])

    def tasks(self, after: int, limit: int, **where: Id) -> tuple[list[tuple[TaskInfo, bytes]], int]:
        keys = {'account': 't.account', 'endpoint': 't.endpoint', 'group': 't.grp', 'id': 't.id'}
        values = [self._numbers.get(value, 0) if key in ('account', 'endpoint') else value for key, value in where.items()]
        test = ' AND '.join([f'{keys[key]} = ?' for key in where] or ['1'])
        end = -1 if 'id' in where else after + SCAN
        rows = self._all(
            f'{INFO}, t.header FROM tasks t WHERE {test} AND t.n > ? AND (? < 0 OR t.n <= ?) ORDER BY t.n LIMIT ?', (*values, after, end, end, limit)
        )
        if len(rows) == limit:
            end = rows[-1][0]
        elif end < 0 or end >= (self._one('SELECT max(n) FROM tasks')[0] or 0):
            end = 0
        return [(info, row[-1]) for row in rows if (info := self._info(row[:-1]))], end

    def _numbered(self, numbers: Iterable[int]) -> list[TaskInfo]:
        return self._infos(self._in(f'{INFO} FROM tasks t WHERE t.n IN ({{}})', list(numbers)))

    def _infos(self, rows: Iterable[Sequence[Any]]) -> list[TaskInfo]:
        return [info for info in map(self._info, rows) if info]

    def _info(self, row: Sequence[Any]) -> TaskInfo | None:
        """None for what has changed on the disk: nobody knows which task it is, or whose."""
        number, task_id, account, group, endpoint, pool, priority, once, body, size, done, status, at, attempt, cancel, due, found = row
        if not is_upper(key_sum(*row[:MANY]), found):
            if number not in self._strange:
                log.error('%s: task %s is damaged on the disk, and counts as not there', self._path, number)
                self._strange.add(number)
            return None
        lease = None if done else self._dispatches.lease(number)
        stage = Stage.DONE if done else Stage.LEASED if lease else Stage.QUEUED
        return TaskInfo(
            number, task_id, self._ids[account], group, self._ids[endpoint], pool, bool(once), at, size, body, stage, attempt,
            *(lease or (0, 0, 0)), bool(cancel), STATUS[status] if done else None, priority, due,
        )  # fmt: skip

    def _keys(self, task: TaskInfo, due: float, done: int = 0, status: str = '') -> int:
        """The upper half of its sum."""
        return key_sum(task.number, task.id, self._numbers[task.account], task.group, self._numbers[task.endpoint], task.pool, task.priority,
                       task.at_most_once, task.body, task.size, done, status, task.submitted, task.attempt, task.cancel, due)  # fmt: skip

    def _sum(self, each: Ended) -> int:
        """Of a task that is over."""
        status = each.status._value_
        about = end_sum(each.task.number, each.task.id, self._numbers[each.task.account], each.done, status, each.body, each.attempt, each.reason)
        return both(self._keys(each.task, each.until or each.task.expires, each.done, status), checksum(each.header, each.payload) ^ about)

    def _place(self, task: TaskInfo) -> Place:
        return (self._numbers[task.endpoint], task.pool, self._numbers[task.account], task.priority, task.number)

    def _leave(self, tasks: Iterable[TaskInfo]) -> None:
        """Out of the queue."""
        older = [self._place(task) for task in tasks if self._new.pop(task.number, None) is None]
        for *lane, first, last in runs(older):
            rows = self._all(TOUCHED, (*lane, first, last))
            self._many(UNQUEUE, [(*lane, row[0]) for row in rows])
            self._many(QUEUE, [(*lane, *each) for row in rows for each in without(row, first, last)])

    def _release(self, numbers: Sequence[int]) -> None:
        """Out of their dispatches, whose rows say what is left: these tasks live on."""
        touched = self._dispatches.end(numbers)
        self._drop(touched)
        self._many(LEFT, self._dispatches.rows(touched))

    def _drop(self, touched: Iterable[tuple[int, int]]) -> None:
        """Dispatches of which nothing is open. The rows of others may name tasks that are done, which says that they are over."""
        over = self._dispatches.empty(touched)
        if over:
            self._many('DELETE FROM leases WHERE session = ? AND serial = ?', over)

    # -- Results ----------------------------------------------------------------------------------------------------

    def finish(self, ended: Sequence[Ended]) -> None:
        self._leave([each.task for each in ended if each.task.stage == Stage.QUEUED])
        self._drop(self._dispatches.end([each.task.number for each in ended if each.task.stage == Stage.LEASED]))
        self._many(
            'UPDATE tasks SET done = ?, status = ?, reason = ?, spooled = ?, tried = ?, sum = ?, result = ?, payload = ? WHERE n = ?',
            [
                (each.done, each.status._value_, each.reason, each.body, each.attempt, self._sum(each),
                 Blob(each.header), Blob(each.payload), each.task.number)
                for each in ended
            ],
        )  # fmt: skip
        later = [(each.until, each.task.number) for each in ended if each.until not in (0.0, each.task.expires)]
        if later:
            self._many('UPDATE tasks SET due = ? WHERE n = ?', later)  # its date is found to be too early when it comes
        numbers = self._numbers
        rows = ends([(numbers[each.task.account], each.task.group, each.done, each.task.number) for each in ended])
        self._many('INSERT INTO ends VALUES (?1, ?2, ?3, ?4, ?5, row_sum(?1, ?2, ?3, ?4, ?5))', rows)

    def results(self, ids: Collection[Id]) -> list[ResultRow]:
        return self._results(self._in(f'{RESULT} FROM tasks t WHERE t.id IN ({{}}) AND t.done > 0', ids))

    def ended_after(self, account: Id, group: Id, done: int, limit: int) -> list[ResultRow]:
        return self._results(self._all(f'{RESULT} {ENDED}', (self._numbers[account], group, done, limit)))

    def _results(self, rows: Iterable[Sequence[Any]]) -> list[ResultRow]:
        return [self._result(row) for row in rows]

    def _result(self, row: Sequence[Any]) -> ResultRow:
        number, task_id, account, done, status, header, payload, body, attempt, reason, found = row
        damaged = not is_lower(checksum(header, payload) ^ end_sum(number, task_id, account, done, status, body, attempt, reason), found)
        if damaged:
            header, payload, reason = b'', b'', ''
        return ResultRow(number, task_id, self._ids.get(account, NO_ID), done, STATUS.get(status, Status.FAILED), header, payload, body, attempt,
                         reason, damaged)  # fmt: skip

    def received(self, account: Id, numbers: Collection[int]) -> None:
        number = self._numbers[account]
        self._many(RECEIVE, [(number, each) for each in numbers])

    def due(self, now: float, limit: int) -> list[TaskInfo]:
        """Dates that have come: of whom nothing is due they are put off, or dropped when all are forgotten."""
        found: list[TaskInfo] = []
        for date in self._all('SELECT due, first, last FROM dates WHERE due <= ? ORDER BY due LIMIT ?', (now, limit)):
            rows = self._all(f'{INFO} FROM tasks t WHERE t.n BETWEEN ? AND ? AND t.due <= ? LIMIT ?', (*date[1:], now, limit - len(found)))
            found += self._infos(rows)
            if not rows:
                earliest = self._one('SELECT min(due) FROM tasks WHERE n BETWEEN ? AND ?', date[1:])[0]
                self._run('DELETE FROM dates WHERE due = ? AND first = ?', date[:2])
                self._many(DATE, [(earliest, *date[1:])] if earliest is not None else [])
            if len(found) >= limit:
                break
        return found

    def forget(self, numbers: Sequence[int]) -> list[Forgotten]:
        rows = self._in(OVER, numbers)
        self._mark('number', max([row[0] for row in rows], default=0))
        self._mark('done', max([row[3] for row in rows], default=0))
        self._many('DELETE FROM received WHERE n = ? AND account = ?', [row[:2] for row in rows])
        self._many('DELETE FROM tasks WHERE n = ?', [row[:1] for row in rows])
        self._many(UNENDED, [row[1:4] for row in rows])
        return [
            Forgotten(task_id, bool(body), attempt if spooled else 0, self._ids[account], size + spooled if done else 0)
            for _, account, _, done, task_id, body, spooled, attempt, size in rows
        ]

    def evict(self, limit: int, account: Id | None = None, enough: int = 1 << 62) -> list[Forgotten]:
        accounts = self._numbers.values() if account is None else [self._numbers[account]]
        oldest = sorted(row for each in accounts for row in self._all(OLDEST, (each, limit)))[:limit]
        found = enough_of(oldest, [row[3] + row[5] for row in oldest], enough)
        nothing = checksum(b'', b'')
        rows = [(nothing ^ end_sum(n, task_id, owner, done, status, 0, attempt, EVICTED), EVICTED, n)
                for n, owner, task_id, _, attempt, _, done, status in found]  # fmt: skip
        self._many("UPDATE tasks SET result = x'', payload = x'', spooled = 0, sum = sum >> 32 << 32 | ?, reason = ? WHERE n = ?", rows)
        self._many('DELETE FROM received WHERE n = ? AND account = ?', [row[:2] for row in found])
        return [
            Forgotten(task_id, task=False, result=attempt if body else 0, account=self._ids[owner], size=size + body)
            for _, owner, task_id, body, attempt, size, _, _ in found
        ]
