from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import parsl
import pytest
import typeguard
from parsl import bash_app, join_app, python_app
from parsl.config import Config
from parsl.dataflow.errors import JoinError
from parsl.dataflow.memoization import BasicMemoizer
from parsl.executors.errors import BadStateException, InvalidResourceSpecification
from parsl.executors.threads import ThreadPoolExecutor
from parsl.monitoring.radios.filesystem import FilesystemRadio
from parsl.utils import RepresentationMixin

from relay_parsl.client.executor import Executor
from relay_parsl.errors import ConfigError, TaskCancelled
from relay_parsl.executors.relay import RelayExecutor
from tests.unit.client.fake_relay import FakeRelay

LONG = 30


@pytest.fixture
def executor(relay: FakeRelay) -> Iterator[RelayExecutor]:
    made = RelayExecutor('polaris', label='far', relay=relay.target)
    try:
        yield made
    finally:
        made.shutdown()


@pytest.fixture
def parsl_loaded(executor: RelayExecutor, tmp_path: Path) -> Iterator[RelayExecutor]:
    memoizer = BasicMemoizer(checkpoint_mode='task_exit')
    near = ThreadPoolExecutor(label='near', max_threads=1)
    config = Config(executors=[executor, near], retries=1, run_dir=str(tmp_path / 'runinfo'), memoizer=memoizer, initialize_logging=False)
    with parsl.load(config):
        yield executor
    parsl.clear()


class FlakyError(Exception):
    """The user's."""


def test_python_apps_run_there(parsl_loaded: RelayExecutor) -> None:
    @python_app(executors=['far'])
    def add(a: int, b: int = 1) -> int:
        return a + b

    assert add(add(1), b=add(2)).result(LONG) == 5
    assert parsl_loaded.outstanding() == 0


def test_exceptions_keep_their_type_and_are_retried(parsl_loaded: RelayExecutor, relay: FakeRelay) -> None:
    @python_app(executors=['far'])
    def fail() -> None:
        raise FlakyError('why')

    with pytest.raises(FlakyError, match='why'):
        fail().result(LONG)
    assert len(relay.calls) == 2


def test_results_are_remembered(parsl_loaded: RelayExecutor, relay: FakeRelay) -> None:
    @python_app(executors=['far'], cache=True)
    def square(number: int) -> int:
        return number**2

    assert [square(3).result(LONG) for _ in range(2)] == [9, 9]
    assert len(relay.calls) == 1


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')  # Parsl leaves the redirected file to the collector
def test_bash_apps(parsl_loaded: RelayExecutor, tmp_path: Path) -> None:
    @bash_app(executors=['far'])
    def say(word: str, stdout: str) -> str:
        return f'echo {word}'

    assert say('hello', stdout=str(tmp_path / 'out')).result(LONG) == 0
    assert (tmp_path / 'out').read_text() == 'hello\n'


def test_join_apps_take_futures_of_the_executor(parsl_loaded: RelayExecutor, relay: FakeRelay) -> None:
    raw = Executor('polaris', relay=relay.target)

    @join_app
    def one() -> object:
        return raw.submit(pow, 2, 5)

    @join_app
    def many() -> list[object]:
        return [raw.submit(pow, 2, number) for number in range(3)]

    @join_app
    def none(future: list) -> object:
        return future[0]

    assert one().result(LONG) == 32
    assert many().result(LONG) == [1, 2, 4]
    relay.runs = False
    held = raw.submit(pow, 1, 1)
    joined = none([held])
    held.accepted(LONG)
    assert held.cancel()
    error = joined.exception(LONG)
    assert isinstance(error, JoinError)
    assert isinstance(error.dependent_exceptions_tids[0][0], TaskCancelled)


def test_mixed_with_local_executors(parsl_loaded: RelayExecutor) -> None:
    @python_app(executors=['near'])
    def near(number: int) -> int:
        return number + 1

    @python_app(executors=['far'])
    def far(number: int) -> int:
        return number * 10

    assert near(far(near(0))).result(LONG) == 11


def test_resource_specifications(parsl_loaded: RelayExecutor, relay: FakeRelay) -> None:
    @python_app(executors=['far'])
    def nothing(parsl_resource_specification: dict) -> None:
        pass

    specification = {'priority': 7, 'num_nodes': 2, 'pool': 'gpu', 'timeout': 30, 'user_endpoint_config': {'account': 'x'}}
    nothing(parsl_resource_specification=specification).result(LONG)
    ((header, call),) = relay.calls.values()
    assert (header.priority, header.pool) == (7, 'gpu')
    assert call.options == {'timeout': 30, 'resource_specification': {'num_nodes': 2}, 'user_endpoint_config': {'account': 'x'}}
    assert specification == {'priority': 7, 'num_nodes': 2, 'pool': 'gpu', 'timeout': 30, 'user_endpoint_config': {'account': 'x'}}
    for wrong in ({'priority': 'high'}, {'pool': 3}, {'cores': threading.Lock()}, {'timeout': 'soon'}):
        with pytest.raises(InvalidResourceSpecification) as raised:
            nothing(parsl_resource_specification=wrong).result(LONG)
        assert raised.value.invalid_keys == set(wrong)


def test_after_shutdown_futures_fail_and_nothing_hangs(relay: FakeRelay) -> None:
    executor = RelayExecutor('polaris', relay=relay.target)
    assert isinstance(executor.submit(pow, {}, 1, 2).exception(1), BadStateException)
    executor.start()
    relay.runs = False
    futures = [executor.submit(pow, {}, 1, 2) for _ in range(5)]
    assert executor.outstanding() == 5
    executor.shutdown()
    executor.shutdown()
    assert wait(futures, 1).not_done == set()
    assert isinstance(futures[0].exception(), TaskCancelled)
    assert 'it was shut down' in str(executor.submit(pow, {}, 1, 2).exception(1))
    executor.start()
    relay.runs = True
    assert executor.submit(pow, {}, 2, 2).result(LONG) == 4
    executor.shutdown()


def test_the_future_knows_its_task(executor: RelayExecutor) -> None:
    executor.start()
    future = executor.submit(pow, {}, 2, 3)
    assert uuid.UUID(future.parsl_executor_task_id)
    assert future.result(LONG) == 8


def test_every_argument_is_kept_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RepresentationMixin, '_validate_repr', True, raising=False)
    radio = FilesystemRadio()
    executor = RelayExecutor(
        'polaris', label='x', relay='name', credentials='ada', storage_access=[], working_dir='/scratch', remote_monitoring_radio=radio
    )
    shown = repr(executor)
    assert all(
        each in shown for each in ("'polaris'", "label='x'", "relay='name'", "credentials='ada'", 'storage_access=[]', "working_dir='/scratch'")
    )
    assert executor.remote_monitoring_radio is radio
    assert executor.monitor_resources()
    assert RelayExecutor('polaris').label == 'polaris'


def test_arguments_are_checked() -> None:
    with pytest.raises(typeguard.TypeCheckError):
        RelayExecutor('polaris', working_dir=3)  # type: ignore[arg-type]


def test_a_wrong_relay_aborts_the_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path))
    with pytest.raises(ConfigError):
        RelayExecutor('polaris', relay='nobody').start()
