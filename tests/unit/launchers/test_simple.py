"""The launcher of MPIEngine."""

from __future__ import annotations

import pytest
from parsl.launchers import SimpleLauncher as ParslSimpleLauncher

from relay_parsl.launchers import SimpleLauncher


def test_a_block_of_several_nodes_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    launcher = SimpleLauncher()
    assert launcher('command', 1, 4, '/scripts') == 'command'
    assert not caplog.records
    assert isinstance(launcher, ParslSimpleLauncher), 'MPIExecutor asks'
