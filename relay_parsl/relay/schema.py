"""The tables of the relay's store, and how their rows are read.

```
 accounts, invites, objects      few, packed
 functions                       registered, by account
 usage                           what each account has
 tasks ── queue                  what waits, in the order in which it will be leased: a row for consecutive numbers
   ├───── dates                  when to look whose time is over: likewise
   ├───── leases                 what endpoints hold, a row a dispatch
   └───── ends, received         what is done, group by group in its order, likewise; what may lose its body
```

A task is one row, written twice: when it comes, and when its result takes the place of its payload.
"""

from __future__ import annotations

from typing import Any

from relay_parsl.relay.records import AccountRow, Standing
from relay_parsl.relay.sums import BOOKED, DATED, KEYS, RECEIVED
from relay_parsl.wire.messages import Status

VERSION = 4
"""Of the schema, in `user_version`. Whoever changes the tables raises it, and adds the way from the version before."""
APPLICATION = 0x52_50_41_52
"""What `application_id` says: a relay's store, and no other program's file."""
OBJECTS = """
CREATE TABLE objects (n INTEGER PRIMARY KEY, hash BLOB NOT NULL, kind TEXT NOT NULL, account INTEGER NOT NULL, until REAL NOT NULL,
    sum INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (hash, account));
CREATE INDEX objects_until ON objects (until);
"""
"""Each account has its own, though the bytes be the same."""
BOOKS = """
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE accounts (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE invites (curve BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE functions (account INTEGER NOT NULL, id BLOB NOT NULL, registered REAL NOT NULL, size INTEGER NOT NULL, sum INTEGER NOT NULL,
    data BLOB NOT NULL);
CREATE UNIQUE INDEX functions_id ON functions (account, id);
"""
TASKS = """
CREATE TABLE tasks (n INTEGER PRIMARY KEY, id BLOB NOT NULL, account INTEGER NOT NULL, grp BLOB NOT NULL, endpoint INTEGER NOT NULL,
    pool TEXT NOT NULL, priority INTEGER NOT NULL, due REAL NOT NULL, once INTEGER NOT NULL, submitted REAL NOT NULL, body INTEGER NOT NULL,
    size INTEGER NOT NULL, attempt INTEGER NOT NULL, cancel INTEGER NOT NULL, done INTEGER NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, spooled INTEGER NOT NULL, tried INTEGER NOT NULL,
    sum INTEGER NOT NULL, header BLOB NOT NULL, result BLOB NOT NULL, payload BLOB NOT NULL);
CREATE UNIQUE INDEX tasks_id ON tasks (id);
CREATE TABLE queue (endpoint INTEGER, pool TEXT, account INTEGER, priority INTEGER, first INTEGER, last INTEGER NOT NULL,
    PRIMARY KEY (endpoint, pool, account, priority, first)) WITHOUT ROWID;
CREATE TABLE dates (due REAL, first INTEGER, last INTEGER NOT NULL, PRIMARY KEY (due, first)) WITHOUT ROWID;
CREATE TABLE leases (session INTEGER, serial INTEGER, endpoint INTEGER NOT NULL, epoch INTEGER NOT NULL, tasks TEXT NOT NULL,
    PRIMARY KEY (session, serial)) WITHOUT ROWID;
CREATE TABLE ends (account INTEGER, grp BLOB, done INTEGER, last INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (account, grp, done)) WITHOUT ROWID;
CREATE TABLE received (account INTEGER, n INTEGER, PRIMARY KEY (account, n)) WITHOUT ROWID;
CREATE TABLE usage (account INTEGER PRIMARY KEY, tasks INTEGER NOT NULL, bytes INTEGER NOT NULL);
"""
COUNT = """
INSERT INTO usage (account, tasks, bytes) SELECT account, sum(done = 0),
    sum(CASE WHEN done THEN length(result) + length(payload) + spooled ELSE size END)
    FROM tasks GROUP BY account;
"""

