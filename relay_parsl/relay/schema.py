"""The tables of the relay's store, and how their rows are read.

```
 accounts, invites, objects      few, packed
 functions                       registered, by account
 tasks ── queue                  what waits, in the order in which it will be leased
   │  └── leases                 what endpoints hold
   └───── results ── received    what is done, by `done`; what may lose its body
```
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

from relay_parsl.relay.records import AccountRow, Standing
from relay_parsl.wire.messages import Status

VERSION = 1
"""Of the schema, in `user_version`. Whoever changes the tables raises it, and adds the way from the version before."""
APPLICATION = 0x52_50_41_52
"""What `application_id` says: a relay's store, and no other program's file."""
SCHEMA = """
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE accounts (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE invites (curve BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (n INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, account INTEGER NOT NULL, until REAL NOT NULL,
    sum INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX objects_until ON objects (until);
CREATE TABLE functions (account INTEGER NOT NULL, id BLOB NOT NULL, registered REAL NOT NULL, size INTEGER NOT NULL, sum INTEGER NOT NULL,
    data BLOB NOT NULL);
CREATE UNIQUE INDEX functions_id ON functions (account, id);
CREATE TABLE tasks (n INTEGER PRIMARY KEY, id BLOB NOT NULL, account INTEGER NOT NULL, grp BLOB NOT NULL, endpoint INTEGER NOT NULL,
    pool TEXT NOT NULL, priority INTEGER NOT NULL, due REAL NOT NULL,
    once INTEGER NOT NULL, submitted REAL NOT NULL, body INTEGER NOT NULL,
    size INTEGER NOT NULL, attempt INTEGER NOT NULL, done INTEGER NOT NULL, status TEXT NOT NULL,
    sum INTEGER NOT NULL, header BLOB NOT NULL, payload BLOB NOT NULL);
CREATE UNIQUE INDEX tasks_id ON tasks (id);
CREATE INDEX tasks_due ON tasks (due);
CREATE TABLE queue (endpoint INTEGER, pool TEXT, account INTEGER, priority INTEGER, n INTEGER,
    PRIMARY KEY (endpoint, pool, account, priority, n)) WITHOUT ROWID;
CREATE TABLE leases (endpoint INTEGER, n INTEGER, attempt INTEGER NOT NULL, session INTEGER NOT NULL, serial INTEGER NOT NULL,
    epoch INTEGER NOT NULL, cancel INTEGER NOT NULL, PRIMARY KEY (endpoint, n)) WITHOUT ROWID;
CREATE TABLE results (done INTEGER PRIMARY KEY, id BLOB NOT NULL, account INTEGER NOT NULL, grp BLOB NOT NULL, status TEXT NOT NULL,
    attempt INTEGER NOT NULL, body INTEGER NOT NULL, reason TEXT NOT NULL, sum INTEGER NOT NULL, header BLOB NOT NULL, payload BLOB NOT NULL);
CREATE INDEX results_group ON results (account, grp, done);
CREATE TABLE received (done INTEGER PRIMARY KEY);
"""

INFO = """SELECT t.n, t.id, t.account, t.grp, t.endpoint, t.pool, t.once, t.submitted, t.size, t.body, t.attempt, t.done, t.status,
    t.priority, t.due, l.attempt, l.session, l.serial, l.epoch, l.cancel"""
JOIN = 'FROM tasks t LEFT JOIN leases l ON l.endpoint = t.endpoint AND l.n = t.n'
RESULT = 'SELECT r.id, r.account, r.done, r.status, r.header, r.payload, r.body, r.attempt, r.reason, r.sum FROM results r'
LEAVE = 'DELETE FROM queue WHERE (endpoint, pool, account, priority, n) = (SELECT endpoint, pool, account, priority, n FROM tasks WHERE n = ?)'
ACCOUNT = tuple(AccountRow.__dataclass_fields__)
STATUS: dict[str, Status] = {each.value: each for each in Status}


def checksum(first: bytes, second: bytes) -> int:
    """A CRC: against accidents, not against people, for whom there are seals. SHA-256 would take a tenth of the relay's time (measured)."""
    return crc32(second, crc32(first))


def account_row(values: list[Any]) -> AccountRow:
    """From `ACCOUNT`, packed."""
    fields = dict(zip(ACCOUNT, values))
    return AccountRow(**{**fields, 'standing': Standing(fields['standing']), 'shared': tuple(fields['shared'])})
