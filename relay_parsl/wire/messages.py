"""Every message of the protocol, one frozen dataclass each.

```
 client ── Submit, Cancel, Follow, Received, Watch ──►  relay  ── Dispatch, Cancel, Recorded, Backlog ──► endpoint
        ◄─ Accepted, Rejected, Deliver, States ───────         ◄─ Held, Results, Returned, Window, States ─
                    both ways: Hello, Welcome, Refused, Goodbye, Ping, Pong, Need, Objects, Fetch, Segment
```

A field of type `Body` travels in the body frame, all others in the header (see `wire.codec`). Fields may grow: a new one needs a default.
`Task.header` and `Result.header` are bytes because they are bound into a seal: they are forwarded as they came, never encoded again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

from relay_parsl.wire.items import (
    INLINE,
    LONGEST,
    NO_ID,
    PROTOCOL,
    SEGMENT,
    Attempt,
    Body,
    Delivered,
    Hash,
    HeldTask,
    Id,
    Leased,
    Object,
    Phase,
    Rejection,
    Result,
    ResultHeader,
    State,
    Status,
    Task,
    TaskHeader,
    TaskState,
)

# fmt: off
# What a message is made of is imported from here too: one module has all the words of the wire.
__all__ = [
    'Id', 'Hash', 'Body', 'PROTOCOL', 'INLINE', 'SEGMENT', 'LONGEST', 'NO_ID', 'Status', 'State', 'Phase', 'TaskHeader', 'ResultHeader', 'Task',
    'Leased', 'Attempt', 'HeldTask', 'Rejection', 'Result', 'Delivered', 'Object', 'TaskState',
    'Hello', 'Welcome', 'Refused', 'Goodbye', 'Ping', 'Pong', 'Enrol', 'Enrolled', 'List', 'Listing', 'Admin', 'Done', 'Submit', 'Accepted',
    'Rejected', 'Need', 'Objects', 'Window', 'Backlog', 'Dispatch', 'Held', 'Returned', 'Results', 'Recorded', 'Deliver', 'Received',
    'Follow', 'Cancel', 'Watch', 'States', 'Report', 'Fetch', 'Segment',
    'Message',
]
# fmt: on

# -- Sessions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """The first message of a session. Who it is comes from the CURVE key alone; `role` is `client` or `endpoint`."""

    role: str
    instance: Id
    epoch: int = 0
    takeover: bool = False
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Welcome:
    """The session is open. `limits`: payload bytes, tasks a batch, seconds of silence; `time` is the relay's clock."""

    session: int
    time: float
    limits: dict[str, int] = field(default_factory=dict)
    share: bytes = b''
    """To an endpoint: what its owner has signed last about its guests, empty for nothing. Said again, in the same session, when it changes."""
    succession: bytes = b''
    """What the relay signs about its own keys (`wire.seal.successions`). Said again, in the same session, when it changes."""


@dataclass(frozen=True)
class Refused:
    """A request, a message or a session was refused. `request` is that of `List` or `Admin`, else 0."""

    code: str
    reason: str
    request: int = 0


@dataclass(frozen=True)
class Goodbye:
    """The session is over; with `hello` the receiver says `Hello` again."""

    reason: str
    hello: bool = False


@dataclass(frozen=True)
class Ping:
    """Sent after 10 s of silence. To an endpoint: `serial` is the last `Dispatch.serial` of `session`; it answers an unseen one with `Held`."""

    session: int = 0
    serial: int = 0


@dataclass(frozen=True)
class Pong:
    """The answer to `Ping`, with what a `Ping` of that moment would say."""

    session: int = 0
    serial: int = 0


@dataclass(frozen=True)
class Enrol:
    """A joiner's first and only message, over an invitation's one-use key. `mac` is for the inviter, the relay cannot make one."""

    token: bytes
    card: bytes
    mac: bytes
    overlap: float = 0.0
    """Over an account's own key, without token and MAC: the card is its next one, and for so many seconds the key of now is admitted too."""


@dataclass(frozen=True)
class Enrolled:
    """The account exists."""

    account: Id
    name: str
    role: str


@dataclass(frozen=True)
class List:
    """Ask what one may see of `accounts`, `endpoints`, `tasks`, `cards`, `invites`, `functions`; `page` continues a `Listing`."""

    request: int
    what: str
    filter: dict[str, Any] = field(default_factory=dict)
    page: str = ''


@dataclass(frozen=True)
class Listing:
    """The answer to `List`; `page` is empty on the last one."""

    request: int
    rows: tuple[dict[str, Any], ...] = ()
    page: str = ''


