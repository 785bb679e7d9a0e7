"""The control channel between an engine process and its workers: what is said on it, and what the engine process makes of that. Pure.

```
worker ── States: this attempt runs, here ──►  Desk  ──► engine process ──► endpoint
       ── Results, Returned: of its chunk ──►
       ◄── Cancel: end that attempt ─────────
```

It speaks the words of the protocol with the relay, through the same codec. A worker dials it only when its attempt has run for a while, and says
again what *is* after each connection. Whoever is at the other end met user code: so it is believed only about attempts that are inside the
engine. What it says of where they run is for people. What it hands over of a chunk ends attempts as the result of the chunk would that follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Attempt, Body, Cancel, Id, Message, Result, Results, Returned, State, States, TaskState

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


def say_ends(ends: Sequence[tuple[Key, bytes]]) -> list[Results]:
    """What a worker sends of a chunk that has ended: attempts and their end frames, in messages that are not too large."""
    messages: list[list[Result]] = [[]]
    size = 0
    for key, end in ends:
        size += len(end) + OVERHEAD
        if size > LARGEST and messages[-1]:
            messages.append([])
            size = len(end) + OVERHEAD
        messages[-1].append(Result(codec.pack(list(key)), Body(end)))
    return [Results(tuple(each)) for each in messages if each]


def say_unstarted(keys: Sequence[Key]) -> Returned:
    """What a worker sends of a chunk that will not start there."""
    return Returned(tuple(Attempt(Id(task_id), attempt) for task_id, attempt in keys))


def hear_ends(message: Results) -> list[tuple[Key, bytes]]:
    """What a worker has of a chunk. Raises ProtocolError."""
    ends = []
    for each in message.results:
        key = codec.unpack(each.header)
        if type(key) is not list or list(map(type, key)) != [bytes, int]:
            raise ProtocolError('a worker says which attempt has ended')
        ends.append(((key[0], key[1]), bytes(each.payload)))
    return ends


def hear_cancel(message: Message) -> list[Key]:
    """What an engine process said. Raises ProtocolError for anything else."""
    if not isinstance(message, Cancel):
        raise ProtocolError(f'an engine process says what to cancel, and not {type(message).__name__}')
    return [(bytes(each.task_id), each.attempt) for each in message.tasks]


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
    """Attempts inside an engine: which worker runs each, and which shall end. One thread works it; `enter` and `leave` may come from any other."""

    def __init__(self) -> None:
        """Nothing is inside."""
        self._inside: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        self._claims: dict[Key, deque[bytes]] = {}
        self._doomed: set[Key] = set()

    def enter(self, number: int, key: Key) -> None:
        """An attempt goes to the engine, under a number of the endpoint's."""
        self._keys[number] = key
        self._inside[key] = number

    def leave(self, number: int) -> None:
        """It has ended."""
        key = self._keys.pop(number, None)
        if key is not None and self._inside.get(key) == number:
            del self._inside[key]

    def number(self, key: Key) -> int | None:
        """The number of an attempt that is inside."""
        return self._inside.get(key)

    def running(self, routing: bytes, said: Running) -> tuple[int | None, list[tuple[bytes, Key]]]:
        """A worker runs an attempt: the attempt's number, None if it is not inside, and what to cancel where."""
        number = self._inside.get(said.key)
        if number is None:
            return None, []
        claims = self._claims.setdefault(said.key, deque(maxlen=CLAIMS))
        if routing not in claims:
            claims.append(routing)
        return number, [(routing, said.key)] if said.key in self._doomed else []

    def cancel(self, number: int) -> list[tuple[bytes, Key]]:
        """An attempt shall end: what to cancel where. Its worker may not have said a word yet; then it is told when it does."""
        key = self._keys.get(number)
        if key is None:
            return []
        self._doomed.add(key)
        return [(routing, key) for routing in self._claims.get(key, ())]

    def tidy(self) -> None:
        """Forget what was said about attempts that have ended."""
        self._claims = {key: claims for key, claims in self._claims.items() if key in self._inside}
        self._doomed = {key for key in self._doomed if key in self._inside}

    def __len__(self) -> int:
        return len(self._claims) + len(self._doomed)


def ports(low: int, high: int, chances: Iterable[float]) -> list[int]:
    """Ports of a range, both ends included, in an order by chance; numbers in [0, 1) are handed in."""
    return list(dict.fromkeys(low + int(chance * (high - low + 1)) for chance in chances))
