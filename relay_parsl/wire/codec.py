"""Messages to frames and back: pure functions over bytes, and the only user of msgpack.

A message is two frames: a msgpack header `[major, minor, type, fields]` and one body frame, in which every `Body` of the message
stands, one after the other; in the header each is its length. One body frame a batch: CURVE encrypts each frame apart, and a frame
a task halves the throughput (measured). Items of batches are arrays; what is longer than we know was added by a later minor version.

What arrives is hostile until it decoded: every field is checked against the type it was declared with, lengths of ids included, and
the only errors are those of `relay_parsl.errors.ProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_args, get_type_hints

import msgpack

from relay_parsl.errors import ProtocolError, ProtocolMismatch, UnknownMessage
from relay_parsl.wire import messages
from relay_parsl.wire.fields import (
    DEEPEST,
    LENGTHS,
    ON_THE_WIRE,
    TEXT,
    BodyReader,
    Plain,
    Read,
    Write,
    item_reader,
    message_reader,
    message_writer,
    plain,
    reader_of,
)
from relay_parsl.wire.messages import PROTOCOL, Message, ResultHeader, TaskHeader

__all__ = [
    'DEEPEST',
    'TEXT',
    'Plain',
    'decode',
    'encode',
    'encode_header',
    'pack',
    'pack_head',
    'plain',
    'result_header',
    'task_header',
    'unpack',
    'unpack_head',
]

SHORT = 1024
"""Bytes within which the short fields before a long one end."""

_LIST, _LONG_BYTES = 0x90, b'\xc6'
"""msgpack's bytes for a list of up to 15 fields, and for bytes with a length of 4 bytes."""
_PACKERS: list[Any] = []
"""To make one costs more than to pack a header. Each belongs to one call at a time."""


def pack(value: Plain) -> bytes:
    """A plain value as msgpack. Raises ProtocolError for what msgpack cannot carry."""
    try:
        packer = _PACKERS.pop()  # one bytecode: nobody else has it meanwhile
    except IndexError:
        packer = msgpack.Packer(use_bin_type=True)
    try:
        data: bytes = packer.pack(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f'not a plain value: {error}') from None
    _PACKERS.append(packer)  # one that has raised is not used again
    return data


def pack_head(fields: Sequence[Plain], length: int) -> bytes:
    """What `pack` writes of a list before its last field, when that is `length` bytes, written apart. Raises ProtocolError for 4 GiB and more."""
    if length >= 1 << 32:
        raise ProtocolError('4 GiB and more do not fit into one value')
    return bytes([_LIST | len(fields) + 1]) + b''.join([pack(each) for each in fields]) + _LONG_BYTES + length.to_bytes(4, 'big')


def unpack_head(data: bytes, count: int) -> tuple[list[Plain], int] | None:
    """Of the beginning of a packed list of `count` fields whose last is long bytes: the others, and where those begin. None: it is no such list."""
    unpacker = msgpack.Unpacker(raw=False, ext_hook=_refuse_extension)
    unpacker.feed(data[:SHORT])
    try:
        if unpacker.read_array_header() != count:
            return None
        fields = [unpacker.unpack() for _ in range(count - 1)]
    except (ProtocolError, ValueError, TypeError, msgpack.UnpackException):
        return None
    at = unpacker.tell()
    return (fields, at + 5) if data[at : at + 1] == _LONG_BYTES else None


def unpack(data: bytes) -> Plain:
    """The plain value that `pack` wrote. Raises ProtocolError for anything else; timestamps, which msgpack builds in, are left to `plain`."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True, ext_hook=_refuse_extension)
    except ProtocolError:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(f'not msgpack: {type(error).__name__}') from None


def encode(message: Message) -> list[bytes]:
    """The two frames of a message."""
    body: list[bytes] = []
    name = type(message).__name__
    values = {key: write(getattr(message, key), body) for key, write in _WRITERS[name]}
    return [pack([*PROTOCOL, name, values]), b''.join(body)]


def decode(frames: Sequence[bytes | memoryview]) -> Message:
    """The message in two frames. Of a `Segment` in a view the data is a view, too: it is only written to a file.

    Raises:
        ProtocolMismatch: it is of another major version.
        UnknownMessage: its type is not known here.
        ProtocolError: it is no message.
    """
    if len(frames) != 2:
        raise ProtocolError(f'a message has 2 frames, not {len(frames)}')
    header = unpack(bytes(frames[0]))
    if not (isinstance(header, list) and len(header) >= 4 and type(header[0]) is int):
        raise ProtocolError('the header is no [major, minor, type, fields]')
    major, _minor, name, values = header[:4]
    if major != PROTOCOL[0]:
        raise ProtocolMismatch(f'the other side speaks protocol {major}, this one {PROTOCOL[0]}: update the older of the two')
    if not isinstance(name, str) or name not in _READERS:
        raise UnknownMessage(name[:64] if isinstance(name, str) else type(name).__name__)
    body = BodyReader(frames[1] if name == 'Segment' else bytes(frames[1]))
    message: Message = _READERS[name](values, body)
    body.end()
    return message


def encode_header(header: TaskHeader | ResultHeader) -> bytes:
    """The bytes that are bound into a seal and forwarded as they are."""
    return pack(header)


def task_header(data: bytes) -> TaskHeader:
    """Read what `encode_header` wrote. Raises ProtocolError."""
    header: TaskHeader = _READ_TASK(data)
    return header


def result_header(data: bytes) -> ResultHeader:
    """Read what `encode_header` wrote. Raises ProtocolError."""
    header: ResultHeader = _READ_RESULT(data)
    return header


def _refuse_extension(code: int, _data: bytes) -> None:
    raise ProtocolError(f'msgpack extension type {code} has no place here')


def _header_reader(kind: Any) -> Callable[[bytes], Any]:
    """Reads a header at once, if all is as it should be; what is odd is read field by field, which says what is wrong with it."""
    hints = [get_type_hints(kind)[name] for name in kind._fields]
    types = [ON_THE_WIRE.get(hint, str) for hint in hints]
    sized = [(at, LENGTHS[hint]) for at, hint in enumerate(hints) if hint in LENGTHS]
    places, lengths = [at for at, _ in sized], [length for _, length in sized]
    others = [(at, reader_of(hint)) for at, hint in enumerate(hints) if hint is float or hint not in ON_THE_WIRE]
    slowly, nothing, make = item_reader(kind), BodyReader(b''), partial(tuple.__new__, kind)

    def read(data: bytes) -> Any:
        if len(data) > TEXT:
            raise ProtocolError('the header of a task is too long')
        value = unpack(data)
        if type(value) is not list or list(map(type, value)) != types or [len(value[at]) for at in places] != lengths:
            return slowly(value, nothing)
        for at, reader in others:
            value[at] = reader(value[at], nothing)
        return make(value)

    return read


_MESSAGES = get_args(messages.Message)
_READERS: dict[str, Read] = {kind.__name__: message_reader(kind) for kind in _MESSAGES}
_WRITERS: dict[str, list[tuple[str, Write]]] = {kind.__name__: message_writer(kind) for kind in _MESSAGES}
_READ_TASK, _READ_RESULT = _header_reader(TaskHeader), _header_reader(ResultHeader)
