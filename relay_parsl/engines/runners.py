"""A runner as its worker has it: started, fed, listened to, told to end, buried."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Container, Mapping, Sequence
from math import inf

from relay_parsl import interpreter
from relay_parsl.engines.frames import ATTEMPT, Head
from relay_parsl.engines.interrupts import SIGNALS
from relay_parsl.engines.tokens import Stream, Tokens
from relay_parsl.errors import ProtocolError

TAIL = 4096
"""Bytes of a runner's last output that are kept as evidence."""
GRACE = 2.0
"""Seconds that a runner has to end by itself when it is not needed any more, or has no socket any more."""
OLD = 0.05
"""Seconds between looks at a runner on a kernel that does not tell of its end."""


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
    """One runner process. One thread calls; another may `kill`."""

    def __init__(self, environment: Mapping[str, str], poll: select.poll) -> None:
        """Start one. Raises OSError when no process can be had.

        Args:
            environment: is added to this process's own.
            poll: what its worker waits with; whatever it says, `heed` is to be asked.
        """
        self.account: bytes | None = None
        self.most = inf
        """Seconds that a wait may take: some kernels do not tell of its end."""
        self.useful = False
        """Whether it has answered to anything yet."""
        self._poll = poll
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            stream, end = socket.socketpair()
            ours.enter_context(stream)
            theirs.enter_context(end)
            errors, into = os.pipe()
            ours.callback(os.close, errors)
            theirs.callback(os.close, into)
            self._tokens = Tokens()
            ours.callback(self._tokens.close)
            inherited = (end.fileno(), *self._tokens.theirs())
            command = interpreter.command('relay_parsl.engines.runner', *inherited, os.getpid())
            self._process = subprocess.Popen(  # noqa: S603  our own module
                command,
                stdin=subprocess.DEVNULL,
                stderr=into,
                pass_fds=inherited,
                start_new_session=True,
                env={**os.environ, **environment},
            )
            ours.pop_all()
        self._tokens.started()
        self._tail = Tail(errors)
        self._stream = Stream(stream)
        self._watch()

    def _watch(self) -> None:
        self._handle = -1
        self._poll.register(self._tokens.bell, select.POLLIN)
        try:
            self._handle = os.pidfd_open(self._process.pid)
            self._poll.register(self._handle, select.POLLIN)
        except (AttributeError, OSError):
            self.most = OLD

    def alive(self) -> bool:
        """Whether it could take work now."""
        return self._process.poll() is None

    def pour(self, frames: Sequence[bytes]) -> None:
        """Have it run these work frames, after those that it has. One that is dead is found by `heed`."""
        self._tokens.give(len(frames))
        with contextlib.suppress(OSError):
            if not self._stream.put(frames):
                self._poll.register(self._stream.fileno(), select.POLLOUT)

    def take_back(self) -> int:
        """How many of the last frames have not started; they never will."""
        return self._tokens.take_back()

    def heed(self, ready: Container[int]) -> bool:
        """After a wait that these descriptors ended. False: it is dead; a child may hold its pipes open."""
        if self._stream.fileno() in ready:
            self._push()
        if self._tokens.bell in ready and not self._tokens.hush():
            return False
        return not (self._handle in ready or self.most == OLD) or self.alive()

    def _push(self) -> None:
        done = True
        with contextlib.suppress(OSError):
            done = self._stream.push()
        if done:
            self._poll.unregister(self._stream.fileno())

    def answers(self) -> list[bytes]:
        """What it has said, in its order: end frames, and that a function with a timeout has started."""
        said: list[bytes] = []
        try:
            while some := self._stream.get():
                said += some
        except ProtocolError:
            self.kill()  # user code spoke in its name
        except (EOFError, OSError):
            pass  # its end is heard of elsewhere
        self.useful = self.useful or bool(said)
        return said

    def interrupt(self, reason: str) -> None:
        """Tell the function that it shall end."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self._process.pid, SIGNALS[reason])

    def kill_all(self, head: Head) -> None:
        """End it, its process group, and whatever else the attempt started."""
        from relay_parsl.shell import kill_tree  # noqa: PLC0415  most workers never need it

        if self.alive():
            kill_tree(self._process.pid, f'{ATTEMPT}={head.mark}')
        self.kill()

    def kill(self) -> None:
        """End it and what it started, at once. Safe from any thread, and twice."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let it end by itself, then make sure."""
        self._drop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self.kill()
        self._process.wait()

    def bury(self) -> RunnerDied:
        """How it died. Its end is seen at a pipe before it is there: killed at once, it would be taken for a kill."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self.kill()
        code = self._process.wait()
        self._drop()
        said = self._tail.text()
        where = f' on {socket.gethostname()} (worker {os.environ.get("PARSL_WORKER_RANK", "?")}, pid {self._process.pid})'
        return RunnerDied(f'the process that ran the task {_how(code)}', where + (f'; it printed last:\n{said}' if said else ''))

    def _drop(self) -> None:
        for number in (self._tokens.bell, self._handle, self._stream.fileno()):
            with contextlib.suppress(KeyError, ValueError):
                self._poll.unregister(number)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._tokens.close()
        self._stream.close()


def _how(code: int) -> str:
    if code >= 0:
        return f'exited with code {code}'
    name = next((each.name for each in signal.Signals if each == -code), f'signal {-code}')
    return f'was killed by {name}' + (' (out of memory?)' if name == 'SIGKILL' else '')
