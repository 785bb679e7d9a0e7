"""Exceptions through bytes: never more than one task fails of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from relay_parsl import errors
from relay_parsl.errors import ProtocolError, RemoteError, RemoteExit
from relay_parsl.wire import codec, payload
from tests.unit.wire.strange import nested


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


def outcome(error: BaseException, *, trusted: bool = True) -> BaseException:
    try:
        payload.load_outcome(payload.dump_failure(error), trusted=trusted)
    except BaseException as found:  # noqa: BLE001
        return found
    raise AssertionError('nothing was raised')


class Attributed(ValueError):
    pass


def test_an_exception_comes_back_as_its_own_type_with_the_remote_traceback() -> None:
    error = Attributed('why', 7)
    error.code = 3  # type: ignore[attr-defined]
    found = outcome(raised(error))
    assert type(found) is Attributed
    assert (found.args, found.code) == (('why', 7), 3)
    assert isinstance(found.__cause__, RemoteError)
    assert 'in raised' in str(found.__cause__)
    assert 'Attributed' in str(found.__cause__)
    names = [frame.name for frame in traceback.extract_tb(found.__traceback__)]
    assert names[-1] == 'raised'


def test_what_an_exception_was_raised_from_stands_in_the_text() -> None:
    try:
        try:
            raise KeyError('first')
        except KeyError as first:
            raise ValueError('second') from first
    except ValueError as error:
        found = outcome(error)
    assert "KeyError: 'first'" in str(found.__cause__)


class TwoArguments(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one)


class Returns(Exception):
    def __init__(self, reduced: Any) -> None:
        super().__init__('text')
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced() if callable(self.reduced) else self.reduced


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError('no text')

    def __reduce__(self) -> Any:
        raise RuntimeError('no pickle')


class HasLock(Exception):
    def __init__(self) -> None:
        super().__init__('text')
        self.lock = threading.Lock()


def leave() -> Any:
    raise SystemExit(3)


def test_an_exception_that_is_made_of_other_arguments_than_it_passes_on() -> None:
    error = TwoArguments(1, 2)
    error.more = [3]  # type: ignore[attr-defined]
    found = outcome(raised(error))
    assert type(found) is TwoArguments
    assert (found.args, found.more) == ((1,), [3])  # type: ignore[attr-defined]


BAD = [
    Returns(None),
    Returns('x'),
    Returns((int, ('7',))),
    Returns((leave, ())),
    Returns(leave),
    NoText(),
    HasLock(),
    ValueError(nested(100_000)),
]


@pytest.mark.attack(19)
@pytest.mark.fault(52)
@pytest.mark.parametrize('error', BAD, ids=lambda error: type(error).__name__)
def test_an_exception_that_cannot_travel_is_a_text(error: Exception) -> None:
    found = outcome(raised(error))
    assert type(found) is RemoteError
    assert type(error).__name__ in str(found)


@pytest.mark.parametrize(
    'error', [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError('x')], ids=lambda error: type(error).__name__
)
def test_what_is_no_exception_is_a_remote_exit(error: BaseException) -> None:
    found = outcome(raised(error))
    assert type(found) is RemoteExit
    assert type(error).__name__ in str(found)


@pytest.mark.parametrize('trusted', [True, False])
def test_errors_of_our_own_tree_need_no_pickle(trusted: bool) -> None:
    found = outcome(errors.WorkerLost('killed by signal 9'), trusted=trusted)
    assert type(found) is errors.WorkerLost
    assert found.args == ('killed by signal 9',)
    assert found.__cause__ is None
    assert 'in raised' in str(outcome(raised(errors.TaskTimeout('late')), trusted=trusted).__cause__)


def test_names_that_are_no_error_of_our_own_tree() -> None:
    for name in ('CancelledError', '__builtins__', 'annotations', 'RelayError.mro', 'int'):
        with pytest.raises(RemoteError, match='text'):
            payload.load_outcome(codec.pack(['failure', name, 'text', ['x'], b'', []]), trusted=False)


@pytest.mark.attack(19)
def test_pickles_of_failures_that_are_no_exceptions() -> None:
    for data in (cloudpickle.dumps(7), cloudpickle.dumps(SystemExit(1)), b'junk', cloudpickle.dumps(ValueError)):
        with pytest.raises(RemoteError, match='the text'):
            payload.load_outcome(codec.pack(['failure', 'x', 'the text', None, data, []]))


@pytest.mark.parametrize(
    'frames', [[1], [['f']], [['f', 'x', 'g']], [['f', 2**40, 'g']], [['\0', -5, '']], [[None, None, None]], [{'a': 1}]], ids=repr
)
def test_frames_that_are_none_do_no_harm(frames: list[Any]) -> None:
    with pytest.raises(ValueError, match='why'):
        payload.load_outcome(codec.pack(['failure', 'x', 'the text', None, cloudpickle.dumps(ValueError('why')), frames]))


def deep(n: int) -> None:
    if n:
        deep(n - 1)
    raise ValueError('bottom')


def test_parsl_in_the_same_process_changes_nothing() -> None:
    """Importing it makes tblib pickle whole tracebacks with exceptions, by way of copyreg: a deep one cost the exception its type."""
    script = (
        'import parsl.app.python\n'
        'from tests.unit.wire import test_payload_failures as these\n'
        'these.test_deep_tracebacks_and_long_texts_are_bounded()\n'
        'these.test_an_exception_that_is_made_of_other_arguments_than_it_passes_on()\n'
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, '-c', script], cwd=root, check=True, timeout=60)


def test_deep_tracebacks_and_long_texts_are_bounded() -> None:
    with pytest.raises(ValueError, match='bottom') as caught:
        deep(400)
    found = outcome(caught.value)
    assert type(found) is ValueError
    assert len(traceback.extract_tb(found.__traceback__)) <= 110
    assert len(str(outcome(NoText('x' * 10_000_000)))) < 100_000
    assert len(payload.dump_failure(Returns(leave))) < 5_000
    assert type(outcome(recursion())) is RecursionError


def recursion() -> BaseException:
    def forever() -> None:
        forever()

    try:
        forever()
    except RecursionError as error:
        return error
    raise AssertionError


def test_texts_with_lone_surrogates_travel() -> None:
    assert '\\udc80' in str(outcome(NoNote('file \udc80')).__cause__)
    assert payload.describe(payload.dump_function(lambda: None)).name.endswith('<lambda>')


class NoNote(ValueError):
    pass


@pytest.mark.parametrize(
    'blob',
    [b'', codec.pack([]), codec.pack(['value']), codec.pack(['value', 1, b'']), codec.pack(['failure', 'a', 'b']), codec.pack(['x', 'y', b'z'])],
)
def test_junk_is_no_outcome(blob: bytes) -> None:
    with pytest.raises(ProtocolError):
        payload.load_outcome(blob)
