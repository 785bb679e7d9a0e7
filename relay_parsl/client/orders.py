"""What is made in the caller's thread at submit: ids, the function's bytes (once a function), the arguments' bytes (each time)."""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from relay_parsl.errors import SerializationError
from relay_parsl.spool import Spool
from relay_parsl.wire import payload
from relay_parsl.wire.messages import Id
from relay_parsl.wire.seal import hash_uuid, new_body_key, seal_body

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
        return str((self.resource_specification or {}).get('pool') or '')

    def sealed(self) -> dict[str, Any]:
        """Those that the relay must not see: all but the pool, by which it routes."""
        if self is PLAIN:
            return {}
        specification = {name: value for name, value in (self.resource_specification or {}).items() if name != 'pool'}
        named = {
            'timeout': self.timeout,
            'retries': self.retries,
            'resource_specification': specification,
            'user_endpoint_config': self.user_endpoint_config,
        }
        return {name: value for name, value in named.items() if value}


PLAIN = Options()
"""Those of most tasks."""


@dataclass
class Order:
    """A task before it is sealed: nothing in it is the caller's own object any more."""

    task_id: Id
    group: Id
    endpoint: str
    function: Function
    arguments: bytes = field(repr=False)
    serializer: str
    options: Options
    sealed_options: dict[str, Any]
    expires: float
    body_key: bytes = field(default=b'', repr=False)
    length: int = 0


def new_id() -> Id:
    """A time-ordered UUID (version 7)."""
    noise = os.urandom(10)
    head = (time.time_ns() // 1_000_000).to_bytes(6, 'big')
    return Id(head + bytes([0x70 | noise[0] & 0x0F, noise[1], 0x80 | noise[2] & 0x3F]) + noise[3:])


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
        self._known: WeakKeyDictionary[FunctionType, tuple[tuple[Any, ...], Function]] = WeakKeyDictionary()

    def get(self, fn: Callable[..., Any]) -> Function:
        """Raises SerializationError."""
        if type(fn) is not FunctionType:  # a partial, a method, an object with `__call__`: its state may have changed
            return as_function(payload.dump_function(fn))
        known = self._known.get(fn)
        held = _held(fn)
        if known is not None and len(held) == len(known[0]) and all(one is other for one, other in zip(held, known[0])):
            return known[1]
        made = as_function(payload.dump_function(fn))
        if all(_constant(each) for each in held):
            self._known[fn] = (held, made)
        return made


def arguments_of(
    spool: Callable[[], Spool], task_id: Id, call: tuple[tuple[Any, ...], dict[str, Any]], serializer: str, room: int
) -> tuple[bytes, bytes, int]:
    """The blob of the arguments; or, if it is longer than `room` [B], nothing, the key under which it is spooled, and its length [B].

    Raises:
        SerializationError: names the argument that cannot be serialized.
        OSError: the spool's disk is full.
    """
    blob = payload.dump_arguments(*call, serializer)
    if len(blob) <= room:
        return blob, b'', 0
    key = new_body_key()
    path = spool().path(task_id, 0, 'task')
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, 'wb') as target:
        seal_body(key, len(blob), io.BytesIO(blob), target)
    return b'', key, len(blob)


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
