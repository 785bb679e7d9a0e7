"""Shell text of an endpoint file that is run on this host: `endpoint_setup` before engines start, `endpoint_teardown` after they ended."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

SETUP, TEARDOWN = 600.0, 120.0
"""Seconds that each may take."""
LOOK = 0.1
"""Seconds between two looks at a process."""
TAIL = 16_384
"""Bytes of output that go into the log, of its end."""


def run(key: str, text: str, directory: Path, seconds: float, stopped: Callable[[], bool] = lambda: False) -> str:
    """Have bash run it, apart from this terminal; the end of its output goes into the log. A process that it leaves in the background lives on.

    Args:
        key: What the file calls it.
        text: Shell lines.
        directory: Where it runs.
        seconds: How long it may take; then it is killed with all that it started in its process group.
        stopped: Asked now and then; True ends it, too.

    Returns:
        '' when its exit code was 0, else how it ended, with the end of its stderr.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:  # files, not pipes: what it leaves in the background may hold them open
        try:
            process = subprocess.Popen(  # noqa: S603  the text is the endpoint's owner's
                ['bash', '-c', text],  # noqa: S607  the one that the user's PATH has
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            return f'{key}: bash cannot be started: {error.strerror}'
        fault = _wait(process, seconds, stopped)
        for stream in (out, err):
            for line in _tail(stream):
                log.info('%s: %s', key, line)
        return '\n'.join([f'{key} {fault}', *_tail(err)]) if fault else ''


def _wait(process: subprocess.Popen[bytes], seconds: float, stopped: Callable[[], bool]) -> str:
    """How it failed; '' when it did not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stopped():
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(LOOK)
            return '' if code == 0 else f'ended with exit code {code}' if code > 0 else f'was killed by {signal.Signals(-code).name}'
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return 'was stopped' if stopped() else f'was killed: it took more than {seconds:g} s'


def _tail(stream: IO[bytes]) -> list[str]:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - TAIL))
    return stream.read().decode(errors='replace').splitlines()
