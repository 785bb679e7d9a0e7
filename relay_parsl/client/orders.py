"""What is made in the caller's thread at submit: ids, the function's bytes (once a function), the arguments' bytes (each time)."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any, NamedTuple
from weakref import ref

from relay_parsl.errors import SerializationError
from relay_parsl.spool import Spool
from relay_parsl.wire import payload
from relay_parsl.wire.messages import Id
from relay_parsl.wire.seal import hash_uuid, new_body_key, seal_parts

EXPIRES = 14 * 86400.0
"""Seconds until a task that is not finished expires."""
LARGEST_FUNCTION = (8 << 20) - 4096
"""Bytes. A function is sent in one message, and relays take objects up to 8 MiB, seals included."""
_ATOMS = (str, bytes, int, float, complex, bool, type(None), type, BuiltinFunctionType, CodeType)


@dataclass(frozen=True)
class Function:
    """A serialized function. `digest` is the SHA-256 of `blob`."""

    blob: bytes = field(repr=False)
    digest: bytes
    info: payload.FunctionInfo

    @property
    def id(self) -> str:
        """Its UUID, which follows from its bytes."""
        return hash_uuid(self.digest)


@dataclass(frozen=True)
class Options:
    """What a task may be given beside its arguments; see `Executor.with_options`."""

    priority: int = 0
    retries: int = 0
    at_most_once: bool = False
    timeout: float | None = None
    resource_specification: Mapping[str, Any] | None = None
    user_endpoint_config: Mapping[str, Any] | None = None

    @property
    def pool(self) -> str:
        """The endpoint's pool that the resource specification names; '' leaves it to the endpoint."""
        return str(self.resource_specification.get('pool') or '') if self.resource_specification else ''

    def sealed(self) -> dict[str, Any]:
        """Those that the relay must not see: all but the pool, by which it routes."""
        if self is PLAIN:
            return {}
        specification = {name: value for name, value in (self.resource_specification or {}).items() if name != 'pool'}
        named = {
            'timeout': self.timeout,
            'retries': 0 if self.at_most_once else self.retries,
            'resource_specification': specification,
            'user_endpoint_config': self.user_endpoint_config,
        }
        return {name: value for name, value in named.items() if value}


PLAIN = Options()
"""Those of most tasks."""


class Order(NamedTuple):
    """A task before it is sealed: nothing in it is the caller's own object any more."""

    task_id: Id
    group: Id
    endpoint: str
    function: Function
    arguments: bytes
    body_key: bytes
    length: int
    serializer: str
    options: Options
    sealed_options: dict[str, Any]
    expires: float

    def __repr__(self) -> str:
        """Without arguments and key."""
        return f'<Order {self.task_id.hex()}: {self.function.info.name} on {self.endpoint}>'


_NOISE: list[bytes] = []
"""The random parts of coming ids: drawn in blocks, for a system call costs more than an id."""

os.register_at_fork(after_in_child=_NOISE.clear)  # a child must not make its parent's ids


