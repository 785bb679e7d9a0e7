"""A relay played by hand: a real router, real keys, and a test that says every word of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from relay_parsl.endpoint.endpoint import Endpoint
from relay_parsl.endpoint.life import Life
from relay_parsl.endpoint.policy import FunctionPolicy
from relay_parsl.engines.base import Changed, Deliver, EngineStatus, Event, Finished, Work
from relay_parsl.errors import RelayError
from relay_parsl.home import Credentials, Home, Pin, RelayEntry, write_private
from relay_parsl.home.files import to_json
from relay_parsl.transport import Router
from relay_parsl.wire import payload
from relay_parsl.wire.messages import Dispatch, Held, Hello, Leased, Message, Objects, Result, Results, Task, Welcome, Window
from relay_parsl.wire.seal import Keys, curve_public
from tests.unit.endpoint.sender import Sender

T = TypeVar('T')
PATIENCE = 20.0


class Bench:
    """An engine on which the test works: it takes what it is given and ends what the test says."""

    def __init__(self, capacity: int = 4, python: str | None = None) -> None:
        self.capacity = capacity
        self.python = python
        self.works: list[Work] = []
        self.demands: list[int] = []
        self.stopped = False
        self.cancels = False
        self.max_retries_on_system_failure = 1
        self._arrived = threading.Condition()
        self.asked: list[tuple[bytes, int]] = []

    def start(self, deliver: Deliver, run_dir: Path, label: str) -> None:
        self.deliver, self.run_dir, self.label = deliver, run_dir, label
        self.deliver(Changed(self.status()))

    def submit(self, work: Work) -> None:
        with self._arrived:
            self.works.append(work)
            self._arrived.notify_all()

    def flush(self) -> None:
        """It took everything at once."""

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        self.asked.append((task_id, attempt))
        return self.cancels

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        return self.cancels

    def demand(self, count: int) -> None:
        self.demands.append(count)

    def status(self) -> EngineStatus:
        return EngineStatus(self.capacity, workers=self.capacity, python=self.python)

    def stop(self) -> None:
        self.stopped = True

    def work(self, number: int = 0) -> Work:
        """The work that came as number `number`; waits for it."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.works) > number, PATIENCE), 'the engine got no such work'
            return self.works[number]

    def finish(self, work: Work, value: Any) -> None:
        """The work has returned `value`."""
        outcome = payload.encode_outcome(payload.Outcome(True, payload.dump_value(value)))
        self.say(Finished(work.task_id, work.attempt, True, outcome))

    def say(self, event: Event) -> None:
        self.deliver(event)


@dataclass
class Spec:
    """Stands for an engine of an endpoint file."""

    label: str = 'site'


@dataclass
class Config:
    """Stands for an endpoint file with one engine."""

    engine: Any
    function_policy: FunctionPolicy = field(default_factory=FunctionPolicy)
    display_name: str = 'Site'
    pools: dict[str, Spec] = field(default_factory=lambda: {'': Spec()})
    default_pool: str = ''
    life: Life = field(default_factory=Life)
    audit: str = 'best-effort'

    def build_engine(self, pool: str = '') -> Any:
        return self.engine


