"""`relay backup` and `relay restore` where something is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay_parsl.cli.main import main
from relay_parsl.home import HOME, Credentials, Home
from relay_parsl.relay.sqlite import SqliteStore


def test_a_wrong_passphrase_restores_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Home(tmp_path / 'here'), Home(tmp_path / 'there')
    SqliteStore(here.directory('relay') / 'relay.db').close()
    for name, role, path in (('relay', 'relay', here.directory('relay') / 'relay.key'), ('operator', 'operator', here.credentials_path('operator'))):
        Credentials.create(name, role, now=time.time(), lifetime=1e6).save(path)
    monkeypatch.setenv(HOME, str(here.root))
    done = CliRunner().invoke(main, ['relay', 'backup', str(tmp_path / 'b'), '--passphrase', 'the right one'])
    assert done.exit_code == 0, done.output
    monkeypatch.setenv(HOME, str(there.root))
    for passphrase, code, left in (('another one', 2, ['relay.pid']), ('the right one', 0, ['relay.db', 'relay.key', 'relay.pid', 'spool'])):
        done = CliRunner().invoke(main, ['relay', 'restore', str(tmp_path / 'b'), '--passphrase', passphrase])
        assert done.exit_code == code, done.output
        assert {path.name for path in (there.root / 'relay').iterdir()} - {'relay.pid'} == {*left} - {'relay.pid'}
