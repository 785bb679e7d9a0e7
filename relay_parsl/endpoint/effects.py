"""What the endpoint's reactor wants done; the loop does it after the commit, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Union

from relay_parsl.wire.messages import Fetch, Hash, Id, Message, Object, Result, ResultHeader, TaskHeader

WORDS = 500
"""Characters of the reason of a refusal: a relay takes no result whose header has more than 4096 bytes, and would be told for ever."""
BodyKey = tuple[Id, int, str]
"""Names one spooled body: task, attempt, direction (`task` or `result`)."""


@dataclass(frozen=True)
class Send:
    """Send this to the relay; whether it arrives is the reactor's care."""

    message: Message


class Start(NamedTuple):  # of these there is one a task, and a tuple is made in a third of the time of a frozen dataclass
    """Open the task and hand it to its pool's engine. `tries` are the system failures so far; a large body is complete in the spool."""

    attempt: int
    header: bytes
    payload: bytes
    tries: int
    info: TaskHeader


class Ended(NamedTuple):
    """What the loop answers: how a task ended, sealed (or refused, unsealed), and the header of that as it reads."""

    info: ResultHeader
    result: Result


class Declined(NamedTuple):
    """Put on record that a dispatched task was refused unopened: its number was used, its time is over, it is no task (`info` is None)."""

    info: TaskHeader | None
    reason: str


@dataclass(frozen=True)
class CancelWork:
    """Ask the engine to end an attempt. If it had not started, the loop seals `cancelled` and calls `finished`; else its end comes as any other."""

    task_id: Id
    attempt: int
    info: TaskHeader


@dataclass(frozen=True)
class Withdraw:
    """A drain: ask the engine to give back an attempt that may wait inside it. When it agrees, call `withdrawn`."""

    task_id: Id
    attempt: int
    pool: str


@dataclass(frozen=True)
class Fail:
    """Seal this end of a task and call `finished`. Causes: `worker`, `manager`, `walltime`, `engine`, and `cancelled` (a status of its own)."""

    task_id: Id
    attempt: int
    cause: str
    evidence: str
    info: TaskHeader


@dataclass(frozen=True)
class Keep:
    """Check the hash of an object, open it if it is a grant, keep it; then call `kept` or `unusable`."""

    object: Object


@dataclass(frozen=True)
class Statement:
    """What the relay says that the owner has signed about guests: check it, and call `shared` when it is new."""

    data: bytes


@dataclass(frozen=True)
class Drop:
    """Nothing refers to this object and the space is needed."""

    hash: Hash


@dataclass(frozen=True)
class SpoolWrite:
    """Bytes of a task's sealed body."""

    key: BodyKey
    offset: int
    data: bytes


@dataclass(frozen=True)
class SpoolSync:
    """Make a result's body durable, then call `spooled`."""

    key: BodyKey


@dataclass(frozen=True)
class SpoolSend:
    """Read what the relay asks for of a result's body and send it as a `Segment`; if the body has not `total` bytes, call `spoiled`."""

    fetch: Fetch
    total: int


@dataclass(frozen=True)
class SpoolDelete:
    """The body is not needed any more."""

    key: BodyKey


@dataclass(frozen=True)
class Demand:
    """Tasks that a pool could run now if it had the workers: held here plus waiting at the relay."""

    pool: str
    count: int


@dataclass(frozen=True)
class Reconnect:
    """Nobody answers: make a fresh socket, then call `connect`."""


@dataclass(frozen=True)
class Exit:
    """End the process: 0 drained, 2 cannot be this endpoint, 3 fenced, superseded or revoked (and so not to be restarted)."""

    code: int
    reason: str


# fmt: off
Effect = Union[
    Send, Start, Declined, CancelWork, Withdraw, Fail, Keep, Statement, Drop, SpoolWrite, SpoolSync, SpoolSend, SpoolDelete, Demand, Reconnect, Exit,
]
# fmt: on
