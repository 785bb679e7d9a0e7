"""One reader and one writer for each declared type of a message's field, made once at import. Pure.

What arrives is hostile until it was read: every value is checked against the type it was declared with, lengths of ids included. A batch is read
field by field, at the speed of C; one in which anything is odd is read again item by item, which says what is wrong, or takes what a later version
added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, get_args, get_origin, get_type_hints

from relay_parsl.errors import ProtocolError
from relay_parsl.wire.items import Body, Hash, Id

TEXT = 64 * 1024
"""The most characters in one string of a header."""
ID_BYTES, HASH_BYTES = 16, 32
DEEPEST = 32
"""The deepest nesting of a plain value. msgpack reads deeper ones than it writes: what is taken in must be such that it can go out again."""

Plain = Any
"""What msgpack carries: None, bool, int, float, str, bytes, lists and maps of them."""
Read = Callable[[Plain, 'BodyReader'], Any]
Write = Callable[[Any, list[bytes]], Plain]
Column = Callable[[Sequence[Plain], 'BodyReader'], 'Sequence[Any] | None']
"""One field of all items of a batch; None when one of its values is odd."""
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_TEXTS = frozenset({str})


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

    def take_all(self, lengths: Sequence[Plain]) -> list[bytes | memoryview] | None:
        """One payload after the other; None when that cannot be, and then nothing is taken."""
        if set(map(type, lengths)) != {int} or min(lengths) < 0:
            return None
        ends = list(accumulate(lengths, initial=self._at))
        if ends[-1] > len(self._data):
            return None
        self._at = ends[-1]
        return [self._data[start:end] for start, end in pairwise(ends)]

    def end(self) -> None:
        """Raises ProtocolError when bytes are left over."""
        if self._at != len(self._data):
            raise ProtocolError('the body frame is longer than its header says')


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


def _many_of(kind: Any) -> Read:
    """Reads a list of values of this type."""
    if not (isinstance(kind, type) and issubclass(kind, tuple)):
        return _many(reader_of(kind))
    hints = [get_type_hints(kind)[name] for name in names_of(kind)]
    one_by_one, columns, make, most = _many(item_reader(kind)), [_column(hint) for hint in hints], partial(_TUPLE, kind), len(hints)
    assert Body not in hints[:-1], 'payloads are cut last: when nothing can be odd any more'  # noqa: S101

    def read(value: Plain, body: BodyReader) -> tuple[Any, ...]:
        if type(value) is not list or len(value) < 2 or set(map(type, value)) != {list} or set(map(len, value)) != {most}:
            return one_by_one(value, body)  # type: ignore[no-any-return]
        found = []
        for column, values in zip(columns, zip(*value)):
            read = column(values, body)
            if read is None:
                return one_by_one(value, body)  # type: ignore[no-any-return]
            found.append(read)
        return tuple(map(make, zip(*found)))

    return read


def _column(kind: Any) -> Column:
    """Reads all values of one field at once."""
    if kind is Body:
        return lambda values, body: body.take_all(values)
    if kind in LENGTHS:
        types, lengths = {bytes}, {LENGTHS[kind]}
        return lambda values, _body: values if set(map(type, values)) == types and set(map(len, values)) == lengths else None
    if kind in (bytes, bool, int):
        exact = {kind}
        return lambda values, _body: values if set(map(type, values)) == exact else None
    if kind is str:
        return lambda values, _body: values if set(map(type, values)) == {str} and max(map(len, values)) <= TEXT else None
    each = reader_of(kind)
    return lambda values, body: [each(value, body) for value in values]


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


_ITEM_READERS: dict[Any, Read] = {}
_TUPLE: Callable[..., Any] = tuple.__new__
"""What `_make` of a named tuple does, without a call more."""
LENGTHS: dict[Any, int] = {Id: ID_BYTES, Hash: HASH_BYTES}
"""Bytes of what has always the same length."""
ON_THE_WIRE: dict[Any, type] = {Id: bytes, Hash: bytes, bytes: bytes, bool: bool, int: int, float: float, str: str}
"""What msgpack makes of these, if it is not something else."""
_SIMPLE: dict[Any, Read] = {
    **{kind: _sized(length) for kind, length in LENGTHS.items()},
    Body: lambda value, body: body.take(value),
    bytes: _exact(bytes, 'bytes'),
    bool: _exact(bool, 'true or false'),
    int: _exact(int, 'an integer'),
    float: _number,
    str: _text,
    Any: lambda value, _body: plain(value),
}


def reader_of(kind: Any) -> Read:
    """What reads a value of this declared type."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is dict:
        return _map(reader_of(args[1]))
    if origin is tuple:
        return _many_of(args[0]) if args[-1] is Ellipsis else _fixed(tuple(map(reader_of, args)))
    return _enum(kind) if issubclass(kind, Enum) else item_reader(kind)


def item_reader(kind: Any) -> Read:
    """Items are arrays in the order of their fields; defaults stand in for what an older version left out, what a newer one added is not read."""
    if kind in _ITEM_READERS:
        return _ITEM_READERS[kind]
    hints, defaults = get_type_hints(kind), _defaults(kind)
    readers = [reader_of(hints[name]) for name in names_of(kind)]
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


def names_of(kind: Any) -> list[str]:
    """The fields of a message or an item, in order."""
    return [each.name for each in fields(kind)] if is_dataclass(kind) else list(kind._fields)


def _defaults(kind: Any) -> set[str]:
    """The fields that may be left out."""
    if not is_dataclass(kind):
        return set(kind._field_defaults)
    return {each.name for each in fields(kind) if not (each.default is MISSING and each.default_factory is MISSING)}


def message_reader(kind: Any) -> Read:
    """What reads the fields of a message of this type."""
    hints = get_type_hints(kind)
    readers = {name: reader_of(hints[name]) for name in names_of(kind)}
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
        names = names_of(item)
        return lambda value, _body: [[getattr(each, name) for name in names] for each in value]
    if hasattr(item, '_fields') and Body in get_type_hints(item).values():
        return _body_writer(names_of(item).index(next(name for name, hint in get_type_hints(item).items() if hint is Body)))
    return _as_it_is


def _body_writer(at: int) -> Write:
    """Writes named tuples of which one field is a `Body`; msgpack writes all others as they are."""

    def write(value: Any, body: list[bytes]) -> Plain:
        payloads = [each[at] for each in value]
        body += payloads
        return [(*each[:at], len(payload), *each[at + 1 :]) for each, payload in zip(value, payloads)]

    return write


def message_writer(kind: Any) -> list[tuple[str, Write]]:
    """What writes each field of a message of this type."""
    hints = get_type_hints(kind)
    return [(name, _writer(hints[name])) for name in names_of(kind)]
