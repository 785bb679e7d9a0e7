from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.client import defaults
from relay_parsl.client.executor import Executor
from relay_parsl.client.futures import TaskFuture
from relay_parsl.errors import (
    ConfigError,
    NotFound,
    RelayError,
)
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Id
from tests.unit.client.calls import LONG, Where, double, thread_name, until
from tests.unit.client.fake_relay import FakeRelay


def test_no_code_of_a_user_runs_in_the_io_thread(relay: FakeRelay, executor: Executor) -> None:
    """Small plain results of which nobody is told are settled there; what would run code goes to the thread for that."""
    settlers = {f'relay-parsl {executor.target.relay.name} results', threading.current_thread().name}  # who adds a callback late runs it himself
    called: list[str] = []
    futures = [executor.submit(double, 1) for _ in range(30)]
    for each in futures:
        each.add_done_callback(lambda _: called.append(thread_name()))
    assert [each.result(LONG) for each in futures] == [2] * 30
    until(lambda: len(called) == 30)
    assert settlers.issuperset(called)
    assert executor.submit(Where).result(LONG) in settlers
    relay.runs = False
    held = executor.submit(double, 1)
    held.add_done_callback(lambda _: called.append(f'last {thread_name()}'))
    relay.runs = True
    until(lambda: called[-1].startswith('last'))
    assert called[-1].endswith('results')


def test_nothing_is_lost_over_a_restart_of_the_relay(relay: FakeRelay, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('relay_parsl.client.link.QUIET', 0.5)
    monkeypatch.setattr('relay_parsl.client.link.DEAD', 2.0)
    relay.accepts = False
    futures = [executor.submit(double, number) for number in range(50)]
    until(lambda: relay.of(m.Submit))
    relay.close()
    until(lambda: 'nothing answers there' in executor.session.trouble(0.0))
    with pytest.raises(TimeoutError, match=r'50 tasks were not accepted .*: no answer from the relay'):
        executor.flush(0.0)
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


def test_after_ctrl_c_the_block_does_not_wait(relay: FakeRelay, executor: Executor) -> None:
    relay.runs = False
    future = executor.submit(double, 1)

    def block() -> None:
        with executor:
            future.accepted(LONG)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    assert not future.done()
    assert not relay.of(m.Cancel)
    with pytest.raises(RuntimeError, match='after shutdown'):
        executor.submit(double, 1)
    with Executor('polaris', relay=relay.target) as other:
        (again,) = other.reload_tasks(executor.task_group_id)
        relay.runs = True
        assert again.result(LONG) == 2


def test_after_shutdown_nothing_is_reloaded(executor: Executor) -> None:
    executor.shutdown()
    with pytest.raises(RuntimeError, match='after shutdown'):
        executor.reload_tasks(task_ids=[uuid.uuid4()])


def test_a_session_that_has_ended_refuses_what_it_should_follow(executor: Executor) -> None:
    ended = executor.session
    ended.close()
    future = TaskFuture(Id(uuid.uuid4().bytes), ended)
    ended.follow([future])
    assert isinstance(future.exception(LONG), RelayError)
    assert not ended.board.futures


INTERRUPTED = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background may have it ignored
from relay_parsl.client.executor import Executor
with Executor('polaris') as executor:
    executor.submit(pow, 2, 3).accepted(30)
    print('accepted', flush=True)
    time.sleep(600)
"""


def test_ctrl_c_ends_the_program_and_not_its_tasks(relay: FakeRelay) -> None:
    relay.runs = False
    relay.home.add_relay(relay.target.relay)
    environment = {**os.environ, 'RELAY_PARSL_HOME': str(relay.home.root)}
    with subprocess.Popen([sys.executable, '-c', INTERRUPTED], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == 'accepted\n'
            program.send_signal(signal.SIGINT)
            _, words = program.communicate(timeout=20)
        finally:
            program.kill()
    assert words.rstrip().endswith('KeyboardInterrupt')
    assert len(relay.calls) == 1
    assert not relay.of(m.Cancel)
