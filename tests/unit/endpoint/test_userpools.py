"""A pool for each value: when it begins, whom it waits for, when it retires, and what a bad one costs the others."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.endpoint import trials
from relay_parsl.endpoint.life import Life
from relay_parsl.endpoint.spec import EngineSpec, Spec
from relay_parsl.endpoint.templates import Rendered
from relay_parsl.endpoint.trials import BROKEN
from relay_parsl.endpoint.userpool import UserPool
from relay_parsl.endpoint.userpools import UserPools, making_room, retiring
from relay_parsl.engines.base import Changed, Engine, EngineStatus, Event, Finished, Lost, Work
from relay_parsl.engines.pool import rejection
from relay_parsl.errors import BlocksFailed, ConfigError, TaskError, TaskRejected
from relay_parsl.wire import payload

PATIENCE = 30.0
_ids = itertools.count(1)


class FakeEngine:
    """Ends an attempt when the test says so."""

    def __init__(self, name: str, *, begins: bool = True) -> None:
        self.name, self.begins = name, begins
        self.inside: dict[bytes, Work] = {}
        self.demands: list[int] = []
        self.directory = Path()
        self.stopped = False
        self.may_stop = threading.Event()
        self.may_stop.set()
        self.flushed = 0

    def start(self, deliver: Any, run_dir: Path, label: str) -> None:
        if not self.begins:
            raise RuntimeError('no such partition')
        self.deliver, self.directory, self.label = deliver, run_dir, label
        deliver(Changed(self.status()))

    def submit(self, work: Work) -> None:
        self.inside[work.task_id] = work

    def flush(self) -> None:
        self.flushed += 1

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        return self.inside.pop(task_id, None) is not None

    withdraw = cancel

    def demand(self, count: int) -> None:
        self.demands.append(count)

    def status(self) -> EngineStatus:
        if self.name.startswith('barren'):
            return EngineStatus(3)
        return EngineStatus(3, 2, 1, 1, detail={'blocks': [{'block': '0'}]})

    def stop(self) -> None:
        self.may_stop.wait(PATIENCE)
        self.stopped = True

    def finish(self, task_id: bytes) -> None:
        self.deliver(Finished(task_id, self.inside.pop(task_id).attempt, True, b''))

    def trip(self) -> None:
        """Three blocks came to nothing: say so, and fail what is here."""
        self.deliver(Changed(EngineStatus(3, state='broken', reason=f'the blocks of {self.name} say no')))
        for task_id in list(self.inside):
            self.deliver(rejection(self.inside.pop(task_id), 'the blocks say no', BlocksFailed))

    def lose(self, task_id: bytes) -> None:
        self.deliver(Lost(task_id, self.inside.pop(task_id).attempt, 'worker', 'gone'))


@dataclass
class FakeFile:
    """A filled-in endpoint file."""

    engine: FakeEngine
    life: Life
    retries: int = 1

    @property
    def pools(self) -> dict[str, EngineSpec]:
        return {'': EngineSpec('', 'x', Spec('engine', 'FakeEngine', FakeEngine, {'max_retries_on_system_failure': self.retries}, ''))}

    def build_engine(self, pool: str = '') -> FakeEngine:
        return self.engine


@dataclass
class FakeTemplate:
    """Takes `name`, which is not `bad`; `slow` takes as long as the test likes."""

    uses_runtime: bool = False
    let: threading.Event = field(default_factory=threading.Event)

    def render(self, values: str, runtime: Any) -> Rendered:
        if json.loads(values).get('name') == 'slow':
            self.let.wait(PATIENCE)
        if json.loads(values).get('name') == 'bad':
            raise ConfigError('user_endpoint_config.name: bad')
        return Rendered(json.dumps(runtime), values)


class Rig:
    def __init__(self, directory: Path, limit: int = 2, retire: float = 0.0) -> None:
        self.template, self.retire = FakeTemplate(), retire
        self.files: dict[str, list[FakeFile]] = {}
        self.events: list[Event] = []
        self.changed = threading.Condition()
        self.engine = UserPools(self.template, self.read, limit)  # type: ignore[arg-type]
        self.engine.start(self.deliver, directory, 'site-1')

    def read(self, rendered: Rendered) -> FakeFile:
        name = json.loads(rendered.values).get('name', '')
        made = FakeFile(FakeEngine(name, begins=name != 'broken'), Life(idle_soft=self.retire))
        self.files.setdefault(name, []).append(made)
        return made

    def deliver(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def submit(self, name: Any, attempt: int = 1, task_id: bytes = b'', **more: Any) -> bytes:
        task_id = task_id or next(_ids).to_bytes(16, 'big')
        self.engine.submit(Work(task_id, attempt, b'a' * 16, b'', b'', options={'user_endpoint_config': {'name': name, **more}}))
        return task_id

    def wait(self, condition: Any) -> Any:
        import time

        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f'{self.events} {self.engine.status()}'
            time.sleep(0.01)
        return condition()

    def at(self, name: str, task_id: bytes, nth: int = 0) -> FakeEngine:
        """The engine that has got the attempt."""
        return self.wait(lambda: (found := self.files.get(name, []))[nth:] and task_id in found[nth].engine.inside and found[nth].engine)  # type: ignore[no-any-return]

    def end(self, task_id: bytes) -> Finished | Lost:
        return self.wait(lambda: [each for each in self.events if isinstance(each, Finished | Lost) and each.task_id == task_id])[-1]  # type: ignore[no-any-return]

    def refusal(self, task_id: bytes, kind: type[TaskError] = TaskRejected) -> str:
        end = self.end(task_id)
        assert isinstance(end, Finished)
        with pytest.raises(kind) as caught:
            payload.load_outcome(payload.decode_outcome(end.outcome).data)
        return str(caught.value)

    def states(self) -> dict[str, str]:
        return {row['pool']: row['state'] for row in self.engine.status().detail.get('pools', [])}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.template.let.set()
    made.engine.stop()


def test_it_is_an_engine(rig: Rig) -> None:
    assert isinstance(rig.engine, Engine)
    assert rig.engine.capacity == rig.engine.status().capacity == 1


def test_a_flush_reaches_the_pools_that_were_given_something(rig: Rig) -> None:
    first, other = rig.at('a', rig.submit('a')), rig.at('b', rig.submit('b'))
    rig.engine.flush()
    rig.wait(lambda: first.flushed and other.flushed)
    before = first.flushed, other.flushed
    rig.submit('a')
    rig.engine.flush()
    rig.wait(lambda: first.flushed > before[0])
    assert other.flushed == before[1]


def test_equal_values_share_a_pool_and_others_have_their_own(rig: Rig) -> None:
    one, two, other = rig.submit('a', x=1), rig.submit('a', x=1), rig.submit('b')
    first = rig.at('a', one)
    assert rig.at('a', two) is first
    second = rig.at('b', other)
    assert first.directory != second.directory
    assert first.label != second.label
    rig.wait(lambda: rig.engine.capacity == 6)
    status = rig.engine.status()
    assert [(row['pool'], row['state'], row['workers']) for row in status.detail['pools']] == [('user-1', 'ready', 2), ('user-2', 'ready', 2)]
    assert status.detail['blocks'] == [{'pool': 'user-1', 'block': '0'}, {'pool': 'user-2', 'block': '0'}]
    assert (status.workers, status.blocks, status.outstanding, status.python) == (4, 2, 3, None)
    assert 'name' not in str(status.detail), 'the relay reads this: no values'
    first.finish(one)
    assert rig.end(one).task_id == one
    rig.engine.demand(2)
    assert (first.demands[-1], second.demands[-1]) == (1, 1)


def test_a_bad_value_costs_its_own_tasks_only_and_is_remembered(rig: Rig) -> None:
    good, bad, bad_too = rig.submit('a'), rig.submit('bad'), rig.submit('bad')
    assert rig.refusal(bad) == rig.refusal(bad_too) == 'user_endpoint_config.name: bad'
    rig.at('a', good).finish(good)
    again = rig.submit('bad')
    assert rig.refusal(again) == 'user_endpoint_config.name: bad'
    assert rig.states() == {'user-1': 'ready'}
    assert 'no value of JSON' in rig.refusal(rig.submit(float('inf')))


def test_slow_values_hold_up_no_pool_that_is_there(rig: Rig) -> None:
    first = rig.submit('a')
    engine = rig.at('a', first)
    slow = [rig.submit('slow', number=number) for number in range(5)]
    later = rig.submit('a')
    assert rig.at('a', later) is engine
    assert not any(isinstance(each, Finished | Lost) for each in rig.events)
    assert all(rig.engine.cancel(each, 1) for each in slow), 'one that waits for its pool can be cancelled'
    assert not rig.engine.cancel(slow[0], 1)


def test_what_cannot_begin_is_tried_anew_by_the_next_task(rig: Rig) -> None:
    assert rig.refusal(rig.submit('broken')) == 'user_endpoint_config: its pool cannot begin: RuntimeError: no such partition'
    assert 'no such partition' in rig.refusal(rig.submit('broken'))
    assert len(rig.files['broken']) == 2


def test_pools_are_bounded_and_the_longest_idle_one_makes_room(rig: Rig) -> None:
    a, b = rig.submit('a'), rig.submit('b')
    first, second = rig.at('a', a), rig.at('b', b)
    c = rig.submit('c')
    rig.wait(lambda: rig.states().get('user-3') == 'waiting')
    assert '2 pools are the limit (max_user_pools)' in rig.engine.status().reason
    assert not first.stopped
    second.finish(b)
    rig.engine.submit(Work(b'x' * 16, 1, b'a' * 16, b'', b'', options={'user_endpoint_config': {'name': 'd'}}))
    third = rig.at('c', c)
    assert (first.stopped, second.stopped) == (False, True)
    first.finish(a)
    third.finish(c)
    rig.at('d', b'x' * 16)
    assert (first.stopped, third.stopped) == (True, False), 'it was idle for longer'


def test_a_broken_value_stays_broken_after_its_pool_made_room(rig: Rig) -> None:
    first, second = rig.submit('barren1'), rig.submit('barren2')
    for name, task in (('barren1', first), ('barren2', second)):
        rig.at(name, task).trip()
    good = rig.submit('a')
    rig.at('a', good)
    assert rig.files['barren1'][0].engine.stopped
    again = rig.submit('barren1')
    assert 'the blocks of barren1 say no' in rig.refusal(again, BlocksFailed)
    assert len(rig.files['barren1']) == 1, 'no other engine'
    assert rig.submit('barren2') in rig.at('barren2', max(rig.files['barren2'][0].engine.inside)).inside, 'a pool that is there decides for itself'


def test_after_several_broken_values_new_ones_wait_and_known_ones_go_on(rig: Rig) -> None:
    known = rig.submit('a')
    rig.at('a', known).finish(known)
    for number in range(BROKEN):
        task = rig.submit(f'barren{number}')
        rig.at(f'barren{number}', task).trip()
    held = [rig.submit(f'barren{number}') for number in range(BROKEN, 20)]
    rig.wait(lambda: [row['state'] for row in rig.engine.status().detail['pools']].count('waiting') == len(held))
    assert f'{BROKEN} values' in rig.engine.status().reason
    assert next(row for row in rig.engine.status().detail['pools'] if row['state'] == 'waiting')['reason'] == rig.engine.status().reason
    again = rig.submit('a')
    rig.at('a', again, nth=1)
    assert not any(engine.engine.inside for number in range(BROKEN, 20) for engine in rig.files[f'barren{number}'])
    assert all(rig.engine.cancel(task, 1) for task in held)


def test_values_that_were_held_back_begin_when_their_time_has_come(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, 'BROKEN', 1)
    monkeypatch.setattr(trials, 'PERIOD', 5.0)
    rig.at('barren1', rig.submit('barren1')).trip()
    later = rig.submit('a')
    rig.wait(lambda: '1 values' in rig.engine.status().reason)
    rig.at('a', later)
    assert rig.engine.status().reason == ''


def test_a_loss_counts_against_the_retries_of_its_own_pool(rig: Rig) -> None:
    task = rig.submit('a')
    rig.at('a', task).lose(task)
    first = rig.end(task)
    assert isinstance(first, Lost)
    assert not first.final
    rig.submit('a', task_id=task)
    rig.at('a', task).lose(task)
    rig.wait(lambda: isinstance(end := rig.end(task), Lost) and end.final)


def test_a_pool_without_tasks_retires_and_its_values_make_a_new_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path, retire=0.2)
    task = rig.submit('a')
    engine = rig.at('a', task)
    engine.finish(task)
    rig.wait(lambda: engine.stopped and not rig.states())
    again = rig.submit('a')
    new = rig.at('a', again, nth=1)
    assert new is not engine
    assert new.directory == engine.directory, 'where it finds what the other left'
    rig.engine.stop()
    assert new.stopped


def test_a_pool_is_told_of_until_its_engine_has_stopped(tmp_path: Path) -> None:
    rig = Rig(tmp_path, retire=0.2)
    task = rig.submit('a')
    engine = rig.at('a', task)
    engine.may_stop.clear()
    engine.finish(task)
    rig.wait(lambda: rig.states() != {'user-1': 'ready'})
    assert rig.states() == {'user-1': 'ending'}, 'its blocks are still there'
    assert (rig.engine.status().blocks, rig.engine.status().workers, rig.engine.capacity) == (1, 0, 1), 'it takes nothing any more'
    again = rig.submit('a')
    rig.wait(lambda: rig.states() == {'user-1': 'ending', 'user-2': 'waiting'})
    engine.may_stop.set()
    rig.at('a', again, nth=1)
    rig.wait(lambda: rig.states() == {'user-2': 'ready'})
    rig.engine.stop()


def test_what_a_crash_left_behind_begins_again_and_retires(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    engine = rig.at('a', rig.submit('a'))
    (engine.directory / 'x.journal').touch()
    assert (engine.directory / 'values.json').stat().st_mode & 0o077 == 0
    rig.engine.stop()
    after = Rig(tmp_path, retire=0.2)
    after.wait(lambda: 'a' in after.files and after.files['a'][0].engine.stopped)
    after.engine.stop()
    (engine.directory / 'x.journal').unlink()
    clean = Rig(tmp_path)
    clean.at('b', clean.submit('b'))
    clean.engine.stop()
    assert 'a' not in clean.files


def test_users_of_another_python_get_another_pool_where_the_template_asks(rig: Rig) -> None:
    rig.template.uses_runtime = True
    blobs = [payload.dump_function(lambda: None), payload.dump_source('def f():\n    pass\n', 'f'), payload.dump_importable('os:getcwd')]
    for number, blob in enumerate(blobs):
        rig.engine.submit(Work(bytes([number]) * 16, 1, b'a' * 16, blob, b'', options={'user_endpoint_config': {'name': 'a'}}))
    for number in range(3):
        rig.at('a', bytes([number]) * 16)
    assert len(rig.files['a']) == 1, 'one Python, and functions for any'


# --- decisions ---


def pool(state: str, outstanding: int, idle_since: float) -> UserPool:
    made = UserPool(('{}', '{}'), 'x', threading.RLock())
    made.state, made.outstanding, made.idle_since = state, outstanding, idle_since
    return made


def test_which_pools_retire_and_which_makes_room() -> None:
    busy, idle, long, fresh = pool('ready', 1, 0.0), pool('ready', 0, 500.0), pool('ready', 0, 100.0), pool('starting', 0, 0.0)
    assert retiring([busy, idle, long, fresh], 450.0) == [long]
    assert making_room([busy, idle, long, fresh]) is long
    assert making_room([busy, fresh]) is None


def test_a_broken_pool_stays_lest_it_submits_again_what_is_known_to_fail() -> None:
    broken, idle = pool('ready', 0, 0.0), pool('ready', 0, 500.0)
    broken.status = EngineStatus(1, state='broken', reason='3 blocks in a row')
    assert retiring([broken], 1e6) == []
    assert making_room([broken, idle]) is idle
    assert making_room([broken]) is broken
