"""The journal's file between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relay_parsl.errors import StoreError
from relay_parsl.flows.journal.file import JournalFile

COUNT = """
import sys
from pathlib import Path
from relay_parsl.flows.journal.file import JournalFile
file = JournalFile(Path(sys.argv[1]))
print(file.one('SELECT count(*) FROM records')[0])
file.close()
"""


def count(path: Path) -> int:
    """The records that another process sees; it opens the file and closes it."""
    return int(subprocess.run([sys.executable, '-c', COUNT, str(path)], check=True, capture_output=True, text=True).stdout)


def write(file: JournalFile, key: str) -> None:
    with file.turn():
        file.run('INSERT INTO records (provider, key, value) VALUES (?, ?, ?)', 'test', key, '1')


def test_another_process_that_closes_the_file_leaves_the_log_to_those_who_have_it_open(tmp_path: Path) -> None:
    """A second connection of one process must not cost the first its locks: commits went to a log that was removed, and the file was damaged."""
    path = tmp_path / 'journal.db'
    first, second = JournalFile(path), JournalFile(path)
    write(first, 'a')
    log = path.with_name('journal.db-wal')
    inode = log.stat().st_ino
    assert count(path) == 1
    assert log.exists()
    assert log.stat().st_ino == inode
    write(first, 'b')
    write(second, 'c')
    assert count(path) == 3
    for file in (first, second):
        assert file.one('PRAGMA integrity_check')[0] == 'ok'
        file.close()


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'link.db').symlink_to(tmp_path / 'elsewhere.db')
    with pytest.raises(StoreError, match='symbolic link'):
        JournalFile(tmp_path / 'link.db')
    assert not (tmp_path / 'elsewhere.db').exists()


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / 'journal.db')
    file.close()
    assert (tmp_path / 'journal.db').stat().st_mode & 0o777 == 0o600


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / 'journal.db')
    try:
        assert file.one('PRAGMA synchronous') == (2,), 'FULL: each commit of the log is synced'
    finally:
        file.close()


def fail(file: JournalFile) -> None:
    with file.turn():
        file.run('INSERT INTO records (provider, key, value) VALUES (?, ?, ?)', 'test', 'a', '1')
        file.run('DELETE FROM nowhere')


def test_of_a_turn_that_fails_nothing_is_written(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / 'journal.db')
    try:
        with pytest.raises(StoreError, match='no such table'):
            fail(file)
        write(file, 'c')
        assert file.all('SELECT key FROM records') == [('c',)]
    finally:
        file.close()
