"""One engine at a time runs the flows of a journal, and a holder that was stopped and wakes up writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.flows.journal.file import JournalFile
from relay_parsl.flows.journal.lease import Lease, LeaseLost


class Clock:
    """Seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JournalFile]:
    made = JournalFile(tmp_path / 'journal.db')
    yield made
    made.close()


def put(file: JournalFile, lease: Lease, key: str) -> None:
    with file.turn():
        file.run('INSERT INTO records (provider, key, value) VALUES (?, ?, ?)', 'test', key, '1')
        lease.check(file)


def test_who_beats_keeps_the_lease_and_who_is_silent_loses_it_and_writes_nothing(file: JournalFile) -> None:
    clock = Clock()
    first, second = (Lease(file, length=10.0, clock=clock) for _ in range(2))
    assert first.take()
    assert not second.take()
    clock.now = 9.0
    put(file, first, 'a')
    for clock.now in (11.0, 20.0):
        assert not second.take(), 'it has beaten since'
    assert not first.sure
    clock.now = 21.5
    assert second.take()
    with pytest.raises(LeaseLost):
        put(file, first, 'b')
    put(file, second, 'c')
    assert file.all('SELECT key FROM records ORDER BY key') == [('a',), ('c',)]
    first.give()
    assert not first.take(), 'it was not its own to give'
    second.give()
    assert first.take()
