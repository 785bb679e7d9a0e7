"""Who is connected, and what the relay keeps of each for as long as that lasts: bounded by windows, never by the backlog."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field

from relay_parsl.relay.records import TaskInfo
from relay_parsl.wire.messages import Hello, Id, Phase, TaskState

CLIENT_WINDOW = (1000, 64 << 20)
"""Results and bytes on their way to a client that has not said `Window` yet."""


@dataclass(eq=False)
class Session:
    """A party that has said `Hello`. Who it is stands in its account, never in a message."""

    routing: bytes
    key: bytes
    account: Id
    number: int
    hello: Hello
    heard: float
    pinged: float = 0.0

    def __hash__(self) -> int:
        """A set of sessions has the same order every time: what is said, and in which order, follows from what was heard alone."""
        return self.number


@dataclass(eq=False)
class ClientSession(Session):
    """A client: what it follows, and what was delivered to it and not received yet."""

    window: tuple[int, int] = CLIENT_WINDOW
    cursors: OrderedDict[Id, int] = field(default_factory=OrderedDict)
    """Followed groups, the one that was spoken of last at the end; of each the last `done` that was delivered."""
    behind: dict[Id, bool] = field(default_factory=dict)
    """Followed groups with something to deliver, in the order of their turn; True: all of it ended in this turn."""
    asked: dict[Id, None] = field(default_factory=dict)
    """Single results to deliver."""
    sent: dict[Id, tuple[float, int, int]] = field(default_factory=dict)
    """Delivered and not received: when, how many bytes, and the number of its task; oldest first."""
    size: int = 0
    """Bytes of `sent`."""
    watched: tuple[Id, ...] = ()


@dataclass(eq=False)
class EndpointSession(Session):
    """An endpoint: its windows, its leases, and its declaration of what it holds while that is not complete."""

    windows: dict[str, tuple[int, int]] = field(default_factory=dict)
    leases: dict[Id, TaskInfo] = field(default_factory=dict)
    held: defaultdict[str, Counter[Id]] = field(default_factory=lambda: defaultdict(Counter))
    """Open leases of each pool by account, and their bytes under `b''`."""
    details: dict[Id, TaskState] = field(default_factory=dict)
    """What it last said of the states of its leases."""
    serial: int = 0
    judged: bool = False
    pages: dict[int, dict[tuple[Id, int], Phase]] = field(default_factory=dict)
    pages_of: int = -1
    """The `round` that `pages` belong to: the newest of which anything came."""
    opened: float = 0.0
    backlog: dict[str, tuple[int, float]] = field(default_factory=dict)
    backlog_said: float = 0.0
    welcomed: float = 0.0
    """When it was last told what its owner has signed about guests."""


@dataclass(eq=False)
class Pending:
    """An endpoint that said `Hello` while another session of its account seemed to live: answered when that one was probed."""

    routing: bytes
    key: bytes
    hello: Hello
    asked: float
