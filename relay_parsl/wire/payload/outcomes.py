"""What a call gave, as a blob: `['value', serializer, data]` or `['failure', type, text, args, pickle, frames]`.

A failure always has its text, with the remote traceback. Beside it stand, where they can be had, the arguments (of an error of
`relay_parsl.errors`, which needs no pickle), or the pickled exception, which came back whole from a trial, and its frames.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from io import BufferedReader
from types import TracebackType
from typing import Any

from tblib import Traceback

from relay_parsl import errors
from relay_parsl.errors import ProtocolError, RelayError, RemoteError, SealError, SerializationError, with_article
from relay_parsl.wire.codec import pack, unpack
from relay_parsl.wire.payload.functions import describe_error, printable
from relay_parsl.wire.payload.pickling import Part, dumps_exception, loads, loads_plain
from relay_parsl.wire.payload.values import SAFE, find_serializer, loads_with, read_fields, value_parts_of

TEXT = 64 * 1024
"""Characters of a failure's text, at most: beginning and end are kept."""
FRAMES = 100
"""Frames of a failure, at most: the outermost and innermost are kept."""

PLAIN_BYTES = 4096
"""Of the longest blob that `load_plain` reads."""
PLAIN_READERS: dict[str, Callable[[bytes], Any]] = {'cloudpickle': loads_plain, SAFE: find_serializer(SAFE).loads}

_CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f]')
Frame = list[Any]
"""File name, line, function name."""


def dump_value(value: Any, serializers: Sequence[str] = ('cloudpickle',)) -> bytes:
    """The blob of a call's value, by the first of the serializers that can.

    Raises:
        SerializationError: none can; says what each of them said.
    """
    return b''.join(value_parts(value, serializers))


def value_parts(value: Any, serializers: Sequence[str] = ('cloudpickle',)) -> list[Part]:
    """As `dump_value`, in pieces: large buffers are among them uncopied, so use them before anybody changes the value."""
    said = []
    for name in serializers:
        try:
            return value_parts_of(['value'], value, name)
        except KeyboardInterrupt:  # noqa: PERF203 - one round, nearly always
            raise
        except BaseException as error:  # noqa: BLE001 - user code: even SystemExit out of a `__reduce__` is a failed task and no more
            said.append(f'{name}: {describe_error(error)}')
    raise SerializationError(f'the result ({with_article(type(value).__name__)}) cannot be serialized; {"; ".join(said)}')


def dump_failure(error: BaseException) -> bytes:
    """The blob of an exception. Never raises for what the exception is or does: then only its text travels."""
    kind, text = type(error), _text_of(error)
    if not isinstance(error, Exception):
        return pack(['failure', 'RemoteExit', text, [describe_error(error)], b'', []])
    if kind.__module__ == errors.__name__ and all(type(each) is str for each in error.args):
        return pack(['failure', kind.__name__, text, [printable(each) for each in error.args], b'', []])
    data = _pickle(error)
    frames = _frames(error.__traceback__) if data else []
    return pack(['failure', printable(f'{kind.__module__}.{kind.__qualname__}'), text, None, data, frames])


def load_outcome(blob: bytes | BufferedReader, *, trusted: bool = True) -> Any:
    """The call's value; or the user's exception is raised, as its own type, its `__cause__` a RemoteError with the remote traceback.

    Args:
        blob: of `dump_value` or `dump_failure`; or a file of it, which is read to its end.
        trusted: whether the endpoint may run code here; if not, only JSON is read, and exceptions come as RemoteError with their text.

    Raises:
        SerializationError: the value cannot be read here, or is not JSON and the endpoint is not trusted.
        ProtocolError: it is no blob.
        SealError: the file is of a sealed body that does not hold.
        Exception: the user's.
    """
    values = read_fields(blob, 3)
    if type(values) is not list or len(values) < 3 or values[0] not in ('value', 'failure'):
        raise ProtocolError('no blob of an outcome')
    if values[0] == 'value':
        return _load_value(values, trusted)
    error, text = _load_failure(values, trusted)
    if not text:
        raise error
    raise error from RemoteError(text)


