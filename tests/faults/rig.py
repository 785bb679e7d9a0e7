"""A site of real processes to be killed: a relay, endpoints, and what must hold when the faults are over.

`Site.check` is the oracle of all rows: each task that was submitted is at the relay, in one terminal state, and nothing else is: no lease, no place
in a queue, no body, no row that belongs to nobody. What a task did is counted in a file to which each execution appends a line.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import relay_parsl as rp
from relay_parsl.daemon import READY
from relay_parsl.endpoint.place import Place
from relay_parsl.home import Home
from relay_parsl.home.files import to_json
from tests.faults import failpoints
from tests.integration.commands import PATIENCE, THREADS, Commands, Short, commands, until
from tests.integration.test_spine import free_port

PROCESSES = 'display_name: processes\nengine:\n  type: ProcessPoolEngine\n  max_workers: 1\n'
QUICK = ('relay:dead=3', 'relay_parsl.endpoint.link:DEAD_AFTER=3', 'relay_parsl.endpoint.link:PING_AFTER=1')
"""Silence is noticed after 3 s instead of 30."""


class Running:
    """A command in a process of its own, its output in a file; ready when it says so."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path, cwd: Path, before: Sequence[str] = ()) -> None:
        """Starts it, behind the words of `before`; `ready` waits."""
        self.log = log
        self._serves = False
        self._read, write = os.pipe()
        try:
            with log.open('ab') as out:
                self.process = subprocess.Popen(
                    [*before, sys.executable, *arguments],
                    env={**environment, READY: str(write)},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    pass_fds=[write],
                    cwd=cwd,
                )
        finally:
            os.close(write)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def ready(self) -> bool:
        """Wait until it serves, or has ended; whether it serves."""
        self._serves = self._serves or bool(os.read(self._read, 4096))
        return self._serves

    def signal(self, number: int) -> None:
        """Send one; a process that is gone does not mind."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> int:
        """kill -9, and wait for the end; how it ended."""
        self.signal(signal.SIGKILL)
        code = self.process.wait(PATIENCE)
        if self._read >= 0:
            os.close(self._read)
            self._read = -1
        return code

    def died(self, seconds: float = PATIENCE) -> None:
        """Wait until it was killed: by its failpoint."""
        assert self.process.wait(seconds) == -signal.SIGKILL, self.log.read_text()

    def stop(self) -> None:
        """SIGTERM, and a clean end."""
        self.signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()


class Site:
    """A home with a relay at a port that stays, and endpoints."""

    def __init__(self, cli: Commands) -> None:
        """Nothing is started."""
        self.cli = cli
        self.port = free_port()
        self.address = '127.0.0.1'
        self.public = self.port
        """The port that others are told: a proxy's, if there is one."""
        self.home = Home(cli.root)
        self.record = cli.cwd / 'record'
        self.armed = cli.cwd / 'armed'
        self.running: dict[str, Running] = {}
        self.before: Mapping[str, Sequence[str]] = {}
        """Words that go before the command of a party: it runs in a namespace, say."""

    # -- Parties ---------------------------------------------------------------------------------------------------

    def start(self, name: str, at: str = '', count: int = 1, settings: Iterable[str] = ()) -> Running:
        """Start `relay` or an endpoint that is configured, and wait until it serves. With `at` it dies at that failpoint, once `arm` was called."""
        made = self.launch(name, at, count, settings)
        assert made.ready(), made.log.read_text()
        return made

    def launch(self, name: str, at: str = '', count: int = 1, settings: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> Running:
        """The same, without the wait."""
        words = ['endpoint', 'start', name]
        if name == 'relay':
            words = ['relay', 'start', '--bind', f'{self.address}:{self.port}', '--public', f'{self.address}:{self.public}', '--user', 'alice']
        arguments = ['-m', 'relay_parsl', *words]
        if at or settings:
            options = ['--at', at, str(count), '--armed', str(self.armed)] if at else []
            options += [word for setting in settings for word in ('--set', setting)]
            arguments = [failpoints.__file__, *options, '--', *words]
        log, before = self.cli.cwd / f'{name}.log', self.before.get(name, ())
        made = Running(arguments, {**self.cli.environment, **(environment or {})}, log, self.cli.cwd, before)
        self.running[name] = made
        return made

    def configure(self, *names: str, config: str = THREADS) -> None:
        """Enrol endpoints; the relay must serve."""
        for name in names:
            file = self.cli.cwd / f'{name}.yaml'
            file.write_text(config)
            Short(self.cli.root).ok('endpoint', 'configure', name, '--endpoint-config', str(file))

    def route(self, name: str, port: int, host: str = '127.0.0.1') -> None:
        """Have an endpoint dial another address than the client does: its own proxy's."""
        place = Place(self.home, name)
        entry, _ = place.identity()
        moved = replace(entry, url=f'tcp://{host}:{port}')
        place.keep('relay.json', to_json({'name': moved.name, **moved.plain()}))

    def elsewhere(self, host: str) -> None:
        """Have the endpoints and the client look for the relay there."""
        for name in (each.name for each in Place.all(self.home)):
            self.route(name, self.port, host)
        for entry in self.home.relays().values():
            self.home.add_relay(replace(entry, url=f'tcp://{host}:{self.port}'))

    def arm(self) -> None:
        """From now on passes of failpoints count."""
        self.armed.touch()

    def passed(self) -> bool:
        """Whether a failpoint's step was passed before `arm` was called."""
        return failpoints.passed_by(self.armed).exists()

    def whole(self, *names: str, settings: Iterable[str] = ()) -> None:
        """A relay and endpoints that serve, without failpoints."""
        self.start('relay', settings=settings)
        self.configure(*names)
        for name in names:
            self.start(name, settings=settings)

    # -- What has happened -------------------------------------------------------------------------------------------

    def runs(self) -> Counter[int]:
        """How often each task was executed."""
        return Counter(map(int, self.record.read_text().split()) if self.record.exists() else ())

    def check(self, ids: Iterable[str], statuses: set[str] | None = None) -> None:
        """The oracle: end everything that runs, cleanly, and look at what is stored."""
        for name in [each for each in self.running if each != 'relay']:
            self.running.pop(name).stop()
            with sqlite3.connect(self.home.root / 'endpoints' / name / 'journal.db') as journal:
                assert journal.execute('SELECT count(*) FROM results').fetchone() == (0,), 'a result was not recorded'
            journal.close()
        self.running.pop('relay').stop()
        assert_settled(self.home.root / 'relay', {each.replace('-', '') for each in ids}, statuses or {'success'})

    def end(self) -> None:
        """Kill what is left."""
        for each in self.running.values():
            each.kill()


def assert_settled(relay: Path, ids: set[str], statuses: set[str]) -> None:
    """A relay's store in which exactly these tasks are, all of them ended, and nothing that belongs to none."""
    store = sqlite3.connect(relay / 'relay.db')
    try:

        def one(question: str) -> int:
            return int(store.execute(question).fetchone()[0] or 0)

        found = {bytes(task).hex(): (status, done) for task, status, done in store.execute('SELECT id, status, done FROM tasks')}
        assert found.keys() == ids, f'{len(ids - found.keys())} are not there, {len(found.keys() - ids)} are unknown'
        ended = {status for status, done in found.values() if done}
        assert all(done for _, done in found.values()), f'{sum(not done for _, done in found.values())} have no end'
        assert ended <= statuses, ended
        assert one('SELECT count(*) FROM queue') == 0
        assert one('SELECT count(*) FROM leases') == 0
        assert one('SELECT sum(last - done + 1) FROM ends') == len(ids)
        assert one('SELECT count(*) FROM received WHERE n NOT IN (SELECT n FROM tasks)') == 0
    finally:
        store.close()
    assert list((relay / 'spool').iterdir()) == []


def noting() -> Callable[..., Any]:
    """A function that appends its number to a file and returns its square; sent by value, since it has no name that an endpoint could import."""

    def note(path: str, number: int, seconds: float = 0.0) -> int:
        import os
        import time

        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, b'%d\n' % number)
        os.close(handle)
        time.sleep(seconds)
        return number * number

    return note