class HandRelay:
    """A router that admits one key, and what it has heard."""

    def __init__(self, known: bytes) -> None:
        self.keys = Keys.generate()
        self.router = Router('tcp://127.0.0.1:0', self.keys.curve, lambda key: key == known)
        self.heard: list[Message] = []
        self.session = self.serial = 0
        self.peer = b''

    @property
    def entry(self) -> RelayEntry:
        return RelayEntry('hand', f'tcp://127.0.0.1:{self.router.port}', curve_public(self.keys.curve), '')

    def say(self, *messages: Message) -> None:
        for message in messages:
            assert self.router.send(self.peer, message)

    def answer(self, kind: type[Message], reply: Message, until: Callable[[], bool]) -> None:
        """Say the same to every message of a kind, until something holds."""
        end = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < end, 'it never held'
            self.router.wait(0.05)
            for peer, message in self.router.receive():
                self.peer = peer.routing
                if isinstance(message, kind):
                    self.say(reply)

    def until(self, kind: type[T], holds: Callable[[T], bool] = lambda _message: True) -> T:
        """The next message of this kind for which `holds`; what comes before it is kept in `heard`."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for at, message in enumerate(self.heard):
                if isinstance(message, kind) and holds(message):
                    del self.heard[: at + 1]
                    return message
            self.router.wait(0.2)
            for peer, message in self.router.receive():
                assert not isinstance(message, Exception), message
                self.peer = peer.routing
                self.heard.append(message)
        raise AssertionError(f'no such {kind.__name__}; heard {self.heard}')

    def welcome(self) -> Hello:
        """Let the endpoint in, and hear what it holds and wants."""
        hello = self.until(Hello)
        self.session, self.serial = self.session + 1, 0
        self.say(Welcome(self.session, time.time()))
        self.until(Held)
        self.until(Window)
        return hello

    def dispatch(self, *tasks: Task, attempt: int = 1) -> None:
        self.serial += 1
        self.say(Dispatch(self.session, self.serial, tuple(Leased(attempt, each.header, each.payload) for each in tasks)))

    def result(self) -> Result:
        """The next result, which must come alone."""
        (found,) = self.until(Results).results
        return found

    def close(self) -> None:
        self.router.close()


class Party:
    """An endpoint in a thread of this process, and how it ended."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.code: int | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.code = self.endpoint.run()
        except RelayError as error:
            self.error = error

    def end(self) -> int | None:
        """Wait for its end; raises what it raised."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), 'the endpoint did not end'
        if self.error is not None:
            raise self.error
        return self.code

    def close(self) -> None:
        self.endpoint.stop()
        self.endpoint.stop()
        self._thread.join(PATIENCE)


def double(number: int) -> int:
    """The function that tests give an endpoint."""
    return 2 * number


class Site:
    """An endpoint's directory, its engine, its owner and its relay."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.place = self.home.directory('endpoints', 'site')
        now = time.time()
        self.credentials = Credentials.create('site', 'endpoint', now=now, lifetime=86_400.0)
        self.owner = Credentials.create('alice', 'user', now=now, lifetime=86_400.0)
        pin = Pin('alice', self.owner.card.identity, 'user')
        write_private(self.place / 'trusted.json', to_json({'alice': pin.plain()}))
        self.relay = HandRelay(self.credentials.card.curve)
        self.engine = Bench()
        self.sender = Sender(self.owner.keys, self.credentials.card, now)
        self._parties: list[Party] = []

    def begin(self, config: Config | None = None, **options: Any) -> Party:
        """Start the endpoint."""
        entry = options.pop('entry', self.relay.entry)
        endpoint = Endpoint(self.place, config or Config(self.engine), entry, self.credentials, **options)  # type: ignore[arg-type]
        self._parties.append(Party(endpoint))
        return self._parties[-1]

    def serve(self, config: Config | None = None, **options: Any) -> Party:
        """Start the endpoint and let it in."""
        party = self.begin(config, **options)
        self.relay.welcome()
        return party

    def give(self, function: Any, *args: Any, **fields: Any) -> Task:
        """Dispatch one call with all that it needs."""
        blob = payload.dump_function(function)
        sealed = self.sender.function(blob)
        task = self.sender.task(sealed, blob, args, **fields)
        self.relay.dispatch(task)
        self.relay.say(Objects((self.sender.grant_object, sealed)))
        return task

    def value_of(self, result: Result) -> object:
        """What a result holds; raises what its function raised."""
        return payload.load_outcome(self.sender.outcome(result).data)

    def close(self) -> None:
        for party in self._parties:
            party.close()
        self.relay.close()


@contextmanager
def site_in(root: Path) -> Iterator[Site]:
    """A site that is taken down whatever happens."""
    site = Site(root)
    try:
        yield site
    finally:
        site.close()
