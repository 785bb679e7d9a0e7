"""A worker and its runner: real processes, real deaths."""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay_parsl import interpreter
from relay_parsl.engines import runners as runners_module
from relay_parsl.engines import worker as worker_module
from relay_parsl.engines.base import Work
from relay_parsl.engines.frames import Death, End, Place, decode_end, decode_ends, encode_chunk, encode_work
from relay_parsl.engines.worker import Worker, run_task
from relay_parsl.wire import payload


@pytest.fixture(name='worker')
def _worker() -> Iterator[Worker]:
    worker = Worker({'PARSL_WORKER_RANK': '7'})
    yield worker
    worker.close()


def frame(fn: Callable[..., Any], *args: Any, account: bytes = b'a', place: Place | None = None) -> bytes:
    work = Work(b'\x01' * 16, 1, account, payload.dump_function(fn), payload.dump_arguments(args, {}))
    return encode_work(work, place or Place())


def call(worker: Worker, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
    end = decode_end(worker.run(frame(fn, *args, **options)))
    assert isinstance(end, End), end
    return payload.load_outcome(payload.decode_outcome(end.outcome).data)


def only(ends: bytes) -> End | Death:
    _, ((place, end),) = decode_ends(ends, 1)
    assert place == 0
    return decode_end(end)


def death(worker: Worker, fn: Callable[..., Any], *args: Any) -> str:
    end = decode_end(worker.run(frame(fn, *args)))
    assert isinstance(end, Death), end
    assert end.cause == 'worker'
    return end.evidence


def leave_a_child_behind() -> None:
    """The child keeps the runner's socket and error output open, if it can."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os._exit(5)


def close_everything() -> None:
    os.closerange(3, 256)


def close_everything_and_linger() -> None:
    """Its end is to be seen at the socket, and a while later in the process table."""
    atexit.register(time.sleep, 0.3)
    close_everything()


def close_everything_and_stay() -> None:
    close_everything()
    time.sleep(60)


def speak_in_its_name() -> None:
    """What looks like the beginning of a frame of 4 GB, on whatever socket there is."""
    for number in map(int, os.listdir('/proc/self/fd')):  # theirs are as high as those of the process that started it
        with contextlib.suppress(OSError):
            socket.socket(fileno=os.dup(number)).send(b'\xff' * 64)


def lose_output(how: str) -> str:
    if how == 'closed':
        sys.stdout.close()
        sys.stderr.close()
    else:
        sys.stdout = sys.stderr = None  # type: ignore[assignment]
    return how


def fork_and_return() -> int:
    os.fork()
    return os.getpid()


def fork_twice() -> bytes:
    """A child that forks, too, as a pool in a process of a pool does; what it has opened is its child's as well."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(40)]
        if os.fork() == 0:
            os.write(writer, b'%d' % sum(os.read(each, 1) == b'' for each in opened))
        os._exit(0)
    os.close(writer)
    return os.read(reader, 100)


def test_a_runner_that_is_not_understood_any_more_ends_and_its_worker_goes_on(worker: Worker) -> None:
    assert 'SIGKILL' in death(worker, speak_in_its_name)
    assert call(worker, os.getpid) != os.getpid()


def test_a_child_of_a_child_keeps_what_its_parent_has_opened(worker: Worker) -> None:
    assert call(worker, fork_twice) == b'40'


def test_a_runner_that_cannot_be_had_for_lack_of_descriptors_leaves_none_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    filling = [os.open(os.devnull, os.O_RDONLY)]
    highest = max(map(int, os.listdir('/proc/self/fd')))
    while filling[-1] < highest:
        filling.append(os.dup(filling[0]))
    before, failed = len(os.listdir('/proc/self/fd')), 0
    for room in range(12):
        resource.setrlimit(resource.RLIMIT_NOFILE, (filling[-1] + 1 + room, hard))
        try:
            runners_module.Runner({}, select.poll()).close()
        except OSError:
            failed += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    deadline = time.monotonic() + 30
    while (after := len(os.listdir('/proc/self/fd'))) > before and time.monotonic() < deadline:
        time.sleep(0.01)  # what a runner had to say is read to its end by a thread
    for number in filling:
        os.close(number)
    assert failed > 3
    assert after == before


def test_one_runner_serves_many_tasks(worker: Worker) -> None:
    assert call(worker, os.getpid) == call(worker, os.getpid) != os.getpid()
    assert call(worker, os.getenv, 'PARSL_WORKER_RANK') == '7'


def test_a_death_says_how_and_the_next_task_has_a_new_runner(worker: Worker) -> None:
    first = call(worker, os.getpid)
    started = time.monotonic()
    assert 'exited with code 3' in death(worker, os._exit, 3)
    assert time.monotonic() - started < 10
    assert call(worker, os.getpid) != first


def test_a_child_that_holds_the_pipes_does_not_hide_the_death(worker: Worker) -> None:
    started = time.monotonic()
    assert 'exited with code 5' in death(worker, leave_a_child_behind)
    assert time.monotonic() - started < 10


def test_a_runner_that_closed_its_pipe_is_dead(worker: Worker) -> None:
    death(worker, close_everything)
    assert call(worker, abs, -1) == 1


def test_a_runner_that_ends_by_itself_was_not_killed(worker: Worker) -> None:
    evidence = death(worker, close_everything_and_linger)
    assert 'exited with code 1' in evidence
    assert 'Bad file descriptor' in evidence
    assert 'SIGKILL' not in evidence


def test_a_runner_that_closed_its_pipe_and_lives_on_is_killed_after_a_grace(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners_module, 'GRACE', 0.1)
    assert 'SIGKILL' in death(worker, close_everything_and_stay)


@pytest.mark.parametrize('how', ['closed', 'gone'])
def test_a_function_that_loses_its_output_streams_keeps_its_result(worker: Worker, how: str) -> None:
    first = call(worker, os.getpid)
    assert call(worker, lose_output, how) == how
    assert call(worker, print, 'the next task prints as if nothing had been') is None
    assert call(worker, os.getpid) == first


def test_a_runner_that_died_between_tasks_is_replaced_without_a_word(worker: Worker) -> None:
    os.kill(call(worker, os.getpid), signal.SIGKILL)
    runner = worker._runner
    assert runner is not None
    runner._process.wait()
    assert call(worker, abs, -1) == 1


def test_a_fork_that_returns_has_one_answer(worker: Worker) -> None:
    first = call(worker, fork_and_return)
    assert call(worker, os.getpid) == first


def test_another_account_gets_another_runner(worker: Worker) -> None:
    first = call(worker, os.getpid)
    second = call(worker, os.getpid, account=b'b')
    assert second != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_the_next_task_starts_where_the_first_one_did(worker: Worker, tmp_path: Any) -> None:
    home = call(worker, os.getcwd)
    call(worker, os.chdir, '/')
    assert call(worker, os.getcwd) == home
    assert call(worker, os.getcwd, place=Place(str(tmp_path / 'new'))) == str(tmp_path / 'new')
    assert call(worker, os.getcwd, place=Place(str(tmp_path / 'new'), sandbox=True)).startswith(str(tmp_path / 'new'))
    assert call(worker, os.getcwd) == home


def test_a_place_that_cannot_be_made_is_the_outcome(worker: Worker, tmp_path: Any) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='file'):
        call(worker, os.getcwd, place=Place(str(tmp_path / 'file' / 'below')))


