"""What systemd is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

CODE = """
import os
from relay_parsl import daemon, supervisor
assert 'NOTIFY_SOCKET' not in os.environ and 'WATCHDOG_USEC' not in os.environ
daemon.ready('relay at here')
for _ in range(1000):
    daemon.alive()
with daemon.terminated_by(lambda: None):
    os.kill(os.getpid(), 15)
"""


def test_ready_alive_and_stopping_are_told_once_each(tmp_path: Path) -> None:
    path = str(tmp_path / 'notify')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(10)
        environment = {**os.environ, 'NOTIFY_SOCKET': path, 'WATCHDOG_USEC': '120000000'}
        subprocess.run([sys.executable, '-c', CODE], env=environment, check=True)
        assert [systemd.recv(1000) for _ in range(3)] == [b'READY=1\nSTATUS=relay at here', b'WATCHDOG=1', b'STOPPING=1']
        systemd.setblocking(False)
        try:
            raise AssertionError(systemd.recv(1000))
        except BlockingIOError:
            pass


def test_without_systemd_nothing_is_told() -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ('NOTIFY_SOCKET', 'WATCHDOG_USEC')}
    subprocess.run([sys.executable, '-c', CODE], env=environment, check=True)
