"""Blocks as an engine tells of them: where they are, why they fail, and when it stops asking for more."""

from __future__ import annotations

import platform
from collections.abc import Callable

import pytest

from tests.integration.engine_rig import Rig

pytestmark = pytest.mark.integration


def test_the_status_names_blocks_jobs_managers_and_hosts(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    rig.wait(lambda: rig.engine.status().workers == 2)
    detail = rig.engine.status().detail
    (block,), (manager,) = detail['blocks'], detail['managers']
    assert (block['block'], block['reason']) == ('0', '')
    assert block['state'] in ('PENDING', 'RUNNING')
    assert int(block['job']) > 1
    assert (manager['host'], manager['block'], manager['workers'], manager['tasks']) == (platform.node(), '0', 2, 0)