_AWAY = """
DROP INDEX tasks_id;
DROP INDEX tasks_due;
ALTER TABLE tasks RENAME TO tasks_1;
ALTER TABLE leases RENAME TO leases_1;
ALTER TABLE received RENAME TO received_1;
DROP TABLE queue;
"""
_BACK = """
INSERT INTO tasks SELECT t.n, t.id, t.account, t.grp, t.endpoint, t.pool, t.priority, t.due, t.once, t.submitted, t.body, t.size,
    ifnull(l.attempt, t.attempt), ifnull(l.cancel, 0), t.done, t.status, ifnull(r.reason, ''), ifnull(r.body, 0), ifnull(r.attempt, 0),
    ifnull(r.sum, t.sum), t.header, ifnull(r.header, x''), ifnull(r.payload, t.payload)
    FROM tasks_1 t LEFT JOIN results r ON r.done = t.done AND t.done > 0 LEFT JOIN leases_1 l ON l.endpoint = t.endpoint AND l.n = t.n;
INSERT INTO queue SELECT endpoint, pool, account, priority, n, n FROM tasks WHERE done = 0 AND n NOT IN (SELECT n FROM leases_1);
INSERT INTO leases SELECT session, serial, endpoint, epoch, group_concat(n) FROM leases_1 GROUP BY session, serial;
INSERT INTO dates SELECT due, n, n FROM tasks;
INSERT INTO ends SELECT account, grp, done, done, n FROM tasks WHERE done > 0;
INSERT INTO received SELECT t.account, t.n FROM received_1 v JOIN results r ON r.done = v.done JOIN tasks t ON t.id = r.id;
DROP TABLE tasks_1;
DROP TABLE leases_1;
DROP TABLE received_1;
DROP TABLE results;
"""
FROM_2 = """
ALTER TABLE received RENAME TO received_2;
CREATE TABLE received (account INTEGER, n INTEGER, PRIMARY KEY (account, n)) WITHOUT ROWID;
INSERT INTO received SELECT t.account, t.n FROM received_2 v JOIN tasks t ON t.n = v.n;
DROP TABLE received_2;
CREATE TABLE usage (account INTEGER PRIMARY KEY, tasks INTEGER NOT NULL, bytes INTEGER NOT NULL);
"""
SUM = 'UPDATE {table} SET sum = row_sum({columns});'
"""Of every row of a table in `BOOKED`."""
_ADD = 'ALTER TABLE {table} ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;'
_REST = """
ALTER TABLE received ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
UPDATE received SET sum = {received};
UPDATE tasks SET sum = key_sum({keys}) << 32 | CASE WHEN done
    THEN (sum | end_sum(n, id, account, done, status, spooled, tried, reason)) - (sum & end_sum(n, id, account, done, status, spooled, tried, reason))
    ELSE sum END;
"""
SUMS = ''.join((_ADD + SUM).format(table=table, columns=columns) for table, columns in BOOKED.items()) + _REST.format(keys=KEYS, received=RECEIVED)
"""What was damaged before is so afterwards."""
_OTHERS = """
ALTER TABLE objects RENAME TO objects_3;
DROP INDEX objects_until;
"""
_OWN = """
INSERT INTO objects SELECT n, hash, kind, account, until, ({dated}) | joined(sum, kind, account), data FROM objects_3;
DROP TABLE objects_3;
"""
FROM_3 = SUMS + _OTHERS + OBJECTS + _OWN.format(dated=DATED.format(until='until'))
NEW = BOOKS + OBJECTS + TASKS + SUMS
WAYS = {1: _AWAY + TASKS + _BACK + COUNT + FROM_3, 2: FROM_2 + COUNT + FROM_3, 3: FROM_3}
"""The way from each older version. In 1 a task, its lease and its result were rows of three tables; in 2 nobody counted what accounts have; in 3
only bytes had a sum, and an object belonged to who had brought it first."""

FIELDS = ', '.join(f't.{name}' for name in KEYS.split(', '))
INFO = f'SELECT {FIELDS}, t.sum'
WAITING = f'SELECT {FIELDS}, t.sum, t.header, t.payload'
RESULT = 'SELECT t.n, t.id, t.account, t.done, t.status, t.result, t.payload, t.spooled, t.tried, t.reason, t.sum'
MANY = KEYS.count(',') + 1
"""Columns that `INFO` and `WAITING` begin with, for the upper half of the sum."""
ACCOUNT = tuple(AccountRow.__dataclass_fields__)
STATUS: dict[str, Status] = {each.value: each for each in Status}


def account_row(values: list[Any]) -> AccountRow:
    """From `ACCOUNT`, packed."""
    fields = dict(zip(ACCOUNT, values))
    return AccountRow(**{**fields, 'standing': Standing(fields['standing']), 'shared': tuple(fields['shared'])})
