from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.client import defaults
from relay_parsl.client.executor import Executor
from relay_parsl.errors import (
    ConfigError,
    NotFound,
    RemoteError,
    RemoteExit,
    SerializationError,
    StoreError,
    TaskCancelled,
    TaskRejected,
    Unsupported,
    VersionMismatch,
)
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import INLINE
from tests.unit.client.fake_relay import FakeRelay

LONG = 30


class OwnError(Exception):
    """The user's."""


def double(number: int) -> int:
    return 2 * number


def fail(text: str) -> None:
    raise OwnError(text)


def leave() -> None:
    sys.exit(3)


def until(happened: object, timeout: float = LONG) -> None:
    end = threading.Event()
    for _ in range(int(timeout / 0.01)):
        if happened():  # type: ignore[operator]
            return
        end.wait(0.01)
    pytest.fail('it never happened')


@pytest.fixture
def executor(relay: FakeRelay) -> Executor:
    return Executor('polaris', relay=relay.target)


def test_results_come_back(executor: Executor) -> None:
    with executor:
        futures = [executor.submit(double, number) for number in range(300)]
        assert sorted(each.result(LONG) for each in as_completed(futures, LONG)) == [2 * number for number in range(300)]
        assert {each.state() for each in futures} == {'success'}
        assert list(executor.map(double, range(5))) == [0, 2, 4, 6, 8]
    with pytest.raises(RuntimeError, match='after shutdown'):
        executor.submit(double, 1)


def test_the_users_exception_comes_as_its_own_type(executor: Executor) -> None:
    error = executor.submit(fail, 'why').exception(LONG)
    assert isinstance(error, OwnError)
    assert error.args == ('why',)
    assert isinstance(error.__cause__, RemoteError)
    assert 'in fail' in str(error.__cause__)
    assert isinstance(executor.submit(leave).exception(LONG), RemoteExit)


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


def test_large_arguments_and_results(executor: Executor) -> None:
    data = os.urandom(3 * INLINE + (2 << 20))
    future = executor.submit(lambda each: each[::-1], data)
    assert future.result(LONG) == data[::-1]
    spool = executor.session.spool()
    until(lambda: spool.keys() == [])


def test_accepted_and_flush(relay: FakeRelay, executor: Executor) -> None:
    relay.accepts = False
    future = executor.submit(double, 1)
    assert future.state() == 'unsent'
    with pytest.raises(TimeoutError, match='not accepted'):
        future.accepted(0.2)
    with pytest.raises(TimeoutError, match='1 tasks were not accepted'):
        executor.flush(0.1)
    relay.accepts = True
    executor.session._loop.post(lambda: executor.session._loop.reactor.receive(m.Goodbye('again', hello=True), 0.0))
    future.accepted(LONG)
    executor.flush(LONG)
    assert future.result(LONG) == 2


def test_states_are_asked_for_and_pushed(relay: FakeRelay, executor: Executor) -> None:
    relay.runs = False
    future = executor.submit(double, 1)
    future.accepted(LONG)
    assert future.state() == 'running'
    assert future.running()
    assert future.detail == {'host': 'nid1'}
    relay.runs = True
    assert future.result(LONG) == 2
    assert not future.running()


def test_cancel_settles_at_once_and_is_asked_for(relay: FakeRelay, executor: Executor) -> None:
    relay.runs = False
    future = executor.submit(double, 1)
    future.accepted(LONG)
    told = []
    future.add_done_callback(told.append)
    assert future.cancel()
    assert not future.cancel()
    assert future.cancelled()
    assert future.done()
    assert told == [future]
    assert future.state() == 'cancelled'
    assert isinstance(future.exception(), TaskCancelled)
    assert wait([future], 1).not_done == set()
    until(lambda: relay.of(m.Cancel))
    until(lambda: not executor.session.board.futures)


def test_asyncio_takes_the_future_as_it_is(relay: FakeRelay, executor: Executor) -> None:
    async def both() -> int:
        relay.runs = True
        first = await asyncio.wrap_future(executor.submit(double, 1))
        relay.runs = False
        second = executor.submit(double, 1)
        second.accepted(LONG)
        waiting = asyncio.wrap_future(second)
        waiting.cancel()
        await asyncio.sleep(0)
        assert second.cancelled()
        return first

    assert asyncio.run(both()) == 2


def test_callbacks_that_stall_or_raise_leave_the_session_alone(relay: FakeRelay, executor: Executor) -> None:
    stall = threading.Event()
    first = executor.submit(double, 1)
    first.add_done_callback(lambda _future: stall.wait(LONG))
    assert first.result(LONG) == 2
    second = executor.submit(double, 2)
    second.accepted(LONG)
    stall.set()
    assert second.result(LONG) == 4
    third = executor.submit(double, 3)
    third.add_done_callback(lambda _future: sys.exit(1))
    assert third.result(LONG) == 6
    assert executor.submit(double, 4).result(LONG) == 8


