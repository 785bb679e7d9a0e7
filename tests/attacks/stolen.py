"""The parties around a hostile relay: real endpoint processes, a real client, and what tells whether anything ran that should not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from relay_parsl.client import session
from relay_parsl.client.defaults import Target
from relay_parsl.client.executor import Executor
from relay_parsl.client.futures import TaskFuture
from relay_parsl.endpoint.founding import found
from relay_parsl.endpoint.place import Place
from relay_parsl.home import Credentials, Home
from tests.attacks.hostile_relay import HostileRelay, until

ROOT = Path(__file__).parents[2]
FILE = {'engine': {'type': 'ThreadPoolEngine', 'max_workers': 4}}
SCRIPT = """
import logging, sys, time
from relay_parsl import logs
logs.begin(logging.INFO)
real, shift = time.time, float(sys.argv[5])
time.time = lambda: real() + shift
from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.endpoint import Endpoint
from relay_parsl.endpoint.place import Place
from relay_parsl.home import Credentials, Home, RelayEntry
place = Place(Home(sys.argv[1]), sys.argv[2])
entry = RelayEntry('stolen', sys.argv[3], bytes.fromhex(sys.argv[4]), '')
sys.exit(Endpoint(place.root, load_endpoint_config(place.config), entry, Credentials.load(place.key)).run())
"""
"""An endpoint whose clock is wrong by `shift` seconds."""


def note(path: str, word: str) -> str:
    """What tasks do here: it leaves a trace."""
    with open(path, 'a') as file:
        file.write(word + '\n')
    return word


class Stolen:
    """A user with two endpoints of hers, `site` and `other`, at a relay that an attacker holds."""

    def __init__(self, root: Path) -> None:
        """The relay runs; endpoints are to be started."""
        self.root, self.home = root, Home(root / 'home')
        files = {name: json.dumps({'display_name': name, **FILE}).encode() for name in ('site', 'other')}
        _, self.user = found(self.home, files)
        self.relay = HostileRelay(self.home)
        self.target = Target(self.relay.entry, self.user, self.home)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.traces = 0

    def credentials(self, name: str) -> Credentials:
        """An endpoint's."""
        return Credentials.load(Place(self.home, name).key)

    def start(self, name: str = 'site', shift: float = 0.0) -> None:
        """An endpoint, as a process."""
        url, key = self.relay.entry.url, self.relay.entry.key.hex()
        arguments = [sys.executable, '-c', SCRIPT, str(self.home.root), name, url, key, str(shift)]
        with (self.root / f'{name}.log').open('ab') as log:
            self._processes[name] = subprocess.Popen(arguments, cwd=ROOT, stderr=log)
        self.relay.endpoint(self.credentials(name).id)

    def stop(self, name: str = 'site') -> None:
        """In good order: what it knows is on its disk."""
        process = self._processes.pop(name)
        process.terminate()
        process.wait(30)

    def kill(self, name: str = 'site') -> None:
        """At once: what is on its disk is all that it knows."""
        process = self._processes.pop(name)
        process.kill()
        process.wait(30)

    def executor(self, name: str = 'site') -> Executor:
        """The user's client."""
        return Executor(name, relay=self.target)

    def trace(self) -> Path:
        """A fresh file in which a task leaves its trace."""
        self.traces += 1
        return self.root / f'trace{self.traces}'

    def refusals(self, name: str = 'site') -> list[dict[str, Any]]:
        """What the endpoint has refused, as its audit log has it."""
        log = Place(self.home, name).root / 'audit.log'
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if line['event'] == 'refuse']

    def refuses(self, act: Callable[[], object], name: str = 'site') -> dict[str, Any]:
        """Do it, and wait for the line of the audit log that says that the endpoint has refused it."""
        before = len(self.refusals(name))
        act()
        return until(lambda: self.refusals(name)[before:], 'a refusal on record')[0]

    def close(self) -> None:
        """End everything that was started here."""
        for each in list(session._sessions.values()):
            each.close()
        session._sessions.clear()
        with ExitStack() as stack:
            stack.callback(self.relay.close)
            for process in self._processes.values():
                stack.callback(process.wait, 30)
                process.kill()


@contextmanager
def stolen_in(root: Path) -> Iterator[Stolen]:
    """All of it, and its end."""
    made = Stolen(root)
    try:
        yield made
    finally:
        made.close()


def lines(path: Path) -> list[str]:
    """The traces in a file."""
    return path.read_text().splitlines() if path.exists() else []


def failure(future: TaskFuture) -> BaseException:
    """How a task failed; that it did not come to a value is part of the test."""
    error = future.exception(40)
    assert error is not None, f'it gave {future.result(0)!r}'
    return error