def load_plain(blob: bytes, *, trusted: bool = True) -> Any:
    """As `load_outcome`, in no time and without running anybody's code. Raises anything where that cannot be: a failure, a large value, a class."""
    kind, name, data = unpack(blob)[:3]
    if len(blob) > PLAIN_BYTES or kind != 'value' or name not in (PLAIN_READERS if trusted else (SAFE,)):
        raise SerializationError('not a small and plain value')
    return PLAIN_READERS[name](data)


def _load_value(values: list[Any], trusted: bool) -> Any:
    name, data = values[1:3]
    if type(name) is not str or type(data) not in (bytes, BufferedReader):
        raise ProtocolError('no blob of a value')
    if not trusted and name != SAFE:
        raise SerializationError(f'the result came as {name[:80]}, and code of this endpoint may not run here: ask for JSON (result_serializers)')
    try:
        return loads_with(name, data)
    except (SerializationError, ProtocolError, SealError, KeyboardInterrupt):
        raise
    except BaseException as error:  # user code runs when it is unpickled, and may raise even SystemExit
        raise SerializationError(f'the result cannot be loaded here: {describe_error(error)}') from error


def _load_failure(values: list[Any], trusted: bool) -> tuple[Exception, str]:
    """The exception, and the text that explains it; empty when the exception says it all itself."""
    if len(values) < 6 or [type(value) for value in values[1:3]] != [str, str] or type(values[4]) is not bytes or type(values[5]) is not list:
        raise ProtocolError('no blob of a failure')
    _, name, text, args, data, frames = values[:6]
    text = text if trusted else _CONTROL.sub('?', text)
    own = _own(name, args)
    if own is not None:
        return own, text if 'Traceback' in text else ''
    error = _unpickle(data) if trusted and data else None
    if error is None:
        return RemoteError(text), ''
    return error.with_traceback(_traceback(frames)), text


def _own(name: str, args: Any) -> RelayError | None:
    """An error of our own tree, made of plain strings."""
    kind = getattr(errors, name, None)
    if type(args) is not list or not all(type(each) is str for each in args) or not (isinstance(kind, type) and issubclass(kind, RelayError)):
        return None
    return kind(*args)


def _pickle(error: Exception) -> bytes:
    """The exception, if it survives a trial; else nothing."""
    try:
        data = dumps_exception(error)
        return data if type(loads(data)) is type(error) else b''
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - user code: a `__reduce__` may raise anything, SystemExit too
        return b''


def _unpickle(data: bytes) -> Exception | None:
    try:
        error = loads(data)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - user code that may raise even SystemExit, and modules that are not here
        return None
    return error if isinstance(error, Exception) else None


def _text_of(error: BaseException) -> str:
    try:
        text = ''.join(traceback.format_exception(error)).rstrip()
    except Exception:  # noqa: BLE001 - user code: `__str__`, `__notes__`
        text = describe_error(error)
    if len(text) > TEXT:
        text = f'{text[: TEXT // 2]}\n… {len(text) - TEXT} characters left out …\n{text[-TEXT // 2 :]}'
    return printable(text)


def _frames(found: TracebackType | None) -> list[Frame]:
    frames = []
    while found is not None:
        code = found.tb_frame.f_code
        frames.append([printable(code.co_filename), found.tb_lineno, printable(code.co_name)])
        found = found.tb_next
    return frames if len(frames) <= FRAMES else frames[: FRAMES // 2] + frames[-FRAMES // 2 :]


def _traceback(frames: list[Any]) -> TracebackType | None:
    """A traceback that Python shows like one of its own; None when the frames are none."""
    made: dict[str, Any] | None = None
    try:
        for file, line, name in reversed(frames[:FRAMES]):
            code = {'co_filename': str(file), 'co_name': str(name)}
            frame = {'f_globals': {'__file__': str(file), '__name__': '?'}, 'f_code': code, 'f_lineno': int(line)}
            made = {'tb_frame': frame, 'tb_lineno': int(line), 'tb_next': made}
        return Traceback.from_dict(made).as_traceback() if made else None
    except (TypeError, ValueError, OverflowError):
        return None
