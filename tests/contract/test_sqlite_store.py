"""What the store on disk promises beyond what every store does: locks, versions, flipped bits, full disks, torn logs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay_parsl.errors import StoreError
from relay_parsl.relay.records import ObjectRow
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.wire.messages import Hash, Id
from tests.contract.stores import ANN, SITE, account, an_id, finish, task


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
        ('PRAGMA user_version = 2', 'newer relay-parsl'),
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


def test_flipped_bits_are_noticed_row_by_row(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("UPDATE tasks SET payload = x'00' WHERE n = 1")
    db.execute("UPDATE results SET header = x'00'")
    db.execute("UPDATE objects SET data = x'00'")
    db.execute("INSERT INTO functions SELECT n, x'66', 1.0, 1, 7, x'00' FROM accounts WHERE id = ?", (ANN,))
    db.commit()
    db.close()
    store = SqliteStore(path)
    store.begin()
    store.accounts()
    assert [row.damaged for row in store.waiting(SITE, '', ANN, 10, 1 << 30)] == [True]
    assert [row.damaged for row in store.results([an_id('task 2')])] == [True]
    assert store.objects([Hash(b'h' * 32)]) == []
    assert store.function(ANN, Id(b'f')) is None
    store.close()


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
    assert store.objects([digest]) == [], 'a row that stands is not written again'
    assert store.known_objects([digest]) == {}, 'what was found damaged is not there: clients are asked for it'
    store.put_objects([whole])
    store.commit()
    store.begin()
    assert store.objects([digest]) == [whole]
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
    log, main = Path(f'{path}-wal').read_bytes(), path.read_bytes()
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
