"""Serializers of values, and the blob of a call's arguments: `[serializer, data]`.

The serializer's name stands inside the blob, and so under the seal: nobody on the way can have JSON read as a pickle.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Collection
from io import BufferedReader
from typing import Any, Protocol, Union, runtime_checkable

from relay_parsl.errors import ProtocolError, SealError, SerializationError, with_article
from relay_parsl.wire.codec import pack, pack_head, unpack, unpack_head
from relay_parsl.wire.payload.functions import describe, describe_error, load_function
from relay_parsl.wire.payload.pickling import BULK, Part, call_parts, dumps, load, loads, parts_by_reference


@runtime_checkable
class Serializer(Protocol):
    """Turns values into bytes and back; may raise anything for what it cannot carry. One of your own is named `module:Class`."""

    name: str

    def dumps(self, value: Any) -> bytes:
        """The value as bytes."""

    def loads(self, data: bytes) -> Any:
        """The value that `dumps` wrote."""


class CloudpickleSerializer:
    """Any Python object. Reading runs code of whoever wrote it."""

    name = 'cloudpickle'

    def dumps(self, value: Any) -> bytes:
        """The value as bytes; what stands in the user's own modules by value."""
        return dumps(value)

    def loads(self, data: bytes) -> Any:
        """The value that `dumps` wrote."""
        return loads(data)


class JsonSerializer:
    """None, booleans, numbers, strings, lists and maps of them (tuples come back as lists, keys as strings). Safe to read from anybody."""

    name = 'json'

    def dumps(self, value: Any) -> bytes:
        """The value as JSON text in UTF-8."""
        return json.dumps(value, separators=(',', ':')).encode()

    def loads(self, data: bytes) -> Any:
        """The value that `dumps` wrote."""
        return json.loads(data.decode())


SERIALIZERS: dict[str, Serializer] = {'cloudpickle': CloudpickleSerializer(), 'json': JsonSerializer()}
"""The built-in ones, by name."""
SAFE = 'json'
"""The one that may read bytes of a stranger."""


def find_serializer(name: str) -> Serializer:
    """A built-in serializer, or one that can be imported as `module:Class`. Raises SerializationError."""
    if name in SERIALIZERS:
        return SERIALIZERS[name]
    module, _, attribute = name.partition(':')
    try:
        found = getattr(importlib.import_module(module), attribute)
        made = found() if isinstance(found, type) else found
    except Exception as error:  # user code runs when it is imported
        raise SerializationError(f'no serializer {name[:80]!r}: {describe_error(error)}; built in: {", ".join(SERIALIZERS)}') from error
    if not isinstance(made, Serializer):
        raise SerializationError(f'{name[:80]!r} is no serializer: it needs name, dumps and loads')
    return made


def serializer_name(serializer: Union[str, type, Serializer]) -> str:
    """The name to send for what a user gives: a name, a class or an instance. Raises SerializationError when no worker could find it."""
    if isinstance(serializer, str):
        find_serializer(serializer)
        return serializer
    kind = serializer if isinstance(serializer, type) else type(serializer)
    for name, known in SERIALIZERS.items():
        if type(known) is kind:
            return name
    return serializer_name(f'{kind.__module__}:{kind.__qualname__}')


def dump_arguments(args: tuple[Any, ...], kwargs: dict[str, Any], serializer: str = 'cloudpickle') -> bytes:
    """The blob of a call's arguments. Raises SerializationError, which names the argument."""
    return b''.join(argument_parts(args, kwargs, serializer))


def argument_parts(args: tuple[Any, ...], kwargs: dict[str, Any], serializer: str = 'cloudpickle') -> list[Part]:
    """As `dump_arguments`, in pieces: large buffers are among them uncopied, so use them before anybody changes the arguments."""
    try:
        if serializer == 'cloudpickle':
            parts = call_parts(args, kwargs)
        else:
            parts = [find_serializer(serializer).dumps([list(args), kwargs])]
    except SerializationError:
        raise
    except Exception as error:  # user code: `__reduce__` may raise anything
        culprit = _blame(args, kwargs, find_serializer(serializer).dumps)
        raise SerializationError(f'{culprit} cannot be serialized with {serializer}: {describe_error(error)}') from error
    return _named([serializer], parts)


