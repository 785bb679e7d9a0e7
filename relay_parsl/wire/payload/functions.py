"""The blob of a function: `[how, python, name, data]`, named by its SHA-256.

`how` is `cloudpickle` (bytecode: for one minor version of Python), `source` (text that is run) or `import` (a name and no code).
"""

from __future__ import annotations

import importlib
import linecache
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from inspect import getclosurevars
from types import ModuleType
from typing import Any

from relay_parsl.errors import ProtocolError, SerializationError, VersionMismatch, with_article
from relay_parsl.wire.codec import pack, unpack
from relay_parsl.wire.payload.pickling import dumps, loads

PYTHON = f'{sys.version_info[0]}.{sys.version_info[1]}'
"""Of this process, as in '3.11'."""
LONGEST_NAME = 200

_IMPORTABLE = re.compile(r'[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*')


@dataclass(frozen=True)
class FunctionInfo:
    """What a blob says of its function. `python` is empty when any version will do."""

    how: str
    python: str
    name: str


def dump_function(fn: Callable[..., Any]) -> bytes:
    """The blob of a callable. Not cached here: the caller does that.

    Raises:
        SerializationError: it cannot be pickled; names the variable that is to blame, where that can be found.
    """
    name = name_of(fn)
    if not callable(fn):
        raise SerializationError(f'{name} is not callable')
    try:
        return pack(['cloudpickle', PYTHON, name, dumps(fn)])
    except Exception as error:  # user code: what a function refers to may raise anything when it is pickled
        raise SerializationError(f'function {name} cannot be serialized{_blame(fn)}: {describe_error(error)}') from error


def dump_source(source: str, name: str) -> bytes:
    """The blob of source text that defines the function `name`; it fits every Python that can run it. Raises SerializationError."""
    try:
        compile(source, f'<{name}>', 'exec')
    except (SyntaxError, ValueError) as error:
        raise SerializationError(f'the source of {name} does not compile: {error}') from error
    if not name.isidentifier():
        raise SerializationError(f'{name!r} is no name of a function')
    return pack(['source', '', name, source.encode()])


def dump_importable(name: str) -> bytes:
    """The blob of a function that the endpoint can import: `package.module:function`. Raises SerializationError."""
    if not _IMPORTABLE.fullmatch(name) or '__' in name.partition(':')[2]:
        raise SerializationError(f'{name[:80]!r} is no importable name: write it as "package.module:function"')
    return pack(['import', '', name, b''])


def describe(blob: bytes) -> FunctionInfo:
    """What the blob says, nothing of it run. Raises ProtocolError."""
    return _read(blob)[0]


def load_function(blob: bytes) -> Callable[..., Any]:
    """The function. Runs code of whoever made the blob.

    Raises:
        VersionMismatch: bytecode of another minor version of Python.
        SerializationError: it cannot be loaded here; says why.
        ProtocolError: it is no blob.
    """
    info, data = _read(blob)
    check_python(info.name, info.python, PYTHON)
    try:
        fn = _LOADERS[info.how](info, data)
    except Exception as error:  # user code: it runs when it is loaded
        raise SerializationError(f'function {info.name} cannot be loaded here: {describe_error(error)}') from error
    if not callable(fn):
        raise SerializationError(f'{info.name} is not callable here')
    return fn  # type: ignore[no-any-return]  # just checked


def check_python(name: str, python: str, worker: str) -> None:
    """Raises VersionMismatch when a function made under `python` (empty: any) may not run under `worker`; both as in '3.11'."""
    if python and python != worker:
        raise VersionMismatch(
            f'function {name} was serialized by Python {python}, the worker runs Python {worker}, and bytecode of one is not safe in the other: '
            f'use Python {worker} here, Python {python} there (worker_init), or send it as source text (register_source_code)'
        )


def name_of(fn: Any) -> str:
    """A name for people, bounded, also for callables that have none."""
    inner = getattr(fn, 'func', fn)  # of a partial
    name = getattr(inner, '__qualname__', None) or getattr(inner, '__name__', None) or type(fn).__qualname__
    return printable(str(name))[:LONGEST_NAME]


def printable(text: str) -> str:
    """Text that every encoder takes: lone surrogates are written out."""
    return text.encode('utf-8', 'backslashreplace').decode()


def describe_error(error: BaseException) -> str:
    """Type and text in one line, whatever the exception's own `__str__` does."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - user code
        text = '(its text cannot be had)'
    return printable(f'{type(error).__name__}: {text}')[:2000]


def _read(blob: bytes) -> tuple[FunctionInfo, bytes]:
    values = unpack(blob)
    if type(values) is not list or len(values) < 4 or [type(value) for value in values[:4]] != [str, str, str, bytes]:
        raise ProtocolError('no blob of a function')
    how, python, name, data = values[:4]
    if how not in _LOADERS:
        raise ProtocolError(f'no way to load a function: {how[:32]}')
    return FunctionInfo(how, python, name), data


def _load_pickle(_info: FunctionInfo, data: bytes) -> Any:
    return loads(data)


def _load_source(info: FunctionInfo, data: bytes) -> Any:
    source, where = data.decode(), f'<relay-parsl source {sha256(data).hexdigest()[:16]}>'
    linecache.cache[where] = (len(source), None, source.splitlines(keepends=True), where)  # so that tracebacks show its lines
    module = ModuleType(f'relay_parsl_source_{sha256(data).hexdigest()[:16]}')
    exec(compile(source, where, 'exec'), module.__dict__)  # noqa: S102 - to run it is what it was sent for
    return getattr(module, info.name)


def _load_import(info: FunctionInfo, _data: bytes) -> Any:
    if not _IMPORTABLE.fullmatch(info.name):
        raise ProtocolError('no importable name')
    module, _, attribute = info.name.partition(':')
    return getattr(importlib.import_module(module), attribute)


def _blame(fn: Any) -> str:
    """Which variable of the function's surroundings cannot be pickled, as part of a sentence."""
    try:
        seen = getclosurevars(fn)
    except (TypeError, ValueError):
        return ''
    for name, value in {**seen.globals, **seen.nonlocals}.items():
        if not survives(value):
            return f', for it uses {name!r} ({with_article(type(value).__name__)})'
    return ''


def survives(value: Any) -> bool:
    """Whether it can be pickled at all."""
    try:
        dumps(value)
    except Exception:  # noqa: BLE001 - user code
        return False
    return True


_LOADERS: dict[str, Callable[[FunctionInfo, bytes], Any]] = {'cloudpickle': _load_pickle, 'source': _load_source, 'import': _load_import}
