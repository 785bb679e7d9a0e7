"""A Parsl script as its users write it: `RelayExecutor` over real processes, up to HighThroughputExecutor behind the relay."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import parsl
import pytest
from parsl import File, bash_app, join_app, python_app
from parsl.config import Config
from parsl.data_provider.file_noop import NoOpFileStaging
from parsl.data_provider.staging import Staging
from parsl.dataflow.futures import AppFuture
from parsl.dataflow.memoization import BasicMemoizer
from parsl.executors.threads import ThreadPoolExecutor
from parsl.utils import get_all_checkpoints

import relay_parsl as rp
from relay_parsl.executors.relay import RelayExecutor
from relay_parsl.local import Local
from tests.integration.commands import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LONG = 60
LARGE = 20_000_000


class Shouting(Staging):
    """Stages `shout:` files where the task runs: in, the worker makes the file; out, it sends the content to where the URL says."""

    def can_stage_in(self, file: File) -> bool:
        return bool(file.scheme == 'shout')

    def can_stage_out(self, file: File) -> bool:
        return bool(file.scheme == 'shout')

    def stage_in(self, dm: object, executor: str, file: File, parent_fut: object) -> None:
        file.local_path = f'{file.path}.in'

    def stage_out(self, dm: object, executor: str, file: File, app_fu: object) -> None:
        file.local_path = f'{file.path}.out'

    def replace_task(self, dm: object, executor: str, file: File, func: Callable[..., Any]) -> Callable[..., Any]:
        return before(func, file)

    def replace_task_stage_out(self, dm: object, executor: str, file: File, func: Callable[..., Any]) -> Callable[..., Any]:
        return after(func, file)


def before(func: Callable[..., Any], file: File) -> Callable[..., Any]:
    @wraps(func)
    def staged(*args: Any, **kwargs: Any) -> Any:
        with open(file.path) as source, open(file.local_path, 'w') as target:
            target.write(source.read().upper())
        return func(*args, **kwargs)

    return staged


def after(func: Callable[..., Any], file: File) -> Callable[..., Any]:
    @wraps(func)
    def staged(*args: Any, **kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        os.rename(file.local_path, file.path)
        return result

    return staged


@pytest.fixture(scope='module')
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('RELAY_PARSL_HOME', str(tmp_path_factory.mktemp('home')))
        with rp.local(workers=1) as started:
            yield started


@contextmanager
def loaded(relay: Local, directory: Path) -> Iterator[None]:
    """A script's Parsl: `far` behind the relay and `near` in this process."""
    far = RelayExecutor('local', label='far', relay=relay, storage_access=[Shouting(), NoOpFileStaging()])
    near = ThreadPoolExecutor(label='near', max_threads=1)
    memoizer = BasicMemoizer(checkpoint_mode='task_exit', checkpoint_files=get_all_checkpoints(str(directory)))
    with parsl.load(Config(executors=[far, near], retries=1, run_dir=str(directory), memoizer=memoizer, initialize_logging=False)):
        yield
    parsl.clear()


@pytest.fixture
def script(relay: Local, tmp_path: Path) -> Iterator[None]:
    with loaded(relay, tmp_path / 'run'):
        yield


def copied(inputs: list[File] = (), outputs: list[File] = ()) -> int:  # type: ignore[assignment]
    with open(inputs[0]) as source, open(outputs[0], 'w') as target:
        return target.write(source.read())


