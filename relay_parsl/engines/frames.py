"""What travels between an engine and its runners: plain msgpack, so that neither side ever unpickles the other's bytes.

A *work frame* is the length of its head in two bytes, the packed head (what a worker reads, to choose a runner and watch it), and the packed rest.
An *end frame* is what comes back: how the function ended, or that its process died.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from relay_parsl.engines.base import CAUSES, Event, Finished, Lost, SealedBody, Work
from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec

HEAD = 2
"""Bytes of the length of a work frame's head."""
ATTEMPT = 'RELAY_PARSL_ATTEMPT'
"""The environment variable that marks what an attempt has started: the next attempt of the same task may be on the same host."""
EVIDENCE = 16 * 1024
"""Characters of evidence, at most."""
NO_SERIAL = -1
"""The serial of the last chunk of a shift whose worker has tried in vain to have a control channel, or knows of none."""


class Place(NamedTuple):
    """Where tasks run: a directory ('' is wherever the runner was started), and whether each task gets one of its own below it."""

    directory: str = ''
    sandbox: bool = False
    environment: Mapping[str, str] = MappingProxyType({})
    """Variables for this attempt alone: what a worker was told about its nodes, say."""


class Head(NamedTuple):
    """What a worker reads of a work frame."""

    account: bytes
    task_id: bytes
    attempt: int
    timeout: float
    """Seconds that the function may run; 0: no limit of its own."""

    @property
    def key(self) -> tuple[bytes, int]:
        """Names the attempt."""
        return self.task_id, self.attempt

    @property
    def name(self) -> str:
        """Names the task, for people and in its environment."""
        return task_name(self.task_id)

    @property
    def mark(self) -> str:
        """The value of `ATTEMPT`."""
        return f'{self.name}.{self.attempt}'


@dataclass(slots=True)  # not frozen: one a task
class End:
    """The function ended; `body` is the bare name of the sealed result's file in the work's spool."""

    ok: bool
    outcome: bytes = field(repr=False)
    body: str = ''
    size: int = 0
    seconds: float = 0.0
    """How long it ran: what scaling goes by."""
    cancelled: bool = False
    """It ended because it was told to, and not by its timeout."""


@dataclass(frozen=True)
class Death:
    """The function's process died."""

    cause: str
    evidence: str


def task_name(task_id: bytes) -> str:
    """A task's id as people know it."""
    name = task_id.hex()
    return f'{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}' if len(task_id) == 16 else name


def encode_work(work: Work, place: Place) -> bytes:
    """An attempt as a work frame. Raises ProtocolError when an option is not plain data."""
    body = None if work.body is None else [work.body.path, work.body.key, work.body.length]
    timeout = work.options.get('timeout')
    head = codec.pack([work.account, work.task_id, work.attempt, float(timeout) if isinstance(timeout, (int, float)) else 0.0])
    rest = [work.function, work.arguments, body, work.options, work.spool, place.directory, place.sandbox, dict(place.environment)]
    return len(head).to_bytes(HEAD, 'big') + head + codec.pack(rest)


def head_of(frame: bytes) -> Head:
    """The head of a work frame. Raises ProtocolError."""
    try:
        account, task_id, attempt, timeout = codec.unpack(frame[HEAD : HEAD + int.from_bytes(frame[:HEAD], 'big')])
    except (ValueError, TypeError) as error:
        raise ProtocolError(f'no work frame: {error}') from error
    return Head(account, task_id, attempt, timeout)


def decode_work(frame: bytes) -> tuple[Work, Place]:
    """Read what `encode_work` wrote. Raises ProtocolError."""
    at = HEAD + int.from_bytes(frame[:HEAD], 'big')
    try:
        account, task_id, attempt, _ = codec.unpack(frame[HEAD:at])
        function, arguments, body, options, spool, *place = codec.unpack(frame[at:])
        return Work(task_id, attempt, account, function, arguments, body and SealedBody(*body), options, spool), Place(*place)
    except (ValueError, TypeError) as error:
        raise ProtocolError(f'no work frame: {error}') from error


