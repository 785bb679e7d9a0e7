"""A fake PBS for one test: its commands on PATH, its state in a directory of its own, nothing of it left behind."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.openpbs import mom, server

BIN = Path(__file__).parent / 'bin'
PATIENCE = 60.0


class FakePBS:
    """What a test may know and change of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)

    def set(self, **settings: Any) -> None:
        """Change how it behaves: the names of `server.SETTINGS`."""
        assert settings.keys() <= server.SETTINGS.keys(), settings
        with server.locked(self.directory) as locked:
            locked.state['settings'].update(settings)

    @property
    def log(self) -> list[list[str]]:
        """Every command that was run: its name and its arguments."""
        with server.locked(self.directory) as locked:
            return list(locked.state['log'])

    def ran(self, name: str) -> list[list[str]]:
        """The arguments of every `name` that was run."""
        return [each[1:] for each in self.log if each[0] == name]

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """All jobs as the server knows them."""
        with server.locked(self.directory) as locked:
            return json.loads(json.dumps(locked.jobs))  # type: ignore[no-any-return]  # a copy

    def purge(self, job: str) -> None:
        """Forget a job, as a server does with its history."""
        with server.locked(self.directory) as locked:
            del locked.jobs[job]

    def wait(self, job: str, state: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The job once it is in a state."""
        return until(lambda: each if (each := self.jobs.get(job, {})).get('state') == state else None, seconds, lambda: self.jobs.get(job))

    def processes(self, job: str) -> list[int]:
        """The processes of a job that live."""
        cookie = self.jobs.get(job, {}).get('cookie')
        return mom.marked(cookie) if cookie else []

    def close(self) -> None:
        """End every job and its supervisor."""
        with server.locked(self.directory) as locked:
            locked.state['closing'] = 'the end of the test'
            locked.state['settings'].update(kill_delay=0.5, exit_delay=0)
            pids = [job['mom'] for job in locked.jobs.values() if 'mom' in job]
            cookies = [job['cookie'] for job in locked.jobs.values() if 'cookie' in job]
        deadline = time.monotonic() + 10
        while (left := [pid for pid in pids if self._mine(pid)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for cookie in cookies:
            mom.kill_marked(cookie, signal.SIGKILL)

    def _mine(self, pid: int) -> bool:
        with suppress(OSError):
            return str(self.directory).encode() in Path('/proc', str(pid), 'cmdline').read_bytes()
        return False


def until(condition: Callable[[], Any], seconds: float = PATIENCE, shown: Callable[[], Any] = lambda: '') -> Any:
    """The condition's value as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f'it did not come about: {shown()}'
        time.sleep(0.02)
    return value


@pytest.fixture(name='pbs')
def fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    """A PBS whose commands the test's own processes find first."""
    pbs = FakePBS(tmp_path / 'pbs')
    monkeypatch.setenv(server.PLACE, str(pbs.directory))
    monkeypatch.setenv('FAKE_PBS_PYTHON', sys.executable)
    monkeypatch.setenv('PATH', f'{BIN}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.delenv('PBS_SERVER', raising=False)
    yield pbs
    pbs.close()
