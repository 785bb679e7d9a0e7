from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
import uuid
from concurrent.futures import as_completed, wait

import pytest

from relay_parsl.client import loop
from relay_parsl.client.executor import Executor
from relay_parsl.client.loop import WATCH_PAUSE
from relay_parsl.errors import (
    ConfigError,
    NotFound,
    RemoteError,
    RemoteExit,
    StoreError,
    TaskCancelled,
    TaskRejected,
)
from relay_parsl.wire import messages as m
from tests.unit.client.calls import LONG, OwnError, double, fail, leave, until
from tests.unit.client.fake_relay import FakeRelay


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


def test_the_states_of_many_are_asked_for_at_once(relay: FakeRelay, executor: Executor) -> None:
    relay.runs = False
    futures = [executor.submit(double, number) for number in range(300)]
    executor.flush(LONG)
    started = time.monotonic()
    assert {each.state() for each in futures} == {'running'}
    (watch,) = relay.of(m.Watch)
    assert set(watch.ids) == {each.id for each in futures}
    late = [executor.submit(double, number) for number in range(300)]
    executor.flush(LONG)
    assert {each.state() for each in late} == {'running'}
    assert len(relay.of(m.Watch)) <= 1 + (time.monotonic() - started) / WATCH_PAUSE
    executor.shutdown(wait=False, cancel_futures=True)


def test_more_states_than_are_told_at_a_time(relay: FakeRelay, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, 'WATCHED', 20)
    relay.runs = False
    futures = [executor.submit(double, number) for number in range(50)]
    executor.flush(LONG)
    assert {each.state() for each in futures} == {'running'}
    watches = relay.of(m.Watch)
    assert len(watches) == 3
    assert all(len(each.ids) == 20 for each in watches)
    executor.shutdown(wait=False, cancel_futures=True)


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


@pytest.mark.attack(18)
def test_what_an_untrusted_endpoint_sends_is_json(relay: FakeRelay) -> None:
    relay.home.unpin('polaris')
    executor = Executor(uuid.UUID(bytes=bytes(relay.endpoint.id)), relay=relay.target)
    assert executor.submit(double, 21).result(LONG) == 42
    assert isinstance(executor.submit(fail, 'why').exception(LONG), RemoteError)


def test_what_may_run_once_is_not_tried_again_after_its_own_exception(relay: FakeRelay, executor: Executor) -> None:
    once = executor.with_options(retries=2).with_options(at_most_once=True).submit(double, 1)
    once.result(LONG)
    header, call = relay.calls[once.id]
    assert (header.at_most_once, call.options) == (True, {})


def test_options(relay: FakeRelay, executor: Executor) -> None:
    specification: dict[str, object] = {'num_nodes': 2, 'pool': 'gpu'}
    executor.resource_specification = specification
    view = executor.with_options(priority=-3, retries=2, user_endpoint_config={'account': 'x'})
    future = view.with_options(retries=1, timeout=2.5).submit(double, 1)
    specification['num_nodes'] = 3
    assert future.result(LONG) == 2
    header, call = relay.calls[future.id]
    assert (header.priority, header.at_most_once, header.pool) == (-3, False, 'gpu')
    assert call.options == {'timeout': 2.5, 'retries': 1, 'resource_specification': {'num_nodes': 2}, 'user_endpoint_config': {'account': 'x'}}
    plain = executor.submit(double, 1)
    plain.result(LONG)
    assert relay.calls[plain.id][1].options == {'resource_specification': {'num_nodes': 3}}
    for wrong in (5, ['gpu'], 'x' * 65):
        with pytest.raises(ConfigError, match="pool is the name of one of the endpoint's engines"):
            executor.with_options(resource_specification={'pool': wrong})
    for odd in (0, -1, 'x', True, float('inf'), float('nan')):
        with pytest.raises(ConfigError, match='timeout is a positive number of seconds'):
            executor.with_options(timeout=odd)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match='priority is a whole number'):
        executor.with_options(priority=1.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match='resource_specification holds'):
        executor.with_options(resource_specification={'x': object()})
    with view:
        pass
    assert executor.submit(double, 1).result(LONG) == 2


def test_cloud_parameters_warn(relay: FakeRelay) -> None:
    with pytest.warns(UserWarning, match='batch_size'):
        Executor('polaris', batch_size=10, relay=relay.target)


def test_hardware_report(executor: Executor) -> None:
    assert '== host' in executor.get_worker_hardware_details()


def test_every_setting_of_the_cloud_sdk_has_its_place() -> None:
    upstream = [
        'endpoint_id', 'client', 'task_group_id', 'resource_specification', 'user_endpoint_config', 'label', 'batch_size', 'amqp_port',
        'api_burst_limit', 'api_burst_window_s', 'serializer', 'result_serializers',
    ]  # fmt: skip
    parameters = list(inspect.signature(Executor).parameters.values())
    assert [each.name for each in parameters] == [*upstream, 'relay', 'credentials']
    assert [each.name for each in parameters if each.kind is each.KEYWORD_ONLY] == ['relay', 'credentials']
