"""Processes of a manager come off one that has imported what they need, and end with their manager."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from relay_parsl.engines import forkserver

MANAGER = """
import json, os, sys, time
from parsl.multiprocessing import SpawnContext

def work(queue):
    queue.put({'parent': os.getppid(), 'here': os.getpid(), 'known': 'relay_parsl.engines.worker' in sys.modules, 'mark': os.environ['MARK']})
    time.sleep(600)

if __name__ == '__main__':
    queue = SpawnContext.Queue()
    shared = SpawnContext.Manager().dict()
    for _ in range(2):
        SpawnContext.Process(target=work, args=(queue,), daemon=True).start()
    print(json.dumps([sys.argv[1:], os.getpid(), queue.get(), queue.get()]), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    (tmp_path / 'made_up_manager.py').write_text(MANAGER)
    command = [sys.executable, '-m', forkserver.__name__, 'made_up_manager', '--block', '7']
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path), 'MARK': 'here', 'PYTHONWARNINGS': ''}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True) as process:
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_workers_share_a_parent_that_has_imported_for_them(manager: subprocess.Popen[bytes]) -> None:
    assert manager.stdout is not None
    arguments, pid, one, other = json.loads(manager.stdout.readline())
    assert arguments == ['--block', '7']
    assert pid == manager.pid
    assert one['parent'] == other['parent'] != pid
    assert one['here'] != other['here']
    assert one['known']
    assert one['mark'] == 'here'


def test_the_server_ends_with_its_manager(manager: subprocess.Popen[bytes]) -> None:
    assert manager.stdout is not None
    server = psutil.Process(json.loads(manager.stdout.readline())[2]['parent'])
    manager.kill()
    end = time.monotonic() + 20
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, 'the forkserver outlives its manager'
        time.sleep(0.02)
