"""cloudpickle, with one rule added: what stands in the user's own modules travels by value, for a worker cannot import it.

cloudpickle keeps the modules to be pickled by value in a table of the whole process. A dump enters a module there when it first meets
something of it and takes it out at its end, counted, so that dumps of several threads share the table and the user's own entries stay.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from types import FunctionType, ModuleType
from typing import Any, BinaryIO, TypeVar, Union

import cloudpickle

Part = Union[bytes, bytearray, memoryview]
"""A piece of what was pickled; a large one may be the user's own buffer."""
PROTOCOL = 5
BULK = 64 * 1024
"""Bytes from which a pickler that writes into a file hands a buffer on as it is."""
_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})
_OURS = frozenset({'__main__', 'relay_parsl', 'parsl', 'cloudpickle', 'tblib'})
"""`__main__` is by value anyway; the others are on every worker, however they are installed here."""
_INSTALLED = tuple({os.path.realpath(path) + os.sep for key, path in sysconfig.get_paths().items() if 'lib' in key})

_LOCK = Lock()
_LEASES: dict[str, int] = {}
_VERDICTS: dict[str, bool] = {}

os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


def dumps(value: Any) -> bytes:
    """Pickle `value`; what stands in the user's own modules by value if that can be done, else by reference.

    Raises whatever the pickling of a user's object raises.
    """
    return b''.join(dump_parts(value))


def dump_parts(value: Any) -> list[Part]:
    """As `dumps`, in pieces: large buffers of the value are among them uncopied, so use them before anybody changes it."""
    try:
        return _parts_by_value(value)
    except Exception:  # noqa: BLE001 - user code: `__reduce__` may raise anything; by reference it may be fine (a module that holds a lock)
        return parts_by_reference(value)


def parts_by_reference(value: Any) -> list[Part]:
    """As `dumps_by_reference`, in pieces."""
    if type(value) in _PLAIN:
        return _parts(pickle.Pickler, value) if is_bulky(value) else [pickle.dumps(value, PROTOCOL)]
    return _parts(cloudpickle.Pickler, value)


def is_bulky(value: Any) -> bool:
    """Whether it is a string or bytes that had better not be copied."""
    return type(value) in (bytes, str) and len(value) >= BULK


def dumps_by_reference(value: Any) -> bytes:
    """Pickle `value` as cloudpickle does by itself: importable things by their names. Raises what the user's objects raise."""
    if type(value) in _PLAIN:
        return pickle.dumps(value, PROTOCOL)
    return b''.join(_parts(cloudpickle.Pickler, value))


def dumps_exception(error: Exception) -> bytes:
    """Pickle an exception by reference and without its traceback, however this process pickles exceptions otherwise.

    Importing Parsl makes every exception take its whole traceback along (tblib's `install`), which fails for a deep one. And Python itself
    pickles an exception so that it is made anew from `args`, which fails where its `__init__` takes other arguments than it passes on.
    Raises what the user's objects raise.
    """
    with io.BytesIO() as file:
        _ExceptionPickler(file, protocol=PROTOCOL).dump(error)
        return file.getvalue()


def call_parts(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Part]:
    """Pickle arguments: those of plain types without cloudpickle, which costs ten times as much."""
    values = (*args, *kwargs.values())
    if _PLAIN.issuperset(map(type, values)):
        if any([is_bulky(each) for each in values]):  # noqa: C419 - a list is faster here
            return _parts(pickle.Pickler, (args, kwargs))
        return [pickle.dumps((args, kwargs), PROTOCOL)]
    return dump_parts((args, kwargs))


def loads(data: bytes) -> Any:
    """Unpickle. Runs code of whoever made `data`: only for those that are trusted to. Raises anything."""
    return pickle.loads(data)  # noqa: S301 - callers ask first whom the bytes are from


def loads_plain(data: bytes) -> Any:
    """Unpickle what is made of Python's own types alone, so that nobody's code runs. Raises UnpicklingError for all else."""
    with io.BytesIO(data) as file:
        return _PlainUnpickler(file).load()


class _PlainUnpickler(pickle.Unpickler):
    """Imports nothing."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f'{module_name}.{global_name} is not one of the plain types')


def load(file: BinaryIO) -> Any:
    """Unpickle from a file: large buffers are read to where they stay. As `loads`."""
    return pickle.load(file)  # noqa: S301 - as above


def is_users(name: str) -> bool:
    """Whether the module `name` is the user's own: of Python code, and neither the standard library nor installed."""
    verdict = _VERDICTS.get(name)
    if verdict is None:
        module = sys.modules.get(name)
        if module is None:
            return False
        verdict = _VERDICTS[name] = _judge(name.partition('.')[0], getattr(module, '__file__', None))
    return verdict


def _judge(root: str, file: Any) -> bool:
    if root in _OURS or root in sys.stdlib_module_names or not isinstance(file, str) or not file.endswith(('.py', '.pyc')):
        return False
    path = os.path.realpath(file)
    return not path.startswith(_INSTALLED) and not {'site-packages', 'dist-packages'} & set(Path(path).parts)


def _parts_by_value(value: Any) -> list[Part]:
    leased: set[str] = set()
    try:
        return _parts(partial(_Pickler, leased=leased), value)
    finally:
        _release(leased)


def _parts(pickler: Callable[..., Any], value: Any) -> list[Part]:
    file = _Parts()
    pickler(file, protocol=PROTOCOL).dump(value)
    return [piece.raw() if type(piece) is pickle.PickleBuffer else piece for piece in file.pieces]


class _Parts:
    """A file for picklers that keeps what they write as it came."""

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.write = self.pieces.append


class _ExceptionPickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle's, with a way of its own for exceptions."""

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, BaseException):
            return super().reducer_override(obj)
        kind = type(obj)
        if kind.__reduce__ is BaseException.__reduce__ and isinstance(kind.__init__, FunctionType):
            return _remake, (kind, obj.args), obj.__dict__
        return obj.__reduce_ex__(PROTOCOL)


def _remake(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """An exception with these `args`, past its `__init__`, which may take others."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle's, that enters the modules it meets."""

    def __init__(self, file: Any, leased: set[str], protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self._leased = leased

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is FunctionType or kind is TypeVar or issubclass(kind, type):
            self._enter(getattr(obj, '__module__', None))
        elif kind is ModuleType:
            self._enter(obj.__name__)
        return super().reducer_override(obj)

    def _enter(self, name: Any) -> None:
        if type(name) is str and name not in self._leased and is_users(name) and _lease(name):
            self._leased.add(name)


def _lease(name: str) -> bool:
    with _LOCK:
        if name not in _LEASES and name in cloudpickle.list_registry_pickle_by_value():
            return False  # the user entered it: then it is not ours to take out
        if name not in _LEASES:
            cloudpickle.register_pickle_by_value(sys.modules[name])
        _LEASES[name] = _LEASES.get(name, 0) + 1
    return True


def _release(leased: set[str]) -> None:
    with _LOCK:
        for name in leased:
            _LEASES[name] -= 1
            if not _LEASES[name]:
                del _LEASES[name]
                if name in cloudpickle.list_registry_pickle_by_value():
                    cloudpickle.unregister_pickle_by_value(sys.modules.get(name) or ModuleType(name))
