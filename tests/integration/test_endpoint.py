"""A real relay, real endpoints with a thread engine, and a client that is nothing but a socket, keys and seals."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.endpoint import link
from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.endpoint import Endpoint
from relay_parsl.endpoint.founding import found, founders
from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.endpoint.place import Place
from relay_parsl.errors import ConfigError
from relay_parsl.home import Credentials, Home, RelayEntry
from relay_parsl.relay.server import RelayServer
from relay_parsl.transport import Dealer
from relay_parsl.wire import codec, payload
from relay_parsl.wire.messages import (
    Accepted,
    Body,
    Deliver,
    Delivered,
    Fetch,
    Hello,
    Id,
    Need,
    Object,
    Objects,
    Ping,
    Pong,
    Received,
    Result,
    Segment,
    Status,
    Submit,
    Task,
    Welcome,
    Window,
)
from relay_parsl.wire.seal import open_body, seal_body
from tests.integration.hand_relay import Party
from tests.unit.endpoint.sender import Sender

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
PATIENCE = 60.0
FILE = {'display_name': 'site', 'engine': {'type': 'ThreadPoolEngine', 'max_workers': 4}}


class Client:
    """Submits, answers what the relay asks for, and takes what comes."""

    def __init__(self, entry: RelayEntry, user: Credentials, site: Credentials) -> None:
        self.dealer = Dealer(entry.url, entry.key, user.keys.curve)
        self.sender = Sender(user.keys, site.card, time.time())
        self.objects = {self.sender.grant.hash: self.sender.grant_object}
        self.bodies: dict[Id, bytes] = {}
        self.accepted: set[Id] = set()
        self.delivered: dict[Id, Delivered] = {}
        self.pulled: dict[Id, bytes] = {}
        self.unanswered: dict[Id, Task] = {}
        self.dealer.send(Hello('client', Id(os.urandom(16))))
        self._until(lambda: self.live)

    live = False

    def submit(self, fn: Callable[..., Any], *args: Any, **fields: Any) -> Id:
        blob = payload.dump_function(fn)
        function = self._function(blob)
        task = self.sender.task(function, blob, args, **fields)
        task_id = codec.task_header(task.header).task_id
        self.unanswered[task_id] = task
        return task_id

    def submit_large(self, fn: Callable[..., Any], value: bytes) -> Id:
        """One large argument, which the relay and the endpoint must pull."""
        plain = payload.dump_arguments((value,), {})
        task_id = self.submit(fn, length=len(plain))
        target = io.BytesIO()
        seal_body(self.sender.body_key, len(plain), io.BytesIO(plain), target)
        self.bodies[task_id] = target.getvalue()
        return task_id

    def send(self) -> None:
        """Submit until everything is accepted."""
        self._say_all()
        self._until(lambda: not self.unanswered, again=self._say_all)

    def result(self, task_id: Id) -> Any:
        """The value of a task, or what it raised."""
        self._until(lambda: task_id in self.delivered)
        delivered = self.delivered[task_id]
        assert delivered.header, f'the relay says: {delivered.status.value}, {delivered.reason}'
        header = codec.result_header(delivered.header)
        assert not header.reason, header.reason
        outcome = self.sender.outcome(Result(delivered.header, delivered.payload))
        if not header.body:
            return payload.load_outcome(outcome.data)
        self._pull(task_id, header.attempt, header.body)
        return payload.load_outcome(b''.join(open_body(outcome.body_key, outcome.length, io.BytesIO(self.pulled[task_id]))))

    def wait_for(self, task_id: Id) -> None:
        """Submit and wait for one task."""
        self.send()
        self.result(task_id)

    def wait(self, count: int) -> None:
        """Until so many tasks have ended."""
        self._until(lambda: len(self.delivered) >= count)

    def close(self) -> None:
        self.dealer.close()

    def _function(self, blob: bytes) -> Object:
        for known, each in getattr(self, 'functions', []):
            if known == blob:
                return each
        made = self.sender.function(blob)
        self.functions = [*getattr(self, 'functions', []), (blob, made)]
        self.objects[made.hash] = made
        return made

    def _say_all(self) -> None:
        tasks = list(self.unanswered.values())
        for start in range(0, len(tasks), 100):
            self.dealer.send(Submit(tuple(tasks[start : start + 100])))

    def _pull(self, task_id: Id, attempt: int, size: int) -> None:
        self.pulled[task_id] = b''
        while len(self.pulled[task_id]) < size:
            had = len(self.pulled[task_id])
            self.dealer.send(Fetch(task_id, attempt, 'result', had, 1 << 20))
            self._until(lambda had=had: len(self.pulled[task_id]) > had)

    def _until(self, holds: Callable[[], bool], again: Callable[[], None] = lambda: None) -> None:
        end = time.monotonic() + PATIENCE
        asked = time.monotonic()
        while not holds():
            assert time.monotonic() < end, 'it never held'
            self.dealer.wait(0.1)
            for message in self.dealer.receive():
                self._hear(message)
            if time.monotonic() - asked > 3:
                asked = time.monotonic()
                self.dealer.send(Ping())
                again()

    def _hear(self, message: Any) -> None:
        if isinstance(message, Welcome):
            self.live = True
            self.dealer.send(Window({'': (1000, 64 << 20)}))
        elif isinstance(message, Need):
            self.dealer.send(Objects(tuple(self.objects[each] for each in message.hashes)))
            self._say_all()
        elif isinstance(message, Accepted):
            self.accepted |= set(message.ids)
            for each in message.ids:
                self.unanswered.pop(each, None)
        elif isinstance(message, Deliver):
            self.delivered.update({each.task_id: each for each in message.results})
            self.dealer.send(Received(tuple(each.task_id for each in message.results)))
        elif isinstance(message, Fetch):
            body = self.bodies[message.task_id]
            data = Body(body[message.offset : message.offset + message.length])
            self.dealer.send(Segment(message.task_id, message.attempt, 'task', message.offset, len(body), data))
        elif isinstance(message, Segment):
            self.pulled[message.task_id] += message.data
        elif isinstance(message, Ping):
            self.dealer.send(Pong())


class World:
    """A relay in a thread, one endpoint's directory, and what was started."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        keys, self.user = found(self.home, {'site': json.dumps(FILE).encode()})
        self.place = Place(self.home, 'site')
        self.credentials = Credentials.load(self.place.key)
        self.server = RelayServer(self.home, 'tcp://127.0.0.1:0', bootstrap=founders(self.home))
        self.server.start()
        self.entry = RelayEntry('testing', f'tcp://127.0.0.1:{self.server.port}', keys.keys.curve_public, '')
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()
        self._closes: list[Callable[[], None]] = []

    def client(self) -> Client:
        client = Client(self.entry, self.user, self.credentials)
        self._closes.append(client.close)
        return client

    def endpoint(self, place: Path | None = None, **options: Any) -> Party:
        config = load_endpoint_config(self.place.config)
        party = Party(Endpoint(place or self.place.root, config, self.entry, self.credentials, **options))
        self._closes.append(party.close)
        return party

    def process(self) -> subprocess.Popen[bytes]:
        """The endpoint in a process of its own, which may be killed."""
        arguments = [sys.executable, '-c', SCRIPT, str(self.home.root), self.entry.url, self.entry.key.hex()]
        process = subprocess.Popen(arguments, cwd=Path(__file__).parents[2])

        def end() -> None:
            process.kill()
            process.wait()

        self._closes.append(end)
        return process

    def close(self) -> None:
        for close in self._closes[::-1]:
            close()
        self.server.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


