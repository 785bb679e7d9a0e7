"""Stores and journals that a crash has torn or that a disk has changed: what was committed comes back, and what is not whole is used by nobody."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay_parsl.endpoint.intervals import Intervals
from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.endpoint.ledger import Kept, Spent
from relay_parsl.errors import StoreError
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.wire.messages import Hash, Id
from tests.contract.stores import ANN, GROUP, SITE, account, an_id, find, finish, task

SLOW = pytest.param('many', marks=[pytest.mark.slow, pytest.mark.timeout(600)])


@dataclass
class Files:
    """A file with its write-ahead log, as a crash leaves them."""

    main: bytes
    log: bytes

    def put(self, path: Path) -> Path:
        path.write_bytes(self.main)
        path.chmod(0o600)
        Path(f'{path}-wal').write_bytes(self.log)
        Path(f'{path}-shm').unlink(missing_ok=True)
        return path


def left_by(path: Path) -> Files:
    return Files(path.read_bytes(), Path(f'{path}-wal').read_bytes().rstrip(b'\0'))


def store_with_tasks(path: Path) -> SqliteStore:
    """Tasks 1 and 2 in the file, 3 to 8 in the log, 2 and 4 are done; open."""
    store = SqliteStore(path)
    for number in range(1, 9):
        store.begin()
        if number == 1:
            for row in (account('ann'), account('site', 'endpoint')):
                store.put_account(row)
        else:
            store.accounts()
        store.add([task(number, payload=b'call %d ' % number * 40)])
        if number in (2, 4):
            finish(store, number, number // 2)
        store.commit()
        if number == 2:
            store._run('PRAGMA wal_checkpoint(TRUNCATE)')
    return store


def offsets(end: int, which: str) -> Iterator[int]:
    """Some, or many: a frame of the log counts only when it is whole, so that the bytes inside one are all alike."""
    return iter(range(0, end, 211 if which == 'many' else 1499))


# -- Torn ------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(38)
@pytest.mark.parametrize('which', ['some', SLOW])
def test_a_log_of_a_store_that_is_cut_anywhere_opens_at_a_commit(tmp_path: Path, which: str) -> None:
    store = store_with_tasks(tmp_path / 'relay.db')
    files = left_by(tmp_path / 'relay.db')
    store.close()
    seen = set()
    for end in offsets(len(files.log), which):
        again = SqliteStore(Files(files.main, files.log[:end]).put(tmp_path / 'cut.db'))
        again.begin()
        again.accounts()
        last = again.last()[0]
        seen.add(last)
        assert [row.number for row in again.waiting(SITE, '', ANN, 99, 1 << 30)] == [each for each in range(1, last + 1) if each not in (2, 4)]
        again.close()
    assert min(seen) == 2
    assert len(seen) > 4, 'the cuts fell between different commits'


@pytest.mark.fault(38)
@pytest.mark.parametrize('which', ['some', SLOW])
def test_a_log_of_a_journal_that_is_cut_anywhere_opens_at_a_commit(tmp_path: Path, which: str) -> None:
    journal = SqliteJournal(tmp_path / 'journal.db')
    for number in range(1, 6):
        journal.begin()
        journal.keep(kept(number))
        journal.spend(spent(number))
        journal.commit()
    files = left_by(tmp_path / 'journal.db')
    journal.close()
    for end in offsets(len(files.log), which):
        try:
            again = SqliteJournal(Files(files.main, files.log[:end]).put(tmp_path / 'cut.db'))
        except StoreError:
            pytest.fail(f'cut at {end} it does not open')
        results = again.results()
        assert results == [kept(number) for number in range(1, len(results) + 1)]
        assert again.spent() == [spent(len(results))][: len(results)]
        again.close()


def kept(number: int) -> Kept:
    return Kept(Id(bytes([number]) * 16), 1, b'header %d' % number, b'outcome %d ' % number * 30)


def spent(number: int) -> Spent:
    """The numbers up to this one, of one grant."""
    numbers = Intervals()
    for each in range(1, number + 1):
        numbers.add(each * 2)
    return Spent(Hash(b'g' * 32), numbers.encode(), 1e9)


# -- Flipped ---------------------------------------------------------------------------------------------------------


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def whole_tasks(path: Path) -> None:
    """Open it as a relay does and look at everything: StoreError, or what is not said to be damaged is as it was."""
    store = SqliteStore(path)
    try:
        store.begin()
        store.accounts()
        for row in store.waiting(SITE, '', ANN, 99, 1 << 30):
            assert row.damaged or (row.header, row.payload) in CALLS, row
        for done in [*store.results([an_id(f'task {number}') for number in range(1, 9)]), *store.ended_after(ANN, GROUP, 0, 99)]:
            assert done.damaged or (done.header, done.payload) == (b'result header', b'outcome'), done
        store.leases(SITE)
        store.queued()
        store.due(1e12, 99)
        find(store, 1)
    finally:
        store.close()


CALLS = {(b'header %d' % number, b'call %d ' % number * 40) for number in range(1, 9)}


def tried(count: int, files: Files, path: Path, look: Callable[[Path], None]) -> int:
    """Flip single bits by chance in the file and in its log; in how many cases the file was refused."""
    random_ = random.Random(39)
    refused = 0
    for _ in range(count):
        bit = random_.randrange(8 * (len(files.main) + len(files.log)))
        inside = bit - 8 * len(files.main)
        broken = Files(files.main, flipped(files.log, inside)) if inside >= 0 else Files(flipped(files.main, bit), files.log)
        try:
            look(broken.put(path))
        except StoreError:
            refused += 1
    return refused


@pytest.mark.fault(39)
@pytest.mark.parametrize('count', [150, pytest.param(700, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_bit_of_a_store_that_flipped_is_never_a_task_or_a_result(tmp_path: Path, count: int) -> None:
    store = store_with_tasks(tmp_path / 'relay.db')
    files = left_by(tmp_path / 'relay.db')
    store.close()
    assert tried(count, files, tmp_path / 'flipped.db', whole_tasks) < count


def whole_results(path: Path) -> None:
    journal = SqliteJournal(path)
    try:
        assert all(each in KEPT for each in journal.results())
        assert all(each in SPENT for each in journal.spent())
    finally:
        journal.close()


KEPT = [kept(number) for number in range(1, 6)]
SPENT = [spent(number) for number in range(1, 6)]


@pytest.mark.fault(39)
@pytest.mark.parametrize('count', [150, pytest.param(700, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_bit_of_a_journal_that_flipped_lets_nothing_run_again(tmp_path: Path, count: int) -> None:
    journal = SqliteJournal(tmp_path / 'journal.db')
    for number in range(1, 6):
        journal.begin()
        journal.keep(kept(number))
        journal.spend(spent(number))
        journal.commit()
        if number == 3:
            journal._database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    files = left_by(tmp_path / 'journal.db')
    journal.close()
    assert tried(count, files, tmp_path / 'flipped.db', whole_results) < count


@pytest.mark.fault(39)
@pytest.mark.parametrize(('kind', 'table'), [(SqliteStore, b'CREATE TABLE tasks'), (SqliteJournal, b'CREATE TABLE results')])
def test_a_table_whose_own_text_has_changed_is_damage(tmp_path: Path, kind: type[SqliteStore | SqliteJournal], table: bytes) -> None:
    """SQLite quotes it in what it says, and Python cannot read that."""
    path = tmp_path / 'file.db'
    kind(path).close()
    data = path.read_bytes()
    place = data.index(table) + len(b'CREATE T')
    path.write_bytes(data[:place] + b'\xd4' + data[place + 1 :])
    with pytest.raises(StoreError, match=r'damaged|malformed'):
        kind(path)


@pytest.mark.fault(39)
@pytest.mark.parametrize('column', ['sequences', 'handle'])
def test_numbers_that_have_changed_are_not_believed(tmp_path: Path, column: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / 'journal.db'
    journal = SqliteJournal(path)
    journal.begin()
    journal.spend(spent(5))
    journal.keep(kept(1))
    journal.keep(kept(2))
    journal.commit()
    journal.close()
    database = sqlite3.connect(path)
    value = flipped(database.execute(f'SELECT {column} FROM spent').fetchone()[0], 21)  # noqa: S608  a column
    database.execute(f'UPDATE spent SET {column} = ?', (value,))  # noqa: S608  a column
    database.execute("UPDATE results SET payload = x'00' WHERE number = 1")
    database.commit()
    database.close()
    journal = SqliteJournal(path)
    assert journal.results() == [kept(2)]
    assert f'the result of task {kept(1).task_id.hex()} is damaged' in caplog.text
    with pytest.raises(StoreError, match=r'is damaged .* delete the endpoint'):
        journal.spent()
    journal.close()


@pytest.mark.fault(39)
def test_a_journal_of_version_1_gets_its_sums(tmp_path: Path) -> None:
    path = tmp_path / 'journal.db'
    SqliteJournal(path).close()
    database = sqlite3.connect(path)
    database.execute('ALTER TABLE spent DROP COLUMN sum')
    database.execute('ALTER TABLE results DROP COLUMN sum')
    database.execute('ALTER TABLE life DROP COLUMN sum')
    database.execute('UPDATE life SET epoch = 7')
    database.execute('PRAGMA user_version = 1')
    database.execute('INSERT INTO spent VALUES (?, ?, ?)', (spent(5).grant, spent(5).sequences, spent(5).until))
    database.execute('INSERT INTO results VALUES (1, ?, 1, ?, ?)', (kept(1).task_id, kept(1).header, kept(1).payload))
    database.commit()
    database.close()
    journal = SqliteJournal(path)
    assert (journal.spent(), journal.results()) == ([spent(5)], [kept(1)])
    journal.begin()
    assert journal.advance() == 8
    journal.close()


@pytest.mark.fault(39)
@pytest.mark.parametrize('epoch', [3, 5, 4 | 1 << 40, 4.5])
def test_a_journal_whose_number_has_changed_starts_no_process(tmp_path: Path, epoch: float) -> None:
    path = tmp_path / 'journal.db'
    journal = SqliteJournal(path)
    for life in range(1, 5):
        journal.begin()
        assert journal.advance() == life
        journal.commit()
    journal.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute('UPDATE life SET epoch = ?', (epoch,))
        database.commit()
    journal = SqliteJournal(path)
    journal.begin()
    with pytest.raises(StoreError, match=r'the number of its process has changed.* delete the endpoint'):
        journal.advance()
    journal.close()


@pytest.mark.fault(39)
def test_a_result_of_another_attempt_than_it_says_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / 'journal.db'
    journal = SqliteJournal(path)
    journal.begin()
    journal.keep(kept(1))
    journal.keep(kept(2))
    journal.commit()
    journal.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute('UPDATE results SET attempt = attempt + 1 WHERE number = 1')
        database.commit()
    journal = SqliteJournal(path)
    assert journal.results() == [kept(2)]
    journal.close()
