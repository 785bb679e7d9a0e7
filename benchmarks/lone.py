"""A relay with one endpoint that is offline: what is submitted stays queued."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.visit import Visit, VisitError, finish, start
from relay_parsl.endpoint.founding import found
from relay_parsl.home import Home, RelayEntry
from relay_parsl.local import endpoint_file

START = 120.0
"""Seconds that a relay may take to start, with whatever it has in its store."""


class LoneRelay:
    """The relay's process and its home, for as long as a block runs."""

    def __init__(self) -> None:
        """Keys for all; nothing runs yet."""
        self.root = Path(tempfile.mkdtemp(prefix='relay-parsl-bench-'))
        self.home = Home(self.root)
        self._keys, self._user = found(self.home, {'local': endpoint_file('local', 1)})
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> LoneRelay:
        """Start it, and let clients know where it is."""
        self.start()
        entry = RelayEntry('local', f'tcp://127.0.0.1:{self._port}', self._keys.keys.curve_public, f'accounts/{self._user.name}.key')
        self.home.add_relay(entry)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End it and remove its files."""
        if self._process is not None:
            finish(self._process)
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self) -> float:
        """Start it; the seconds until it serves. Raises VisitError."""
        begin = time.perf_counter()
        with (self.root / 'relay.log').open('ab') as log:
            self._process = start('relay_parsl.local.parties', 'relay', str(self.root), 'relay', log=log)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({'port': self._port}).encode() + b'\n')
        self._process.stdin.flush()
        ready = select.select([self._process.stdout], [], [], START)[0]
        line = self._process.stdout.readline() if ready else b''
        if not line:
            raise VisitError(f'the relay did not start: {(self.root / "relay.log").read_text()[-1000:]}')
        self._port = json.loads(line)['port']
        return time.perf_counter() - begin

    def restart(self) -> float:
        """Kill it as it is, and start it again; the seconds until it serves."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        return self.start()

    def client(self) -> Visit:
        """A client in a process of its own."""
        return Visit('lone-client', RELAY_PARSL_HOME=str(self.root))

    @property
    def process(self) -> psutil.Process:
        """The relay, for its memory and processor time."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def memory(self) -> float:
        """Resident now [MB]."""
        return float(self.process.memory_info().rss) / 1e6

    def cpu_share(self, seconds: float) -> float:
        """What it uses of one core, over some seconds from now."""
        before = self.cpu()
        time.sleep(seconds)
        return round(self.cpu() - before, 3) / seconds

    def cpu(self) -> float:
        """Processor time until now [s]."""
        times = self.process.cpu_times()
        return float(times.user + times.system)
