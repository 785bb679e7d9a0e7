"""The spine under a blow: the relay is killed while a thousand tasks run on two HTEX endpoints, and nothing is lost or run twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.commands import Commands, commands, until

pytestmark = pytest.mark.integration

TASKS = 1000
HTEX = """
display_name: {name}
engine:
  type: HtexEngine
  max_workers_per_node: 1
  cores_per_worker: 0.1
  provider:
    type: LocalProvider
    init_blocks: 1
    max_blocks: 1
"""
SCRIPT = """
import sys
from concurrent.futures import as_completed
import relay_parsl as rp

def append(path, number):
    import os
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, b'%d\\n' % number)
    os.close(handle)
    return number

with rp.Executor('one') as one, rp.Executor('two') as two:
    futures = [(one, two)[number % 2].submit(append, sys.argv[1], number) for number in range({tasks})]
    print('submitted', flush=True)
    print(sorted(future.result(timeout=100) for future in as_completed(futures, timeout=100)) == list(range({tasks})), flush=True)
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home') as made:
        yield made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port: int = probe.getsockname()[1]
        return port


def relay_pid(cli: Commands) -> int:
    return int(json.loads((cli.root / 'relay' / 'relay.pid').read_text())['pid'])


def lines(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.mark.timeout(180)
def test_a_relay_killed_under_a_thousand_tasks(cli: Commands) -> None:
    where = f'127.0.0.1:{free_port()}'
    cli.ok('relay', 'start', '--bind', where, '--user', 'alice', '--detach')
    for name in ('one', 'two'):
        cli.endpoint(name, HTEX.format(name=name))
    record = cli.cwd / 'record'
    with subprocess.Popen(
        [sys.executable, '-c', SCRIPT.format(tasks=TASKS), str(record)], env=cli.environment, cwd=cli.cwd, stdout=subprocess.PIPE, text=True
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == 'submitted\n'
        until(lambda: len(lines(record)) >= 50)
        assert len(lines(record)) < TASKS, 'the blow must fall while tasks run'
        killed = relay_pid(cli)
        os.kill(killed, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(killed))
        cli.ok('relay', 'start', '--bind', where, '--detach')
        assert script.stdout.readline() == 'True\n'
        assert script.wait(timeout=60) == 0
    assert sorted(lines(record)) == list(range(TASKS)), 'each task ran exactly once'
