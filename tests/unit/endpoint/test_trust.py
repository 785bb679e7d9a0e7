"""`trusted.json`, read again when it changes."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from relay_parsl.endpoint import trust
from relay_parsl.endpoint.trust import Trusted
from relay_parsl.errors import HomeError
from relay_parsl.home import Pin, write_private

ALICE, BOB = Pin('alice', b'a' * 32, 'user'), Pin('bob', b'b' * 32, 'user')


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, 'LOOK_AGAIN', 0.0)


def write(path: Path, *pins: Pin) -> None:
    write_private(path, json.dumps({each.name: each.plain() for each in pins}).encode())


def test_it_names_whom_the_file_names_now(tmp_path: Path) -> None:
    write(tmp_path / 'trusted.json', ALICE)
    trusted = Trusted(tmp_path / 'trusted.json')
    assert trusted() == {ALICE.identity}
    write(tmp_path / 'trusted.json', ALICE, BOB)
    assert trusted() == {ALICE.identity, BOB.identity}
    write(tmp_path / 'trusted.json')
    assert trusted() == set()


def test_a_file_that_cannot_be_read_now_changes_nothing_and_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / 'trusted.json', ALICE)
    trusted = Trusted(tmp_path / 'trusted.json')
    write_private(tmp_path / 'trusted.json', b'{')
    with caplog.at_level(logging.ERROR):
        assert trusted() == {ALICE.identity}
    assert 'trusted.json' in caplog.text


def test_nobody_else_may_have_written_it(tmp_path: Path) -> None:
    write(tmp_path / 'trusted.json', ALICE)
    (tmp_path / 'trusted.json').chmod(0o644)
    with pytest.raises(HomeError, match='chmod'):
        Trusted(tmp_path / 'trusted.json')


def test_it_does_not_look_at_the_disk_for_each_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, 'LOOK_AGAIN', 3600.0)
    write(tmp_path / 'trusted.json', ALICE)
    trusted = Trusted(tmp_path / 'trusted.json')
    write(tmp_path / 'trusted.json')
    assert trusted() == {ALICE.identity}
