"""One engine process, seen from the endpoint: started, spoken with, killed with all that it started."""

from __future__ import annotations

import contextlib
import logging
import pickle
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relay_parsl.engines import launch, leash, spawn
from relay_parsl.engines.outlet import Outlet
from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec

logger = logging.getLogger(__name__)

KEEP = 5
"""Directories of earlier engines that are kept for their logs."""


class Build:
    """A child process with one HTEX in it. One thread reads `messages`; `send` and `kill` may be called from any."""

    def __init__(self, run_dir: Path, plan: Mapping[str, Any], old_jobs: Sequence[str]) -> None:
        """Start one.

        Args:
            run_dir: gets a journal and a directory for this engine.
            plan: as in `launch.build`, without what is made here.
            old_jobs: batch jobs of dead engines, which this one cancels.

        Raises:
            OSError: no directory, or no process.
        """
        self._spawned = spawn.take()
        self._process, self._connection, self.token = self._spawned.process, self._spawned.connection, self._spawned.token
        self._outlet = Outlet(self._connection)
        name = self.token.rpartition('/')[2]
        self._directory = run_dir / name
        journal = run_dir / f'{name}.journal'
        plan = {**plan, 'token': self.token, 'directory': str(self._directory), 'journal': str(journal), 'old_jobs': list(old_jobs)}
        try:
            self._directory.mkdir(mode=0o700)
            launch.Journal(journal).open(self.token, socket.gethostname(), old_jobs)
            self._connection.send_bytes(pickle.dumps(plan))
        except BaseException:
            self.kill()
            self.close()
            raise

    def send(self, message: list[Any] | None = None) -> None:
        """See `Outlet`."""
        self._outlet.send(message)

    def offer(self, message: list[Any]) -> None:
        """See `Outlet`."""
        self._outlet.offer(message)

    @property
    def behind(self) -> bool:
        """See `Outlet`."""
        return self._outlet.behind

    def messages(self, silence: float) -> Iterator[list[Any]]:
        """What the child says, until it ends or says nothing for `silence` seconds. Nothing of it is unpickled: it has met strangers' bytes."""
        watch = select.poll()  # one for all: `Connection.poll` makes a selector each time
        with contextlib.suppress(EOFError, OSError, ProtocolError):
            watch.register(self._connection.fileno(), select.POLLIN)
            while watch.poll(1000 * silence):
                message = codec.unpack(self._connection.recv_bytes())
                if isinstance(message, list) and message:
                    yield message

    def obituary(self) -> str:
        """How it ended, with the end of its log; it is killed if it has not."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return f'the engine process hangs; its log ends with:\n{launch.tail(self._directory / "engine.log")}'
        how = f'was killed by {signal.Signals(-code).name}' if code < 0 else f'ended with code {code}'
        return f'the engine process {how}; its log ends with:\n{launch.tail(self._directory / "engine.log")}'

    def kill(self) -> None:
        """End it and everything that carries its mark on this host. Batch jobs elsewhere stand in its journal."""
        self._spawned.kill()
        _finish(self.token)

    def close(self) -> None:
        """Close the socket, when nobody reads or writes any more."""
        self._outlet.close()


def sweep(run_dir: Path) -> list[str]:
    """Kill what dead engines left on this host, and forget them. Returns their batch jobs, which the caller's next engine must cancel.

    A mark in the environment names the processes, so that a pid that was given to somebody else since then is never touched.
    """
    jobs: list[str] = []
    for path in sorted(run_dir.glob('*.journal')):
        old = launch.Journal(path)
        jobs += old.jobs
        if old.host == socket.gethostname():
            _finish(old.token)
        elif old.host:
            logger.warning('an earlier engine ran on %s; what it left there ends by itself when its interchange is gone', old.host)
    return jobs


def forget(run_dir: Path, alive: str = '') -> None:
    """Remove journals of swept engines, but for that of the one whose token is `alive`, and directories of all but the last few."""
    for path in run_dir.glob('*.journal'):
        if launch.Journal(path).token != alive:
            path.unlink(missing_ok=True)
    directories = sorted(path for path in run_dir.iterdir() if path.is_dir() and (path / 'engine.log').exists())
    for path in directories[:-KEEP]:
        shutil.rmtree(path, ignore_errors=True)


def _finish(token: str) -> None:
    if token and (left := leash.kill_marked(token)):
        logger.error('these processes of an earlier engine do not die: %s', left)
