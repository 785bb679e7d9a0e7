"""Messages to frames and back: pure functions over bytes, and the only user of msgpack.

A message is two frames: a msgpack header `[major, minor, type, fields]` and one body frame, in which every `Body` of the message
stands, one after the other; in the header each is its length. One body frame a batch: CURVE encrypts each frame apart, and a frame
a task halves the throughput (measured). Items of batches are arrays; what is longer than we know was added by a later minor version.

What arrives is hostile until it decoded: every field is checked against the type it was declared with, lengths of ids included, and
the only errors are those of `relay_parsl.errors.ProtocolError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import partial
from typing import Any, get_args, get_origin, get_type_hints

import msgpack

from relay_parsl.errors import ProtocolError, ProtocolMismatch, UnknownMessage
from relay_parsl.wire import messages
from relay_parsl.wire.messages import PROTOCOL, Body, Hash, Id, Message, ResultHeader, TaskHeader

TEXT = 64 * 1024
"""The most characters in one string of a header."""
ID_BYTES, HASH_BYTES = 16, 32
DEEPEST = 32
"""The deepest nesting of a plain value. msgpack reads deeper ones than it writes: what is taken in must be such that it can go out again."""
SHORT = 1024
"""Bytes within which the short fields before a long one end."""

_LIST, _LONG_BYTES = 0x90, b'\xc6'
"""msgpack's bytes for a list of up to 15 fields, and for bytes with a length of 4 bytes."""
Plain = Any
"""What msgpack carries: None, bool, int, float, str, bytes, lists and maps of them."""
Read = Callable[[Plain, 'BodyReader'], Any]
Write = Callable[[Any, list[bytes]], Plain]
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_TEXTS = frozenset({str})
_PACKERS: list[Any] = []
"""To make one costs more than to pack a header. Each belongs to one call at a time."""


class BodyReader:
    """Cuts the body frame into the payloads whose lengths the header gives."""

    def __init__(self, data: bytes | memoryview) -> None:
        """`data` is the whole body frame."""
        self._data = data
        self._at = 0

    def take(self, length: Plain) -> bytes | memoryview:
        """The next `length` bytes. Raises ProtocolError when the frame holds fewer."""
        if type(length) is not int or not 0 <= length <= len(self._data) - self._at:
            raise ProtocolError('the body frame is shorter than its header says')
        start, self._at = self._at, self._at + length
        return self._data[start : self._at]

    def end(self) -> None:
        """Raises ProtocolError when bytes are left over."""
        if self._at != len(self._data):
            raise ProtocolError('the body frame is longer than its header says')


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


def plain(value: Plain, depth: int = DEEPEST) -> Plain:
    """The value itself. Raises ProtocolError when it nests deeper than `depth` or holds what is no plain value."""
    if type(value) in _SCALARS:
        return value
    if depth <= 0 or type(value) not in (list, dict):
        raise ProtocolError('not a plain value, or nested too deep')
    within = value
    if type(value) is dict:
        if not _TEXTS.issuperset(map(type, value)):
            raise ProtocolError('a map has strings for keys')
        within = value.values()
    if not _SCALARS.issuperset(map(type, within)):
        for each in within:
            plain(each, depth - 1)
    return value


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


# -- One reader and one writer for each declared type, made once at import -------------------------------------------


def _exact(kind: type, what: str) -> Read:
    def read(value: Plain, _body: BodyReader) -> Plain:
        if type(value) is not kind:
            raise ProtocolError(f'expected {what}')
        return value

    return read


def _sized(length: int) -> Read:
    def read(value: Plain, _body: BodyReader) -> Plain:
        if type(value) is not bytes or len(value) != length:
            raise ProtocolError(f'expected {length} bytes')
        return value

    return read


def _text(value: Plain, _body: BodyReader) -> Plain:
    if type(value) is not str or len(value) > TEXT:
        raise ProtocolError('expected a string of bounded length')
    return value


def _number(value: Plain, _body: BodyReader) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ProtocolError('expected a finite number')
    return float(value)


def _enum(kind: type[Enum]) -> Read:
    known = {member.value: member for member in kind}

    def read(value: Plain, _body: BodyReader) -> Enum:
        if type(value) is not str or value not in known:
            raise ProtocolError(f'no {kind.__name__}')
        return known[value]

    return read


def _many(item: Read) -> Read:
    def read(value: Plain, body: BodyReader) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ProtocolError('expected a list')
        return tuple([item(each, body) for each in value])

    return read


def _fixed(items: tuple[Read, ...]) -> Read:
    def read(value: Plain, body: BodyReader) -> tuple[Any, ...]:
        if type(value) is not list or len(value) != len(items):
            raise ProtocolError(f'expected {len(items)} values')
        return tuple(item(each, body) for item, each in zip(items, value))

    return read


def _map(item: Read) -> Read:
    def read(value: Plain, body: BodyReader) -> dict[str, Any]:
        if type(value) is not dict:
            raise ProtocolError('expected a map')
        return {_text(key, body): item(each, body) for key, each in value.items()}

    return read