def with_environment(frame: bytes, environment: dict[str, str]) -> bytes:
    """A work frame whose attempt gets these variables. Raises ProtocolError."""
    work, place = decode_work(frame)
    return encode_work(work, place._replace(environment=environment))


def encode_chunk(frames: Sequence[bytes]) -> bytes:
    """Work frames that travel together."""
    return codec.pack(list(frames))


def decode_chunk(data: bytes) -> list[bytes]:
    """Read what `encode_chunk` wrote. Raises ProtocolError."""
    frames = codec.unpack(data)
    if type(frames) is not list or not frames or any(type(each) is not bytes for each in frames):
        raise ProtocolError('no chunk')
    return frames


def without(data: bytes, place: int) -> bytes:
    """A chunk without the frame of that place. Raises ProtocolError."""
    frames = decode_chunk(data)
    del frames[place]
    return encode_chunk(frames)


def encode_ends(ends: Sequence[tuple[int, bytes]], last: int = NO_SERIAL) -> bytes:
    """What came of a shift: end frames, each with its place, and the serial of the last chunk that the worker took.

    Places count the attempts of a shift in the order in which the worker took them: those of the chunk that HTEX brought from 0 on, then those of
    the chunk with serial 1, and so on. `NO_SERIAL`: over no channel could the worker have been given more.
    """
    return codec.pack([last, [place for place, _ in ends], [frame for _, frame in ends]])


def decode_ends(data: bytes, count: int) -> tuple[int, list[tuple[int, bytes]]]:
    """Read what `encode_ends` wrote of `count` attempts: the serial and the ends. It comes from beside user code. Raises ProtocolError."""
    fields = codec.unpack(data)
    if type(fields) is not list or list(map(type, fields)) != [int, list, list]:
        raise ProtocolError('no ends of a chunk')
    last, places, ends = fields
    if len(places) != len(ends) or not {*map(type, ends)} <= {bytes} or not all(type(place) is int and 0 <= place < count for place in places):
        raise ProtocolError('no ends of a chunk')
    return last, list(zip(places, ends))


_END = [str, bool, bytes, str, int, float, bool]


def encode_end(end: End | Death) -> bytes:
    """How an attempt ended, as an end frame."""
    if isinstance(end, Death):
        return codec.pack(['death', end.cause, end.evidence])
    return codec.pack(['end', end.ok, end.outcome, end.body, end.size, end.seconds, end.cancelled])


def decode_end(frame: bytes) -> End | Death:
    """Read what `encode_end` wrote; the bytes come from a process that ran user code, so everything is checked. Raises ProtocolError."""
    fields = codec.unpack(frame)
    types = list(map(type, fields)) if type(fields) is list else []
    whole = types == _END and fields[0] == 'end'
    if whole and fields[4] >= 0 and 0 <= fields[5] < inf and not (fields[1] and fields[6]):
        return End(*fields[1:])
    if types == [str, str, str] and fields[0] == 'death' and fields[1] in CAUSES:
        return Death(*fields[1:])
    raise ProtocolError('no end frame')


def result_name(work: Work) -> str:
    """The file of a large result in the work's spool: the name that `relay_parsl.spool` gives it."""
    return f'{work.task_id.hex()}.{work.attempt}.result'


def event_of(work: Work, frame: bytes) -> Event:
    """What the endpoint hears of an end frame. A runner may name the file of its own result only."""
    try:
        end = decode_end(frame)
    except ProtocolError as error:
        return Lost(work.task_id, work.attempt, 'worker', f'the worker answered with bytes that are no result ({error})')
    if isinstance(end, Death):
        return Lost(work.task_id, work.attempt, end.cause, end.evidence[:EVIDENCE])
    if end.body and end.body != result_name(work):
        return Lost(work.task_id, work.attempt, 'worker', 'the worker named a result file that is not its own')
    body = str(Path(work.spool, end.body)) if end.body else ''
    return Finished(work.task_id, work.attempt, end.ok, end.outcome, body, end.size, end.seconds, end.cancelled)
