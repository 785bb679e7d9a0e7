"""The note that says how long a stop may take: for one process and one signal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.daemon import Process
from relay_parsl.endpoint import grace


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
