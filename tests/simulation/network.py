"""A wire that loses, doubles, delays, reorders and cuts, as ZeroMQ may at a reconnect, and worse.

Every message passes through the real codec. Within a connection messages keep their order unless a fault says otherwise.
A connection that is cut or muted stands for a TCP connection that broke or went half-open; the dealer's next message then
travels over a new connection with a new routing id, as libzmq does it, and nobody is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from relay_parsl.errors import ProtocolError
from relay_parsl.wire.codec import decode, encode, pack, result_header, task_header, unpack
from relay_parsl.wire.messages import Leased, Message, Result, Task
from tests.simulation.clock import Clock

UP, DOWN = 0, 1


class Peer(NamedTuple):
    """Where a message came from: what the real router says."""

    routing: bytes
    key: bytes


@dataclass
class Rates:
    """Chances of a fault for each message; those that are seldom sent have `rare` times as many."""

    drop: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    rare: float = 0.0
    lag: float = 0.005

    def of(self, name: str) -> tuple[float, float, float]:
        """The chances of a message of this type to be dropped, doubled and reordered."""
        if name == 'Returned' and self.double:
            return 0.25, 0.25, 0.35
        scale = self.rare if name in RARE else 2 * self.rare if name in SELDOM else 1.0
        return self.drop * scale, self.double * scale, self.reorder * scale


RARE = frozenset((
    'Hello', 'Welcome', 'Goodbye', 'Ping', 'Pong', 'Need', 'Objects', 'Window', 'Backlog', 'Held', 'Follow', 'States', 'Report', 'Fetch',
    'Segment', 'Submit', 'Accepted', 'Received',
))  # fmt: skip
SELDOM = frozenset(['Refused', 'Enrol', 'Enrolled', 'List', 'Listing', 'Admin', 'Done', 'Rejected', 'Returned', 'Cancel', 'Watch'])


NEW = {'Welcome': ('share', 'succession'), 'Enrol': ('overlap',)}
"""Fields that the version before this did not have."""


def spoken(header: bytes, version: int) -> bytes:
    """The header of a message as the version before (-1) or after (1) this one has it."""
    major, minor, name, fields = unpack(header)  # type: ignore[misc]
    if version > 0:
        fields['mood'] = ['fine']
        if name == 'Rejected':
            fields['tasks'] = [[*each, 'and more'] for each in fields['tasks']]
        return pack([major, minor + 1, name, fields, 'more'])
    for each in NEW.get(name, ()):
        fields.pop(each)
    if name == 'Rejected':  # without `retry_after`
        fields['tasks'] = [each[:3] for each in fields['tasks']]
    return pack([major, minor, name, fields])


def brief(message: object) -> str:
    """A message in one line, with the first bytes of the ids in it."""
    words = []
    for name, value in (message._asdict() if isinstance(message, tuple) else vars(message)).items():
        if isinstance(value, tuple):
            words.append(' '.join(_brief_item(each) for each in value))
        elif name == 'info':
            words.append(value.task_id.hex()[:6])
        elif name not in ('versions', 'limits', 'instance', 'time', 'header', 'payload'):
            words.append(f'{name}={value.hex()[:6] if isinstance(value, bytes) else value}')
    return f'{type(message).__name__}({", ".join(words)})'


def _brief_item(item: object) -> str:
    if isinstance(item, bytes):
        return item[:3].hex()
    if isinstance(item, (Task, Leased, Result)) and not _readable(item):
        return 'no header'
    if isinstance(item, Task):
        return task_header(item.header).task_id[:3].hex()
    if isinstance(item, Leased):
        return f'{task_header(item.header).task_id[:3].hex()}/{item.attempt}'
    if isinstance(item, Result):
        header = result_header(item.header)
        return f'{header.task_id[:3].hex()}/{header.attempt}:{header.status.value}'
    found = getattr(item, 'task_id', getattr(item, 'hash', b''))[:3].hex()
    rest = [str(getattr(item, name)) for name in ('attempt', 'status', 'phase', 'code') if hasattr(item, name)]
    return '/'.join([found, *rest])


def _readable(item: Task | Leased | Result) -> bool:
    """Whether its header is one: a hostile party's may be anything."""
    try:
        (result_header if isinstance(item, Result) else task_header)(item.header)
    except ProtocolError:
        return False
    return True


class Connection:
    """One TCP connection between a dealer and the relay."""

    __slots__ = ('alive', 'dealer', 'last', 'mute', 'routing', 'seen', 'sent')

    def __init__(self, routing: bytes, dealer: Dealer) -> None:
        """A live one."""
        self.routing, self.dealer = routing, dealer
        self.alive, self.mute = True, False
        self.last, self.sent, self.seen = [0.0, 0.0], [0, 0], [0, 0]


