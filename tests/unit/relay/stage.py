"""A relay's reactor on a stage: a memory store, hand-made accounts, and parties that speak through the real codec."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from relay_parsl.relay.effects import Effect, Send
from relay_parsl.relay.reactor import RelayReactor, RelaySettings
from relay_parsl.relay.records import AccountRow
from relay_parsl.relay.store import MemoryStore, Store
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Attempt, Body, Hash, Id, Message, Object, Status, Task, TaskHeader

M = TypeVar('M')
FAR = 4e9


def an_id(*parts: object) -> Id:
    return Id(repr(parts).encode().ljust(16, b'.')[-16:])


def a_hash(text: str) -> Hash:
    return Hash(text.encode().ljust(32, b'.')[:32])


def account(name: str, role: str, **more: Any) -> AccountRow:
    return AccountRow(an_id(name), name, role, b'card of ' + name.encode(), bytes(a_hash('curve ' + name)), FAR, **more)


@dataclass
class Party:
    """One connection of an account."""

    stage: Stage
    row: AccountRow
    routing: bytes
    inbox: list[Message] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        return self.row.curve

    @property
    def id(self) -> Id:
        return self.row.id

    def say(self, *messages: Message) -> None:
        """All in one turn."""
        self.stage.turn(*[(self, message) for message in messages])

    def got(self, kind: type[M]) -> list[M]:
        """The messages of a type that came since one last asked; others stay."""
        found = [each for each in self.inbox if isinstance(each, kind)]
        self.inbox = [each for each in self.inbox if not isinstance(each, kind)]
        return found

    def one(self, kind: type[M]) -> M:
        [found] = self.got(kind)
        return found

    def ids(self, kind: type[Any]) -> list[Id]:
        """Of the tasks in the messages of a type."""
        items = {m.Accepted: 'ids', m.Deliver: 'results', m.Dispatch: 'tasks', m.Rejected: 'tasks', m.Recorded: 'tasks', m.Cancel: 'tasks'}
        flat = [item for each in self.got(kind) for item in getattr(each, items[kind])]
        return [codec.task_header(each.header).task_id if kind is m.Dispatch else getattr(each, 'task_id', each) for each in flat]


class Stage:
    """The relay, its clock and its parties."""

    def __init__(self, store: Store | None = None, **settings: Any) -> None:
        self.now = 1000.0
        self.store = store or MemoryStore()
        self.settings = RelaySettings(**settings)
        self.parties: dict[bytes, Party] = {}
        self.effects: list[Effect] = []
        self._routings = itertools.count()
        self.users = {name: account(name, 'user') for name in ('ann', 'bob')}
        rows = [*self.users.values(), account('site', 'endpoint', owner=an_id('ann')), account('root', 'operator')]
        rows += [account('far', 'endpoint', owner=an_id('bob')), account('robot', 'service', owner=an_id('ann'))]
        self.rows = {row.name: row for row in rows}
        self.store.begin()
        for row in rows:
            self.store.put_account(row)
        self.store.commit()
        self.restart()

    def restart(self) -> None:
        self.store.begin()
        self.reactor = RelayReactor(self.store, self.now, settings=self.settings, first_session=self.store.start() << 32)
        self.store.commit()

    def turn(self, *heard: tuple[Party, Message], tick: bool = False) -> None:
        self.store.begin()
        for party, message in heard:
            self.reactor.receive(party, codec.decode(codec.encode(message)), self.now)
        if tick:
            self.reactor.tick(self.now)
        self.reactor.flush(self.now)
        self.store.commit()
        for effect in self.reactor.take():
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, Send) and effect.routing in self.parties:
            self.parties[effect.routing].inbox.append(codec.decode(codec.encode(effect.message)))
        elif isinstance(effect, Send):
            self.reactor.unreachable(effect.routing, self.now)
        else:
            self.effects.append(effect)

    def wait(self, seconds: float) -> None:
        """Second by second."""
        for _ in range(int(seconds)):
            self.now += 1.0
            self.turn(tick=True)

    def party(self, name: str) -> Party:
        party = Party(self, self.rows[name], b'routing %d' % next(self._routings))
        self.parties[party.routing] = party
        return party

    def leave(self, party: Party) -> None:
        """The connection is gone; the relay finds out when it sends."""
        del self.parties[party.routing]

    def client(self, name: str = 'ann', instance: str = 'one') -> Party:
        party = self.party(name)
        party.say(m.Hello('client', an_id(name, instance)))
        party.one(m.Welcome)
        return party

    def endpoint(self, name: str = 'site', *, epoch: int = 1, window: tuple[int, int] = (100, 1 << 30), held: Sequence[m.HeldTask] = ()) -> Party:
        party = self.party(name)
        party.say(m.Hello('endpoint', an_id(name, epoch), epoch))
        session = party.one(m.Welcome).session
        party.say(m.Window({'': window}), m.Held(session, 0, True, tuple(held)))
        return party

    def provide(self, client: Party) -> None:
        client.say(m.Objects((Object(a_hash('grant'), 'grant', Body(b'g')), Object(a_hash('function'), 'function', Body(b'f')))))

    def task(self, name: str, *, group: str = 'group', endpoint: str = 'site', payload: bytes = b'call', **more: Any) -> Task:
        header = TaskHeader(
            a_hash('grant'), 1, an_id(name), an_id(group), an_id(endpoint), a_hash('function'), more.pop('expires', self.now + 1000), **more
        )
        return Task(codec.encode_header(header), Body(payload))

    def submit(self, client: Party, *names: str, **more: Any) -> None:
        self.provide(client)
        client.say(m.Submit(tuple([self.task(name, **more) for name in names])))

    def result(self, name: str, *, attempt: int = 1, endpoint: str = 'site', payload: bytes = b'outcome', epoch: int = 1, body: int = 0) -> m.Result:
        header = m.ResultHeader(a_hash('grant'), 1, an_id(name), an_id(endpoint), epoch, attempt, Status.SUCCESS, body=body)
        return m.Result(codec.encode_header(header), Body(payload))

    def finish(self, endpoint: Party, *names: str, **more: Any) -> None:
        endpoint.say(m.Results(tuple([self.result(name, endpoint=endpoint.row.name, **more) for name in names])))


def attempts(*names: str, attempt: int = 1) -> tuple[Attempt, ...]:
    return tuple([Attempt(an_id(name), attempt) for name in names])