SCRIPT = """
import sys
from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.endpoint.endpoint import Endpoint
from relay_parsl.endpoint.place import Place
from relay_parsl.home import Credentials, Home, RelayEntry
place = Place(Home(sys.argv[1]), 'site')
entry = RelayEntry('testing', sys.argv[2], bytes.fromhex(sys.argv[3]), '')
sys.exit(Endpoint(place.root, load_endpoint_config(place.config), entry, Credentials.load(place.key)).run())
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / 'home')
    try:
        yield made
    finally:
        made.close()


def double(number: int) -> int:
    return 2 * number


def test_many_tasks_come_back_with_their_values(world: World) -> None:
    world.endpoint()
    client = world.client()
    tasks = {client.submit(double, number): number for number in range(300)}
    client.send()
    assert {client.result(task_id) for task_id in tasks} == {2 * number for number in range(300)}


def test_an_exception_comes_back_as_its_own_type(world: World) -> None:
    world.endpoint()
    client = world.client()
    task_id = client.submit(int, 'x')
    client.send()
    with pytest.raises(ValueError, match='invalid literal'):
        client.result(task_id)


def test_20_mb_there_and_back(world: World) -> None:
    world.endpoint()
    client = world.client()
    value = os.urandom(20_000_000)
    task_id = client.submit_large(lambda data: data[::-1], value)
    small = client.submit(double, 1)
    client.send()
    assert client.result(task_id) == value[::-1]
    assert client.result(small) == 2


def test_tasks_wait_for_an_endpoint_that_comes_later_and_one_that_comes_again(world: World) -> None:
    client = world.client()
    first = client.submit(double, 1)
    client.send()
    party = world.endpoint()
    assert client.result(first) == 2
    party.endpoint.stop()
    assert party.end() == 0
    second = client.submit(double, 2)
    client.send()
    world.endpoint()
    assert client.result(second) == 4


def test_kill_9_of_the_endpoint_loses_no_task_and_starts_none_twice_that_may_run_only_once(world: World, tmp_path: Path) -> None:
    process = world.process()
    client = world.client()
    log = tmp_path / 'log'

    def note(path: str, number: int, seconds: float) -> int:
        import os
        import time

        with open(path, 'ab', buffering=0) as file:
            file.write(b'%d %d\n' % (number, os.getpid()))
        time.sleep(seconds)
        return number

    tasks = {client.submit(note, str(log), number, 0.05, at_most_once=number % 2 == 1): number for number in range(60)}
    client.send()
    client.wait(10)
    process.kill()
    process.wait()
    world.process()
    client.wait(60)
    runs = [int(line.split()[0]) for line in log.read_text().splitlines()]
    for task_id, number in tasks.items():
        delivered = client.delivered[task_id]
        if number % 2:
            assert runs.count(number) <= 1
            assert delivered.status is Status.SUCCESS or 'lost' in delivered.reason
        else:
            assert client.result(task_id) == number
            assert runs.count(number) >= 1


@pytest.mark.attack(8)
def test_a_twin_is_refused_and_may_take_over(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, 'TWIN_FOR', 3.0)
    first = world.endpoint()
    client = world.client()
    client.wait_for(client.submit(double, 1))
    copy = tmp_path / 'copy'
    shutil.copytree(world.place.root, copy, ignore=shutil.ignore_patterns('journal*', 'audit*', 'spool', 'runs'))
    _advance(copy, 5)
    with pytest.raises(ConfigError, match='--take-over'):
        world.endpoint(copy).end()
    world.endpoint(copy, take_over=True)
    assert first.end() == 3
    client.wait_for(client.submit(double, 2))


@pytest.mark.attack(8)
@pytest.mark.fault(41)
def test_a_copy_with_an_older_journal_is_fenced(world: World, tmp_path: Path) -> None:
    _advance(world.place.root, 5)
    world.endpoint()
    client = world.client()
    client.wait_for(client.submit(double, 1))
    copy = tmp_path / 'copy'
    shutil.copytree(world.place.root, copy, ignore=shutil.ignore_patterns('journal*', 'audit*', 'spool', 'runs'))
    assert world.endpoint(copy).end() == 3
    client.wait_for(client.submit(double, 2))


def _advance(directory: Path, count: int) -> None:
    """As if the endpoint had been started so often."""
    journal = SqliteJournal(directory / 'journal.db')
    journal.begin()
    for _ in range(count):
        journal.advance()
    journal.commit()
    journal.close()
