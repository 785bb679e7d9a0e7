"""Processes that run for days: started in the foreground or detached, found again by a pid file, stopped by SIGTERM.

A home directory is often shared by several login nodes, so a pid file names its host beside the process, and when that process was
created: a number that the system gave away again is not mistaken for it. Only the host itself can tell whether a process lives.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import json
import os
import platform
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from relay_parsl import interpreter
from relay_parsl.errors import ConfigError, HomeError
from relay_parsl.home import write_private
from relay_parsl.supervisor import alive, tell

__all__ = ['PidFile', 'Process', 'alive', 'detach', 'ready', 'settle', 'terminated_by']

READY = 'RELAY_PARSL_READY_FD'
"""The environment variable that hands a detached process the pipe on which it says that it serves."""
SLACK = 2.0
"""Seconds by which two readings of one process's creation may differ, for the clock may be set in between."""
ENDING = 0.05
"""Seconds between two looks at whether a process has ended."""
TAIL = 20
"""Lines of a log that a failed start shows."""
PR_SET_DUMPABLE = 4
YOUNG = 10_000
"""Objects made and not gone again after which Python looks for cycles among them: its 700 are a handful of tasks."""


@dataclass(frozen=True)
class Process:
    """What a pid file says: `created` is in seconds since the epoch, as the system tells it."""

    host: str
    pid: int
    created: float

    @classmethod
    def current(cls) -> Process:
        """This very process."""
        return cls(platform.node(), os.getpid(), psutil.Process().create_time())

    @property
    def here(self) -> bool:
        """Whether it is of this host, so that its life can be judged."""
        return self.host == platform.node()

    @property
    def alive(self) -> bool:
        """Whether it is of this host and runs."""
        return self.here and _same(self) is not None

    @property
    def current_one(self) -> bool:
        """Whether it is this very process."""
        return self.pid == os.getpid() and self.alive

    def __str__(self) -> str:
        """For people."""
        return f'process {self.pid} on {self.host}'


def _same(process: Process) -> psutil.Process | None:
    """The running process that this one is; none when the number is free, or another's, or a zombie's."""
    try:
        found = psutil.Process(process.pid)
        lives = abs(found.create_time() - process.created) < SLACK and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return found if lives else None


class PidFile:
    """One process at a time, named in a file."""

    def __init__(self, path: Path, what: str) -> None:
        """`what` is what messages call it, such as `endpoint 'polaris'`."""
        self.path = path
        self.what = what

    def read(self) -> Process | None:
        """What the file says; None when there is none. Raises HomeError when it is no pid file."""
        try:
            return Process(**json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, OSError) as error:
            raise HomeError(f'{self.path} is no pid file ({error}): delete it when no such process runs') from None

    def running(self) -> Process | None:
        """The process that lives, as far as this host can tell: one of another host is taken to live."""
        process = self.read()
        return process if process and (process.alive or not process.here) else None

    def claim(self, *, take_over: bool = False) -> None:
        """Write this process into the file; one that was left by a dead process is replaced.

        Raises:
            ConfigError: another process lives, or may live on another host; `take_over` ignores the latter.
        """
        with _locked(self.path.parent):
            other = self.running()
            if other and other.here and other.pid != os.getpid():
                raise ConfigError(f'{self.what} already runs as {other}: stop it first')
            if other and not other.here and not take_over:
                raise ConfigError(
                    f'{self.what} was started on {other.host} ({other}): stop it there, or start with --take-over when that host is gone'
                )
            write_private(self.path, json.dumps(asdict(Process.current())).encode())

    def release(self) -> None:
        """Remove the file if it names this process."""
        with suppress(HomeError, OSError), _locked(self.path.parent):
            if self.read() == Process.current():
                self.path.unlink(missing_ok=True)

    @contextmanager
    def held(self, *, take_over: bool = False) -> Iterator[None]:
        """The claim, for as long as the block runs."""
        self.claim(take_over=take_over)
        try:
            yield
        finally:
            self.release()

    def stop(self, grace: float) -> Process | None:
        """Send SIGTERM and wait up to `grace` seconds for the end; None when nothing ran.

        Raises:
            ConfigError: it runs on another host.
            TimeoutError: it still runs after `grace`.
        """
        process = self.read()
        if process is None:
            return None
        if not process.here:
            raise ConfigError(f'{self.what} runs on {process.host} ({process}): stop it there')
        found = _same(process)
        if found is None:
            self.path.unlink(missing_ok=True)
            return None
        _end(
            process,
            grace,
            f'{self.what}, {process}, still runs after {grace:g} s: it may be draining; look again, or end it with kill -9 {process.pid}',
        )
        return process


