"""What the relay's reactor wants done, after the commit and in this order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

from relay_parsl.wire.messages import Deliver, Dispatch, Fetch, Id, Message

Key = tuple[Id, int, str]
"""A spooled body: task, attempt (0 for `task`), direction (`task` or `result`)."""


@dataclass(frozen=True)
class Send:
    """A message to a peer."""

    routing: bytes
    message: Message


@dataclass(frozen=True)
class SpoolWrite:
    """Bytes of a sealed body at an offset."""

    key: Key
    offset: int
    data: bytes


@dataclass(frozen=True)
class SpoolSync:
    """All bytes are there: fsync the file, then tell the reactor with `spooled`."""

    key: Key


@dataclass(frozen=True)
class SpoolSend:
    """Answer a `Fetch` with a `Segment` from the spooled body `key`."""

    routing: bytes
    fetch: Fetch
    key: Key


@dataclass(frozen=True)
class SpoolDelete:
    """Nobody needs this body any more."""

    key: Key


@dataclass(frozen=True)
class Audit:
    """A line of the audit log; never a payload or a secret."""

    event: str
    account: Id
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stop:
    """An operator has asked the relay to stop."""


@dataclass(frozen=True)
class Snapshot:
    """An operator has asked for a copy of all that is stored, under this name."""

    name: str


Effect = Union[Send, SpoolWrite, SpoolSync, SpoolSend, SpoolDelete, Audit, Stop, Snapshot]


def hurried(effects: list[Effect]) -> list[Effect]:
    """First what goes to whom tasks or results go: somebody waits for those, and for no receipt. To each receiver in the order as it was."""
    awaited = {each.routing for each in effects if isinstance(each, Send) and isinstance(each.message, (Dispatch, Deliver))}
    if not awaited:
        return effects
    return sorted(effects, key=lambda each: not (isinstance(each, Send) and each.routing in awaited))
