"""The server's state: a directory with one JSON file, locked while a command or a job's supervisor works on it."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLACE = 'FAKE_PBS'
"""The environment variable that names the directory."""

SETTINGS: dict[str, Any] = {
    'server': 'polaris-pbs-01',
    'domain': '',  # what qstat adds to the server's name in ids: long ids
    'queues': {
        'debug': {'nodes': 2, 'walltime': 3600},
        'debug-scaling': {'nodes': 10, 'walltime': 3600},
        'preemptable': {'nodes': 10, 'walltime': 72 * 3600},
        'demand': {'nodes': 56, 'walltime': 3600},
        'prod': {'nodes': 496, 'walltime': 24 * 3600},
        'workq': {'nodes': 1000, 'walltime': 10**9},
        'closed': {'nodes': 1000, 'walltime': 10**9, 'enabled': False},
    },
    'default_queue': 'workq',
    'hosts': ['p1', 'p2', 'p3', 'p4'],
    'host': {'ncpus': 64, 'ngpus': 4, 'system': 'polaris'},
    'accounts': ['Catalyst'],
    'filesystems': ['home', 'eagle', 'grand'],
    'hook': True,  # ALCF's: walltime, account, filesystems must be there and known
    'history': True,  # job_history_enable
    'first_only': False,  # openpbs#2672: JSON of several jobs holds the first
    'blank': False,  # qstat names no job, and returns 0
    'tmp': '',  # where jobs have their TMPDIR; '': in the state's directory
    'spoil': '',  # what is put into each Variable_List as PBS's JSON writer would, unescaped
    'down': False,  # the server does not listen
    'hang': '',  # a command that does what it shall and never returns
    'mute': False,  # qsub submits, and its answer is lost
    'slow': 0.0,  # seconds before any command says anything
    'start_delay': 0.0,  # seconds in Q at least
    'exit_delay': 0.0,  # seconds in E
    'late': 0.0,  # seconds after its walltime that a job is killed; up to 12 on a real one
    'kill_delay': 5.0,  # seconds between SIGTERM and SIGKILL
}

VERSION = '23.06.06'
RUNNING = ('R', 'E', 'B')


class Refused(Exception):
    """What a command says instead of doing it: its text, already with the command's name, and its exit status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


class Server:
    """State and settings while they are locked."""

    def __init__(self, place: Path, state: dict[str, Any]) -> None:
        self.place, self.state = place, state
        self.settings: dict[str, Any] = {**SETTINGS, **state['settings']}
        self.jobs: dict[str, dict[str, Any]] = state['jobs']

    @property
    def name(self) -> str:
        return str(self.settings['server'])

    def find(self, text: str) -> str | None:
        """The key of the job that an id of a user means; None: no such job. Raises ValueError for what is no id."""
        match = re.fullmatch(r'(\d+(?:\[\d*\])?)(?:\.(\S+))?', text)
        known = (None, self.name, self.name + self.settings['domain'])
        if match is None or match[2] not in known:
            raise ValueError(text)
        key = f'{match[1]}.{self.name}'
        return key if key in self.jobs else None

    def shown_id(self, key: str) -> str:
        return key + str(self.settings['domain'])

    def busy(self) -> set[str]:
        """Hosts that a job has for itself: sharing is force_exclhost."""
        return {host for job in self.jobs.values() if job['state'] in RUNNING for host in job['hosts']}


def place() -> Path:
    if PLACE not in os.environ:
        sys.stderr.write(f'{PLACE} does not name the directory of a fake PBS\n')
        raise SystemExit(255)
    return Path(os.environ[PLACE])


@contextmanager
def locked(where: Path) -> Iterator[Server]:
    """The state, alone; what is changed in it is kept."""
    with open(where / 'lock', 'a', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = where / 'state.json'
        before = path.read_text(encoding='utf-8', errors='surrogateescape') if path.exists() else '{"jobs": {}, "settings": {}, "next": 1, "log": []}'
        server = Server(where, json.loads(before))
        yield server
        after = json.dumps(server.state)
        if after != before:
            path.with_suffix('.new').write_text(after, encoding='utf-8')
            os.replace(path.with_suffix('.new'), path)


@contextmanager
def command(name: str, down: str, code: int) -> Iterator[Server]:
    """The state for one command, which is noted in the log; `down` and `code` are what it says while the server is away."""
    where = place()
    with locked(where) as server:
        server.state['log'].append([name, *sys.argv[1:]])
        slow = float(server.settings['slow'])
    time.sleep(slow)
    with locked(where) as server:
        other = os.environ.get('PBS_SERVER', server.name).partition('.')[0]
        if other != server.name:
            raise Refused(255, f'Unknown Host.\n{name}: cannot connect to server {other} (errno=15008)')
        if server.settings['down']:
            raise Refused(code, down.format(server=server.name, short=server.name.partition('-')[0]))
        yield server


def when(seconds: float) -> str:
    return time.strftime('%a %b %d %H:%M:%S %Y', time.localtime(seconds))


def clock(seconds: float) -> str:
    return f'{int(seconds) // 3600:02d}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}'


def user() -> str:
    return getpass.getuser()


def submit_host() -> str:
    return socket.gethostname()
