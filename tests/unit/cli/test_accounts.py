"""How an invitation comes to `join`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay_parsl.cli.main import main
from relay_parsl.home import HOME, Credentials, Invitation, RelayEntry


@pytest.mark.attack(31)
def test_an_invitation_need_not_stand_on_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    inviter = Credentials.create('ann', 'user', now=time.time(), lifetime=1e6)
    entry = RelayEntry('here', 'tcp://127.0.0.1:1', bytes(32), '')
    link = Invitation.create(entry, inviter, 'site', 'endpoint', time.time() - 5).link()
    done = CliRunner().invoke(main, ['join'], input=f'{link}\n')
    assert "invitation of 'site' has expired" in done.output
    assert 'this is no invitation' in CliRunner().invoke(main, ['join'], input='').output
