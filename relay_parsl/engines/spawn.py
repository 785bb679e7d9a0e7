"""Starts engine processes, and may do so ahead of time: this module imports nothing heavy.

Half of an engine's cold start is Python importing Parsl, once in the endpoint and then again in the engine process. An endpoint that calls `prepare`
before it imports Parsl itself lets the two happen at once.
"""

from __future__ import annotations

import atexit
import os
import secrets
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from relay_parsl import interpreter
from relay_parsl.engines import leash


@dataclass(frozen=True)
class Spawned:
    """A process that runs `engines.child`, and waits on `connection` for what to do."""

    token: str
    """The mark that it and all that it starts carry in their environment."""
    process: subprocess.Popen[bytes]
    connection: Connection

    def kill(self) -> None:
        """Kill its process group and wait for it. Safe from any thread, and twice."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


_spare: list[Spawned] = []


def prepare() -> None:
    """Start one for the next `take`. Call it from a thread that lives as long as the process: the child dies with it. Raises OSError."""
    if not _spare:
        _spare.append(start())


def take() -> Spawned:
    """The prepared process, or a new one. Raises OSError."""
    while _spare:
        spare = _spare.pop()
        if spare.process.poll() is None:
            return spare
        spare.connection.close()
    return start()


@atexit.register
def discard() -> None:
    """Kill what was prepared and not taken."""
    while _spare:
        spare = _spare.pop()
        spare.kill()
        spare.connection.close()


def start() -> Spawned:
    """A new process in a session of its own, so that Ctrl-C in a terminal reaches the endpoint alone. Raises OSError."""
    name = f'{time.strftime("%Y%m%d-%H%M%S")}-{secrets.token_hex(4)}'
    token = '/'.join(filter(None, [os.environ.get(leash.MARK), name]))
    ours, theirs = socket.socketpair()
    command = interpreter.command('relay_parsl.engines.child', theirs.fileno(), os.getpid())
    environment = {**os.environ, leash.MARK: token, **leash.KEEP_MARK}
    try:
        process = subprocess.Popen(  # noqa: S603  our own module
            command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True, env=environment
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Spawned(token, process, Connection(ours.detach()))
