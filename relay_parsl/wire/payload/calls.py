"""What is sealed: a call on its way to a worker, and what came of it on its way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from relay_parsl.errors import ProtocolError
from relay_parsl.wire.codec import pack, plain, unpack

HASH, KEY = 32, 32


@dataclass(slots=True)
class Call:
    """One call. `function` is the SHA-256 of its blob, `python` the version that the blob is for (empty: any).

    With a `body_key`, `arguments` is empty and stands in the task's sealed body, of `length` bytes of plaintext.
    `options` may hold timeout [s], retries, resource_specification, user_endpoint_config, result_serializers.
    """

    function: bytes
    name: str
    python: str
    arguments: bytes = field(repr=False)
    body_key: bytes = field(default=b'', repr=False)
    length: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What came of a call: `data` is a blob of `dump_value` or `dump_failure`.

    With a `body_key`, `data` is empty and stands in the result's sealed body, of `length` bytes of plaintext.
    `meta` may hold host, worker, accelerator, started, ended [s since 1970], python.
    """

    ok: bool
    data: bytes = field(repr=False)
    body_key: bytes = field(default=b'', repr=False)
    length: int = 0
    meta: dict[str, Any] = field(default_factory=dict)


def encode_call(call: Call) -> bytes:
    """To be sealed. Raises ProtocolError when an option is no plain value."""
    return pack([call.function, call.name, call.python, call.arguments, call.body_key, call.length, call.options])


def decode_call(data: bytes) -> Call:
    """What `encode_call` wrote. Raises ProtocolError."""
    call = Call(*_fields(data, bytes, str, str, bytes, bytes, int, dict))
    if len(call.function) != HASH:
        raise ProtocolError('no call: its function has no hash')
    if call.options:
        plain(call.options)
    if call.body_key or call.length:
        _check_body(call.body_key, call.length)
    return call


def encode_outcome(outcome: Outcome) -> bytes:
    """To be sealed. Raises ProtocolError when something in `meta` is no plain value."""
    return pack([outcome.ok, outcome.data, outcome.body_key, outcome.length, outcome.meta])


def decode_outcome(data: bytes) -> Outcome:
    """What `encode_outcome` wrote. Raises ProtocolError."""
    outcome = Outcome(*_fields(data, bool, bytes, bytes, int, dict))
    plain(outcome.meta)
    _check_body(outcome.body_key, outcome.length)
    return outcome


def _fields(data: bytes, *kinds: type) -> list[Any]:
    """A list whose first items are of these types; later versions may append."""
    values = unpack(data)
    if type(values) is not list or len(values) < len(kinds):
        raise ProtocolError('no call and no outcome: too few fields')
    found = values[: len(kinds)]
    if tuple(map(type, found)) != kinds:
        raise ProtocolError('no call and no outcome: a field of another type')
    return found


def _check_body(key: bytes, length: int) -> None:
    if len(key) not in (0, KEY) or not 0 <= length < 2**63:
        raise ProtocolError('no key of a body, or an impossible length')
