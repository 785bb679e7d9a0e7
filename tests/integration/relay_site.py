"""A real relay in a thread, and parties that speak to it through real sockets with real keys."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from relay_parsl.home import Credentials, Home
from relay_parsl.relay.server import Founder, RelayServer
from relay_parsl.transport import Dealer
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Body, Hash, Id, Message, Object, Status, Task

M = TypeVar('M')
YEAR = 365 * 86400.0
PATIENCE = 20.0
LOOPBACK = 'tcp://127.0.0.1:0'


def objects() -> tuple[Object, Object]:
    return tuple([Object(Hash(hashlib.sha256(data).digest()), kind, Body(data)) for kind, data in (('grant', b'grant'), ('function', b'f'))])  # type: ignore[return-value]


GRANT, FUNCTION = objects()


@dataclass
class Party:
    """A socket with an identity."""

    credentials: Credentials
    dealer: Dealer
    inbox: list[Message] = field(default_factory=list)

    @property
    def id(self) -> Id:
        return self.credentials.id

    def say(self, *messages: Message) -> None:
        for message in messages:
            assert self.dealer.send(message)

    def wait(self, kind: type[M], enough: Callable[[list[M]], bool] = bool) -> list[M]:
        """The messages of a type, as soon as there are enough; others stay. Pings are answered."""
        end = time.monotonic() + PATIENCE
        while True:
            found = [each for each in self.inbox if isinstance(each, kind)]
            if enough(found):
                self.inbox = [each for each in self.inbox if not isinstance(each, kind)]
                return found
            assert time.monotonic() < end, f'no {kind.__name__} came: {self.dealer.failure} {self.inbox}'
            self.dealer.wait(0.1)
            for message in self.dealer.receive():
                self.inbox.append(message)
                if isinstance(message, m.Ping):
                    self.say(m.Pong())

    def one(self, kind: type[M]) -> M:
        [found] = self.wait(kind)
        return found


@dataclass
class Site:
    """A home with keys for everybody."""

    home: Home
    people: dict[str, Credentials]

    @property
    def founders(self) -> list[Founder]:
        owner = self.people['ann'].id
        return [(name, each.role, each.card, owner if each.role == 'endpoint' else None) for name, each in self.people.items()]

    @property
    def relay_key(self) -> bytes:
        return Credentials.load(self.home.directory('relay') / 'relay.key').keys.curve_public

    @contextlib.contextmanager
    def serving(self, bind: str = LOOPBACK) -> Iterator[RelayServer]:
        server = RelayServer(self.home, bind, bootstrap=self.founders)
        server.start()
        thread = threading.Thread(target=server.run, name='relay')
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(PATIENCE)
            assert not thread.is_alive()

    @contextlib.contextmanager
    def party(self, name: str, port: int) -> Iterator[Party]:
        dealer = Dealer(f'tcp://127.0.0.1:{port}', self.relay_key, self.people[name].keys.curve)
        try:
            yield Party(self.people[name], dealer)
        finally:
            dealer.close()

    @contextlib.contextmanager
    def client(self, name: str, port: int) -> Iterator[Party]:
        with self.party(name, port) as party:
            party.say(m.Hello('client', Id(os.urandom(16))))
            party.one(m.Welcome)
            yield party

    @contextlib.contextmanager
    def endpoint(self, port: int, epoch: int = 1, window: int = 500) -> Iterator[Party]:
        with self.party('site', port) as party:
            party.say(m.Hello('endpoint', Id(bytes([epoch]) * 16), epoch))
            session = party.one(m.Welcome).session
            party.say(m.Window({'': (window, 1 << 30)}), m.Held(session, 0, True, ()))
            yield party

    def task(self, number: int, payload: bytes = b'call', body: int = 0) -> Task:
        header = m.TaskHeader(GRANT.hash, number, an_id(number), an_id(0), self.people['site'].id, FUNCTION.hash, time.time() + 3600, body=body)
        return Task(codec.encode_header(header), Body(payload))

    def result(self, leased: m.Leased, payload: bytes = b'outcome', body: int = 0) -> m.Result:
        header = codec.task_header(leased.header)
        made = m.ResultHeader(GRANT.hash, 1, header.task_id, header.endpoint, 1, leased.attempt, Status.SUCCESS, body=body)
        return m.Result(codec.encode_header(made), Body(payload))


def an_id(number: int) -> Id:
    return Id(number.to_bytes(16, 'big'))


def site_in(directory: Path) -> Site:
    """With a user, her endpoint, and an operator."""
    people = {
        name: Credentials.create(name, role, now=time.time(), lifetime=YEAR)
        for name, role in (('ann', 'user'), ('site', 'endpoint'), ('root', 'operator'))
    }
    return Site(Home(directory), people)


def submit(client: Party, tasks: list[Task]) -> None:
    client.say(m.Objects((GRANT, FUNCTION)), m.Submit(tuple(tasks)))
    client.wait(m.Accepted, lambda found: sum(len(each.ids) for each in found) >= len(tasks))


def leases(endpoint: Party, count: int) -> list[m.Leased]:
    found = endpoint.wait(m.Dispatch, lambda found: sum(len(each.tasks) for each in found) >= count)
    return [task for each in found for task in each.tasks]
