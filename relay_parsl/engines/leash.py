"""Nothing is left behind: ties a process, and all that it starts, to the life of another on the same host.

    python -m relay_parsl.engines.leash module [arguments]                      run the module; the kernel kills it when its parent dies
    python -m relay_parsl.engines.leash --watch IDENTITY module [arguments]      run it in a child; kill what it started when either ends

Measured without it: after a kill -9 of an engine, interchange, managers and workers live on for minutes and finish tasks that run elsewhere by then.
A parent-death signal reaches one generation only; so whatever is started under a leash inherits a *mark* in its environment, and is found by that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import runpy
import select
import signal
import sys
import time
from types import FrameType

MARK = 'RELAY_PARSL_LEASH'
"""The environment variable that marks what was started under a leash; a mark is `token/...`."""
KEEP_MARK = {'SPT_NOENV': '1'}
"""Keeps the setproctitle library, which Parsl's interchange calls, from overwriting the environment that others see."""
PR_SET_PDEATHSIG = 1
POLL = 0.5
"""Seconds between looks at the watched process where the kernel has no pidfd."""


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when the thread that started it ends. Does nothing where there is no such call.

    Args:
        parent: the expected parent; when it is gone already, this process ends at once.
    """
    if sys.platform == 'linux':
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def start_ticks(pid: int) -> int:
    """When a process was started, in clock ticks since boot: with the pid its identity. 0 when it has ended or the host has no /proc."""
    try:
        with open(f'/proc/{pid}/stat', 'rb') as stat:
            fields = stat.read().rpartition(b')')[2].split()
        return 0 if fields[0] in (b'Z', b'X') else int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0


def identity(pid: int) -> str:
    """A process of this host so that no other is taken for it, here or elsewhere: `pid.start.namespace.host`."""
    try:
        namespace = os.stat('/proc/self/ns/pid').st_ino
    except OSError:
        namespace = 0
    return f'{pid}.{start_ticks(pid)}.{namespace}.{os.uname().nodename}'


def marked(mark: str) -> list[int]:
    """The pids of this user's processes on this host, but for this one, whose environment carries `mark` or a mark below it."""
    import psutil  # noqa: PLC0415  only when there is something to kill: a leash itself must start fast

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and f'{process.environ().get(MARK)}/'.startswith(f'{mark}/'):
                found.append(process.pid)
    return found


def kill_marked(mark: str, patience: float = 5.0) -> list[int]:
    """Kill everything that carries `mark`, again until nothing is left or `patience` seconds passed. Returns the pids that would not die."""
    deadline = time.monotonic() + patience
    while (left := marked(mark)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return left


def run(module: list[str]) -> None:
    """Run a module with its arguments in this process, as `python -m` would: the same `__main__`, so that the module's own children start from it."""
    sys.argv[1:] = module[1:]
    runpy.run_module(module[0], run_name='__main__', alter_sys=True)


def _wait(child: int, watched: int, ticks: int) -> None:
    """Until the child has ended or the watched process is gone."""
    try:
        poll = select.poll()
        poll.register(os.pidfd_open(child), select.POLLIN)
        poll.register(os.pidfd_open(watched), select.POLLIN)
        if start_ticks(watched) == ticks:
            poll.poll()
    except (AttributeError, OSError):  # an old kernel, or gone already
        while start_ticks(watched) == ticks and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(POLL)


def _leash(watched: str, module: list[str]) -> None:
    """Fork before anything is imported: the child is the module, with no second start of Python."""
    pid, ticks, place = watched.split('.', 2)
    here = os.getpid()
    if place != identity(here).split('.', 2)[2]:
        return run(module)  # a launcher took it to another node, or into a container: what is watched cannot be seen from here
    os.environ[MARK] = f'{os.environ.get(MARK, "")}/{here}'
    child = os.fork()
    if child == 0:
        die_with_parent(here)
        return run(module)
    signal.signal(signal.SIGTERM, _leave)
    code = 1
    try:
        _wait(child, int(pid), int(ticks))
        code = 0 if os.waitpid(child, os.WNOHANG) == (child, 0) else 1
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        kill_marked(os.environ[MARK])
        os._exit(code)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)


def main() -> None:
    """Run the command line."""
    if sys.argv[1] == '--watch':
        _leash(sys.argv[2], sys.argv[3:])
    else:
        die_with_parent()
        run(sys.argv[1:])


if __name__ == '__main__':
    main()
