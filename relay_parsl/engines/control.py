"""The control channel between an engine process and its workers: what is said on it, and what the engine process makes of that. Pure.

```
worker ── States: this attempt runs, here ─────────────────►  engine process ──► endpoint
       ── Window: my shift could take more ────────────────►
       ── Results, Returned: ended, not started in it ─────►
       ── Held: it takes nothing after that serial ────────►
       ◄── Dispatch: the shift's next chunk, and which results were heard
       ◄── Recorded: those results were heard ─────────────
       ◄── Cancel: end that attempt ───────────────────────
```

It speaks the words of the protocol with the relay, through the same codec. A *shift* is a task of HTEX: it begins with the chunk that HTEX brings,
serial 0, and goes on with those that come here, whose serials count from 1. Its attempts are known by their *place*: they are counted from 0 in the
order in which the worker took them. Its number is drawn by chance, so that a worker can speak for a shift only when HTEX gave it to it.

A worker says again what *is* after each connection. Whoever is at the other end met user code: so it is believed only about attempts that are inside
the engine. What it says of where they run is for people. What it hands over of a shift ends attempts as the result of the shift would that follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from relay_parsl.engines.frames import decode_ends, encode_ends
from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec
from relay_parsl.wire.items import Leased
from relay_parsl.wire.messages import (
    Attempt,
    Body,
    Cancel,
    Dispatch,
    Held,
    Id,
    Message,
    Recorded,
    Result,
    Results,
    Returned,
    State,
    States,
    TaskState,
    Window,
)

CAP = 4096
"""Workers that are connected at once; those beyond are refused, their attempts' states stay coarse, and a cancel takes effect at their end."""
LARGEST = 384 * 1024
"""Bytes of a message: room for any result that is no file."""
OVERHEAD = 64
"""Bytes around a result in it, at most."""
KEYS = ('host', 'worker', 'accelerator', 'block')
"""What a worker says of itself."""
VALUE = 256
"""Characters of each."""
CLAIMS = 4
"""Workers that may say that they run the same attempt; a cancel goes to all of them."""

DIGITS = 20
"""Of the number of a shift."""

Key = tuple[bytes, int]


@dataclass(frozen=True)
class Running:
    """A worker runs an attempt."""

    task_id: bytes
    attempt: int
    detail: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Names the attempt."""
        return self.task_id, self.attempt


def say_running(running: Running) -> States:
    """What a worker sends."""
    return States((TaskState(Id(running.task_id), State.RUNNING, {'attempt': running.attempt, **running.detail}),))


def say_cancel(key: Key) -> Cancel:
    """What an engine process sends."""
    return Cancel((Attempt(Id(key[0]), key[1]),))


def hear_running(message: Message) -> list[Running]:
    """What a worker said. Raises ProtocolError for anything else."""
    if not isinstance(message, States) or len(message.tasks) > CLAIMS:
        raise ProtocolError(f'a worker says what it runs, and not {type(message).__name__}')
    return [_running(each) for each in message.tasks]


def hear_cancel(message: Message) -> list[Key]:
    """What an engine process said. Raises ProtocolError for anything else."""
    if not isinstance(message, Cancel):
        raise ProtocolError(f'an engine process says what to cancel, and not {type(message).__name__}')
    return [(bytes(each.task_id), each.attempt) for each in message.tasks]


# -- Shifts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refill:
    """The next chunk of a shift."""

    shift: int
    serial: int
    seconds: float | None
    """How long its attempts run in all, as is thought; None: nobody knows."""
    chunk: bytes = field(repr=False)
    """As `frames.encode_chunk` made it, and as HTEX brings the first one."""
    heard: tuple[int, ...] = ()
    """Numbers of parcels that the worker may forget: in here, for a message of their own would wake it, and then this one again."""


@dataclass(frozen=True)
class Parcel:
    """Ends of a shift, in a message of their own; they are heard or lost together."""

    shift: int
    number: int
    """Of the shift's parcels, any order; `Recorded` names it."""
    ends: list[tuple[int, bytes]]
    """Places in the shift, with end frames."""


def say_window(shift: int, tasks: int, size: int) -> Window:
    """What a worker sends that could take a chunk more now, of about so many tasks and bytes. One message opens it for one chunk."""
    return Window({str(shift): (tasks, size)})


def hear_window(message: Window) -> tuple[int, int, int]:
    """Shift, tasks and bytes. Raises ProtocolError."""
    if len(message.pools) != 1:
        raise ProtocolError('a worker has one shift')
    ((shift, (tasks, size)),) = message.pools.items()
    return _number(shift), tasks, size


def say_refill(refill: Refill) -> Dispatch:
    """What an engine process sends: one item, whatever the number of tasks, for all of them go one way."""
    return Dispatch(refill.shift, refill.serial, (Leased(0, codec.pack([refill.seconds, *refill.heard]), Body(refill.chunk)),))


def hear_refill(message: Dispatch) -> Refill:
    """What an engine process sent. Raises ProtocolError."""
    if len(message.tasks) != 1:
        raise ProtocolError('a shift gets one chunk at a time')
    said = codec.unpack(message.tasks[0].header)
    if type(said) is not list or not said or type(said[0]) not in (float, type(None)) or any(type(each) is not int for each in said[1:]):
        raise ProtocolError('a chunk takes some seconds, and goes with numbers of parcels')
    return Refill(message.session, message.serial, said[0], bytes(message.tasks[0].payload), tuple(said[1:]))


def parcels(shift: int, number: int, ends: Sequence[tuple[int, bytes]]) -> list[Parcel]:
    """Ends as parcels that are not too large, numbered from `number` on."""
    made = [Parcel(shift, number, [])]
    size = 0
    for place, end in ends:
        size += len(end) + OVERHEAD
        if size > LARGEST and made[-1].ends:
            made.append(Parcel(shift, number + len(made), []))
            size = len(end) + OVERHEAD
        made[-1].ends.append((place, end))
    return [each for each in made if each.ends]


