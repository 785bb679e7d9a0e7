"""One command of a scheduler: started without a shell, ended with everything that it started when it takes too long."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

NOT_FOUND = 127
"""What a shell returns for a command that is not there."""


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Attributes:
        code: Its exit status; None where it was killed because it took too long.
        stdout: What it printed; bytes that are no UTF-8 are replaced.
        stderr: The same of its errors.
    """

    code: int | None
    stdout: str = ''
    stderr: str = ''

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked for."""
        return self.code == 0

    @property
    def said(self) -> str:
        """Its own words on one line, errors first."""
        return ' '.join((self.stderr.strip() or self.stdout.strip()).split())


def run(arguments: Sequence[str], timeout: float, cwd: str | None = None) -> Ran:
    """Run a command and wait for its end.

    Args:
        arguments: The program and its arguments, as they are: no shell reads them.
        timeout: Seconds until its whole process group is killed.
        cwd: Where it runs; None: here.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  the site's own commands, by their names
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, start_new_session=True
        )
    except OSError as error:
        return Ran(NOT_FOUND, '', f'{arguments[0]} cannot be started: {error.strerror or error}')
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            return Ran(None, '', f'{arguments[0]} did not answer within {timeout:g} s')
    return Ran(process.returncode, stdout.decode(errors='replace'), stderr.decode(errors='replace'))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group: a child that keeps the pipes open would keep us waiting for their end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
