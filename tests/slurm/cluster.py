"""What the tests ask of the Slurm that `up.sh` brings up, and what they do to it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATABASE = Path('/etc/slurm/slurmdbd.conf')
ACCOUNT, QOS = 'm1234_g', 'regular'


def run(*command: str, seconds: float = 60.0) -> str:
    """What a command prints; it must not fail."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f'{command}: {done.returncode} {done.stdout}{done.stderr}'
    return done.stdout


def absence() -> str:
    """Why no Slurm can be used here; '' when one answers."""
    if shutil.which('sinfo') is None:
        return 'there is no `sinfo` on this machine'
    try:
        done = subprocess.run(['scontrol', 'ping'], check=False, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return 'no Slurm controller answers within 20 s'
    return '' if ' is UP' in done.stdout else f'no Slurm controller answers: {(done.stdout + done.stderr).strip()[:200]}'


def until(happened: Callable[[], Any], seconds: float = 60.0, what: str = 'it') -> Any:
    """What the condition returns, as soon as that is true; fails when it does not come about in time."""
    deadline = time.monotonic() + seconds
    while not (value := happened()):
        assert time.monotonic() < deadline, f'{what} did not happen in {seconds} s'
        time.sleep(0.1)
    return value


def jobs(name: str) -> dict[str, str]:
    """Id -> state of the jobs in the queue whose names hold the word."""
    rows = [line.split('|') for line in run('squeue', '-h', '-o', '%i|%T|%j').splitlines()]
    return {job: state for job, state, title in rows if name in title}


def field(job: str, name: str) -> str:
    """One field of `scontrol show job`."""
    found = re.search(rf'\b{name}=(\S+)', run('scontrol', 'show', 'job', job))
    return found[1] if found else ''


def node(what: str, name: str) -> None:
    """`fail`, `hang`, `cont` or `up` for a node."""
    run(str(HERE / 'node.sh'), what, name)


def database_pid() -> int:
    """Of slurmdbd; 0 when it is down."""
    found = re.search(r'^PidFile=(.+)$', DATABASE.read_text(), re.MULTILINE)
    assert found
    try:
        pid = int(Path(found[1]).read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return pid if Path(f'/proc/{pid}/comm').read_text().strip() == 'slurmdbd' else 0


def stop_database() -> None:
    """Accounting goes away: `sacct` is refused the connection."""
    if pid := database_pid():
        os.kill(pid, signal.SIGTERM)
    until(lambda: not database_pid(), 20, 'the end of slurmdbd')


def start_database() -> None:
    """And comes back."""
    if not database_pid():
        run('slurmdbd')
    until(lambda: subprocess.run(['sacctmgr', '-n', 'show', 'cluster'], check=False, capture_output=True).returncode == 0, 40, 'slurmdbd')


def idle(*names: str) -> bool:
    """Whether nothing runs, nor is being cleaned up, on these nodes."""
    states = run('sinfo', '-hN', '-n', ','.join(names), '-o', '%T').split()
    return bool(states) and set(states) == {'idle'}
