"""Tasks that are told to end and tasks that say where they run: HTEX with real workers, then the whole way to the client."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from relay_parsl.engines.base import Finished, Lost, Running
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.errors import TaskCancelled
from relay_parsl.wire import payload
from tests.integration.commands import Commands, commands
from tests.integration.engine_rig import Rig, eventually

pytestmark = pytest.mark.integration

FILE = """
display_name: here
engine:
  type: HtexEngine
  max_workers_per_node: 4
  cores_per_worker: 0.1
  available_accelerators: ['0', '1', '2', '3']
  max_retries_on_system_failure: 0
  provider:
    type: LocalProvider
    init_blocks: 1
    max_blocks: 1
"""


@pytest.fixture(name='rig')
def _rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, HtexEngine(max_workers_per_node=4, cores_per_worker=0.1, available_accelerators=['a', 'b', 'c', 'd']))
    yield rig
    rig.engine.stop()


def touch_and_sleep(path: str, seconds: float) -> None:
    with open(path, 'w') as note:
        note.write(str(os.getpid()))
    time.sleep(seconds)


def told(rig: Rig, task_id: bytes) -> list[Running]:
    return [event for event in rig.events if isinstance(event, Running) and event.task_id == task_id and event.detail]


def test_a_long_task_says_where_it_runs_and_one_of_four_is_cancelled(rig: Rig, tmp_path: Path) -> None:
    ids = [rig.submit(touch_and_sleep, str(tmp_path / str(n)), 600 if n == 2 else 6) for n in range(4)]
    for task_id in ids:
        rig.wait(lambda task_id=task_id: told(rig, task_id))
    details = [told(rig, task_id)[0].detail for task_id in ids]
    assert {detail['worker'] for detail in details} == {'0', '1', '2', '3'}
    assert {detail['accelerator'] for detail in details} == {'a', 'b', 'c', 'd'}
    for detail in details:
        assert detail['host'] == socket.gethostname()
        assert detail['block'] == '0'
        assert int(detail['job']) > 1, 'the batch job, for LocalProvider a pid'
    asked = time.monotonic()
    assert not rig.engine.cancel(ids[2], 1)
    end = rig.end(ids[2])
    assert time.monotonic() - asked < 2
    assert isinstance(end, Finished)
    assert end.cancelled
    with pytest.raises(TaskCancelled):
        payload.load_outcome(payload.decode_outcome(end.outcome).data)
    assert not psutil.pid_exists(int((tmp_path / '2').read_text()))
    for task_id in (ids[0], ids[1], ids[3]):
        assert rig.outcome(task_id).ok


def test_a_cancel_right_after_the_start_and_of_what_htex_has_queued(rig: Rig, tmp_path: Path) -> None:
    """A worker is told when it says that it runs: 2 seconds after the start at the latest; what is short was quicker."""
    ids = [rig.submit(touch_and_sleep, str(tmp_path / str(n)), 600) for n in range(6)]
    for task_id in ids[:4]:
        path = tmp_path / str(ids.index(task_id))
        eventually(path.exists)
    asked = time.monotonic()
    assert [rig.engine.cancel(task_id, 1) for task_id in ids] == [False] * 6
    for task_id in ids:
        end = rig.end(task_id)
        assert isinstance(end, Finished)
        assert end.cancelled
    assert time.monotonic() - asked < 9
    assert rig.call(abs, -4) == 4


def test_the_death_of_user_code_is_seen_within_a_second(rig: Rig, tmp_path: Path) -> None:
    task_id = rig.submit(touch_and_sleep, str(tmp_path / 'note'), 600)
    victim = int(eventually(lambda: (tmp_path / 'note').exists() and (tmp_path / 'note').read_text()))
    struck = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    assert isinstance(rig.end(task_id), Lost)
    assert time.monotonic() - struck < 1.0


@pytest.fixture(name='cli', scope='module')
def _cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp('ending') / 'home') as made:
        made.relay()
        made.endpoint('here', FILE)
        yield made


SCRIPT = """
import json, os, time, traceback
from pathlib import Path
import relay_parsl as rp

def hold(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

def deaf(path):
    Path(path).write_text(str(os.getpid()))
    while True:
        try:
            time.sleep(600)
        except Exception:
            pass

def until(happened, seconds=40):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, 'it did not happen'
        time.sleep(0.05)

def gone(path):
    try:
        os.kill(int(Path(path).read_text()), 0)
    except ProcessLookupError:
        return True

def go(executor, said):
    executor.submit(abs, -1).result(60)
    here = Path.cwd()
    futures = [executor.submit(hold, str(here / f'hold{n}')) for n in range(3)] + [executor.submit(deaf, str(here / 'deaf'))]
    until(lambda: all(future.state() == 'running' and 'host' in future.detail for future in futures))
    said['details'] = [future.detail for future in futures]
    asked = time.monotonic()
    assert futures[0].cancel() and futures[3].cancel()
    said['cancelled'] = [future.state() for future in futures]
    until(lambda: gone('hold0'))
    said['listens'] = time.monotonic() - asked
    until(lambda: gone('deaf'))
    said['deaf'] = time.monotonic() - asked
    said['others'] = [gone('hold1'), gone('hold2'), futures[1].state()]
    late = executor.with_options(timeout=0.5).submit(time.sleep, 60)
    try:
        late.result(60)
    except rp.errors.TaskTimeout as error:
        said['timeout'] = [str(error), isinstance(error, TimeoutError), late.state()]
    for future in futures[1:3]:
        assert future.cancel()
    until(lambda: gone('hold1') and gone('hold2'))
    again = rp.Executor('here')
    taken = again.reload_tasks(task_ids=[futures[0].task_id])
    try:
        taken[0].result(60)
    except rp.errors.TaskCancelled as error:
        said['relay'] = [str(error), taken[0].state()]
    again.shutdown()

said = {}
try:
    go(rp.Executor('here'), said)
except BaseException:
    traceback.print_exc()
    os._exit(1)  # else it waits for what holds
Path('said').write_text(json.dumps(said))
"""


def test_the_whole_way_from_the_client(cli: Commands) -> None:
    done = cli.python(SCRIPT)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads((cli.cwd / 'said').read_text())
    assert sorted(detail['accelerator'] for detail in said['details']) == ['0', '1', '2', '3']
    assert {detail['host'] for detail in said['details']} == {socket.gethostname()}
    assert all(detail['worker'] == detail['accelerator'] and detail['block'] == '0' and detail['job'] for detail in said['details'])
    assert said['cancelled'] == ['cancelled', 'running', 'running', 'cancelled'], 'at once, for the caller'
    assert said['listens'] < 2.5
    assert 2.5 < said['deaf'] < 7
    assert said['others'] == [None, None, 'running']
    assert said['timeout'] == ['it ran longer than its timeout of 0.5 s', True, 'failed']
    assert said['relay'] == ['cancelled while it ran', 'cancelled']
