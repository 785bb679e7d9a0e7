"""The near end of a driver's pipe: start it, order measurements, end it and whatever it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from benchmarks import parties
from benchmarks.systems import PATIENCE, Shape

ROOT = Path(__file__).parents[1]
START = 60.0
"""Seconds that a system may take to its first result: one that hangs must not use up the others' time."""


class VisitError(Exception):
    """A system did not start, did not answer in time, or could not do what was asked; says what."""


class Visit:
    """One system for as long as a block runs, in a process of its own.

    Attributes:
        cold_start: Seconds from nothing to the first result.
    """

    def __init__(self, system: str, shape: Shape | None = None, **environment: str) -> None:
        """Nothing is started yet. `environment` is its own."""
        self.system = system
        self.shape = shape or Shape()
        self.cold_start = 0.0
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the visit is
        self._read = b''

    def __enter__(self) -> Visit:
        """Start it. Raises VisitError."""
        shape = json.dumps({'workers': self.shape.workers, 'accelerators': self.shape.accelerators})
        self._process = start('benchmarks.driver', self.system, shape, log=self._log, **self._environment)
        try:
            self.cold_start = self._answer(START)['cold_start']
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End it, and what it leaves."""
        self._end()

    @property
    def pid(self) -> int:
        """Of the driver's process. Raises VisitError when it was ended."""
        if self._process is None:
            raise VisitError(f'{self.system} was ended')
        return self._process.pid

    def order(self, measure: str, *, timeout: float = PATIENCE, **arguments: Any) -> dict[str, Any]:
        """The numbers that a measure gives. Raises VisitError, after which this visit is of no use when it took too long."""
        if self._process is None or self._process.stdin is None:
            raise VisitError(f'{self.system} was ended')
        with contextlib.suppress(BrokenPipeError):  # its last words say why
            self._process.stdin.write(json.dumps({'measure': measure, **arguments}).encode() + b'\n')
            self._process.stdin.flush()
        return self._answer(timeout)

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe, end = self._process.stdout.fileno(), time.monotonic() + timeout
        while b'\n' not in self._read:
            ready = select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]
            if not ready:
                self._end()
                raise VisitError(f'{self.system} did not answer within {timeout:g} s')
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                raise VisitError(f'{self.system} ended: {self._last_words()}')
            self._read += chunk
        line, _, self._read = self._read.partition(b'\n')
        answer: dict[str, Any] = json.loads(line)
        if 'error' in answer:
            raise VisitError(f'{self.system}: {answer["error"]}')
        return answer

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors='replace').strip()[-1500:]

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            finish(process)
            self._log.close()


def start(module: str, *arguments: str, log: Any, **environment: str) -> subprocess.Popen[bytes]:
    """A Python process of ours, with pipes; its children find this package and the programs beside its Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', '')])
    settings = {'PATH': path, 'PYTHONPATH': str(ROOT), 'RAY_ENABLE_UV_RUN_RUNTIME_ENV': '0', 'RAY_USAGE_STATS_ENABLED': '0'}
    return subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, '-m', module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**os.environ, **settings, **environment},
    )


def finish(process: subprocess.Popen[bytes], patience: float = 30.0) -> None:
    """Close its input, give it some seconds to end in good order, then kill it and everything that was below it."""
    below: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        below = [each for _, each in parties.tree(process.pid)]
    for pipe in (process.stdin,):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    parties.kill(below)
    if process.stdout is not None:
        process.stdout.close()
