"""A worker's side of a runner: all that a compute node imports of ours before user code.

`run_task` is what HTEX calls with the bytes of an attempt. The work itself is done in a child, the *runner*; its death is noticed in milliseconds,
charged to the very attempt that it ran, and hurts neither the worker nor its neighbours.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection

from relay_parsl.engines import accelerators, leash, ranks
from relay_parsl.engines.frames import Death, account_of, encode_end, with_environment

TAIL = 4096
"""Bytes of a runner's last output that are kept as evidence."""
GRACE = 2.0
"""Seconds that a runner has to end by itself when it is not needed any more, or has no socket any more."""


class RunnerDied(Exception):
    """The runner died; the text says how, and what it printed last."""


class Tail:
    """Passes a runner's error output on to this process's own, and keeps its end."""

    def __init__(self, source: int) -> None:
        """Takes over the reading end of a pipe."""
        self._source = source
        self._kept = b''
        self._thread = threading.Thread(target=self._copy, name='runner-stderr', daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        with open(self._source, 'rb', buffering=0) as source:
            while data := source.read(65536):
                self._kept = (self._kept + data)[-TAIL:]
                with contextlib.suppress(OSError):
                    os.write(2, data)

    def text(self) -> str:
        """What was printed last. Waits a moment for the rest, but not for children that hold the pipe open."""
        self._thread.join(timeout=0.2)
        return self._kept.decode(errors='replace').strip()


class Runner:
    """One runner process and the socket to it. One thread calls; another may `kill`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start one; `environment` is added to this process's own. Raises OSError when no process can be had."""
        self.account: bytes | None = None
        ours, theirs = socket.socketpair()
        errors, into = os.pipe()
        command = [sys.executable, '-m', 'relay_parsl.engines.runner', str(theirs.fileno()), str(os.getpid())]
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                command,
                stdin=subprocess.DEVNULL,
                stderr=into,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**os.environ, **environment},
            )
        except OSError:
            ours.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
            os.close(into)
        self._tail = Tail(errors)
        self._connection = Connection(ours.detach())
        self._ends = _Ends(self._connection.fileno(), self._process)

    def alive(self) -> bool:
        """Whether it could take work now."""
        return self._process.poll() is None

    def call(self, frame: bytes) -> bytes:
        """Run one work frame and wait for its end frame. Raises RunnerDied."""
        try:
            self._connection.send_bytes(frame)
            if self._ends.wait():
                return self._connection.recv_bytes()
        except (EOFError, OSError):
            pass
        # The end is seen at the socket before it is there: killed now, it would be taken for a kill.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self.kill()
        raise RunnerDied(self._obituary())

    def kill(self) -> None:
        """End it and what it started, at once. Safe from any thread, and twice."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let it end by itself, then make sure."""
        self._ends.close()
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self.kill()
        self._process.wait()

    def _obituary(self) -> str:
        code = self._process.wait()
        self._ends.close()
        self._connection.close()
        said = self._tail.text()
        where = f'on {socket.gethostname()} (worker {os.environ.get("PARSL_WORKER_RANK", "?")}, pid {self._process.pid})'
        return f'the process that ran the task {_how(code)} {where}' + (f'; it printed last:\n{said}' if said else '')


class _Ends:
    """Waits for an answer or the end of the process, whichever is first; a child of user code may hold the socket open after it."""

    def __init__(self, answer: int, process: subprocess.Popen[bytes]) -> None:
        self._answer, self._process = answer, process
        self._poll = select.poll()
        self._poll.register(answer, select.POLLIN)
        self._timeout: int | None = None
        self._handle = -1
        try:
            self._handle = os.pidfd_open(process.pid)
            self._poll.register(self._handle, select.POLLIN)
        except (AttributeError, OSError):
            self._timeout = 50  # [ms] an old kernel: look at the process now and then

    def wait(self) -> bool:
        """True: there is an answer to read. False: there will be none."""
        while not self._ready(self._timeout) and self._process.poll() is None:
            pass
        return self._answer in self._ready(0)  # once more: it may have answered just before it died

    def _ready(self, timeout: int | None) -> set[int]:
        return {number for number, _ in self._poll.poll(timeout)}

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _how(code: int) -> str:
    if code >= 0:
        return f'exited with code {code}'
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f'signal {-code}'
    return f'was killed by {name}' + (' (out of memory?)' if name == 'SIGKILL' else '')


class Worker:
    """Feeds one runner at a time, and replaces it when it died or when another account's work comes."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is added to that of each runner."""
        self._environment = environment or {}
        self._runner: Runner | None = None
        self._closed = False

    def prepare(self) -> None:
        """Have a runner ready. Raises OSError."""
        if self._runner is not None and not self._runner.alive():
            self._runner.close()
            self._runner = None
        if self._runner is None and not self._closed:
            self._runner = Runner(self._environment)

    def run(self, frame: bytes) -> bytes:
        """A work frame to its end frame; never raises for what happens in it."""
        try:
            return self._runner_of(account_of(frame)).call(frame)
        except RunnerDied as death:
            evidence = str(death)
        except OSError as error:
            evidence = f'no process could be started for the task on {socket.gethostname()}: {error}'
        self._runner = None
        with contextlib.suppress(OSError):
            self.prepare()
        return encode_end(Death('worker', evidence))

    def _runner_of(self, account: bytes) -> Runner:
        """One account's data never meets another's code, also not what it left in memory."""
        if self._runner is not None and self._runner.account not in (None, account):
            self._runner.close()
            self._runner = None
        self.prepare()
        if self._runner is None:
            raise RunnerDied('the engine stops')
        self._runner.account = account
        return self._runner

    def kill(self) -> None:
        """Kill the runner for good. Safe from another thread while `run` waits."""
        self._closed = True
        runner = self._runner
        if runner is not None:
            runner.kill()

    def close(self) -> None:
        """End the runner and wait for it, in the thread that called `run`."""
        self._closed = True
        if self._runner is not None:
            self._runner.close()
            self._runner = None


_worker: Worker | None = None


def run_task(frame: bytes) -> bytes:
    """What HTEX calls in its worker process for each attempt: a work frame to its end frame."""
    global _worker  # noqa: PLW0603  one worker is one process: its runner outlives the call
    if _worker is None:
        leash.die_with_parent()
        accelerators.correct(os.environ)
        _worker = Worker()
    nodes = ranks.taken(os.environ)  # of an MPI engine's task: its own, and its runner outlives it
    return _worker.run(with_environment(frame, nodes) if nodes else frame)
