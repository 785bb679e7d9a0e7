"""What every journal of an endpoint promises: the one in memory and the one on disk, through one list."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.endpoint.ledger import Kept, MemoryJournal, Spent
from relay_parsl.errors import StoreError
from relay_parsl.wire.messages import Hash, Id

GRANT = Hash(b'g' * 32)


class Memory:
    """One journal in memory; `again` is what a restart sees."""

    def __init__(self, _path: Path) -> None:
        self.journal: Any = MemoryJournal()

    def again(self) -> Any:
        self.journal.rollback()
        return self.journal

    def close(self) -> None:
        pass


class Disk:
    """One journal in a file; `again` opens it anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.journal: Any = SqliteJournal(path)

    def again(self) -> Any:
        self.journal.close()
        self.journal = SqliteJournal(self._path)
        return self.journal

    def close(self) -> None:
        self.journal.close()


@pytest.fixture(params=[Memory, Disk], ids=['memory', 'sqlite'])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = request.param(tmp_path / 'journal.db')
    yield made
    made.close()


def kept(number: int, attempt: int = 1) -> Kept:
    return Kept(Id(number.to_bytes(16, 'big')), attempt, b'header', b'payload %d' % attempt)


def turn(journal: Any, *statements: Callable[[], Any]) -> None:
    journal.begin()
    for statement in statements:
        statement()
    journal.commit()


def test_an_epoch_grows_with_each_life(place: Any) -> None:
    for expected in (1, 2, 3):
        journal = place.again()
        journal.begin()
        assert journal.advance() == expected
        journal.commit()


def test_an_epoch_that_was_not_committed_was_never_said(place: Any) -> None:
    place.journal.begin()
    place.journal.advance()
    journal = place.again()
    journal.begin()
    assert journal.advance() == 1


def test_committed_is_there_after_a_restart_and_the_rest_is_not(place: Any) -> None:
    journal = place.journal
    turn(journal, lambda: journal.keep(kept(1)), lambda: journal.spend(Spent(GRANT, b'1', 5.0)))
    journal.begin()
    journal.keep(kept(2))
    journal.forget(kept(1).task_id)
    journal.unspend(GRANT)
    journal = place.again()
    assert journal.results() == [kept(1)]
    assert journal.spent() == [Spent(GRANT, b'1', 5.0)]


def test_rollback_forgets_a_turn_and_the_next_one_counts(place: Any) -> None:
    journal = place.journal
    journal.begin()
    journal.keep(kept(1))
    journal.rollback()
    turn(journal, lambda: journal.keep(kept(2)))
    assert place.again().results() == [kept(2)]


def test_results_come_in_order_and_one_a_task(place: Any) -> None:
    journal = place.journal
    turn(journal, *[lambda number=number: journal.keep(kept(number)) for number in (3, 1, 2)])
    turn(journal, lambda: journal.forget(kept(1).task_id), lambda: journal.keep(kept(2, attempt=4)))
    assert place.again().results() == [kept(3), kept(2, attempt=4)]


def test_the_last_statement_about_guests_is_kept(place: Any) -> None:
    journal = place.journal
    assert journal.share() == b''
    turn(journal, lambda: journal.put_share(b'one'), lambda: journal.put_share(b'two'))
    journal.begin()
    journal.put_share(b'three')
    assert place.again().share() == b'two', 'what was not committed is not'


def test_a_grant_is_replaced_and_forgotten(place: Any) -> None:
    journal = place.journal
    turn(journal, lambda: journal.spend(Spent(GRANT, b'1', 5.0)))
    turn(journal, lambda: journal.spend(Spent(GRANT, b'2', 6.0)))
    assert journal.spent() == [Spent(GRANT, b'2', 6.0)]
    turn(journal, lambda: journal.unspend(GRANT), lambda: journal.unspend(GRANT))
    assert place.again().spent() == []


def test_statements_outside_a_turn_are_refused(place: Any) -> None:
    with pytest.raises(StoreError):
        place.journal.keep(kept(1))


def test_a_turn_inside_a_turn_is_refused(place: Any) -> None:
    place.journal.begin()
    with pytest.raises(StoreError):
        place.journal.begin()


# -- The file --------------------------------------------------------------------------------------------------------


def test_the_file_is_private(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / 'journal.db').close()
    assert (tmp_path / 'journal.db').stat().st_mode & 0o777 == 0o600


def test_a_second_process_is_told_that_the_journal_is_in_use(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / 'journal.db')
    script = 'import sys, pathlib; from relay_parsl.endpoint.journal import SqliteJournal; SqliteJournal(pathlib.Path(sys.argv[1]))'
    ended = subprocess.run([sys.executable, '-c', script, str(tmp_path / 'journal.db')], capture_output=True, text=True, timeout=60, check=False)
    journal.close()
    assert ended.returncode != 0
    assert 'is in use: another process runs this endpoint' in ended.stderr


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / 'journal.db').close()
    database = sqlite3.connect(tmp_path / 'journal.db')
    database.execute('PRAGMA user_version = 9')
    database.close()
    with pytest.raises(StoreError, match='newer'):
        SqliteJournal(tmp_path / 'journal.db')


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'journal.db').write_bytes(b'not a database at all' * 100)
    with pytest.raises(StoreError, match='damaged'):
        SqliteJournal(tmp_path / 'journal.db')


def test_a_full_disk_is_an_error_and_leaves_the_committed(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / 'journal.db')
    turn(journal, lambda: journal.keep(kept(1)))
    pages = journal._database.execute('PRAGMA page_count').fetchone()[0]
    journal._database.execute(f'PRAGMA max_page_count = {pages + 1}')
    journal.begin()
    with pytest.raises(StoreError, match='full'):
        journal.keep(Kept(Id(b'2' * 16), 1, b'header', bytes(100_000)))
    journal.rollback()
    assert journal.results() == [kept(1)]
    turn(journal, lambda: journal.keep(kept(3)))
    assert journal.results() == [kept(1), kept(3)]
    journal.close()


def test_a_directory_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / 'journal.db').mkdir()
    with pytest.raises(StoreError, match=r'journal\.db'):
        SqliteJournal(tmp_path / 'journal.db')


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / 'journal.db')
    try:
        assert journal._run('PRAGMA synchronous').fetchone() == (2,), 'FULL: each commit of the log is synced'
    finally:
        journal.close()
