"""What stands in the user's own modules travels by value."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from relay_parsl.errors import RemoteError, SerializationError
from relay_parsl.wire import codec, payload
from relay_parsl.wire.payload import pickling

CHILD = """
import sys
from relay_parsl.wire import codec, payload
function, arguments = codec.unpack(sys.stdin.buffer.read())
try:
    args, kwargs = payload.load_arguments(arguments)
    blob = payload.dump_value(payload.load_function(function)(*args, **kwargs))
except BaseException as error:
    blob = payload.dump_failure(error)
sys.stdout.buffer.write(blob)
"""
MODULE = """
import threading
import other_module
from other_module import Base

LIMIT = 3
LOCK = threading.Lock()

class Point(Base):
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return type(other) is Point and other.x == self.x
    __hash__ = None

class Odd(Exception):
    def __init__(self, code, *, extra):
        super().__init__(code)
        self.extra = extra
    def __reduce__(self):
        return (_odd, (self.args[0], self.extra))

def _odd(code, extra):
    return Odd(code, extra=extra)

def shift(point, by=1):
    return Point(point.x + by + LIMIT + other_module.offset())

def fail(code):
    raise Odd(code, extra=[code])

def locked():
    with LOCK:
        return LIMIT
"""


def remote(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> bytes:
    """The outcome blob of a call in a process that has nothing of ours but the package."""
    call = codec.pack([payload.dump_function(fn), payload.dump_arguments(args, kwargs)])
    return subprocess.run([sys.executable, '-c', CHILD], input=call, stdout=subprocess.PIPE, check=True, cwd='/', timeout=60).stdout


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of the user's own, which imports another."""
    (tmp_path / 'my_module.py').write_text(MODULE)
    (tmp_path / 'other_module.py').write_text('class Base:\n    pass\n\ndef offset():\n    return 100\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_module  # type: ignore[import-not-found]

    yield my_module
    for name in ('my_module', 'other_module'):
        sys.modules.pop(name)
        pickling._VERDICTS.pop(name, None)


def test_functions_and_classes_of_the_users_own_modules_travel_by_value(module: Any) -> None:
    result = payload.load_outcome(remote(module.shift, module.Point(1), by=2))
    assert result == module.Point(106)
    assert type(result) is module.Point


def test_exceptions_of_the_users_own_modules_come_back_as_their_own_type(module: Any) -> None:
    with pytest.raises(module.Odd) as caught:
        payload.load_outcome(remote(module.fail, 7))
    assert (caught.value.args, caught.value.extra) == ((7,), [7])
    assert isinstance(caught.value.__cause__, RemoteError)
    assert 'raise Odd(code, extra=[code])' in str(caught.value.__cause__) or 'in fail' in str(caught.value.__cause__)
    shown = ''.join(traceback.format_exception(caught.value))
    assert 'in fail' in shown


def test_what_cannot_travel_by_value_travels_by_name(module: Any) -> None:
    blob = payload.dump_function(module.locked)  # uses a lock of its module
    assert payload.load_function(blob) is module.locked


def test_partials_methods_and_arguments_take_their_modules_along(module: Any) -> None:
    assert payload.load_outcome(remote(partial(module.shift, by=5), module.Point(0))).x == 108
    assert payload.load_outcome(remote(lambda fn, x: fn(x).x, module.shift, module.Point(0))) == 104


def test_cloudpickles_table_is_as_it_was(module: Any) -> None:
    before = cloudpickle.list_registry_pickle_by_value()
    payload.dump_function(module.shift)
    with pytest.raises(SerializationError):
        payload.dump_arguments((module.Point(1), threading.Lock()), {})
    assert cloudpickle.list_registry_pickle_by_value() == before == set()
    cloudpickle.register_pickle_by_value(module)
    try:
        payload.dump_function(module.shift)
        assert cloudpickle.list_registry_pickle_by_value() == {'my_module'}
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_many_threads_share_the_table(module: Any) -> None:
    def work() -> set[bool]:
        return {b'my_module' in each and b'_make_function' in each for each in (payload.dump_function(module.shift) for _ in range(100))}

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = [future.result(60) for future in [pool.submit(work) for _ in range(4)]]
    assert found == [{True}] * 4
    assert not cloudpickle.list_registry_pickle_by_value()


@pytest.mark.parametrize('name', ['json', 'relay_parsl.errors', 'parsl', 'cloudpickle', 'pytest', 'math', '__main__', 'no.such.module'])
def test_what_is_installed_is_not_the_users_own(name: str) -> None:
    assert not pickling.is_users(name)
    assert pickling.is_users(__name__)