@pytest.mark.usefixtures('script')
def test_files_are_staged(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('a word')
    copy = python_app(copied, executors=['far'])
    first = copy(inputs=[File(f'file://{tmp_path}/a')], outputs=[File(f'file://{tmp_path}/b')])
    second = copy(inputs=[first.outputs[0]], outputs=[File(f'file://{tmp_path}/c')])
    assert Path(second.outputs[0].result(LONG).filepath).read_text() == 'a word'
    loud = copy(inputs=[File(f'shout://{tmp_path}/c')], outputs=[File(f'shout://{tmp_path}/d')])
    assert loud.result(LONG) == 6
    assert (tmp_path / 'd').read_text() == 'A WORD'
    assert not (tmp_path / 'd.out').exists()


def counted(path: str) -> int:
    with open(path, 'a') as note:
        note.write('x')
    return os.path.getsize(path)


def test_results_are_remembered_also_by_the_next_script(relay: Local, tmp_path: Path) -> None:
    for _ in range(2):
        with loaded(relay, tmp_path / 'run'):
            remembered = python_app(counted, executors=['far'], cache=True)
            again = [remembered(str(tmp_path / 'note')).result(LONG) for _ in range(2)]
            assert again == [1, 1]
    assert get_all_checkpoints(str(tmp_path / 'run'))


class FlakyError(Exception):
    """The user's."""


def flaky(path: str) -> str:
    if not os.path.exists(path):
        Path(path).touch()
        raise FlakyError('the first time')
    return 'the second time'


@pytest.mark.usefixtures('script')
def test_a_retry_succeeds(tmp_path: Path) -> None:
    future = python_app(flaky, executors=['far'])(str(tmp_path / 'mark'))
    assert future.result(LONG) == 'the second time'
    assert future.task_record['fail_count'] == 1


@pytest.mark.usefixtures('script')
def test_bash_apps_and_their_output(tmp_path: Path) -> None:
    @bash_app(executors=['far'])
    def say(word: str, stdout: str, stderr: str) -> str:
        return f'echo {word}; echo so >&2; exit {0 if word == "hello" else 3}'

    out, err = str(tmp_path / 'deep' / 'out'), str(tmp_path / 'err')
    assert say('hello', stdout=out, stderr=err).result(LONG) == 0
    assert Path(out).read_text() == 'hello\n'
    assert Path(err).read_text().endswith('so\n')
    with pytest.raises(parsl.app.errors.BashExitFailure) as raised:
        say('no', stdout=str(tmp_path / 'no'), stderr=str(tmp_path / 'err')).result(LONG)
    assert raised.value.exitcode == 3


@pytest.mark.usefixtures('script')
def test_joins_and_a_local_executor_in_one_script() -> None:
    @python_app(executors=['far'])
    def there(number: int) -> tuple[int, int]:
        return number + 1, os.getpid()

    @python_app(executors=['near'])
    def here(*pairs: tuple[int, int]) -> tuple[int, int]:
        return sum(number for number, _ in pairs), os.getpid()

    @join_app
    def one(pair: tuple[int, int]) -> Future[Any]:
        return there(pair[0])

    @join_app
    def many(count: int) -> list[Future[Any]]:
        return [there(number) for number in range(count)]

    mine, others = here(there(1), one(there(4))), many(4)
    assert mine.result(LONG) == (2 + 6, os.getpid())
    assert [number for number, _ in others.result(LONG)] == [1, 2, 3, 4]
    assert os.getpid() not in {process for _, process in others.result()}


@pytest.mark.usefixtures('script')
def test_priority_comes_first(tmp_path: Path) -> None:
    record, go = str(tmp_path / 'record'), str(tmp_path / 'go')

    @python_app(executors=['far'])
    def block(go: str) -> None:
        import time

        end = time.monotonic() + 60
        while not os.path.exists(go) and time.monotonic() < end:
            time.sleep(0.01)

    @python_app(executors=['far'])
    def note(path: str, word: str, parsl_resource_specification: dict[str, Any]) -> None:
        with open(path, 'a') as target:
            target.write(word)

    blocking = block(go)
    late = [note(record, 'b', parsl_resource_specification={'priority': 9}) for _ in range(30)]
    until(lambda: all(state(each) == 'waiting-for-nodes' for each in late))
    early = [note(record, 'a', parsl_resource_specification={'priority': -9}) for _ in range(10)]
    until(lambda: all(state(each) == 'waiting-for-nodes' for each in early))
    Path(go).touch()
    for each in (blocking, *late, *early):
        each.result(LONG)
    words = Path(record).read_text()
    assert len(words) == 40
    assert words[: words.rindex('a')].count('b') <= 10, 'those that HTEX had already, and no more'


def state(future: AppFuture) -> str:
    """Of the task behind the relay."""
    sent = future.task_record.get('exec_fu')
    return 'not sent' if sent is None else str(sent.state())


def test_twenty_megabytes_there_and_back(relay: Local) -> None:
    data = os.urandom(LARGE)
    with rp.Executor('local', relay=relay) as executor:
        large = executor.submit(lambda each: each[::-1], data)
        small = executor.submit(pow, 2, 3)
        assert small.result(LONG) == 8
        assert large.result(LONG) == data[::-1]
