"""The note that says how long a stop may take: for one process and one signal."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from relay_parsl.daemon import Process
from relay_parsl.endpoint import grace
from relay_parsl.endpoint.place import Place
from relay_parsl.errors import HomeError
from relay_parsl.home import Home, write_private


def test_a_note_is_taken_once_and_by_the_process_that_it_names(tmp_path: Path) -> None:
    assert grace.take(tmp_path) is None
    grace.leave(tmp_path, Process.current(), 3600.0)
    assert (tmp_path / grace.NAME).stat().st_mode & 0o777 == 0o600
    assert grace.take(tmp_path) == 3600.0
    assert grace.take(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('other', [{'pid': 1}, {'created': 1000.0}, {'host': 'elsewhere'}])
def test_a_note_for_an_earlier_process_says_nothing_and_does_not_stay(tmp_path: Path, other: dict[str, object]) -> None:
    grace.leave(tmp_path, replace(Process.current(), **other), 3600.0)  # type: ignore[arg-type]
    assert grace.take(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('seconds', [float('inf'), float('nan'), -1.0, 1e300])
def test_what_is_no_time_is_none(tmp_path: Path, seconds: float) -> None:
    grace.leave(tmp_path, Process.current(), seconds)
    assert grace.take(tmp_path) is None


@pytest.mark.parametrize('words', ['', '5', '{"process": 3, "seconds": 5}', '{"process": {"pid": 1}, "seconds": 5}', '{}'])
def test_what_is_no_note_is_none(tmp_path: Path, words: str) -> None:
    (tmp_path / grace.NAME).write_text(words)
    (tmp_path / grace.NAME).chmod(0o600)
    assert grace.take(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_who_cannot_leave_a_note_stops_it_all_the_same_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, say."""

    def full(*_about: object) -> None:
        raise HomeError('no room')

    place = Place(Home(tmp_path), 'one')
    place.make()
    with subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE) as child:
        process = replace(Process.current(), pid=child.pid, created=psutil.Process(child.pid).create_time())
        write_private(place.pid_file.path, json.dumps(asdict(process)).encode())
        monkeypatch.setattr(grace, 'leave', full)
        assert place.stop(5.0) == (process, 'no room')