@dataclass(frozen=True)
class Admin:
    """Ask the relay to act: `invite`, `revoke`, `delete-endpoint`, `register`, `unregister`, `stop`, `status`; who may is decided by role."""

    request: int
    verb: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """The answer to `Admin`."""

    request: int
    result: dict[str, Any] = field(default_factory=dict)


# -- Tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submit:
    """Tasks from a client's outbox; sent again until answered."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Accepted:
    """These tasks are on the relay's disk, with their bodies and objects."""

    ids: tuple[Id, ...]


@dataclass(frozen=True)
class Rejected:
    """These tasks are not."""

    tasks: tuple[Rejection, ...]


@dataclass(frozen=True)
class Need:
    """The receiver lacks these objects; what refers to them waits."""

    hashes: tuple[Hash, ...]


@dataclass(frozen=True)
class Objects:
    """Content-addressed objects."""

    objects: tuple[Object, ...]


@dataclass(frozen=True)
class Window:
    """How much the sender wants to hold, in tasks (results for a client, pool `''`) and bytes. One always fits."""

    pools: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Backlog:
    """How many tasks wait at the relay for each pool, and the age of the oldest in seconds."""

    pools: dict[str, tuple[int, float]]


@dataclass(frozen=True)
class Dispatch:
    """Leases, committed before they were sent."""

    session: int
    serial: int
    tasks: tuple[Leased, ...]


@dataclass(frozen=True)
class Held:
    """What the endpoint holds of the dispatches up to serial `up_to`; pages count from 0, the last is `complete`; judged when none is missing."""

    session: int
    up_to: int
    complete: bool
    tasks: tuple[HeldTask, ...]
    page: int = 0
    round: int = 0
    """Counts the declarations of a session: pages of two must not be taken for one."""


@dataclass(frozen=True)
class Returned:
    """Leases given back; never handed to the engine. Said as of `up_to` in `session`, as in `Held`: a doubled one must not give back a newer lease.

    Answered with `Recorded`.
    """

    tasks: tuple[Attempt, ...]
    session: int = 0
    up_to: int = 0


@dataclass(frozen=True)
class Results:
    """Results from an endpoint's outbox; sent again until recorded."""

    results: tuple[Result, ...]


@dataclass(frozen=True)
class Recorded:
    """These results are on the relay's disk, or not needed any more."""

    tasks: tuple[Attempt, ...]


@dataclass(frozen=True)
class Deliver:
    """Results for a client; repeated until received."""

    results: tuple[Delivered, ...]


@dataclass(frozen=True)
class Received:
    """The client has these results."""

    ids: tuple[Id, ...]


@dataclass(frozen=True)
class Follow:
    """Follow these groups from now on, and say how these tasks (and so their groups) stand: deliver, or reject as `unknown`."""

    groups: tuple[Id, ...] = ()
    ids: tuple[Id, ...] = ()


@dataclass(frozen=True)
class Cancel:
    """End these tasks; from relay to endpoint: these attempts."""

    tasks: tuple[Attempt, ...]


@dataclass(frozen=True)
class Watch:
    """Tell the states of these tasks, now and on change, until the next `Watch`."""

    ids: tuple[Id, ...]
    endpoint: Id = NO_ID
    """And of one's own tasks that are there now and not over, up to 1000."""


@dataclass(frozen=True)
class States:
    """How tasks stand."""

    tasks: tuple[TaskState, ...]


@dataclass(frozen=True)
class Report:
    """What an endpoint says of itself: versions of its workers, blocks, managers, workers, queue."""

    status: dict[str, Any]


@dataclass(frozen=True)
class Fetch:
    """Ask for `length` bytes at `offset` of a sealed body; `direction` is `task` or `result`."""

    task_id: Id
    attempt: int
    direction: str
    offset: int
    length: int


@dataclass(frozen=True)
class Segment:
    """The bytes asked for; `total` is -1 when the body is gone."""

    task_id: Id
    attempt: int
    direction: str
    offset: int
    total: int
    data: Body


# fmt: off
Message = Union[
    Hello, Welcome, Refused, Goodbye, Ping, Pong, Enrol, Enrolled, List, Listing, Admin, Done,
    Submit, Accepted, Rejected, Need, Objects, Window, Backlog, Dispatch, Held, Returned, Results, Recorded,
    Deliver, Received, Follow, Cancel, Watch, States, Report, Fetch, Segment,
]
# fmt: on