class Dealer:
    """A party's socket: it always has a connection, or is about to have one."""

    def __init__(self, network: Network, key: bytes, wake: Callable[[], None], name: str, version: int = 0) -> None:
        """`wake` is called when something arrived; `version` as that of the network."""
        self.network, self.key, self.wake, self.name = network, key, wake, name
        self.inbox: deque[Message] = deque()
        self.closed = False
        self.version = version
        self.connection = network.connect(self)

    def send(self, message: Message) -> bool:
        """False: would block, nothing was sent."""
        if self.closed:
            return False
        if not self.connection.alive:
            self.connection = self.network.connect(self)
        self.network.transmit(self.connection, UP, message)
        return True

    def reconnect(self) -> None:
        """A fresh socket: what had arrived in the old one is gone."""
        self.network.cut(self.connection)
        self.inbox.clear()
        self.connection = self.network.connect(self)

    def close(self) -> None:
        """The process died or closed its socket."""
        self.closed = True
        self.inbox.clear()
        self.network.cut(self.connection)


class Network:
    """All connections, and the faults."""

    def __init__(self, clock: Clock, rates: Rates) -> None:
        """`rates` may be changed at any time: quiet ones end the faults."""
        self.clock, self.rates = clock, rates
        self.connections: dict[bytes, Connection] = {}
        self.relay_inbox: deque[tuple[Peer, Message]] = deque()
        self.relay_wake: Callable[[], None] = lambda: None
        self.relay_up = False
        self.observe: Callable[[Dealer, int, Message], None] = lambda dealer, way, message: None
        self._routing = 0
        self.version = 0
        """Of the relay: -1 is the one before this, 1 the one after."""
        self.unreadable: Callable[[str, str], None] = lambda name, error: None

    def connect(self, dealer: Dealer) -> Connection:
        """A new connection with a routing id of its own."""
        self._routing += 1
        connection = Connection(self._routing.to_bytes(5, 'big'), dealer)
        self.connections[connection.routing] = connection
        return connection

    def cut(self, connection: Connection) -> None:
        """What is in flight is lost; the relay's next message to it cannot be sent."""
        connection.alive = False
        self.connections.pop(connection.routing, None)

    def relay_died(self) -> None:
        """Every connection breaks."""
        self.relay_inbox.clear()
        for connection in list(self.connections.values()):
            self.cut(connection)

    def route(self, routing: bytes, message: Message) -> bool:
        """The relay sends; False: there is no such peer any more."""
        connection = self.connections.get(routing)
        if connection is None:
            return False
        self.transmit(connection, DOWN, message)
        return True

    def transmit(self, connection: Connection, way: int, message: Message) -> None:
        """Carry a message, or what the faults leave of it."""
        clock, rates = self.clock, self.rates
        name = type(message).__name__
        clock.tally.sent[name] += 1
        self.observe(connection.dealer, way, message)
        if clock.show:
            clock.note(f'{connection.dealer.name} {"><"[way]} {brief(message)}')
        message = self._over_the_wire(connection, name, message)
        chance = clock.random.random()
        drop, double, reorder = rates.of(name)
        if connection.mute or chance < drop:
            self._lose(connection, way, name)
            return
        chance -= drop
        self._carry(connection, way, message, late=0 <= chance - double < reorder)
        if chance < double:
            clock.tally.doubled[name] += 1
            clock.log('%s %s %s doubled', connection.dealer.name, '>' if way == UP else '<', name)
            self._carry(connection, way, message, late=chance < double / 2)

    def _over_the_wire(self, connection: Connection, name: str, message: Message) -> Message:
        """As bytes; a dealer of another version, or a relay of one, leaves out what that version does not know, or says more."""
        frames = encode(message)
        version = connection.dealer.version or self.version
        if version:
            frames = [spoken(frames[0], version), frames[1]]
        try:
            return decode(frames)
        except ProtocolError as error:
            self.unreadable(name, str(error))
            raise

    def _carry(self, connection: Connection, way: int, message: Message, late: bool) -> None:
        clock = self.clock
        connection.sent[way] += 1
        if late:  # long enough to be overtaken by the next message, or by an answer to a message sent again
            when = clock.now + self.rates.lag + clock.random.choice((0.05, 0.5, 3.0, 15.0)) * clock.random.random()
        else:
            when = max(connection.last[way], clock.now + self.rates.lag * (0.5 + clock.random.random()))
            connection.last[way] = when
        clock.at(when, self._arrive, connection, way, message, connection.sent[way])

    def _lose(self, connection: Connection, way: int, name: str) -> None:
        self.clock.tally.dropped[name] += 1
        self.clock.log('%s %s %s dropped', connection.dealer.name, '>' if way == UP else '<', name)

    def _arrive(self, connection: Connection, way: int, message: Message, serial: int) -> None:
        name = type(message).__name__
        if not connection.alive or connection.mute or (way == UP and not self.relay_up):
            self._lose(connection, way, name)
            return
        if serial < connection.seen[way]:
            self.clock.tally.reordered[name] += 1
        connection.seen[way] = max(connection.seen[way], serial)
        if way == UP:
            self.relay_inbox.append((Peer(connection.routing, connection.dealer.key), message))
            self.relay_wake()
        else:
            connection.dealer.inbox.append(message)
            connection.dealer.wake()