def load_arguments(blob: bytes | BufferedReader, allowed: Collection[str] | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments.

    Args:
        blob: of `dump_arguments`; or a file of it, which is read to its end.
        allowed: names of serializers; others are refused before anything is read. None: every one.

    Raises:
        SerializationError: refused, or it cannot be read here.
        ProtocolError: it is no blob.
        SealError: the file is of a sealed body that does not hold.
    """
    name, data = read_named(blob, 'arguments')
    if allowed is not None and name not in allowed:
        raise SerializationError(
            f'arguments serialized with {name[:80]!r} are not allowed here; allowed: {", ".join(sorted(allowed))} (the executor has a `serializer`)'
        )
    try:
        args, kwargs = loads_with(name, data)
        return tuple(args), {str(key): value for key, value in kwargs.items()}
    except (SerializationError, ProtocolError, SealError):
        raise
    except Exception as error:  # user code runs when it is unpickled
        raise SerializationError(f'the arguments cannot be loaded here: {describe_error(error)}') from error


def read_named(blob: bytes | BufferedReader, what: str) -> tuple[str, bytes | BufferedReader]:
    """Serializer and data. Raises ProtocolError."""
    values = read_fields(blob, 2)
    if type(values) is not list or len(values) < 2 or type(values[0]) is not str or type(values[1]) not in (bytes, BufferedReader):
        raise ProtocolError(f'no blob of {what}')
    return values[0], values[1]


def read_fields(blob: bytes | BufferedReader, count: int) -> Any:
    """The fields of a blob, or whatever it holds. Of a file, the last of `count` fields stays in it when it is long bytes. Raises ProtocolError."""
    if isinstance(blob, bytes):
        return unpack(blob)
    head = unpack_head(blob.peek(), count)
    if head is None:
        return unpack(blob.read())
    fields, at = head
    blob.read(at)
    return [*fields, blob]


def loads_with(name: str, data: bytes | BufferedReader) -> Any:
    """The value that a serializer wrote, from bytes or the rest of a file. Raises what reading it raises."""
    if isinstance(data, bytes):
        return find_serializer(name).loads(data)
    value = load(data) if name == 'cloudpickle' else find_serializer(name).loads(data.read())
    if data.read(1):
        raise ProtocolError('a value is followed by more bytes')
    return value


def value_parts_of(fields: list[Any], value: Any, name: str) -> list[Part]:
    """The blob of `fields`, the serializer's name and the value, in pieces.

    What can be imported goes by reference: it is made on a worker. Raises what the user's object raises.
    """
    parts: list[Part] = [find_serializer(name).dumps(value)] if name != 'cloudpickle' else parts_by_reference(value)
    return _named([*fields, name], parts)


def _named(fields: list[Any], parts: list[Part]) -> list[Part]:
    if len(parts) == 1 and len(parts[0]) < BULK:
        return [pack([*fields, parts[0]])]
    try:
        return [pack_head(fields, sum([memoryview(part).nbytes for part in parts])), *parts]
    except ProtocolError as error:
        raise SerializationError(f'too large for one call or result: {error}') from None


def check(function: bytes, args: tuple[Any, ...], kwargs: dict[str, Any], serializer: str = 'cloudpickle') -> None:
    """Have a function's blob and a call's arguments make the whole way, in this process.

    Source text and importable names are not loaded: they are for another machine, and what they need may be there alone.

    Raises:
        SerializationError: names what fails, the function or an argument, on its way into bytes or out of them.
    """
    if describe(function).how == 'cloudpickle':
        load_function(function)
    blob = dump_arguments(args, kwargs, serializer)
    try:
        load_arguments(blob)
    except SerializationError as error:
        chosen = find_serializer(serializer)
        culprit = _blame(args, kwargs, lambda value: chosen.loads(chosen.dumps(value)))
        raise SerializationError(f'{culprit} does not survive {serializer}: {error}') from error


def _blame(args: tuple[Any, ...], kwargs: dict[str, Any], attempt: Callable[[Any], Any]) -> str:
    """The first argument with which the attempt fails."""
    named = [(f'argument {index + 1}', value) for index, value in enumerate(args)] + [(f'argument {key!r}', value) for key, value in kwargs.items()]
    for name, value in named:
        if not _passes(value, attempt):
            return f'{name} ({with_article(type(value).__name__)})'
    return 'the list of arguments'


def _passes(value: Any, attempt: Callable[[Any], Any]) -> bool:
    try:
        attempt(value)
    except Exception:  # noqa: BLE001 - user code
        return False
    return True
