from __future__ import annotations

import gc
import os
import threading
import uuid

import pytest

from relay_parsl.client.executor import Executor
from relay_parsl.client.orders import Functions
from relay_parsl.errors import (
    NotFound,
    SerializationError,
    VersionMismatch,
)
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import INLINE
from tests.unit.client.calls import LONG, double, until
from tests.unit.client.fake_relay import FakeRelay


def test_functions_travel_once_and_follow_their_closures(relay: FakeRelay, executor: Executor) -> None:
    def counted(by: int):
        def add(number: int) -> int:
            return number + by

        def set_by(value: int) -> None:
            nonlocal by
            by = value

        return add, set_by

    add, set_by = counted(1)
    assert [executor.submit(add, 1).result(LONG) for _ in range(3)] == [2, 2, 2]
    assert sum(each.kind == 'function' for message in relay.of(m.Objects) for each in message.objects) == 1
    set_by(10)
    assert executor.submit(add, 1).result(LONG) == 11
    held: list[int] = []
    grow = lambda: len(held)  # noqa: E731
    assert executor.submit(grow).result(LONG) == 0
    held.append(1)
    assert executor.submit(grow).result(LONG) == 1


def test_a_function_is_forgotten_when_it_dies_and_seen_when_it_changes() -> None:
    functions = Functions()

    def one() -> int:
        return 1

    def two() -> int:
        return 2

    first = functions.get(one)
    assert functions.get(one) is first
    one.__code__ = two.__code__
    second = functions.get(one)
    assert second.digest != first.digest
    one.__defaults__ = (5,)
    assert functions.get(one) is not second
    del one
    gc.collect()
    assert not functions._known


@pytest.mark.fault(53)
def test_other_pythons_fail_before_anything_runs(relay: FakeRelay, executor: Executor) -> None:
    relay.report = {'python': '3.8'}
    with pytest.raises(VersionMismatch, match=r'3\.8'):
        executor.submit(double, 1).result(LONG)
    assert not relay.of(m.Submit)
    source = executor.register_source_code('def triple(x):\n    return 3 * x\n', 'triple')
    assert executor.submit_to_registered_function(source, (2,)).result(LONG) == 6


def test_serializers(relay: FakeRelay, executor: Executor) -> None:
    executor.serializer = 'json'
    executor.result_serializers = ['json']
    assert executor.submit(list, (1, 2)).result(LONG) == [1, 2]
    assert isinstance(executor.submit(double, {1}).exception(LONG), SerializationError)
    assert relay.calls
    assert {call.options['result_serializers'][0] for _, call in relay.calls.values()} == {'json'}
    with pytest.raises(SerializationError):
        executor.serializer = 'nonsense'


def test_registered_functions_outlive_the_process(relay: FakeRelay, executor: Executor) -> None:
    function_id = executor.register_function(double)
    assert uuid.UUID(function_id).version == 8
    again = Executor('polaris', relay=relay.target)
    assert again.submit_to_registered_function(function_id, (4,)).result(LONG) == 8
    assert isinstance(again.submit_to_registered_function(str(uuid.uuid4())).exception(1), NotFound)


def test_one_bad_task_fails_alone(executor: Executor) -> None:
    bad = executor.submit(double, threading.Lock())
    lock = threading.Lock()
    worse = executor.submit(lambda: lock)
    good = executor.submit(double, 4)
    assert isinstance(bad.exception(LONG), SerializationError)
    assert isinstance(worse.exception(LONG), SerializationError)
    assert bad.state() == 'failed'
    with pytest.raises(SerializationError):
        bad.accepted(1)
    assert good.result(LONG) == 8


def test_arguments_are_those_of_the_moment(relay: FakeRelay, executor: Executor) -> None:
    relay.runs = False
    values = [1]
    future = executor.submit(sum, values)
    values.append(10)
    relay.runs = True
    assert future.result(LONG) == 1


def test_large_arguments_and_results(executor: Executor) -> None:
    data = os.urandom(3 * INLINE + (2 << 20))
    future = executor.submit(lambda each: each[::-1], data)
    assert future.result(LONG) == data[::-1]
    spool = executor.session.spool()
    until(lambda: spool.keys() == [])


def test_importable_names_travel_as_names_with_json(relay: FakeRelay, executor: Executor) -> None:
    assert executor.submit_to_registered_function('math:gcd', (12, 18)).result(LONG) == 6
    named = executor.register_function('no_such_module.anywhere:function')
    assert 'no_such_module' in str(executor.submit_to_registered_function(named, [1], {'by': 2}).exception(LONG))
    assert [header.serializer for header, _ in relay.calls.values()] == ['json', 'json']
    executor.serializer = 'cloudpickle'
    assert executor.submit_to_registered_function('builtins:len', ({1, 2},)).result(LONG) == 2
    for wrong in ('math:', 'math.sqrt:a.b', 'os:__import__'):
        assert isinstance(executor.submit_to_registered_function(wrong).exception(LONG), SerializationError)
        with pytest.raises(SerializationError):
            executor.register_function(wrong)


class OneWay:
    """Pickles, and no more."""

    def __reduce__(self) -> tuple[object, ...]:
        return int, ('no way back',)


def test_a_call_is_checked_before_it_is_sent(relay: FakeRelay, executor: Executor) -> None:
    lock = threading.Lock()
    executor.check(double, {1})
    executor.check('no_such_module:function', 1, by=[2])
    with pytest.raises(SerializationError, match="it uses 'lock'"):
        executor.check(lambda: lock)
    with pytest.raises(SerializationError, match=r'argument 1 \(a lock\)'):
        executor.check(double, lock)
    with pytest.raises(SerializationError, match=r'argument 1 \(a OneWay\) does not survive cloudpickle.*no way back'):
        executor.check(double, OneWay())
    with pytest.raises(SerializationError, match=r"argument 'by' \(a set\) cannot be serialized with json"):
        executor.check('math:gcd', 1, by={2})
    executor.serializer = 'json'
    with pytest.raises(SerializationError, match=r'argument 1 \(a set\) cannot be serialized with json'):
        executor.check(double, {1})
    with pytest.raises(NotFound):
        executor.check(str(uuid.uuid4()))
    assert not relay.calls
