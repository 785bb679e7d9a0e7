"""Functions that are told to end: in time, too late, in our own code, and while they do not listen. Real processes and real signals."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.engines import worker as worker_module
from relay_parsl.engines.base import Work
from relay_parsl.engines.frames import ATTEMPT, End, Place, decode_end, encode_work, task_name
from relay_parsl.engines.interrupts import CANCEL, SIGNALS, TIMEOUT, Interrupts, default_limit
from relay_parsl.engines.worker import Worker
from relay_parsl.errors import TaskCancelled, TaskTimeout
from relay_parsl.shell import ShellFunction
from relay_parsl.wire import payload

TASK = os.urandom(16)  # what this task has started is told by it, on a host with other tests


@pytest.fixture(name='worker')
def _worker() -> Iterator[Worker]:
    worker = Worker()
    worker.prepare()
    yield worker
    worker.close()


def frame(fn: Callable[..., Any], *args: Any, task_id: bytes = TASK, **options: Any) -> bytes:
    return encode_work(Work(task_id, 1, b'a', payload.dump_function(fn), payload.dump_arguments(args, {}), None, options), Place())


def run(worker: Worker, fn: Callable[..., Any], *args: Any, **options: Any) -> End:
    end = decode_end(worker.run(frame(fn, *args, **options)))
    assert isinstance(end, End), end
    return end


def value(end: End) -> Any:
    return payload.load_outcome(payload.decode_outcome(end.outcome).data)


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, 'it did not come about'
        time.sleep(0.01)
    return found


def cancel_when(worker: Worker, condition: Callable[[], Any]) -> threading.Thread:
    def cancel() -> None:
        eventually(condition)
        assert worker.interrupt(TASK, 1)

    thread = threading.Thread(target=cancel)
    thread.start()
    return thread


def alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_bytes().rpartition(b')')[2].split()[0] not in (b'Z', b'X')
    except OSError:
        return False


def spin() -> None:
    while True:
        pass


def count_and_spin(path: str) -> None:
    """Calls one C function that lasts; no byte code in between, so no signal is handled."""
    Path(path).write_text(str(os.getpid()))
    sum(range(10**13))


def swallow(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    while True:
        with contextlib.suppress(Exception):
            time.sleep(60)


def clean_up(path: str) -> str:
    try:
        time.sleep(60)
    finally:
        Path(path).write_text('clean')
    return 'not reached'


def settle_for_less(seconds: float) -> str:
    try:
        time.sleep(seconds)
    except TaskTimeout:
        return 'what there is so far'
    return 'all'


def wrap() -> None:
    try:
        time.sleep(60)
    except TimeoutError as error:
        raise RuntimeError('the solver stopped') from error


def try_often(path: str) -> None:
    with open(path, 'a') as log:
        log.write('x')
    time.sleep(0.3)
    raise OSError('not yet')


def touch_and_sleep(path: str, seconds: float = 60.0) -> int:
    Path(path).write_text(str(os.getpid()))
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.parametrize('what', [time.sleep, lambda seconds: spin(), lambda seconds: os.read(os.pipe()[0], 1)])
def test_a_timeout_is_raised_in_the_function(worker: Worker, what: Callable[..., Any]) -> None:
    started = time.monotonic()
    end = run(worker, what, 60, timeout=0.4)
    assert 0.4 <= time.monotonic() - started < 3.3
    assert not end.ok
    assert not end.cancelled
    assert 0.4 <= end.seconds < 3
    with pytest.raises(TaskTimeout, match=r'longer than its timeout of 0\.4 s') as caught:
        value(end)
    assert isinstance(caught.value, TimeoutError)
    assert 'Traceback' in str(caught.value.__cause__)


def test_what_is_quick_enough_knows_no_timeout_and_keeps_its_runner(worker: Worker) -> None:
    first = value(run(worker, os.getpid, timeout=30))
    assert value(run(worker, os.getpid)) == first


def test_the_function_may_clean_up_and_may_settle_for_less(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(TaskTimeout):
        value(run(worker, clean_up, str(tmp_path / 'note'), timeout=0.2))
    assert (tmp_path / 'note').read_text() == 'clean'
    assert value(run(worker, settle_for_less, 60, timeout=0.2)) == 'what there is so far'


def test_a_wrapped_timeout_is_a_timeout(worker: Worker) -> None:
    with pytest.raises(TaskTimeout) as caught:
        value(run(worker, wrap, timeout=0.2))
    assert 'the solver stopped' in str(caught.value.__cause__)


def test_retries_are_on_the_same_clock(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(TaskTimeout):
        value(run(worker, try_often, str(tmp_path / 'log'), timeout=1.0, retries=50))
    assert 2 <= len((tmp_path / 'log').read_text()) <= 4


@pytest.mark.parametrize('what', [swallow, count_and_spin])
@pytest.mark.parametrize('why', [TIMEOUT, CANCEL])
def test_what_does_not_listen_is_killed(worker: Worker, what: Callable[..., Any], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, 'GIVE_UP', 0.3)
    note = tmp_path / 'note'
    cancelling = cancel_when(worker, lambda: note.exists() and note.read_text()) if why == CANCEL else None
    end = run(worker, what, str(note), **({'timeout': 0.3} if why == TIMEOUT else {}))
    if cancelling:
        cancelling.join()
    assert end.cancelled is (why == CANCEL)
    with pytest.raises(TaskTimeout if why == TIMEOUT else TaskCancelled, match=r'killed 0\.3 s later on '):
        value(end)
    meta = payload.decode_outcome(end.outcome).meta
    assert meta['started'] < meta['ended']
    assert not alive(int(note.read_text()))
    assert value(run(worker, abs, -1)) == 1


def test_a_cancelled_function_hears_of_it_and_its_runner_serves_nobody_else(worker: Worker, tmp_path: Path) -> None:
    cancelling = cancel_when(worker, (tmp_path / 'note').exists)
    started = time.monotonic()
    end = run(worker, touch_and_sleep, str(tmp_path / 'note'))
    cancelling.join()
    assert time.monotonic() - started < 3
    assert end.cancelled
    with pytest.raises(TaskCancelled, match='cancelled while it ran'):
        value(end)
    assert not worker.interrupt(TASK, 1), 'it runs no more'
    assert value(run(worker, os.getpid)) != int((tmp_path / 'note').read_text())


def test_a_cancel_meets_its_own_attempt_only(worker: Worker, tmp_path: Path) -> None:
    heard: list[bool] = []

    def cancel_another() -> None:
        eventually((tmp_path / 'note').exists)
        heard.extend([worker.interrupt(TASK, 2), worker.interrupt(b'\x02' * 16, 1)])

    thread = threading.Thread(target=cancel_another)
    thread.start()
    assert value(run(worker, touch_and_sleep, str(tmp_path / 'note'), 0.5))
    thread.join()
    assert heard == [False, False]


def test_what_is_doomed_before_it_starts_ends_as_cancelled(worker: Worker) -> None:
    end = decode_end(worker.run(frame(time.sleep, 60), lambda: True))
    assert isinstance(end, End)
    assert end.cancelled
    assert value(run(worker, abs, -2)) == 2


@pytest.mark.fault(49)
def test_a_cancel_that_races_the_end_gives_one_end_and_harms_nobody(worker: Worker) -> None:
    """The signal hits anything: the start, user code, our own code, the wait for the next task."""
    chance, outcomes = random.Random(5), {'value': 0, 'cancelled': 0}
    for n in range(60):
        delay = chance.uniform(0.0, 0.012)
        threading.Timer(delay, worker.interrupt, (TASK, 1)).start()
        end = run(worker, time.sleep, 0.004)
        outcomes['cancelled' if end.cancelled else 'value'] += 1
        if end.cancelled:
            with pytest.raises(TaskCancelled):
                value(end)
        else:
            assert end.ok
        assert value(run(worker, divmod, 7 * n, 7, task_id=b'\x02' * 16)) == (n, 0)
    assert min(outcomes.values()) > 0, outcomes


def daemons(note: str) -> None:
    """Processes in sessions of their own, whose parents have ended."""
    import subprocess

    script = f"(setsid bash -c 'echo $$ > {note}; exec sleep 300' &); (setsid bash -c 'echo $$ > {note}.2; exec sleep 300' &)"
    subprocess.run(['bash', '-c', script], check=True)
    Path(f'{note}.3').write_text(str(os.getpid()))
    time.sleep(300)


def shell_with_children(note: str) -> Any:
    os.chdir(Path(note).parent)  # where its output goes
    return ShellFunction(f'setsid sleep 300 & echo $! > {note}; sleep 300 & (sleep 300 & echo $! > {note}.2); echo $$ > {note}.3; wait')()


def processes_that_ignore(note: str) -> None:
    import subprocess

    stubborn = subprocess.Popen(['bash', '-c', f"trap '' TERM INT; setsid sleep 300 & echo $! > {note}; sleep 300"])
    Path(f'{note}.2').write_text(str(stubborn.pid))
    Path(f'{note}.3').write_text(str(os.getpid()))
    while True:
        with contextlib.suppress(Exception):
            time.sleep(60)


@pytest.mark.fault(49)
@pytest.mark.parametrize('what', [shell_with_children, processes_that_ignore, daemons])
def test_everything_that_it_started_dies_with_it(worker: Worker, what: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, 'GIVE_UP', 0.5)
    note = tmp_path / 'note'
    notes = [note, tmp_path / 'note.2', tmp_path / 'note.3']
    cancelling = cancel_when(worker, lambda: all(each.exists() and each.read_text().strip() for each in notes))
    assert run(worker, what, str(note)).cancelled
    cancelling.join()
    for each in notes:
        eventually(lambda each=each: not alive(int(each.read_text())))


def test_the_next_attempt_on_the_same_host_is_spared(worker: Worker, tmp_path: Path) -> None:
    """A first attempt that is cancelled late, and the second one has begun beside it."""
    script = f'sleep 300 & echo $! > {tmp_path}/child; wait'
    marks = {'GC_TASK_UUID': task_name(TASK), ATTEMPT: f'{task_name(TASK)}.2'}
    second = subprocess.Popen(['bash', '-c', script], env={**os.environ, **marks}, start_new_session=True)
    try:
        child = int(eventually(lambda: (tmp_path / 'child').exists() and (tmp_path / 'child').read_text().strip()))
        cancelling = cancel_when(worker, lambda: (tmp_path / 'note').exists() and (tmp_path / 'note').read_text())
        assert run(worker, touch_and_sleep, str(tmp_path / 'note')).cancelled
        cancelling.join()
        assert second.poll() is None
        assert alive(child)
    finally:
        os.killpg(second.pid, signal.SIGKILL)
        second.wait()


def forked(note: str) -> str:
    """A child that lives on: it must not answer in our place, nor outlive what was cancelled."""
    pid = os.fork()
    if pid == 0:
        time.sleep(300)
        os._exit(0)
    Path(note).write_text(str(pid))
    time.sleep(300)
    return 'no'


def test_forked_children_of_a_cancelled_function_die(worker: Worker, tmp_path: Path) -> None:
    note = tmp_path / 'note'
    cancelling = cancel_when(worker, lambda: note.exists() and note.read_text() != '')
    assert run(worker, forked, str(note)).cancelled
    cancelling.join()
    eventually(lambda: not alive(int(note.read_text())))


def take_the_signals() -> None:
    for number in SIGNALS.values():
        signal.signal(number, signal.SIG_IGN)


def test_a_function_that_takes_our_signals_is_not_spared(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, 'GIVE_UP', 0.3)
    run(worker, take_the_signals)
    with pytest.raises(TaskTimeout, match='was killed'):
        value(run(worker, time.sleep, 60, timeout=0.2))
    assert value(run(worker, abs, -1)) == 1


def test_death_by_itself_stays_a_death(worker: Worker) -> None:
    assert not isinstance(decode_end(worker.run(frame(os._exit, 4, timeout=60))), End)


def test_a_default_timeout_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, limit in (('', 0.0), ('x', 0.0), ('-1', 0.0), ('2.5', 2.5)):
        monkeypatch.setenv('GC_TASK_TIMEOUT', said)
        assert default_limit() == limit
    monkeypatch.setenv('GC_TASK_TIMEOUT', '0.2')
    worker = Worker()
    try:
        with pytest.raises(TaskTimeout, match=r'0\.2 s'):
            value(run(worker, time.sleep, 60))
        assert value(run(worker, time.sleep, 0.4, timeout=30)) is None
    finally:
        worker.close()


@pytest.fixture(name='handlers')
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS.values()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures('handlers')
def test_a_signal_outside_user_code_is_kept_for_it_and_raised_once() -> None:
    guard = Interrupts(lambda data: None)
    os.kill(os.getpid(), SIGNALS[CANCEL])
    with pytest.raises(TaskCancelled), guard:
        raise AssertionError('user code does not even start')
    os.kill(os.getpid(), SIGNALS[CANCEL])
    os.kill(os.getpid(), SIGNALS[TIMEOUT])
    assert guard.raised == CANCEL


@pytest.mark.usefixtures('handlers')
def test_an_end_that_came_first_stands() -> None:
    guard, error = Interrupts(lambda data: None), ValueError('its own')
    with guard:
        pass
    os.kill(os.getpid(), SIGNALS[TIMEOUT])
    assert guard.raised == ''
    assert guard.judge(error) is error
