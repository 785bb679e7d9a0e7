"""What the relay remembers, one dataclass each. Plain data: a store keeps it, the reactor decides on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from relay_parsl.wire.messages import NO_ID, Hash, Id, Status

LIVES = 90 * 86400.0
"""Seconds that a task may live at most, from when it is taken to its `expires`. An object whose date is damaged is kept so long: one may need it."""
ROLES = ('user', 'service', 'endpoint', 'operator')


class Stage(IntEnum):
    """Where the relay has a task."""

    QUEUED = 0
    LEASED = 1
    DONE = 2


class Standing(IntEnum):
    """Whether an account counts."""

    ACTIVE = 0
    REVOKED = 1
    DELETED = 2
    """An endpoint whose unfinished tasks are being failed."""


@dataclass(frozen=True)
class AccountRow:
    """A key pair with a name and a role. `id` of an endpoint's account is the endpoint's."""

    id: Id
    name: str
    role: str
    card: bytes
    curve: bytes
    """The CURVE public key, 32 raw bytes: who connects with it is this account."""
    not_after: float
    """Seconds since 1970; the key counts for nothing afterwards."""
    owner: Id = NO_ID
    """The account that invited it; `NO_ID` for the first operator and whom operators invited."""
    mac: bytes = b''
    standing: Standing = Standing.ACTIVE
    shared: tuple[Id, ...] = ()
    """Accounts other than the owner that may submit to this endpoint."""
    epoch: int = 0
    """The highest epoch that an endpoint said `Hello` with, and the process that did."""
    instance: Id = NO_ID
    seen: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    voucher: bytes = b''
    """What its owner has signed about it, for others to verify. New fields stand last: rows of older stores end before them."""
    quota: dict[str, float] = field(default_factory=dict)
    """What an operator has set for it instead of the relay's defaults: `tasks`, `bytes`, `rate`; -1 for no limit."""
    share: bytes = b''
    """What its owner has signed about its guests, for the endpoint to verify."""
    share_serial: int = 0
    terms: dict[str, Any] = field(default_factory=dict)
    """By the id of each account in `shared` (hex): function policy and end, as its owner told them, for that account to know."""
    serial: int = 0
    """Of its card; 0 until the first rotation."""
    old_curve: bytes = b''
    """The key from before a rotation, admitted until `old_until`."""
    old_until: float = 0.0


@dataclass(frozen=True)
class InviteRow:
    """An invitation that nobody has taken yet. `curve` is its one-use public key, `token` the SHA-256 of its token."""

    curve: bytes
    token: bytes
    name: str
    role: str
    owner: Id
    expires: float
    until: float = 0.0
    """When the account of whoever takes it is over, whatever its card says; 0: by its card."""


@dataclass(frozen=True)
class ObjectRow:
    """A sealed function or a grant, kept until no task can need it."""

    hash: Hash
    kind: str
    account: Id
    data: bytes
    until: float


@dataclass(frozen=True)
class FunctionRow:
    """A function that an account has registered, kept until it drops it. Listed without `data`, which is sealed; `size` are its bytes."""

    account: Id
    id: Id
    registered: float
    size: int
    data: bytes = b''


@dataclass(slots=True)
class Usage:
    """What one account has at the relay: tasks that are not over, and stored bytes of tasks and results."""

    tasks: int = 0
    bytes: int = 0


@dataclass(slots=True)
class TaskInfo:
    """Where a task stands, without its bytes. `session`, `serial` and `epoch` are those of its lease."""

    number: int
    """Grows with each task of the relay."""
    id: Id
    account: Id
    group: Id
    endpoint: Id
    pool: str
    at_most_once: bool
    submitted: float
    size: int
    """Bytes that it counts in its endpoint's window: header, payload and spooled body."""
    body: int
    """Bytes in the spool; 0 when the payload is complete."""
    stage: Stage
    attempt: int
    session: int = 0
    serial: int = 0
    epoch: int = 0
    cancel: bool = False
    """Its client has asked for its end."""
    status: Status | None = None
    priority: int = 0
    expires: float = 0.0


@dataclass(slots=True)
class TaskRow(TaskInfo):
    """A task as it was submitted. When it is leased its bytes are let go, and it goes on as what its endpoint's session remembers."""

    header: bytes = b''
    payload: bytes = b''
    damaged: bool = False
    """What the store gave back is not what it was given."""


@dataclass(slots=True)
class Ended:
    """A task that is over. Without a header it is the relay's own word, for which `reason` speaks."""

    task: TaskInfo
    status: Status
    done: int
    """Grows with each task that ends; the cursor of those who follow."""
    header: bytes = b''
    payload: bytes = b''
    body: int = 0
    attempt: int = 0
    """The attempt that the result is of, 0 for the relay's own word: names the spooled body."""
    reason: str = ''
    until: float = 0.0
    """When it may be forgotten."""
    damaged = False

    @property
    def id(self) -> Id:
        """Of its task, as in `ResultRow`: what has just ended is delivered as it is."""
        return self.task.id

    @property
    def number(self) -> int:
        """Of its task."""
        return self.task.number


@dataclass(slots=True)
class ResultRow:
    """A result as the store gives it back. `number` is its task's."""

    number: int
    id: Id
    account: Id
    done: int
    status: Status
    header: bytes
    payload: bytes
    body: int
    attempt: int
    reason: str
    damaged: bool = False


@dataclass(frozen=True)
class Forgotten:
    """What a store gave up, so that its spooled bodies can go too. `result` is the attempt of the spooled result, 0 for none."""

    id: Id
    task: bool
    result: int
    account: Id = NO_ID
    size: int = 0
    """Bytes of the result that are gone, the spooled ones included."""


@dataclass(frozen=True)
class Progress:
    """How a snapshot stands: `state` is `running`, `done` or `failed`."""

    name: str
    state: str = 'running'
    left: int = 0
    total: int = 0
    why: str = ''
