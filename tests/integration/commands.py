"""The command line as a user has it: real processes in a home of their own, all gone at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from click.testing import CliRunner

from relay_parsl.cli.main import main
from relay_parsl.daemon import PidFile

PATIENCE = 60.0
THREADS = 'display_name: threads\nengine:\n  type: ThreadPoolEngine\n  max_workers: 2\n'


class Commands:
    """Runs `python -m relay_parsl` with a home; remembers what must be gone at the end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mark = f'home-{os.getpid()}-{time.monotonic_ns()}'
        self.environment = {**os.environ, 'RELAY_PARSL_HOME': str(root), 'RELAY_PARSL_TEST': self.mark, 'PYTHONUNBUFFERED': '1'}
        for name in ('RELAY_PARSL_RELAY', 'RELAY_PARSL_CREDENTIALS'):
            self.environment.pop(name, None)

    def run(self, *arguments: str, text: str = '', timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            [sys.executable, '-m', 'relay_parsl', *arguments],
            check=False,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.cwd,
        )

    def ok(self, *arguments: str, text: str = '') -> str:
        """What a command prints that must not fail."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, f'{arguments}: {done.stdout}{done.stderr}'
        return done.stdout

    def refused(self, *arguments: str, timeout: float = PATIENCE) -> str:
        """The one clear line of a command that must be refused."""
        done = self.run(*arguments, timeout=timeout)
        assert done.returncode == 2, f'{arguments}: {done.returncode} {done.stdout}{done.stderr}'
        assert 'Traceback' not in done.stderr
        return done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that stays."""
        return subprocess.Popen(
            [sys.executable, '-m', 'relay_parsl', *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.cwd,
        )

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """A script of the user's, in another directory."""
        program = [sys.executable, '-c', code]
        return subprocess.run(program, check=False, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, cwd=self.cwd)

    @property
    def cwd(self) -> Path:
        """A directory that has nothing to do with the home."""
        path = self.root.parent / 'elsewhere'
        path.mkdir(exist_ok=True)
        return path

    def relay(self, *options: str) -> str:
        """Start a relay on a free port, with the user alice; what it printed."""
        return self.ok('relay', 'start', '--bind', '127.0.0.1:0', '--user', 'alice', '--detach', *options)

    def endpoint(self, name: str, config: str = THREADS) -> None:
        """Configure and start an endpoint."""
        file = self.cwd / f'{name}.yaml'
        file.write_text(config)
        self.ok('endpoint', 'configure', name, '--endpoint-config', str(file))
        self.ok('endpoint', 'start', name, '--detach')

    def processes(self) -> list[psutil.Process]:
        """All that was started here and lives. Who holds keys shows its environment to root alone (`daemon.guard_memory`), and its pid file to us."""
        files = [PidFile(path, '').running() for path in self.root.rglob('*.pid')]
        named = [psutil.Process(each.pid) for each in files if each is not None and psutil.pid_exists(each.pid)]
        return list({*marked('RELAY_PARSL_TEST', self.mark), *named})

    def end(self) -> None:
        """Kill what is left."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        until(lambda: not self.processes())


class Short(Commands):
    """The same, but for what neither stays nor is killed: that runs in this process, in a tenth of the time."""

    def run(self, *arguments: str, text: str = '', timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        if '--detach' in arguments:
            return super().run(*arguments, text=text, timeout=timeout)
        environment = {'RELAY_PARSL_HOME': str(self.root), 'RELAY_PARSL_RELAY': None, 'RELAY_PARSL_CREDENTIALS': None}
        done = CliRunner().invoke(main, list(arguments), input=text, prog_name='relay-parsl', env=environment)
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def marked(variable: str, value: str) -> list[psutil.Process]:
    """The living processes with this in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def until(happened: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for it; fails when it does not happen in time."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, 'it did not happen in time'
        time.sleep(0.05)


@contextmanager
def commands(root: Path, kind: type[Commands] = Commands) -> Iterator[Commands]:
    """A home, and the end of everything in it."""
    made = kind(root)
    try:
        yield made
    finally:
        made.end()
