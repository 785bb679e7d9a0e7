"""The tables of the journal, and what brings an older file up to date."""

from __future__ import annotations

APPLICATION = 0x72706A6C
"""SQLite's application id of our file: `rpjl`."""
VERSION = 1

TABLES = """
    CREATE TABLE definitions (hash TEXT PRIMARY KEY, flow_id TEXT NOT NULL, title TEXT NOT NULL, definition TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE runs (
        n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, definition TEXT NOT NULL REFERENCES definitions, label TEXT NOT NULL,
        tags TEXT NOT NULL, status TEXT NOT NULL, state TEXT NOT NULL, details TEXT NOT NULL, start_time REAL NOT NULL, completion_time REAL,
        events INTEGER NOT NULL, entries INTEGER NOT NULL);
    CREATE INDEX runs_open ON runs (n) WHERE completion_time IS NULL;
    CREATE INDEX runs_ended ON runs (completion_time) WHERE completion_time IS NOT NULL;
    CREATE TABLE snapshots (run INTEGER PRIMARY KEY, events INTEGER NOT NULL, bookmark TEXT NOT NULL);
    CREATE TABLE events (run INTEGER NOT NULL, n INTEGER NOT NULL, time REAL NOT NULL, event TEXT NOT NULL, PRIMARY KEY (run, n)) WITHOUT ROWID;
    CREATE TABLE log (run INTEGER NOT NULL, seq INTEGER NOT NULL, time REAL NOT NULL, code TEXT NOT NULL, description TEXT NOT NULL,
        details TEXT NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID;
    CREATE TABLE actions (
        request_id TEXT PRIMARY KEY, run INTEGER NOT NULL, command TEXT NOT NULL, intent REAL NOT NULL, status TEXT NOT NULL, wish TEXT NOT NULL,
        settled INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX actions_of_runs ON actions (run);
    CREATE INDEX actions_open ON actions (request_id) WHERE settled = 0;
    CREATE TABLE records (provider TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (provider, key)) WITHOUT ROWID;
    CREATE TABLE inbox (n INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, kind TEXT NOT NULL, asker TEXT NOT NULL, time REAL NOT NULL);
    CREATE TABLE lease (
        one INTEGER PRIMARY KEY CHECK (one = 1), owner TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, created REAL NOT NULL,
        since REAL NOT NULL, beat INTEGER NOT NULL);
"""
"""Times are seconds since 1970. `runs.n` is never had again: the engine takes runs up in its order, each once.
`runs.events`: how many of the run's events were handled; the first is written when the run is submitted.
`snapshots.bookmark`: the run as it was after that many. `actions.status` is '' until the provider has answered; `wish`: what it is still to be
told (`cancel`, `resume`, `release`); `settled`: nothing is left to do with it. `lease.beat` grows each time its owner says that it lives."""
