"""An account that ends by itself: its live session too, and the endpoint takes nothing of it any more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.commands import Commands, commands

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WORKS_UNTIL = """
import time
import relay_parsl as rp
with rp.Executor('site') as executor:
    print(executor.submit(abs, -7).result(timeout=40), flush=True)
    while (error := executor.submit(abs, -7).exception(timeout=40)) is None:
        time.sleep(0.2)
    print(type(error).__name__, error)
"""


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Commands, Commands]]:
    with ExitStack() as stack:
        yield stack.enter_context(commands(tmp_path / 'alice')), stack.enter_context(commands(tmp_path / 'robot'))


@pytest.mark.slow
def test_a_service_ends_when_its_invitation_said_so(machines: tuple[Commands, Commands]) -> None:
    alice, robot = machines
    alice.relay()
    alice.endpoint('site')
    began = time.time()
    robot.ok('join', alice.ok('invite', 'robot', '--role', 'service', '--until', '15s').strip())
    listed = alice.run('account', 'list', '--json')
    [row] = [row for row in json.loads(listed.stdout) if row['name'] == 'robot']
    assert began + 10 < row['not_after'] < began + 25
    assert "service 'robot' ends today" in listed.stderr
    done = robot.python(WORKS_UNTIL)
    assert done.stdout.startswith('7\n'), done.stderr
    assert 'its time is over' in done.stdout
    assert time.time() >= row['not_after']
    assert 'its time is over' in robot.refused('account', 'list')
    assert "service 'robot' is over" in alice.run('account', 'list').stderr