def test_rejections_name_the_reason(relay: FakeRelay, executor: Executor) -> None:
    relay.rejects = ('full', 'the disk is full')
    assert isinstance(executor.submit(double, 1).exception(LONG), StoreError)
    relay.rejects = ('limit', 'too many')
    assert isinstance(executor.submit(double, 1).exception(LONG), TaskRejected)


def test_unknown_endpoints(relay: FakeRelay) -> None:
    executor = Executor('perlmutter', relay=relay.target)
    with pytest.raises(NotFound, match=r"no endpoint 'perlmutter' is known here \(known: polaris\)"):
        executor.submit(double, 1).result(LONG)
    executor.endpoint_id = uuid.uuid4()
    with pytest.raises(NotFound, match='the relay knows no endpoint'):
        executor.submit(double, 1).result(LONG)
    executor.endpoint_id = None
    with pytest.raises(ValueError, match='no endpoint_id'):
        executor.submit(double, 1)
    executor.endpoint_id = str(uuid.UUID(bytes=bytes(relay.endpoint.id)))
    assert executor.submit(double, 1).result(LONG) == 2


def test_what_an_untrusted_endpoint_sends_is_json(relay: FakeRelay) -> None:
    relay.home.unpin('polaris')
    executor = Executor(uuid.UUID(bytes=bytes(relay.endpoint.id)), relay=relay.target)
    assert executor.submit(double, 21).result(LONG) == 42
    assert isinstance(executor.submit(fail, 'why').exception(LONG), RemoteError)


def test_other_pythons_fail_before_anything_runs(relay: FakeRelay, executor: Executor) -> None:
    relay.report = {'python': '3.8'}
    with pytest.raises(VersionMismatch, match=r'3\.8'):
        executor.submit(double, 1).result(LONG)
    assert not relay.of(m.Submit)
    source = executor.register_source_code('def triple(x):\n    return 3 * x\n', 'triple')
    assert executor.submit_to_registered_function(source, (2,)).result(LONG) == 6


def test_options(relay: FakeRelay, executor: Executor) -> None:
    specification = {'num_nodes': 2}
    executor.resource_specification = specification
    view = executor.with_options(priority=-3, retries=2, at_most_once=True, user_endpoint_config={'pool': 'gpu'})
    future = view.with_options(retries=1).submit(double, 1)
    specification['num_nodes'] = 3
    assert future.result(LONG) == 2
    header, call = relay.calls[future.id]
    assert (header.priority, header.at_most_once, header.pool) == (-3, True, 'gpu')
    assert call.options == {'retries': 1, 'resource_specification': {'num_nodes': 2}, 'user_endpoint_config': {'pool': 'gpu'}}
    plain = executor.submit(double, 1)
    plain.result(LONG)
    assert relay.calls[plain.id][1].options == {'resource_specification': {'num_nodes': 3}}
    with pytest.raises(Unsupported):
        executor.with_options(timeout=3)
    with pytest.raises(ConfigError, match='priority is a whole number'):
        executor.with_options(priority=1.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match='resource_specification holds'):
        executor.with_options(resource_specification={'x': object()})
    with view:
        pass
    assert executor.submit(double, 1).result(LONG) == 2


def test_serializers(relay: FakeRelay, executor: Executor) -> None:
    executor.serializer = 'json'
    executor.result_serializers = ['json']
    assert executor.submit(list, (1, 2)).result(LONG) == [1, 2]
    assert isinstance(executor.submit(double, {1}).exception(LONG), SerializationError)
    assert relay.calls
    assert {call.options['result_serializers'][0] for _, call in relay.calls.values()} == {'json'}
    with pytest.raises(SerializationError):
        executor.serializer = 'nonsense'


def test_cloud_parameters_warn(relay: FakeRelay) -> None:
    with pytest.warns(UserWarning, match='batch_size'):
        Executor('polaris', batch_size=10, relay=relay.target)


def test_registered_functions_outlive_the_process(relay: FakeRelay, executor: Executor) -> None:
    function_id = executor.register_function(double)
    assert uuid.UUID(function_id).version == 8
    again = Executor('polaris', relay=relay.target)
    assert again.submit_to_registered_function(function_id, (4,)).result(LONG) == 8
    assert isinstance(again.submit_to_registered_function(str(uuid.uuid4())).exception(1), NotFound)


def test_tasks_are_reloaded_by_another_session(relay: FakeRelay, executor: Executor) -> None:
    futures = [executor.submit(double, number) for number in range(5)]
    wait(futures, LONG)
    relay.runs = False
    futures.append(executor.submit(double, 5))
    executor.flush(LONG)
    executor.session.close()
    other = Executor('polaris', relay=relay.target)
    reloaded = {each.task_id: each for each in other.reload_tasks(executor.task_group_id)}
    relay.runs = True
    assert [reloaded[each.task_id].result(LONG) for each in futures] == [0, 2, 4, 6, 8, 10]
    (unknown,) = other.reload_tasks(task_ids=[uuid.uuid4()])
    assert isinstance(unknown.exception(LONG), NotFound)


