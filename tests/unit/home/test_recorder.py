"""What may happen while the audit log takes no line, and that it recovers by itself."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from relay_parsl.home.audit import AuditLog, verify
from relay_parsl.home.recorder import AGAIN, Recorder
from relay_parsl.wire.seal import Keys


class Disk:
    """Takes no line while `full`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full, self.tries, self.synced = False, 0, 0
        write, fsync = os.write, os.fsync

        def written(fd: int, data: bytes) -> int:
            self.tries += 1
            if self.full:
                raise OSError(errno.ENOSPC, 'No space left on device')
            return write(fd, data)

        def synced(fd: int) -> None:
            self.synced += 1
            fsync(fd)

        monkeypatch.setattr(os, 'write', written)
        monkeypatch.setattr(os, 'fsync', synced)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def events(path: Path) -> list[str]:
    return [json.loads(line)['event'] for line in path.read_text().splitlines()]


def recorder(path: Path, mode: str) -> Recorder:
    return Recorder(AuditLog(path, Keys.generate()), mode)


@pytest.mark.attack(42)
def test_what_must_be_on_record_does_not_happen_while_the_disk_takes_no_line(tmp_path: Path, disk: Disk) -> None:
    made = recorder(tmp_path / 'audit.log', 'required')
    made.note(0.0, 'begin', {})
    assert made.commit(0.0)
    assert disk.synced == 2  # the log and its head
    disk.full = True
    made.note(10.0, 'start', {})
    assert not made.commit(10.0)
    assert made.halted
    tried = disk.tries
    assert not made.commit(10.0 + AGAIN / 2)
    assert disk.tries == tried, 'a full disk is not asked a thousand times a second'
    assert not made.commit(10.0 + AGAIN)
    disk.full = False
    assert made.commit(10.0 + 2 * AGAIN)
    assert not made.halted
    made.close()
    assert events(tmp_path / 'audit.log') == ['begin', 'start', 'audit-resumed']
    assert verify(tmp_path / 'audit.log') == []


def test_a_turn_that_did_not_happen_leaves_no_line_and_the_log_is_tried_all_the_same(tmp_path: Path, disk: Disk) -> None:
    made = recorder(tmp_path / 'audit.log', 'required')
    disk.full = True
    made.note(0.0, 'revoke', {})
    assert not made.commit(0.0)
    made.take_back()
    disk.full = False
    assert made.commit(AGAIN)
    made.close()
    assert events(tmp_path / 'audit.log') == ['audit-resumed']


def test_with_best_effort_everything_goes_on_and_the_lines_follow(tmp_path: Path, disk: Disk) -> None:
    made = recorder(tmp_path / 'audit.log', 'best-effort')
    disk.full = True
    for second in range(3):
        made.note(float(second), 'start', {})
        assert made.commit(float(second))
    assert made.failing
    assert not made.halted
    disk.full = False
    assert made.commit(10.0)
    assert not made.failing
    assert disk.synced == 0
    made.close()
    assert events(tmp_path / 'audit.log') == ['start', 'start', 'start', 'audit-resumed']