_TUPLE: Callable[..., Any] = tuple.__new__
"""What `_make` of a named tuple does, without a call more."""
_LENGTHS: dict[Any, int] = {Id: ID_BYTES, Hash: HASH_BYTES}
_ON_THE_WIRE: dict[Any, type] = {Id: bytes, Hash: bytes, bytes: bytes, bool: bool, int: int, float: float, str: str}
_SIMPLE: dict[Any, Read] = {
    **{kind: _sized(length) for kind, length in _LENGTHS.items()},
    Body: lambda value, body: body.take(value),
    bytes: _exact(bytes, 'bytes'),
    bool: _exact(bool, 'true or false'),
    int: _exact(int, 'an integer'),
    float: _number,
    str: _text,
    Any: lambda value, _body: plain(value),
}


def _reader(kind: Any) -> Read:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is dict:
        return _map(_reader(args[1]))
    if origin is tuple:
        return _many(_reader(args[0])) if args[-1] is Ellipsis else _fixed(tuple(map(_reader, args)))
    return _enum(kind) if issubclass(kind, Enum) else _item_reader(kind)


def _item_reader(kind: Any) -> Read:
    """Items are arrays in the order of their fields; defaults stand in for what an older version left out, what a newer one added is not read."""
    if kind in _ITEM_READERS:
        return _ITEM_READERS[kind]
    hints, defaults = get_type_hints(kind), _defaults(kind)
    readers = [_reader(hints[name]) for name in _names(kind)]
    least, most = len(readers) - len(defaults), len(readers)
    make: Callable[[list[Any]], Any] = partial(_TUPLE, kind) if issubclass(kind, tuple) else partial(_made, kind)

    def read(value: Plain, body: BodyReader) -> Any:
        if type(value) is not list or len(value) < least:
            raise ProtocolError(f'no {kind.__name__}')
        found = [reader(each, body) for reader, each in zip(readers, value)]
        return make(found) if len(found) == most else kind(*found)

    _ITEM_READERS[kind] = read
    return read


def _made(kind: Callable[..., Any], values: list[Any]) -> Any:
    return kind(*values)


def _header_reader(kind: Any) -> Callable[[bytes], Any]:
    """Reads a header at once, if all is as it should be; what is odd is read field by field, which says what is wrong with it."""
    hints = [get_type_hints(kind)[name] for name in kind._fields]
    types = [_ON_THE_WIRE.get(hint, str) for hint in hints]
    sized = [(at, _LENGTHS[hint]) for at, hint in enumerate(hints) if hint in _LENGTHS]
    places, lengths = [at for at, _ in sized], [length for _, length in sized]
    others = [(at, _reader(hint)) for at, hint in enumerate(hints) if hint is float or hint not in _ON_THE_WIRE]
    slowly, nothing, make = _item_reader(kind), BodyReader(b''), partial(_TUPLE, kind)

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


def _names(kind: Any) -> list[str]:
    """The fields of a message or an item, in order."""
    return [each.name for each in fields(kind)] if is_dataclass(kind) else list(kind._fields)


def _defaults(kind: Any) -> set[str]:
    """The fields that may be left out."""
    if not is_dataclass(kind):
        return set(kind._field_defaults)
    return {each.name for each in fields(kind) if not (each.default is MISSING and each.default_factory is MISSING)}


def _message_reader(kind: Any) -> Read:
    hints = get_type_hints(kind)
    readers = {name: _reader(hints[name]) for name in _names(kind)}
    needed = readers.keys() - _defaults(kind)

    def read(values: Plain, body: BodyReader) -> Any:
        if type(values) is not dict or not needed <= values.keys():
            raise ProtocolError(f'{kind.__name__} lacks a field')
        return kind(**{name: reader(values[name], body) for name, reader in readers.items() if name in values})

    return read


def _as_it_is(value: Any, _body: list[bytes]) -> Plain:
    return value


def _write_body(value: bytes, body: list[bytes]) -> int:
    body.append(value)
    return len(value)


def _writer(kind: Any) -> Write:
    if kind is Body:
        return _write_body
    item = get_args(kind)[0] if get_origin(kind) is tuple else None
    if is_dataclass(item):
        names = _names(item)
        return lambda value, _body: [[getattr(each, name) for name in names] for each in value]
    if hasattr(item, '_fields') and Body in get_type_hints(item).values():
        return _body_writer(_names(item).index(next(name for name, hint in get_type_hints(item).items() if hint is Body)))
    return _as_it_is


def _body_writer(at: int) -> Write:
    """Writes named tuples of which one field is a `Body`; msgpack writes all others as they are."""

    def write(value: Any, body: list[bytes]) -> Plain:
        payloads = [each[at] for each in value]
        body += payloads
        return [(*each[:at], len(payload), *each[at + 1 :]) for each, payload in zip(value, payloads)]

    return write


def _message_writer(kind: Any) -> list[tuple[str, Write]]:
    hints = get_type_hints(kind)
    return [(name, _writer(hints[name])) for name in _names(kind)]


_ITEM_READERS: dict[Any, Read] = {}
_MESSAGES = get_args(messages.Message)
_READERS: dict[str, Read] = {kind.__name__: _message_reader(kind) for kind in _MESSAGES}
_WRITERS: dict[str, list[tuple[str, Write]]] = {kind.__name__: _message_writer(kind) for kind in _MESSAGES}
_READ_TASK, _READ_RESULT = _header_reader(TaskHeader), _header_reader(ResultHeader)
