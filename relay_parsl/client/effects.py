"""What a `ClientReactor` wants done: the loop does it, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Union

from relay_parsl.wire.messages import Delivered, Fetch, Id, Message, Object, Rejection, ResultHeader, Segment, TaskState


@dataclass(frozen=True)
class Send:
    """Send this message to the relay."""

    message: Message


@dataclass(frozen=True)
class Accept:
    """The relay has these tasks on disk; their spooled arguments are not needed any more."""

    ids: tuple[Id, ...]


@dataclass(frozen=True)
class Reject:
    """This task ends without having run, or (code `unknown`) a followed one does not exist."""

    rejection: Rejection


@dataclass(frozen=True)
class Hold:
    """The relay has no room for these now, and why; they are sent again by themselves."""

    ids: tuple[Id, ...]
    code: str
    reason: str


class Settle(NamedTuple):
    """This task is over. `header` is the decoded header of `delivered`, None when that is the relay's own word."""

    delivered: Delivered
    header: ResultHeader | None = None


@dataclass(frozen=True)
class Changed:
    """A watched task is now in this state."""

    state: TaskState


@dataclass(frozen=True)
class Answer:
    """The answer to a `List` or an `Admin`: a `Listing`, a `Done` or a `Refused`."""

    request: int
    message: Message


@dataclass(frozen=True)
class Got:
    """An object that `need` asked for. Its bytes are the relay's claim: check the hash."""

    object: Object


@dataclass(frozen=True)
class ReadBody:
    """The relay asks for a piece of a task's spooled arguments: answer with a `Segment`."""

    fetch: Fetch


@dataclass(frozen=True)
class WriteBody:
    """A piece of a large result, checked against what was asked for: write it before the `Settle` that follows the last."""

    segment: Segment


@dataclass(frozen=True)
class Reconnect:
    """The relay is silent: make a fresh socket and call `connect`."""


@dataclass(frozen=True)
class Refuse:
    """The relay will not talk to us; nothing is tried again."""

    code: str
    reason: str


Effect = Union[Send, Accept, Reject, Hold, Settle, Changed, Answer, Got, ReadBody, WriteBody, Reconnect, Refuse]