def new_id() -> Id:
    """A time-ordered UUID (version 7)."""
    try:
        noise = _NOISE.pop()  # one bytecode: two threads never get the same
    except IndexError:
        noise, *more = _noise(256)
        _NOISE.extend(more)
    return Id((time.time_ns() // 1_000_000).to_bytes(6, 'big') + noise)


def _noise(count: int) -> list[bytes]:
    """So many times 10 random bytes, the bits of version and variant set."""
    block = os.urandom(10 * count)
    parts = [block[at : at + 10] for at in range(0, len(block), 10)]
    return [bytes([0x70 | each[0] & 0x0F, each[1], 0x80 | each[2] & 0x3F]) + each[3:] for each in parts]


def as_id(value: uuid.UUID | str | bytes) -> Id:
    """The 16 bytes of a UUID in any form. Raises ValueError."""
    if isinstance(value, bytes):
        return Id(uuid.UUID(bytes=value).bytes)
    return Id((value if isinstance(value, uuid.UUID) else uuid.UUID(value)).bytes)


def as_function(blob: bytes) -> Function:
    """A function from its blob. Raises SerializationError when it is too large to send, ProtocolError when it is no blob."""
    info = payload.describe(blob)
    if len(blob) > LARGEST_FUNCTION:
        raise SerializationError(
            f'function {info.name} has {len(blob) / 1e6:.0f} MB serialized, more than {LARGEST_FUNCTION / 1e6:.0f}: '
            'it holds data in its closure or globals; pass that as an argument'
        )
    return Function(blob, sha256(blob).digest(), info)


class Functions:
    """Each plain function is serialized once, for as long as it lives; what it holds by closure must be the same for that."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def get(self, fn: Callable[..., Any]) -> Function:
        """Raises SerializationError."""
        known = self._known.get(id(fn))
        if known is not None and known.fits(fn):
            return known.function
        made = as_function(payload.dump_function(fn))
        if type(fn) is FunctionType:  # not a partial, a method, an object with `__call__`: its state may have changed
            held = _held(fn)
            if all(_constant(each) for each in held):
                self._known[id(fn)] = _Known(fn, held, made, self._known)
        return made


class _Known:
    """A function and what was made of it. It takes itself out of `shelf` when the function dies: its number may be given to another then."""

    __slots__ = ('_bare', '_held', '_of', 'function')

    def __init__(self, fn: FunctionType, held: tuple[Any, ...], function: Function, shelf: dict[int, _Known]) -> None:
        self.function = function
        self._held = held
        self._bare = len(held) == 1
        self._of = ref(fn, partial(_forget, shelf, id(fn)))

    def fits(self, fn: Callable[..., Any]) -> bool:
        """Whether it is that function, and unchanged: most have nothing but their code."""
        alive = self._of()
        if alive is None or alive is not fn or alive.__code__ is not self._held[0]:
            return False
        if self._bare and alive.__defaults__ is None and alive.__kwdefaults__ is None:
            return True
        held = _held(alive)
        return len(held) == len(self._held) and all(one is other for one, other in zip(held, self._held))


def _forget(shelf: dict[int, _Known], number: int, _dead: object) -> None:
    shelf.pop(number, None)


def arguments_of(
    spool: Callable[[], Spool], task_id: Id, call: tuple[tuple[Any, ...], dict[str, Any]], serializer: str, room: int
) -> tuple[bytes, bytes, int]:
    """The blob of the arguments; or, if it is longer than `room` [B], nothing, the key under which it is spooled, and its length [B].

    Raises:
        SerializationError: names the argument that cannot be serialized.
        OSError: the spool's disk is full.
    """
    parts = payload.argument_parts(*call, serializer)
    if len(parts) == 1 and isinstance(parts[0], bytes) and len(parts[0]) <= room:
        return parts[0], b'', 0
    if sum([memoryview(part).nbytes for part in parts]) <= room:
        return b''.join(parts), b'', 0
    key = new_body_key()
    path = spool().path(task_id, 0, 'task')
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, 'wb') as target:
        return b'', key, seal_parts(key, parts, target)


def _held(fn: FunctionType) -> tuple[Any, ...]:
    """What the function would carry that is its own: code, defaults, closure."""
    cells = fn.__closure__ or ()
    return (fn.__code__, *(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values(), *[_content(cell) for cell in cells])


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _constant(value: Any, depth: int = 4) -> bool:
    """Whether the value cannot change behind our back."""
    if isinstance(value, _ATOMS):
        return True
    if depth and isinstance(value, (tuple, frozenset)):
        return all(_constant(each, depth - 1) for each in value)
    if depth and type(value) is partial:
        return all(_constant(each, depth - 1) for each in (value.func, *value.args, *value.keywords.values()))
    return bool(depth) and type(value) is FunctionType and all(_constant(each, depth - 1) for each in _held(value))
