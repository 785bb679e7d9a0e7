"""What messages are made of: ids, states, the headers that are bound into seals, and the items of batches.

There is one of most of these for each task, at each hop. So they are named tuples: made in a fifth of the time of a frozen dataclass, and
msgpack writes them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, NewType

Id = NewType('Id', bytes)
"""16 bytes: a UUID. Of a task (time-ordered), a group, an endpoint, an account, a process."""
Hash = NewType('Hash', bytes)
"""32 bytes: the SHA-256 of the very bytes that are stored and sent."""
Body = NewType('Body', bytes)
"""Bytes that travel in the body frame."""

PROTOCOL = (1, 0)
"""Major and minor version; N and N-1 of the major talk."""
INLINE = 256 * 1024
"""Bytes. A sealed payload over this is spooled and pulled in segments instead of travelling in the message."""
SEGMENT = 1 << 20
"""Bytes of plaintext in one segment of a spooled body, and the most that one `Fetch` brings, give or take seals."""
LONGEST = 1 << 40
"""Bytes of a body that nobody exceeds, whatever an operator allows: a longer one is a lie, and its segments would be counted for ever."""
NO_ID = Id(bytes(16))


class Status(str, Enum):
    """How a task ended."""

    SUCCESS = 'success'
    FAILED = 'failed'
    CANCELLED = 'cancelled'
    EXPIRED = 'expired'


class State(str, Enum):
    """Where a task stands, as its user sees it; the last four are `Status`."""

    UNSENT = 'unsent'
    WAITING_FOR_EP = 'waiting-for-ep'
    WAITING_FOR_NODES = 'waiting-for-nodes'
    RUNNING = 'running'
    SUCCESS = 'success'
    FAILED = 'failed'
    CANCELLED = 'cancelled'
    EXPIRED = 'expired'


class Phase(str, Enum):
    """Where an attempt stands in its endpoint."""

    QUEUED = 'queued'
    STARTED = 'started'
    FINISHED = 'finished'


# -- What is bound into seals ----------------------------------------------------------------------------------------


class TaskHeader(NamedTuple):
    """What the relay must know of a task; all of it is associated data of the task's seal."""

    grant: Hash
    sequence: int
    task_id: Id
    group: Id
    endpoint: Id
    function: Hash
    expires: float
    priority: int = 0
    pool: str = ''
    at_most_once: bool = False
    serializer: str = ''
    body: int = 0
    """Bytes of the sealed body that the receiver must `Fetch`; 0 when the payload is complete."""


class ResultHeader(NamedTuple):
    """What the relay must know of a result; all of it is associated data of the result's seal."""

    grant: Hash
    sequence: int
    task_id: Id
    endpoint: Id
    epoch: int
    attempt: int
    status: Status
    serializer: str = ''
    body: int = 0
    reason: str = ''
    """Only in a result that could not be sealed, for its grant was refused: then the payload is empty."""


# -- Items of batches ------------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """A task on its way to the relay: an encoded `TaskHeader` and the sealed call."""

    header: bytes
    payload: Body


class Leased(NamedTuple):
    """A task on its way to its endpoint."""

    attempt: int
    header: bytes
    payload: Body


class Attempt(NamedTuple):
    """One try at a task. In a client's `Cancel` the attempt is 0: all of them."""

    task_id: Id
    attempt: int = 0


class HeldTask(NamedTuple):
    """A lease that the endpoint says it holds."""

    task_id: Id
    attempt: int
    phase: Phase


class Rejection(NamedTuple):
    """Why the relay did not take a task.

    Codes: `not-found`, `denied`, `expired`, `too-large`, `limit`, `unknown`, `malformed`; with `retry_after` `quota`, `rate`,
    `draining`, `full`.
    """

    task_id: Id
    code: str
    reason: str
    retry_after: float = 0.0
    """Seconds after which the same task may be taken: until then its client holds it back. 0: it is refused for good."""


class Result(NamedTuple):
    """A result on its way to the relay: an encoded `ResultHeader` and the sealed outcome."""

    header: bytes
    payload: Body


class Delivered(NamedTuple):
    """A result on its way to a client. Without a header it is the relay's own word: expired, cancelled while queued, lost."""

    task_id: Id
    status: Status
    header: bytes
    reason: str
    payload: Body


class Object(NamedTuple):
    """A content-addressed object: a sealed `function` or a `grant`."""

    hash: Hash
    kind: str
    data: Body


@dataclass(frozen=True)
class TaskState:
    """Where a task stands; `detail` may hold host, worker, accelerator, block, attempt, since, why."""

    task_id: Id
    state: State
    detail: dict[str, Any] = field(default_factory=dict)
