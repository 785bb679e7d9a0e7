"""Turns that the journal does not take: tried again for ten minutes, or not at all."""

from __future__ import annotations

import pytest

from relay_parsl.endpoint import commits
from relay_parsl.endpoint.commits import STUCK, Commits
from relay_parsl.endpoint.meter import Meter
from relay_parsl.errors import StoreError, StoreFailed

pytestmark = pytest.mark.usefixtures('_at_once')


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, 'AFTER_ERROR', 0.0)


class Disk:
    """A journal that says why it refuses, and counts what it was asked."""

    def __init__(self) -> None:
        self.refuses = ''
        self.broken = False
        self.open = False
        self.written: list[float] = []
        self._turn: list[float] = []

    def begin(self) -> None:
        assert not self.open
        self.open = True

    def commit(self) -> None:
        if self.refuses:
            self.broken = 'full' not in self.refuses
            raise StoreError(self.refuses)
        self.written += self._turn
        self._turn, self.open = [], False

    def rollback(self) -> None:
        self._turn, self.open = [], False

    def flush(self, now: float) -> None:
        """What a reactor has to say."""
        self._turn.append(now)


def test_a_full_disk_is_tried_again_until_it_has_room() -> None:
    disk = Disk()
    turns = Commits(disk, Meter())
    disk.refuses = 'the disk is full'
    assert [turns.commit(disk.flush, now) for now in (100.0, 101.0, 100.0 + STUCK - 1)] == [False] * 3
    assert turns.stuck
    disk.refuses = ''
    assert turns.commit(disk.flush, 200.0 + STUCK)
    assert (turns.stuck, disk.written) == (False, [200.0 + STUCK])
    disk.refuses = 'the disk is full'
    assert not turns.commit(disk.flush, 201.0 + STUCK), 'it has ten minutes anew'


@pytest.mark.fault(36)
def test_after_ten_minutes_without_room_it_ends() -> None:
    disk = Disk()
    turns = Commits(disk, Meter())
    disk.refuses = 'the disk is full'
    assert not turns.commit(disk.flush, 100.0)
    assert not turns.commit(disk.flush, 99.9 + STUCK)
    with pytest.raises(StoreFailed, match='the disk is full; nothing could be written for 600 s'):
        turns.commit(disk.flush, 100.0 + STUCK)
    assert disk.written == []


def test_who_is_stopping_has_no_time_to_wait_for_room() -> None:
    disk = Disk()
    disk.refuses = 'the disk is full'
    with pytest.raises(StoreFailed, match='full'):
        Commits(disk, Meter()).commit(disk.flush, 100.0, stopping=True)


def test_a_disk_that_fails_is_not_asked_again() -> None:
    disk = Disk()
    disk.refuses = 'disk I/O error'
    with pytest.raises(StoreFailed, match='I/O'):
        Commits(disk, Meter()).commit(disk.flush, 100.0)
