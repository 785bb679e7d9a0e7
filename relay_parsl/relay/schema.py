"""The tables of the relay's store.

```
 accounts, invites, objects      few, packed
 tasks ── queue                  what waits, in the order in which it will be leased
   │  └── leases                 what endpoints hold
   └───── results ── received    what is done, by `done`; what may lose its body
```
"""

from __future__ import annotations

VERSION = 1
"""Of the schema, in `user_version`. Whoever changes the tables raises it, and adds the way from the version before."""
SCHEMA = """
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE accounts (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE invites (curve BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (n INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, account INTEGER NOT NULL, until REAL NOT NULL,
    sum INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX objects_until ON objects (until);
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
