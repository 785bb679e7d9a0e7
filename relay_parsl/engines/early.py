"""The interchange, forked off its engine process: it has Parsl imported already, and that is half a second of a cold start."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from relay_parsl import interpreter
from relay_parsl.engines import leash

INTERCHANGE = 'parsl.executors.high_throughput.interchange'


class Early:
    """An interchange that waits for its configuration; HTEX believes to start it, and what it launches hands the configuration on.

    Make it while the process has one thread only; it dies with that thread.
    """

    def __init__(self, closed: Sequence[int] = ()) -> None:
        """Fork it; `closed` are descriptors that are not for it. Where there is no /proc to hand its configuration on, HTEX starts its own.

        Raises:
            OSError: no process can be had.
        """
        self.pid = 0
        self.command = interpreter.command(leash.__name__, INTERCHANGE)
        """What HTEX shall launch."""
        reading, self._writing = os.pipe()
        handed, here = f'/proc/{os.getpid()}/fd/{self._writing}', os.getpid()
        if os.path.exists(handed):
            self.command = ['/bin/sh', '-c', f'exec cat > {handed}']
            self.pid = os.fork()
            if self.pid == 0:
                _become(reading, [*closed, self._writing], here)
        os.close(reading)

    def configured(self) -> None:
        """HTEX has written to it, or to another one."""
        os.close(self._writing)

    def wait(self) -> None:
        """Return when it has ended, and leave it to `kill` to reap."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def kill(self) -> None:
        """End it, if there is one."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)


def _become(reading: int, closed: Sequence[int], parent: int) -> None:
    """Be the interchange, and end as it: nothing of the engine process goes on in here."""
    code = 1
    try:
        leash.die_with_parent(parent)
        os.dup2(reading, 0)
        for number in (reading, *closed):
            os.close(number)
        leash.run([INTERCHANGE])
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        os._exit(code)