def test_nothing_is_lost_over_a_restart_of_the_relay(relay: FakeRelay, executor: Executor) -> None:
    relay.accepts = False
    futures = [executor.submit(double, number) for number in range(50)]
    until(lambda: relay.of(m.Submit))
    relay.close()
    second = FakeRelay(relay.home, port=relay.port, keys=relay.keys)
    try:
        second.endpoint = relay.endpoint
        assert [each.result(LONG) for each in futures] == [2 * number for number in range(50)]
    finally:
        executor.session.close()
        second.close()


def test_shutdown_cancels_when_asked(relay: FakeRelay, executor: Executor) -> None:
    relay.runs = False
    future = executor.submit(double, 1)
    future.accepted(LONG)
    executor.shutdown(cancel_futures=True)
    assert future.cancelled()
    session = executor.session
    until(lambda: not session.usable)


def test_a_key_that_the_relay_refuses_ends_in_one_line(relay: FakeRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('relay_parsl.client.loop.PATIENCE', 0.5)
    relay._router._admit = lambda _key: False
    executor = Executor('polaris', relay=relay.target)
    with pytest.raises(Exception, match='the relay refuses your key'):
        executor.submit(double, 1).result(LONG)
    with pytest.raises(Exception, match='the relay refuses your key'):
        executor.submit(double, 1).result(LONG)


def test_many_threads_share_one_session(executor: Executor) -> None:
    with ThreadPoolExecutor(8) as pool:
        futures = list(pool.map(lambda number: executor.submit(double, number), range(400)))
    assert [each.result(LONG) for each in futures] == [2 * number for number in range(400)]


def test_the_default_relay_of_a_block(relay: FakeRelay) -> None:
    defaults.enter(relay.target)
    try:
        assert Executor('polaris').submit(double, 1).result(LONG) == 2
    finally:
        defaults.leave(relay.target)


def test_no_relay_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'nothing'))
    monkeypatch.setattr(defaults, 'embedded', None)
    with pytest.raises(ConfigError, match='no relay is known here'):
        Executor('polaris')
    with pytest.raises(ConfigError, match='relay= takes a name'):
        Executor('polaris', relay=3)


def test_hardware_report(executor: Executor) -> None:
    assert '== host' in executor.get_worker_hardware_details()


def test_a_forked_child_has_a_session_of_its_own(executor: Executor) -> None:
    assert executor.submit(double, 1).result(LONG) == 2
    group = executor.task_group_id
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if executor.submit(double, 2).result(LONG) == 4 and executor.session.target.relay.name == 'fake' else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert executor.submit(double, 3).result(LONG) == 6
    assert executor.task_group_id == group


SCRIPT = """
import sys
from relay_parsl.client import session
from relay_parsl.client.executor import Executor
session.LAST_FLUSH = float(sys.argv[1])
executor = Executor('polaris')
for number in range(7):
    executor.submit(pow, number, 2)
"""


@pytest.mark.parametrize(('accepts', 'seconds'), [(True, '30'), (False, '0.5')])
def test_exit_flushes_and_names_what_is_lost(relay: FakeRelay, accepts: bool, seconds: str) -> None:
    relay.accepts = accepts
    relay.home.add_relay(relay.target.relay)
    environment = {**os.environ, 'RELAY_PARSL_HOME': str(relay.home.root)}
    done = subprocess.run([sys.executable, '-c', SCRIPT, seconds], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert ('7 tasks were not accepted by relay fake' in done.stderr) is not accepts
    assert len(relay.calls) == (7 if accepts else 0)


def test_no_endpoint_and_no_relay_means_the_embedded_one(relay: FakeRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'nothing'))
    monkeypatch.setattr(defaults, 'embedded', lambda: replace(relay.target, endpoint='polaris'))
    assert Executor().submit(double, 1).result(LONG) == 2
    with pytest.raises(ConfigError, match='no relay is known here'):
        Executor('perlmutter')


def test_every_setting_of_the_cloud_sdk_has_its_place() -> None:
    upstream = [
        'endpoint_id', 'client', 'task_group_id', 'resource_specification', 'user_endpoint_config', 'label', 'batch_size', 'amqp_port',
        'api_burst_limit', 'api_burst_window_s', 'serializer', 'result_serializers',
    ]  # fmt: skip
    parameters = list(inspect.signature(Executor).parameters.values())
    assert [each.name for each in parameters] == [*upstream, 'relay', 'credentials']
    assert [each.name for each in parameters if each.kind is each.KEYWORD_ONLY] == ['relay', 'credentials']