@contextmanager
def site(root: Path) -> Iterator[Site]:
    """A site that is gone at the end. `RELAY_PARSL_HOME` of this process must be `root`, for clients in it."""
    with commands(root) as cli:
        made = Site(cli)
        try:
            yield made
        finally:
            made.end()


class Work:
    """Tasks of one client, in this process, that note what they do."""

    def __init__(self, at: Site, endpoint: str = 'one') -> None:
        """Connects in the background."""
        self._site = at
        self._note = noting()
        self.executor = rp.Executor(endpoint)
        self.futures: dict[int, rp.TaskFuture] = {}

    def submit(self, numbers: Iterable[int], seconds: float = 0.0, **options: Any) -> None:
        """One task a number."""
        view = self.executor.with_options(**options) if options else self.executor
        for number in numbers:
            self.futures[number] = view.submit(self._note, str(self._site.record), number, seconds)

    def flush(self) -> None:
        """Until the relay has them all on disk."""
        self.executor.flush(PATIENCE)

    def done(self, seconds: float = PATIENCE) -> None:
        """All are done, with the right values, and each did what it does at least once."""
        end = time.monotonic() + seconds
        for number, future in self.futures.items():
            assert future.result(max(0.0, end - time.monotonic())) == number * number
        assert self._site.runs().keys() >= self.futures.keys()

    def once(self) -> None:
        """Each ran once and no more."""
        runs = self._site.runs()
        assert {number: count for number, count in runs.items() if count != 1} == {}

    @property
    def ids(self) -> list[str]:
        """Of the tasks."""
        return [future.task_id for future in self.futures.values()]

    def close(self) -> None:
        """Leave; nothing is waited for."""
        self.executor.shutdown(wait=False)


__all__ = ['PROCESSES', 'QUICK', 'Running', 'Site', 'Work', 'assert_settled', 'free_port', 'noting', 'site', 'until']
