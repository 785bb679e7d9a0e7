"""What the store on disk promises beyond what every store does: locks, versions, flipped bits, full disks, torn logs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay_parsl.errors import StoreError
from relay_parsl.relay.records import Ended, Forgotten, ObjectRow, Stage, TaskRow, Usage
from relay_parsl.relay.sqlite import ENDED, SqliteStore
from relay_parsl.relay.sums import checksum
from relay_parsl.wire.messages import Hash, Id, Status
from tests.contract.stores import ANN, GROUP, SITE, account, an_id, find, finish, lease, task

VERSION_1 = """
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
"""The tables of the first version."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'relay.db'
    store = SqliteStore(path)
    store.begin()
    for row in (account('ann'), account('site', 'endpoint')):
        store.put_account(row)
    store.add([task(1), task(2)])
    finish(store, 2, 1)
    store.put_objects([ObjectRow(Hash(b'h' * 32), 'grant', ANN, b'data', 10.0)])
    store.commit()
    store.close()
    return path


def test_a_file_is_found_as_it_was_left(path: Path) -> None:
    store = SqliteStore(path)
    store.begin()
    assert {row.name for row in store.accounts()} == {'ann', 'site'}
    assert store.waiting(SITE, '', ANN, 10, 1 << 30) == [task(1)]
    assert store.last() == (2, 1)
    store.close()


def test_a_second_relay_on_the_same_file_is_refused(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreError, match='another relay'):
        SqliteStore(path)
    store.begin()
    store.commit()
    store.close()
    SqliteStore(path).close()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ('PRAGMA user_version = 5', 'newer relay-parsl'),
        ('PRAGMA application_id = 7', 'not the store'),
    ],
)
def test_a_file_of_another_version_or_program_is_refused(path: Path, change: str, words: str) -> None:
    db = sqlite3.connect(path)
    db.execute(change)
    db.close()
    with pytest.raises(StoreError, match=words):
        SqliteStore(path)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'text').write_text('not a database at all, but a long text' * 99)
    with pytest.raises(StoreError, match='not the store'):
        SqliteStore(tmp_path / 'text')
    other = sqlite3.connect(tmp_path / 'other')
    other.execute('CREATE TABLE mine (x)')
    other.close()
    with pytest.raises(StoreError, match='not the store'):
        SqliteStore(tmp_path / 'other')
    with pytest.raises(StoreError, match='cannot be opened'):
        SqliteStore(tmp_path / 'nowhere' / 'relay.db')


@pytest.mark.fault(39)
def test_flipped_bits_are_noticed_row_by_row(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    db = sqlite3.connect(path)
    db.execute("UPDATE tasks SET payload = x'00' WHERE n = 1")
    db.execute("UPDATE tasks SET result = x'00' WHERE n = 2")
    db.execute("UPDATE objects SET data = x'00'")
    db.execute("INSERT INTO functions SELECT n, x'66', 1.0, 1, 7, x'00' FROM accounts WHERE id = ?", (ANN,))
    db.commit()
    db.close()
    store = SqliteStore(path)
    store.begin()
    store.accounts()
    assert [row.damaged for row in store.waiting(SITE, '', ANN, 10, 1 << 30)] == [True]
    assert [row.damaged for row in store.results([an_id('task 2')])] == [True]
    assert store.objects([Hash(b'h' * 32)], [ANN]) == []
    assert store.function(ANN, Id(b'f')) is None
    store.close()
    for told in ('1 objects are damaged', 'a registered function is damaged'):
        assert told in caplog.text


def test_a_damaged_object_makes_room_for_a_whole_one(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("UPDATE objects SET data = x'65617461'")  # one bit of b'data'
    db.commit()
    db.close()
    store = SqliteStore(path)
    store.begin()
    store.accounts()
    digest = Hash(b'h' * 32)
    whole = ObjectRow(digest, 'grant', ANN, b'data', 10.0)
    store.put_objects([whole])
    assert store.objects([digest], [ANN]) == [], 'a row that stands is not written again'
    assert store.known_objects([digest], ANN) == {}, 'what was found damaged is not there: clients are asked for it'
    store.put_objects([whole])
    store.commit()
    store.begin()
    assert store.objects([digest], [ANN]) == [whole]
    store.close()


def test_a_full_disk_is_an_error_and_not_the_end(path: Path) -> None:
    store = SqliteStore(path)
    store.begin()
    store.accounts()
    pages = store._one('PRAGMA page_count')[0]
    store._run(f'PRAGMA max_page_count = {pages}')
    with pytest.raises(StoreError, match='full'):
        store.add([task(number, payload=bytes(4000)) for number in range(3, 100)])
    store.rollback()
    assert not store.broken
    store._run('PRAGMA max_page_count = 100000')
    store.begin()
    store.add([task(3)])
    store.commit()
    store.begin()
    assert store.last() == (3, 1)
    store.close()


def test_a_torn_log_opens_at_a_commit(path: Path, tmp_path: Path) -> None:
    """Cut the write-ahead log anywhere: what opens is a prefix of the turns."""
    store = SqliteStore(path)
    for number in range(3, 9):
        store.begin()
        store.accounts()
        store.add([task(number)])
        store.commit()
    log, main = Path(f'{path}-wal').read_bytes().rstrip(b'\0'), path.read_bytes()
    store.close()
    assert len(log) > 4096
    for end in range(0, len(log), 1999):
        (tmp_path / 'cut').mkdir(exist_ok=True)
        cut = tmp_path / 'cut' / 'relay.db'
        cut.write_bytes(main)
        Path(f'{cut}-wal').write_bytes(log[:end])
        opened = SqliteStore(cut)
        opened.begin()
        opened.accounts()
        last = opened.last()[0]
        assert [row.number for row in opened.waiting(SITE, '', ANN, 99, 1 << 30)] == [1, *range(3, last + 1)]
        opened.close()


# -- What is not written, and what is written once --------------------------------------------------------------------


def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    store.begin()
    store.accounts()
    return store


def test_what_is_leased_in_the_turn_that_brought_it_was_never_in_the_queue(path: Path) -> None:
    store = opened(path)
    changes = store._db.total_changes
    store.add([task(number, expires=9000.0) for number in range(3, 103)])
    lease(store, *range(3, 103), session=5)
    assert store._db.total_changes == changes + 102, 'the rows of the tasks, of their date and of the dispatch'
    assert store.queued() == [(SITE, '', ANN, 1)]
    store.commit()
    store.close()
    again = opened(path)
    assert [info.number for info in again.leases(SITE)] == list(range(3, 103))
    again.close()


def test_what_waits_is_a_row_for_consecutive_numbers_whoever_leaves(path: Path) -> None:
    store = opened(path)
    store.add([task(number, priority=number > 50) for number in range(3, 103)])
    store.commit()
    store.begin()
    assert store._one('SELECT count(*) FROM queue')[0] == 3
    lease(store, 1, *range(3, 40))
    finish(store, 45, 9)
    finish(store, 102, 10)
    store.requeue([(7, 2), (8, 2)])
    left = [7, 8, *range(40, 45), *range(46, 102)]
    assert [row.number for row in store.waiting(SITE, '', ANN, 999, 1 << 30)] == left
    assert store.queued() == [(SITE, '', ANN, len(left))]
    assert store._all('SELECT first, last FROM queue') == [(7, 8), (40, 44), (46, 50), (51, 101)]
    plan = store._all("EXPLAIN QUERY PLAN SELECT t.n FROM queue q CROSS JOIN tasks t ON t.n BETWEEN q.first AND q.last WHERE q.endpoint = 2"
                      " AND q.pool = '' AND q.account = 1 ORDER BY q.priority, q.first, t.n LIMIT 9")  # fmt: skip
    assert not [row for row in plan if 'TEMP B-TREE' in row[3]], 'as it comes, whatever waits'
    store.close()


def test_what_ended_together_is_one_row_until_all_of_it_is_forgotten(path: Path) -> None:
    store = opened(path)
    store.add([task(number) for number in range(3, 13)])
    store.finish([Ended(find(store, number), Status.SUCCESS, number + 7) for number in range(3, 13)])
    assert store._all('SELECT done, last, n FROM ends WHERE done > 9') == [(10, 19, 3)]
    for cursor, limit in ((0, 99), (9, 3), (10, 99), (14, 2), (18, 99), (19, 99)):
        after = [done for done in (1, *range(10, 20)) if done > cursor][:limit]
        assert [row.done for row in store.ended_after(ANN, GROUP, cursor, limit)] == after
    store.forget([3, 4, 12])
    assert [row.number for row in store.ended_after(ANN, GROUP, 1, 99)] == list(range(5, 12))
    store.forget(range(5, 12))
    assert store._all('SELECT done FROM ends') == [(1,)]
    plan = store._all(f'EXPLAIN QUERY PLAN SELECT t.n {ENDED}', (1, GROUP, 1, 9))
    assert not [row for row in plan if 'TEMP B-TREE' in row[3]]
    store.close()


def test_dates_are_put_off_for_whom_they_came_too_early_and_dropped_for_whom_is_forgotten(path: Path) -> None:
    store = opened(path)
    store.add([task(number, expires=2000.0 + number / 100) for number in range(3, 203)])
    assert store._one('SELECT count(*) FROM dates WHERE due > 2000')[0] == 2
    due = store.due(2000.05, 99)
    assert [info.number for info in due] == [1, 2, 3, 4, 5]
    for number in (1, 3, 4, 5):
        finish(store, number, number + 10, until=3000.0)
    assert [info.number for info in store.due(2000.05, 99)] == [2]
    store.forget([2])
    assert store.due(2000.05, 99) == []
    assert store._all('SELECT due, first, last FROM dates WHERE first < 100') == [(2000.06, 3, 103), (3000.0, 1, 2)]
    assert len(store.due(2500.0, 9)) == 9
    store.close()


def test_leases_are_found_again_but_for_those_that_are_over_or_wait_again(path: Path) -> None:
    store = opened(path)
    store.add([task(number) for number in range(3, 8)])
    lease(store, 3, 4, 5, session=5, serial=1)
    lease(store, 6, session=5, serial=2)
    store.requeue([(4, 2)])
    finish(store, 3, 9)
    finish(store, 6, 10)
    store.commit()
    store.close()
    again = opened(path)
    assert [(info.number, info.session, info.serial) for info in again.leases(SITE)] == [(5, 5, 1)]
    assert [row.number for row in again.waiting(SITE, '', ANN, 9, 1 << 30)] == [1, 4, 7]
    assert again._all('SELECT tasks FROM leases') == [('3,5',)], 'that a task is done says that its lease is over'
    again.close()


def test_leases_are_as_before_when_a_turn_is_rolled_back(path: Path) -> None:
    store = opened(path)
    lease(store, 1)
    store.commit()
    store.begin()
    finish(store, 1, 9)
    store.add([task(3)])
    store.rollback()
    store.begin()
    assert [info.number for info in store.leases(SITE)] == [1]
    assert store.queued() == []
    store.close()


def test_no_number_comes_twice_though_the_last_task_was_forgotten(path: Path) -> None:
    store = opened(path)
    store.add([task(3)])
    finish(store, 3, 2)
    store.forget([2, 3])
    store.commit()
    store.close()
    again = opened(path)
    assert again.last() == (3, 2)
    again.close()


def test_the_log_does_not_grow_while_tasks_come_and_go(path: Path) -> None:
    store = opened(path)
    size = Path(f'{path}-wal').stat().st_size
    for number in range(3, 400):
        store.add([task(number)])
        finish(store, number, number)
        store.commit()
        store.begin()
    assert Path(f'{path}-wal').stat().st_size == size
    store.close()


# -- Older versions --------------------------------------------------------------------------------------------------


def old_row(row: TaskRow, done: int) -> tuple[object, ...]:
    return (row.number, row.id, 1, row.group, 2, row.pool, row.priority, row.expires, row.at_most_once, row.submitted, row.body, row.size,
            row.attempt, done, 'success' if done else '', checksum(row.header, row.payload), row.header, b'' if done else row.payload)  # fmt: skip


def test_a_file_of_version_1_is_brought_to_this_one(path: Path, tmp_path: Path) -> None:
    """One task waits, one is leased and to be cancelled, one is done and was received."""
    db = sqlite3.connect(tmp_path / 'old.db')
    db.executescript(VERSION_1)
    db.execute('PRAGMA application_id = 0x52504152')
    db.execute('PRAGMA user_version = 1')
    db.execute('ATTACH ? AS new', (str(path),))
    db.execute('INSERT INTO main.accounts SELECT n, id, data FROM new.accounts')
    rows = [old_row(task(1), 0), old_row(task(2, attempt=2), 0), old_row(task(3, body=7), 5)]
    db.executemany(f'INSERT INTO main.tasks VALUES ({",".join("?" * 18)})', rows)  # noqa: S608  question marks
    db.execute("INSERT INTO main.queue VALUES (2, '', 1, 0, 1)")
    db.execute('INSERT INTO main.leases VALUES (2, 2, 2, 1099511627776, 4, 3, 1)')
    result = (5, task(3).id, 1, GROUP, 'success', 1, 8, 'because', checksum(b'result header', b'outcome'), b'result header', b'outcome')
    db.execute(f'INSERT INTO main.results VALUES ({",".join("?" * 11)})', result)  # noqa: S608  as above
    db.execute('INSERT INTO main.received VALUES (5)')
    db.commit()
    db.close()
    store = opened(tmp_path / 'old.db')
    assert store.waiting(SITE, '', ANN, 9, 1 << 30) == [task(1)]
    [leased] = store.leases(SITE)
    assert (leased.number, leased.attempt, leased.session, leased.serial, leased.epoch, leased.cancel) == (2, 2, 1 << 40, 4, 3, True)
    [done] = store.ended_after(ANN, GROUP, 4, 9)
    assert (done.number, done.header, done.payload, done.body, done.attempt, done.reason) == (3, b'result header', b'outcome', 8, 1, 'because')
    assert not done.damaged
    assert find(store, 3).stage == Stage.DONE
    assert store.last() == (3, 5)
    assert store.usage() == {ANN: Usage(2, task(1).size + task(2).size + 28)}
    assert store.migrated == (1, str(tmp_path / 'old.db.1'))
    kept = sqlite3.connect(tmp_path / 'old.db.1')
    assert kept.execute('PRAGMA user_version').fetchone() == (1,)
    assert kept.execute('SELECT count(*) FROM results').fetchone() == (1,)
    kept.close()
    assert store.evict(9) == [Forgotten(task(3).id, task=False, result=1, account=ANN, size=28)]
    store.commit()
    store.close()
    opened(tmp_path / 'old.db').close()


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / 'relay.db')
    try:
        assert store._one('PRAGMA synchronous') == (2,), 'FULL: each commit of the log is synced'
    finally:
        store.close()
