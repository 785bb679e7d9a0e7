"""Definitions, events, commands and runs as JSON and back: frozen dataclasses become objects, with their class's name where it is not obvious.

What a class gained since, with a default, may be missing from what is read; so a newer version reads what an older one wrote.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache, partial
from operator import attrgetter
from typing import Any, TypeVar

from relay_parsl.flows import definition, messages
from relay_parsl.flows.definition import Json

T = TypeVar('T')
Reader = Callable[[Json], Any]
TAG = '@'
"""The key of a class's name."""
_encoder = json.JSONEncoder(separators=(',', ':'), check_circular=False)
_make: Any = getattr(json.encoder, 'c_make_encoder', None)
_parts: Any = _make and _make(None, _encoder.default, json.encoder.encode_basestring_ascii, None, ':', ',', False, False, True)
_CLASSES = {name: each for room in (definition, messages) for name, each in vars(room).items() if dataclasses.is_dataclass(each)}


def write(value: Json) -> str:
    """JSON as it stands in the file. `JSONEncoder.encode` makes its encoder anew at each call, which takes longer than a small value (measured).

    Raises:
        TypeError: it is no JSON.
        RecursionError: it is very deep, or holds itself.
    """
    return ''.join(_parts(value, 0)) if _parts else _encoder.encode(value)


def dump(value: object) -> str:
    """A dataclass of ours as text."""
    return write(plain(value))


def load(kind: type[T], text: str) -> T:
    """What `dump` wrote; `kind` may also be `Any`, for what its own name says.

    Raises:
        ValueError, TypeError, KeyError: it is nothing of the kind.
    """
    found: T = _reader(kind if dataclasses.is_dataclass(kind) else object)(json.loads(text))
    return found


def load_any(text: str) -> Any:
    """What `dump` wrote, by the name in it. Raises as `load`."""
    return _tagged(json.loads(text))


def plain(value: Any) -> Json:
    """The value as JSON; dataclasses inside fields that say Json are not looked for."""
    kind: Any = type(value)
    names = _defaults(kind)
    if names is None:
        return [plain(each) for each in value] if type(value) is tuple else value
    found: dict[str, Json] = {TAG: kind.__name__}
    for given, (name, default, deep) in zip(names[0](value), names[1]):
        if given is not default and (default is _NONE or given != default or type(given) is not type(default)):
            found[name] = _deep(given) if deep else given
    return found


def _deep(value: Any) -> Json:
    return {key: plain(each) for key, each in value.items()} if isinstance(value, Mapping) else plain(value)


_NONE = object()


@cache
def _defaults(kind: Any) -> tuple[Callable[[Any], tuple[Any, ...]], list[tuple[str, Any, bool]]] | None:
    """The fields of a class of ours: what reads all of them, and of each name, default, whether dataclasses may be inside."""
    if not dataclasses.is_dataclass(kind):
        return None
    hints, own = _hints(kind), dataclasses.fields(kind)
    fields = [(each.name, _NONE if each.default is dataclasses.MISSING else each.default, _looks_inside(hints[each.name])) for each in own]
    names = [each.name for each in own]
    return (attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)), fields


def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _looks_inside(hint: Any) -> bool:
    if dataclasses.is_dataclass(hint) or typing.get_origin(hint) is tuple:
        return True
    return any(_looks_inside(each) for each in typing.get_args(hint))


@cache
def _reader(hint: Any) -> Reader:
    """What makes a value of the hint of its JSON."""
    if dataclasses.is_dataclass(hint):
        return partial(_build, hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _tuple(inner)
    if origin in (typing.Union, types.UnionType) and any(_looks_inside(each) for each in inner):
        return _tagged
    if origin is not None and _looks_inside(hint):
        return partial(_values, _reader(inner[1]))
    return lambda value: value


def _tuple(inner: tuple[Any, ...]) -> Reader:
    if inner[1:] == (...,):
        each = _lazy(inner[0])
        return lambda values: tuple(map(each, values))
    readers = [_lazy(each) for each in inner]
    return lambda values: tuple(reader(value) for reader, value in zip(readers, values, strict=True))


def _lazy(hint: Any) -> Reader:
    """Rules hold rules: their reader is looked up when it is needed."""
    return lambda value: _reader(hint)(value)  # noqa: PLW0108  a call of `_reader` now would never end


def _values(reader: Reader, value: Mapping[str, Json]) -> dict[str, Any]:
    return {key: reader(each) for key, each in value.items()}


def _tagged(value: Json) -> Any:
    return _build(_CLASSES[value[TAG]], value) if isinstance(value, dict) and TAG in value else value


def _build(kind: Any, value: Mapping[str, Json]) -> Any:
    readers = _readers(kind)
    return kind(**{name: readers[name](each) for name, each in value.items() if name != TAG})


@cache
def _readers(kind: type) -> dict[str, Reader]:
    hints = _hints(kind)
    return {each.name: _reader(hints[each.name]) for each in dataclasses.fields(kind)}
