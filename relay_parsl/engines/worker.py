"""A worker's side of a runner: all that a compute node imports of ours before user code.

`run_task` is what HTEX calls with the bytes of an attempt. The work itself is done in a child, the *runner*; its death is noticed in milliseconds,
charged to the very attempt that it ran, and hurts neither the worker nor its neighbours. An attempt that shall end (`timeout`, `cancel`) is told to
by a signal, and its runner is killed when it does not listen; either way the next attempt gets a fresh one.
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
import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil, inf
from multiprocessing.connection import Connection
from typing import Any

from relay_parsl.engines import accelerators, leash, ranks
from relay_parsl.engines.chunk import Chunk, Ends
from relay_parsl.engines.frames import TASK_ID, Death, Head, decode_chunk, encode_end, head_of, with_environment
from relay_parsl.engines.interrupts import CANCEL, SIGNALS, STARTED, default_limit, interruption
from relay_parsl.engines.line import Line
from relay_parsl.engines.patience import Patience, Step

TAIL = 4096
"""Bytes of a runner's last output that are kept as evidence."""
GRACE = 2.0
"""Seconds that a runner has to end by itself when it is not needed any more, or has no socket any more."""
GIVE_UP = 3.0
"""Seconds that a function has to end once it was told to, before its runner is killed."""


class RunnerDied(Exception):
    """The runner died; the text says how, where, and what it printed last: `args` without the how."""

    def __init__(self, how: str, rest: str = '') -> None:
        """`rest`: where, and the last words."""
        super().__init__(how, rest)

    def __str__(self) -> str:
        return f'{self.args[0]}{self.args[1]}'