def _end(process: Process, grace: float, late: str) -> None:
    """A process that has ended and that nobody has asked for its exit code (a zombie) has ended."""
    end = time.monotonic() + grace
    found = _same(process)
    with suppress(psutil.Error):
        if found is not None:
            found.terminate()
    while _same(process) is not None:
        if time.monotonic() > end:
            raise TimeoutError(late)
        time.sleep(ENDING)
    with suppress(psutil.Error):
        if found is not None:
            found.wait(0)  # if it was a child of ours


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Two starts on one host read and write the file one after the other; a filesystem without locks is let be."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def settle() -> None:
    """Spare the collector of cycles what is loaded by now, for it lives as long as this process, and have it look at new objects less often.

    Going through all libraries again and again cost a busy endpoint a tenth of its time (measured). Only in the main thread, which is to say
    in a process of our own.
    """
    if threading.current_thread() is threading.main_thread():
        gc.freeze()
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


def guard_memory() -> None:
    """Keep the keys that this process holds where they are: no core dump is written of it, and no other process of its user may look into it.

    What it starts is as ever, for the kernel forgets this where another program is executed: tasks dump core as their user likes. Where there is no
    prctl (PR_SET_DUMPABLE), core dumps alone are off, also of what it starts.
    """
    if sys.platform == 'linux':
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


# -- Detached processes ----------------------------------------------------------------------------------------------


def ready(text: str = '') -> None:
    """Tell whoever started this process detached that it serves now; `text` is for people. In the foreground nothing happens."""
    tell(f'READY=1\nSTATUS={text.splitlines()[0] if text else ""}')
    fd = os.environ.pop(READY, '')
    if fd:
        with suppress(OSError):  # whoever started us may have gone
            os.write(int(fd), f'{text}\0'.encode())
            os.close(int(fd))


def ends_within(seconds: float) -> None:
    """Tell systemd, which was told that this process stops, how long that may take: else it kills after its own `TimeoutStopSec`."""
    tell(f'EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}')


def detach(arguments: Sequence[str], log: Path, timeout: float) -> str:
    """Run `python -m relay_parsl ARGUMENTS` apart from this terminal, its output in `log`, and wait until it serves.

    Args:
        arguments: Of the command that runs in the foreground.
        log: Grows; created 0600.
        timeout: Seconds; a process that is not ready by then runs on and is reported.

    Returns:
        What the process gave to `ready`.

    Raises:
        ConfigError: it ended before it was ready; the text is what it wrote last.
        TimeoutError: it runs and is not ready yet.
    """
    read, write = os.pipe()
    start = log.stat().st_size if log.exists() else 0
    try:
        process = _spawn(arguments, log, write)
    finally:
        os.close(write)
    try:
        text = _answer(read, timeout)
    finally:
        os.close(read)
    if text == '':
        raise ConfigError(_last_words(process, log, start))
    process.returncode = 0  # it lives on by itself: Popen must not warn that nobody waits for it
    if text is None:
        raise TimeoutError(f'process {process.pid} is not ready after {timeout:g} s and goes on: see {log}')
    return text


def _spawn(arguments: Sequence[str], log: Path, write: int) -> subprocess.Popen[bytes]:
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603  our own program
            interpreter.command('relay_parsl', *arguments),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[write],
            start_new_session=True,
            env={**os.environ, READY: str(write)},
        )
    finally:
        os.close(out)


def _answer(read: int, timeout: float) -> str | None:
    """What comes down the pipe: words when the process is ready, an empty string when it ended, None when neither came in time."""
    end = time.monotonic() + timeout
    data = b''
    while not data.endswith(b'\0'):
        if not select.select([read], [], [], max(0.0, end - time.monotonic()))[0]:
            return None
        chunk = os.read(read, 4096)
        if not chunk:
            return ''
        data += chunk
    return data[:-1].decode() or 'ready'


def _last_words(process: subprocess.Popen[bytes], log: Path, start: int) -> str:
    process.wait()
    with log.open('rb') as file:
        file.seek(start)
        lines = file.read().decode(errors='replace').splitlines()
    words = '\n'.join(lines[-TAIL:]).removeprefix('error: ')
    return words or f'the process ended with code {process.returncode} and without a word: see {log}'


@contextmanager
def terminated_by(handler: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call `handler` while the block runs. Only in the main thread."""

    def on_signal(_number: int, _frame: object) -> None:
        tell('STOPPING=1')
        handler()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
