"""What every engine promises its endpoint: one suite, through one list of engines."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.engines.base import Changed, Engine, Event, Finished, Lost, Running, SealedBody, Work
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.pool import ProcessPoolEngine, ThreadPoolEngine
from relay_parsl.errors import ConfigError, RemoteExit, SerializationError, TaskCancelled, TaskRejected, TaskTimeout
from relay_parsl.spool import Spool
from relay_parsl.wire import payload, seal
from relay_parsl.wire.messages import INLINE

ENGINES: list[Callable[[], Any]] = [
    lambda: ThreadPoolEngine(max_workers=2),
    lambda: ProcessPoolEngine(max_workers=2),
    lambda: HtexEngine(max_workers_per_node=2),
]
NAMES = ['threads', 'processes', 'htex']
PATIENCE = 40.0
ACCOUNT = b'\x01' * 16

_ids = itertools.count(1)


class Rig:
    """An engine that was started, and everything it said."""

    def __init__(self, engine: Any, directory: Path) -> None:
        self.engine, self.spool, self.run_dir = engine, directory / 'spool', directory / 'run'
        self.spool.mkdir()
        self.events: list[Event] = []
        self.changed = threading.Condition()
        engine.start(self.deliver, self.run_dir, 'contract')

    def deliver(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def submit(self, fn: Callable[..., Any], *args: Any, account: bytes = ACCOUNT, attempt: int = 1, **options: Any) -> bytes:
        task_id = next(_ids).to_bytes(16, 'big')
        blob = payload.dump_arguments(args, {})
        self.engine.submit(Work(task_id, attempt, account, payload.dump_function(fn), blob, None, options, str(self.spool)))
        self.engine.flush()
        return task_id

    def wait(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f'not in {seconds} s; said so far: {self.events}; {self.engine.status()}'
            return condition()

    def ends(self, task_id: bytes) -> list[Finished | Lost]:
        return [event for event in self.events if isinstance(event, (Finished, Lost)) and event.task_id == task_id]

    def end(self, task_id: bytes, seconds: float = PATIENCE) -> Finished | Lost:
        return self.wait(lambda: self.ends(task_id), seconds)[0]  # type: ignore[no-any-return]

    def outcome(self, task_id: bytes) -> payload.Outcome:
        end = self.end(task_id)
        assert isinstance(end, Finished), end
        return payload.decode_outcome(end.outcome)

    def value(self, task_id: bytes) -> Any:
        return payload.load_outcome(self.outcome(task_id).data)

    def call(self, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return self.value(self.submit(fn, *args, **options))


@pytest.fixture(params=ENGINES, ids=NAMES, scope='module')
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(request.param(), tmp_path_factory.mktemp('engine'))
    yield rig
    rig.engine.stop()


def double(x: Any) -> Any:
    return x * 2


def test_it_is_an_engine(rig: Rig) -> None:
    assert isinstance(rig.engine, Engine)
    assert rig.engine.capacity == rig.engine.status().capacity == 2


def test_a_value_comes_back_with_where_it_was_made(rig: Rig) -> None:
    before = time.time()
    outcome = rig.outcome(rig.submit(double, 21))
    assert outcome.ok
    assert payload.load_outcome(outcome.data) == 42
    assert before <= outcome.meta['started'] <= outcome.meta['ended'] <= time.time()
    assert outcome.meta['python'] == payload.PYTHON
    assert {'host', 'pid', 'worker', 'accelerator', 'block'} <= outcome.meta.keys()


def test_every_attempt_ends_once(rig: Rig) -> None:
    ids = [rig.submit(double, n) for n in range(200)]
    assert [rig.value(task_id) for task_id in ids] == [2 * n for n in range(200)]
    assert all(len(rig.ends(task_id)) == 1 for task_id in ids)


def test_attempts_of_one_task_are_told_apart(rig: Rig) -> None:
    end = rig.end(rig.submit(double, 1, attempt=7))
    assert end.attempt == 7


def boom() -> None:
    raise ZeroDivisionError('in user code')


def test_the_users_exception_is_an_outcome(rig: Rig) -> None:
    outcome = rig.outcome(rig.submit(boom))
    assert not outcome.ok
    with pytest.raises(ZeroDivisionError, match='in user code'):
        payload.load_outcome(outcome.data)


def leave(how: str) -> None:
    if how == 'exit':
        raise SystemExit(3)
    raise KeyboardInterrupt


@pytest.mark.parametrize('how', ['exit', 'interrupt'])
def test_what_is_no_exception_is_an_outcome_too(rig: Rig, how: str) -> None:
    with pytest.raises(RemoteExit):
        rig.call(leave, how)
    assert rig.call(double, 4) == 8


@pytest.mark.fault(52)
def test_a_result_that_cannot_travel_is_an_outcome(rig: Rig) -> None:
    with pytest.raises(SerializationError):
        rig.call(threading.Lock)


def test_a_function_that_cannot_be_loaded_is_an_outcome(rig: Rig) -> None:
    task_id = next(_ids).to_bytes(16, 'big')
    blob = payload.dump_importable('no.such.module:function')
    rig.engine.submit(Work(task_id, 1, ACCOUNT, blob, payload.dump_arguments((), {}), None, {}, str(rig.spool)))
    rig.engine.flush()
    with pytest.raises(SerializationError, match=r'no\.such\.module'):
        rig.value(task_id)


def fragile(path: str, until: int) -> int:
    with open(path, 'a') as log:
        log.write('x')
    tries = os.path.getsize(path)
    if tries < until:
        raise OSError('not yet')
    return tries


def test_retries_run_again_in_place(rig: Rig, tmp_path: Path) -> None:
    assert rig.call(fragile, str(tmp_path / 'a'), 3, retries=2) == 3
    with pytest.raises(OSError, match='not yet'):
        rig.call(fragile, str(tmp_path / 'b'), 3, retries=1)
    assert (tmp_path / 'b').read_text() == 'xx'


def test_a_large_result_is_a_sealed_file(rig: Rig) -> None:
    text = 'plaintext of a large result' * 100_000
    end = rig.end(rig.submit(double, text))
    assert isinstance(end, Finished)
    assert len(end.outcome) < INLINE
    outcome = payload.decode_outcome(end.outcome)
    sealed = Path(end.body).read_bytes()
    assert Path(end.body) == Spool(rig.spool).path(end.task_id, end.attempt, 'result')
    assert len(sealed) == end.size
    assert b'plaintext' not in sealed
    data = b''.join(seal.open_body(outcome.body_key, outcome.length, io.BytesIO(sealed)))
    assert payload.load_outcome(data) == text * 2
    assert [path.name for path in rig.spool.glob('*partial*')] == []


def test_large_arguments_are_read_from_a_sealed_file(rig: Rig) -> None:
    blob, key, task_id = payload.dump_arguments(('abc' * 300_000,), {}), seal.new_body_key(), next(_ids).to_bytes(16, 'big')
    path = rig.spool / 'arguments'
    with path.open('wb') as target:
        seal.seal_body(key, len(blob), io.BytesIO(blob), target)
    body = SealedBody(str(path), key, len(blob))
    rig.engine.submit(Work(task_id, 1, ACCOUNT, payload.dump_function(len), None, body, {}, str(rig.spool)))
    rig.engine.flush()
    assert rig.value(task_id) == 900_000


def test_results_are_written_by_the_serializers_asked_for(rig: Rig) -> None:
    outcome = rig.outcome(rig.submit(double, [1, 2], result_serializers=['json']))
    assert payload.load_outcome(outcome.data, trusted=False) == [1, 2, 1, 2]


def test_what_it_cannot_give_is_refused(rig: Rig) -> None:
    with pytest.raises(TaskRejected, match='num_nodes'):
        rig.call(double, 1, resource_specification={'num_nodes': 2})
    assert rig.call(double, 1, resource_specification={'priority': 3}) == 2
    with pytest.raises(TaskRejected, match='priority is a whole number'):
        rig.call(double, 1, resource_specification={'priority': 'high'})
    assert rig.call(double, 1) == 2, 'nobody died of it'


def hold(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.01)


def test_what_runs_is_said_to_run_and_what_waits_can_be_cancelled(rig: Rig, tmp_path: Path) -> None:
    gate = tmp_path / 'gate'
    running = [rig.submit(hold, str(gate)) for _ in range(2)]
    try:
        rig.wait(lambda: set(running) <= {event.task_id for event in rig.events if isinstance(event, Running)})
        waiting = [rig.submit(double, n) for n in range(40)]
        assert rig.engine.cancel(waiting[-1], 1)
        assert not rig.engine.cancel(waiting[-1], 1)
        assert not rig.engine.cancel(waiting[0], 2)
        assert not rig.engine.withdraw(running[0], 1)
        assert rig.engine.withdraw(waiting[-2], 1)
        assert rig.engine.status().outstanding == 40
    finally:
        gate.touch()
    assert [rig.value(task_id) for task_id in waiting[:-2]] == [2 * n for n in range(38)]
    assert rig.ends(waiting[-1]) == rig.ends(waiting[-2]) == []
    rig.wait(lambda: rig.engine.status().outstanding == 0)


ABLE = pytest.mark.parametrize('rig', ENGINES[1:], ids=NAMES[1:], indirect=True)
"""Engines that can end what runs: a thread cannot be ended."""


def deafly(path: str) -> None:
    Path(path).touch()
    while True:
        with contextlib.suppress(Exception):
            time.sleep(60)


def test_a_thread_has_no_timeout(tmp_path: Path) -> None:
    rig = Rig(ThreadPoolEngine(max_workers=1), tmp_path)
    with pytest.raises(TaskRejected, match='ThreadPoolEngine cannot end a function that runs'):
        rig.call(double, 1, timeout=5)
    rig.engine.stop()


@ABLE
def test_a_timeout_ends_a_function_and_no_neighbour(rig: Rig) -> None:
    assert rig.value(rig.submit(abs, -1)) == 1  # its workers are there
    neighbour = rig.submit(touch_after, 1.0)
    started = time.monotonic()
    task_id = rig.submit(time.sleep, 60, timeout=0.3)
    with pytest.raises(TaskTimeout, match=r'0\.3 s'):
        rig.value(task_id)
    assert time.monotonic() - started < 5
    end = rig.end(task_id)
    assert isinstance(end, Finished)
    assert not end.cancelled
    assert rig.value(neighbour) == 1.0
    assert rig.call(double, 2, timeout=20) == 4


def touch_after(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.mark.parametrize('odd', [0, -1, 'x', True, float('inf'), float('nan')])
def test_an_odd_timeout_is_refused(rig: Rig, odd: Any) -> None:
    with pytest.raises(TaskRejected, match='timeout'):
        rig.call(double, 1, timeout=odd)


@ABLE
def test_what_does_not_listen_to_a_timeout_is_killed_and_no_neighbour(rig: Rig, tmp_path: Path) -> None:
    neighbour = rig.submit(touch_after, 4.5)
    with pytest.raises(TaskTimeout, match='was killed'):
        rig.call(deafly, str(tmp_path / 'note'), timeout=0.3)
    assert rig.value(neighbour) == 4.5


@ABLE
@pytest.mark.parametrize('what', ['listens', 'deaf'])
def test_what_runs_can_be_cancelled(rig: Rig, tmp_path: Path, what: str) -> None:
    note, neighbour = tmp_path / 'note', rig.submit(touch_after, 1.0)
    task_id = rig.submit(deafly, str(note)) if what == 'deaf' else rig.submit(time.sleep, 60)
    rig.wait(lambda: [event for event in rig.events if isinstance(event, Running) and event.task_id == task_id])
    asked = time.monotonic()
    assert not rig.engine.cancel(task_id, 1)
    end = rig.end(task_id)
    assert time.monotonic() - asked < (8 if what == 'deaf' else 4)
    assert isinstance(end, Finished)
    assert end.cancelled
    assert not end.ok
    with pytest.raises(TaskCancelled):
        rig.value(task_id)
    assert rig.value(neighbour) == 1.0
    assert not rig.engine.cancel(task_id, 1), 'it is over'
    assert rig.call(double, 3) == 6


@pytest.mark.fault(49)
@ABLE
def test_a_cancel_may_come_at_any_moment(rig: Rig) -> None:
    """Each attempt gets one end at most, and none only when the engine said that it would not run."""
    chance = random.Random(11)
    withdrawn, ids = set(), [rig.submit(touch_after, 0.01) for _ in range(120)]
    for task_id in chance.sample(ids, 60):
        time.sleep(0.005)
        if rig.engine.cancel(task_id, 1):
            withdrawn.add(task_id)
    for task_id in ids:
        if task_id not in withdrawn:
            end = rig.end(task_id)
            assert isinstance(end, Finished)
            assert end.ok is not end.cancelled
    rig.wait(lambda: rig.engine.status().outstanding == 0)
    assert [len(rig.ends(task_id)) for task_id in ids] == [0 if task_id in withdrawn else 1 for task_id in ids]
    assert rig.call(double, 4) == 8


def test_demand_is_taken(rig: Rig) -> None:
    rig.engine.demand(1000)
    rig.engine.demand(0)
    assert rig.call(double, 1) == 2


def test_it_says_with_what_it_works(rig: Rig) -> None:
    rig.call(double, 1)
    rig.wait(lambda: rig.engine.status().workers == 2)
    status = rig.engine.status()
    assert (status.state, status.python, status.managers, status.blocks) == ('ready', payload.PYTHON, 1, 1)
    assert any(isinstance(event, Changed) for event in rig.events)


def test_noise_of_user_code_breaks_nothing(rig: Rig) -> None:
    def shout() -> int:
        import sys

        sys.stdout.write(' ' * 300_000)
        sys.stderr.write(' ' * 300_000)
        return 1

    assert rig.call(shout) == 1


@pytest.mark.parametrize('make', ENGINES, ids=NAMES)
def test_stop_is_quick_and_may_come_twice_and_early(make: Callable[[], Any], tmp_path: Path) -> None:
    rig = Rig(make(), tmp_path)
    task_id = rig.submit(time.sleep, 60)
    started = time.monotonic()
    rig.engine.stop()
    rig.engine.stop()
    assert time.monotonic() - started < 20
    assert rig.engine.status().state == 'stopped'
    assert rig.ends(task_id) == []


@pytest.mark.parametrize('make', [ThreadPoolEngine, ProcessPoolEngine])
def test_a_pool_wants_a_positive_number(make: Callable[..., Any]) -> None:
    for wrong in (0, -1, 'two', True):
        with pytest.raises(ConfigError, match='max_workers'):
            make(max_workers=wrong)