class Bell:
    """Wakes the thread that waits for a runner, from any other."""

    def __init__(self) -> None:
        """A pipe to oneself."""
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    def ring(self) -> None:
        """A full pipe rings already, a closed one wakes nobody."""
        with contextlib.suppress(OSError):
            os.write(self._writer, b'.')

    def hush(self) -> None:
        """What rang was heard."""
        with contextlib.suppress(OSError):
            os.read(self.reader, 4096)

    def close(self) -> None:
        """Nobody waits any more."""
        os.close(self.reader)
        writer, self._writer = self._writer, -1
        os.close(writer)


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

    def __init__(self, environment: Mapping[str, str], bell: Bell) -> None:
        """Start one; `environment` is added to this process's own, `bell` ends a wait for it. Raises OSError when no process can be had."""
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
        self._ends = _Ends(self._connection.fileno(), self._process, bell)

    def alive(self) -> bool:
        """Whether it could take work now."""
        return self._process.poll() is None

    def call(self, frame: bytes, attend: Callable[[bool], float | None]) -> bytes:
        """Run one work frame and wait for its end frame.

        Args:
            frame: the attempt.
            attend: called before each wait: does what is due by now, and says for how many seconds nothing will be. It is given
                whether the function has just started (said of those with a timeout only).

        Raises:
            RunnerDied: there will be no end frame.
        """
        try:
            self._connection.send_bytes(frame)
            pause = attend(False)
            while (answered := self._ends.wait(pause)) is not False:
                answer = self._connection.recv_bytes() if answered else b''
                if answer not in (b'', STARTED):
                    return answer
                pause = attend(answer == STARTED)
        except (EOFError, OSError):
            pass
        # The end is seen at the socket before it is there: killed now, it would be taken for a kill.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self.kill()
        raise RunnerDied(*self._obituary())

    def interrupt(self, reason: str) -> None:
        """Tell the function that it shall end."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self._process.pid, SIGNALS[reason])

    def kill_all(self, head: Head) -> None:
        """End it, its process group, and whatever else the attempt started."""
        from relay_parsl.shell import kill_tree  # noqa: PLC0415  most workers never need it

        if self.alive():
            kill_tree(self._process.pid, f'{TASK_ID}={head.name}')
        self.kill()

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

    def _obituary(self) -> tuple[str, str]:
        code = self._process.wait()
        self._ends.close()
        self._connection.close()
        said = self._tail.text()
        where = f' on {socket.gethostname()} (worker {os.environ.get("PARSL_WORKER_RANK", "?")}, pid {self._process.pid})'
        return f'the process that ran the task {_how(code)}', where + (f'; it printed last:\n{said}' if said else '')


class _Ends:
    """Waits for an answer, the end of the process, or the bell, whichever is first; a child of user code may hold the socket open after it."""

    def __init__(self, answer: int, process: subprocess.Popen[bytes], bell: Bell) -> None:
        self._answer, self._process, self._bell = answer, process, bell
        self._poll = select.poll()
        self._poll.register(answer, select.POLLIN)
        self._poll.register(bell.reader, select.POLLIN)
        self._most = inf
        self._handle = -1
        try:
            self._handle = os.pidfd_open(process.pid)
            self._poll.register(self._handle, select.POLLIN)
        except (AttributeError, OSError):
            self._most = 0.05  # an old kernel: look at the process now and then

    def wait(self, pause: float | None) -> bool | None:
        """True: there is an answer to read. False: there will be none. None: the bell rang, or `pause` seconds are over."""
        ready = self._ready(min(self._most, inf if pause is None else pause))
        if self._bell.reader in ready:
            self._bell.hush()
        if self._answer in ready:
            return True
        ended = self._process.poll() is not None
        if self._answer in self._ready(0):  # once more: it may have answered just before it died
            return True
        return False if ended else None

    def _ready(self, seconds: float) -> set[int]:
        """Rounded up to milliseconds, lest a wait of less spin."""
        return {number for number, _ in self._poll.poll(None if seconds == inf else ceil(1000 * seconds))}

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _how(code: int) -> str:
    if code >= 0:
        return f'exited with code {code}'
    name = next((each.name for each in signal.Signals if each == -code), f'signal {-code}')
    return f'was killed by {name}' + (' (out of memory?)' if name == 'SIGKILL' else '')


class Worker:
    """Feeds one runner at a time, and replaces it when it died, when it was interrupted, or when another account's work comes."""

    def __init__(self, environment: Mapping[str, str] | None = None, line: Line | None = None) -> None:
        """`environment` is added to that of each runner; over `line` others are told of an attempt that takes long."""
        self._environment = environment or {}
        self._line = line
        self._limit = default_limit()
        self._runner: Runner | None = None
        self._closed = False
        self._bell = Bell()
        self._lock = threading.Lock()
        self._current: tuple[bytes, int] | None = None
        self._asked = False

    def prepare(self) -> None:
        """Have a runner ready. Raises OSError."""
        if self._runner is not None and not self._runner.alive():
            self._runner.close()
            self._runner = None
        if self._runner is None and not self._closed:
            self._runner = Runner(self._environment, self._bell)

    def run_chunk(self, data: bytes, nodes: dict[str, str]) -> bytes:
        """A chunk of work frames to its end frames, each attempt with these variables; what has not started in time is not among them."""
        frames = [with_environment(frame, nodes) if nodes else frame for frame in decode_chunk(data)]
        heads = [head_of(frame).key for frame in frames]

        def hand(ends: Ends, unstarted: list[int]) -> None:
            if self._line is not None:
                self._line.hand([(heads[place], end) for place, end in ends], [heads[place] for place in unstarted])

        return Chunk(frames, hand).run(lambda frame, share_at, share: self.run(frame, share_at=share_at, share=share))

    def run(
        self, frame: bytes, doomed: Callable[[], bool] = lambda: False, share_at: float | None = None, share: Callable[[], None] = lambda: None
    ) -> bytes:
        """A work frame to its end frame; never raises for what happens in it.

        Args:
            frame: the attempt.
            doomed: whether it was cancelled before it came here.
            share_at: when `share` is called, if it still runs then; seconds of the monotonic clock.
            share: gives others back that wait behind it.
        """
        head, started = head_of(frame), time.time()
        limit = head.timeout or self._limit
        patience = Patience(time.monotonic(), limit, GIVE_UP, share_at)
        with self._lock:
            self._current, self._asked = head.key, doomed()
        try:
            return self._retire(patience, head, self._perform(frame, head, patience, share))
        except RunnerDied as death:
            evidence, rest = str(death), str(death.args[1])
        except OSError as error:
            evidence, rest = f'no process could be started for the task on {socket.gethostname()}: {error}', ''
        finally:
            with self._lock:
                self._current = None
            if self._line is not None:
                self._line.over()
        self._renew()
        if patience.reason and not self._closed:
            return _killed(patience, limit, rest, started)
        return encode_end(Death('worker', evidence))

    def interrupt(self, task_id: bytes, attempt: int) -> bool:
        """Cancel an attempt if it runs here now; whether it does. From any thread."""
        with self._lock:
            found = self._current == (task_id, attempt)
            self._asked = self._asked or found
        if found:
            self._bell.ring()
        return found

    def _perform(self, frame: bytes, head: Head, patience: Patience, share: Callable[[], None]) -> bytes:
        runner = self._runner_of(head.account)

        def attend(begun: bool) -> float | None:
            now = time.monotonic()
            if begun:
                patience.started(now)
            if self._asked:
                patience.interrupt(CANCEL)
            step = patience.step(now)
            if step is Step.SHARE:
                share()
            self._do(step, runner, head, patience)
            return patience.pause(now)

        return runner.call(frame, attend)

    def _do(self, step: Step, runner: Runner, head: Head, patience: Patience) -> None:
        if step is Step.INTERRUPT:
            runner.interrupt(patience.reason)
        elif step is Step.KILL:
            runner.kill_all(head)
        elif step is Step.REPORT and self._line is not None:
            self._line.tell(head, self.interrupt)

    def _retire(self, patience: Patience, head: Head, answer: bytes) -> bytes:
        """A runner that was interrupted gets no other task: a late signal, a lock that is held or a child that lives on would be that one's."""
        if patience.reason and self._runner is not None:
            self._runner.kill_all(head)
            self._runner.close()
            self._renew()
        return answer

    def _renew(self) -> None:
        self._runner = None
        with contextlib.suppress(OSError):  # else the next task says why there can be no process
            self.prepare()

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
        self._bell.close()


def _killed(patience: Patience, limit: float, rest: str, started: float) -> bytes:
    """The end of what did not listen."""
    from relay_parsl.engines import task  # noqa: PLC0415  a node imports what packs errors only when there is one

    how = f' and was killed {patience.grace:g} s later' if patience.killed else ', and its process ended'
    error = interruption(patience.reason, limit, how + rest)
    return encode_end(task.ended(error, started, cancelled=patience.reason == CANCEL))


_worker: Worker | None = None


def run_task(chunk: bytes, contact: Sequence[Any] = (), shift: int = 0, seconds: float | None = None) -> bytes:
    """What HTEX calls for each chunk. `contact`: whom to ask for more as `shift` (0: nobody), and tell of long ones; `seconds` it takes."""
    global _worker  # noqa: PLW0603  one worker is one process: its runner outlives the call
    if _worker is None:
        leash.die_with_parent()
        accelerators.correct(os.environ)
        _worker = Worker(line=Line(contact) if contact else None)
    return _worker.run_chunk(chunk, ranks.taken(os.environ))  # nodes of an MPI engine's task: its own, and its runner outlives it