def test_programs_of_its_python_are_on_the_path(worker: Worker) -> None:
    assert call(worker, os.getenv, 'PATH').split(os.pathsep)[0] == os.path.dirname(sys.executable)


def test_no_process_to_be_had_is_a_lost_attempt(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, 'PYTHON', ['/no/such/python', '-m'])
    assert 'no process could be started' in death(worker, abs, -1)


def test_a_killed_worker_has_no_more_runners(worker: Worker) -> None:
    call(worker, abs, -1)
    worker.kill()
    death(worker, abs, -1)
    death(worker, abs, -1)


def test_an_old_kernel_sees_deaths_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, 'pidfd_open', raising=False)
    worker = Worker()
    try:
        assert call(worker, abs, -1) == 1
        assert 'code 5' in death(worker, leave_a_child_behind)
    finally:
        worker.close()


def test_htex_calls_it_with_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module.leash, 'die_with_parent', lambda: None)
    monkeypatch.setattr(worker_module, '_worker', None)
    end = only(run_task(encode_chunk([frame(abs, -3)])))
    assert isinstance(end, End)
    assert worker_module._worker is not None
    worker_module._worker.close()


def variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(('PARSL_MPI', 'PARSL_NUM'))}


def test_what_parsl_sets_for_one_mpi_task_is_that_tasks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsl sets it in the worker, whose runner started long before."""

    def ran() -> Any:
        end = only(run_task(encode_chunk([frame(variables)])))
        assert isinstance(end, End), end
        return payload.load_outcome(payload.decode_outcome(end.outcome).data)

    monkeypatch.setattr(worker_module, '_worker', Worker())
    try:
        assert ran() == {}
        monkeypatch.setenv('PARSL_MPI_PREFIX', 'mpiexec -n 2')
        monkeypatch.setenv('PARSL_NUM_NODES', '2')
        assert ran() == {'PARSL_MPI_PREFIX': 'mpiexec -n 2', 'PARSL_NUM_NODES': '2'}
        monkeypatch.setenv('PARSL_NUM_NODES', '1')
        assert ran() == {'PARSL_NUM_NODES': '1'}
        assert ran() == {}
    finally:
        worker_module._worker.close()  # type: ignore[union-attr]