def say_parcel(parcel: Parcel) -> Results:
    """What a worker sends of attempts that have ended."""
    return Results((Result(codec.pack([parcel.shift, parcel.number]), Body(encode_ends(parcel.ends))),))


def hear_parcel(message: Results, count: Callable[[int], int | None]) -> Parcel:
    """What a worker sent; `count` says how many attempts a shift was given, None of one that is over or never was. Raises ProtocolError."""
    if len(message.results) != 1:
        raise ProtocolError('a worker sends one parcel at a time')
    key = codec.unpack(message.results[0].header)
    if type(key) is not list or list(map(type, key)) != [int, int]:
        raise ProtocolError('a worker says which shift has ended what')
    given = count(key[0])
    return Parcel(key[0], key[1], [] if given is None else decode_ends(message.results[0].payload, given)[1])


def say_recorded(shift: int, numbers: Iterable[int]) -> Recorded:
    """What an engine process sends of parcels that it has heard: the worker may forget them."""
    return Recorded(tuple([Attempt(Id(shift.to_bytes(16, 'big')), number) for number in numbers]))


def hear_recorded(message: Recorded) -> list[tuple[int, int]]:
    """Shifts and numbers of parcels."""
    return [(int.from_bytes(each.task_id, 'big'), each.attempt) for each in message.tasks]


def say_not_started(shift: int, last: int, keys: Sequence[Key]) -> Returned:
    """What a worker sends of attempts that will not start in its shift; `last` is the serial of the last chunk that it took by now."""
    return Returned(tuple(Attempt(Id(task_id), attempt) for task_id, attempt in keys), shift, last)


def hear_not_started(message: Returned) -> tuple[int, int, list[Key]]:
    """Shift, last serial, attempts. A doubled message must not give back what the shift got anew since: that has a later serial."""
    return message.session, message.up_to, [(bytes(each.task_id), each.attempt) for each in message.tasks]


def say_closed(shift: int, last: int) -> Held:
    """What a worker sends that takes nothing more in its shift, of which it may have much to do yet. It took the chunks up to serial `last`."""
    return Held(shift, last, True, ())


def hear_closed(message: Held) -> tuple[int, int]:
    """Shift and last serial."""
    return message.session, message.up_to


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS):
        raise ProtocolError('a shift is a number')
    return int(text)


def detail_of(said: Any) -> dict[str, str]:
    """Short texts under known names. Raises ProtocolError for anything else."""
    if type(said) is not dict or not said.keys() <= {*KEYS, 'job'}:
        raise ProtocolError('a worker says ' + ', '.join(KEYS))
    if not all(type(value) is str and len(value) <= VALUE and value.isprintable() for value in said.values()):
        raise ProtocolError(f'what a worker says of itself is a line of at most {VALUE} characters each')
    return dict(said)


def _running(said: TaskState) -> Running:
    detail = dict(said.detail)
    attempt = detail.pop('attempt', None)
    if said.state is not State.RUNNING or type(attempt) is not int or attempt < 0:
        raise ProtocolError('a worker says which attempt runs')
    return Running(bytes(said.task_id), attempt, detail_of(detail))


class Desk:
    """Attempts inside an engine: which worker runs each, and which shall end. One thread works it."""

    def __init__(self) -> None:
        """Nothing is inside."""
        self._inside: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        self._claims: dict[Key, deque[bytes]] = {}
        self._doomed: set[Key] = set()

    def enter(self, numbers: Sequence[int], keys: Sequence[Key]) -> None:
        """Attempts go to the engine, under numbers of the endpoint's."""
        self._keys.update(zip(numbers, keys))
        self._inside.update(zip(keys, numbers))

    def leave(self, numbers: Iterable[int]) -> None:
        """They have ended."""
        keys, inside = self._keys, self._inside
        for number in numbers:
            key = keys.pop(number, None)
            if key is not None and inside.get(key) == number:
                del inside[key]
                self._claims.pop(key, None)
                self._doomed.discard(key)

    def numbers(self, keys: Iterable[Key]) -> list[int]:
        """The numbers of those that are inside."""
        return [self._inside[key] for key in keys if key in self._inside]

    def running(self, routing: bytes, said: Running) -> tuple[int | None, list[tuple[bytes, Key]]]:
        """A worker runs an attempt: the attempt's number, None if it is not inside, and what to cancel where."""
        number = self._inside.get(said.key)
        if number is None:
            return None, []
        claims = self._claims.setdefault(said.key, deque(maxlen=CLAIMS))
        if routing not in claims:
            claims.append(routing)
        return number, [(routing, said.key)] if said.key in self._doomed else []

    def cancel(self, number: int, *known: bytes) -> list[tuple[bytes, Key]]:
        """An attempt shall end: what to cancel where; `known`: who has it in a shift. Else its worker is told when it says a word."""
        key = self._keys.get(number)
        if key is None:
            return []
        self._doomed.add(key)
        return [(routing, key) for routing in dict.fromkeys((*known, *self._claims.get(key, ())))]

    def doomed(self, numbers: Iterable[int]) -> list[Key]:
        """Those of these that shall end."""
        return [self._keys[number] for number in numbers if self._keys[number] in self._doomed] if self._doomed else []

    def __len__(self) -> int:
        return len(self._claims) + len(self._doomed)


def ports(low: int, high: int, chances: Iterable[float]) -> list[int]:
    """Ports of a range, both ends included, in an order by chance; numbers in [0, 1) are handed in."""
    return list(dict.fromkeys(low + int(chance * (high - low + 1)) for chance in chances))
