"""`HtexEngine` with real processes and real kill -9: what dies, who hears of it, what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from parsl.providers import LocalProvider

from relay_parsl.engines import leash
from relay_parsl.engines.base import Finished
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.wire import payload
from tests.integration.engine_rig import PATIENCE, Rig, command, eventually

pytestmark = pytest.mark.integration


def pid() -> int:
    return os.getpid()


def parent() -> int:
    return os.getppid()


def touch_and_sleep(path: str, seconds: float) -> None:
    with open(path, 'w') as note:
        note.write(str(os.getpid()))
    time.sleep(seconds)


def touch_and_wait(path: str, end: str, seconds: float) -> None:
    """Runs until the file `end` is there; fails when it does not come."""
    Path(path).touch()
    deadline = time.monotonic() + seconds
    while not os.path.exists(end):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def die(how: str) -> None:
    import ctypes

    if how == 'segfault':
        ctypes.string_at(0)
    elif how == 'exit':
        os.write(2, b'last words')
        os._exit(17)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.fault(12)
def test_the_death_of_user_code_is_charged_to_its_task_alone(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(heartbeat_period=60, heartbeat_threshold=180)
    neighbour = rig.submit(touch_and_wait, str(tmp_path / 'on'), str(tmp_path / 'off'), PATIENCE)
    eventually((tmp_path / 'on').exists)
    worker = rig.call(parent)
    for how, said in (('segfault', 'SIGSEGV'), ('exit', 'exited with code 17'), ('kill', 'SIGKILL')):
        started = time.monotonic()
        lost = rig.lost(rig.submit(die, how))
        assert time.monotonic() - started < 10, 'no heartbeat is so fast'
        assert lost.cause == 'worker'
        assert said in lost.evidence
        assert ('last words' in lost.evidence) == (how == 'exit')
        assert ('Current thread' in lost.evidence) == (how == 'segfault')
    assert rig.call(parent) == worker
    (tmp_path / 'off').touch()
    assert rig.outcome(neighbour).ok


def test_a_runner_serves_one_account(rigs: Callable[..., Rig]) -> None:
    rig = rigs(max_workers_per_node=1)
    first = rig.call(pid)
    assert rig.call(pid) == first
    second = rig.call(pid, account=b'\x02' * 16)
    assert second != first
    assert not psutil.pid_exists(first)


def with_children() -> tuple[int, str]:
    import multiprocessing
    import subprocess

    with multiprocessing.get_context('fork').Pool(2) as pool:
        total = sum(pool.map(abs, [-1, -2, -3]))
    return total, subprocess.run(['echo', 'hello'], capture_output=True, text=True, check=True).stdout


def workflow(directory: str) -> int:
    import parsl
    from parsl.executors import HighThroughputExecutor

    def triple(x: int) -> int:
        return 3 * x

    config = parsl.Config(executors=[HighThroughputExecutor(address='127.0.0.1', max_workers_per_node=1)], run_dir=directory, strategy_period=0.5)
    with parsl.load(config):
        return int(parsl.python_app(triple)(14).result())


def test_user_code_may_start_processes_and_a_whole_workflow(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs()
    assert rig.call(with_children) == (6, 'hello\n')
    assert rig.call(workflow, str(tmp_path / 'runinfo')) == 42


def where() -> tuple[str, str, str]:
    return os.getcwd(), os.environ['GC_TASK_UUID'], os.environ['GC_TASK_SANDBOX_DIR']


def test_each_task_in_a_sandbox_of_its_own(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(working_dir=str(tmp_path / 'work'), run_in_sandbox=True)
    first, second = rig.call(where), rig.call(where)
    assert first[0] != second[0]
    for directory, task_id, sandbox in (first, second):
        assert Path(directory) == Path(sandbox) == tmp_path / 'work' / task_id


def test_meta_says_which_worker_and_accelerator(rigs: Callable[..., Rig]) -> None:
    rig = rigs(available_accelerators=2)
    metas = [rig.outcome(rig.submit(touch_and_sleep, os.devnull, 0.5)).meta for _ in range(1)]
    assert metas[0]['accelerator'] in ('0', '1')
    assert metas[0]['worker'] in ('0', '1')
    assert metas[0]['block'] == '0'


def accelerators_seen() -> dict[str, str]:
    """The masks that user code finds, and its worker; held for a moment, so that every worker gets one."""
    time.sleep(0.3)
    masks = ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES', 'ZE_AFFINITY_MASK', 'RELAY_PARSL_ACCELERATORS')
    return {'worker': os.environ['PARSL_WORKER_RANK'], **{name: os.environ[name] for name in masks if name in os.environ}}


@pytest.mark.parametrize(
    ('names', 'vendor', 'mask', 'expected'),
    [
        (6, 'nvidia:4', 'CUDA_VISIBLE_DEVICES', '0 0 1 2 2 3'),
        (['0', '0', '1', '2', '2', '3'], 'nvidia:4', 'CUDA_VISIBLE_DEVICES', '0 0 1 2 2 3'),
        (['0', '0', '1', '1'], 'amd:2', 'ROCR_VISIBLE_DEVICES', '0 0 1 1'),
    ],
)
def test_user_code_sees_accelerators_that_exist(rigs: Callable[..., Rig], names: int | list[str], vendor: str, mask: str, expected: str) -> None:
    """Parsl alone would name the GPUs 4 and 5, put duplicates on one, and blind workers of AMD."""
    workers = len(expected.split())
    provider = LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1, worker_init=f'export RELAY_PARSL_VENDOR={vendor}')
    rig = rigs(available_accelerators=names, max_workers_per_node=workers, cores_per_worker=0.1, provider=provider)
    seen: dict[str, dict[str, str]] = {}
    for _ in range(20):
        for task_id in [rig.submit(accelerators_seen) for _ in range(workers)]:
            outcome = rig.outcome(task_id)
            masks = payload.load_outcome(outcome.data)
            seen[masks.pop('worker')] = masks
            assert outcome.meta['accelerator'] == masks.get(mask), masks
        if len(seen) == workers:
            break
    shown = [seen[str(rank)] for rank in range(workers)]
    sys.stdout.write(f'{names} on {vendor}: {shown}\n')
    assert shown == [{mask: name} for name in expected.split()]


@pytest.mark.fault(10)
@pytest.mark.parametrize('victim', ['interchange', 'engines.child'])
def test_a_dead_engine_is_killed_whole_and_built_anew(rigs: Callable[..., Rig], tmp_path: Path, victim: str) -> None:
    rig = rigs()
    inside = [rig.submit(touch_and_sleep, str(tmp_path / str(n)), 600) for n in range(2)]
    for n in range(2):
        eventually((tmp_path / str(n)).exists)
    waiting = [rig.submit(pid) for _ in range(40)]
    token = rig.token
    os.kill(rig.pid_of(victim), signal.SIGKILL)
    for task_id in inside:
        lost = rig.lost(task_id)
        assert lost.cause == 'engine'
        assert 'interchange' in lost.evidence or 'SIGKILL' in lost.evidence
    assert leash.marked(token) == []
    assert isinstance(rig.end(waiting[-1]), Finished)
    assert rig.call(pid)
    rig.wait(lambda: rig.engine.status().state == 'ready' and rig.engine.status().workers == 2)


@pytest.mark.fault(11)
def test_a_dead_worker_and_a_dead_manager_are_named(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(max_workers_per_node=1, heartbeat_period=1, heartbeat_threshold=4)
    task_id = rig.submit(touch_and_sleep, str(tmp_path / 'a'), 600)
    eventually(lambda: (tmp_path / 'a').exists() and (tmp_path / 'a').read_text())
    runner = psutil.Process(int((tmp_path / 'a').read_text()))
    runner.parent().kill()
    assert rig.lost(task_id).cause == 'worker'
    eventually(lambda: not runner.is_running())
    task_id = rig.submit(touch_and_sleep, str(tmp_path / 'b'), 600)
    eventually(lambda: (tmp_path / 'b').exists() and (tmp_path / 'b').read_text())
    runner = psutil.Process(int((tmp_path / 'b').read_text()))
    runner.parent().parent().parent().kill()  # a worker's parent is its manager's forkserver
    assert rig.lost(task_id).cause == 'manager'
    eventually(lambda: not runner.is_running())


ONE_CPU = 'taskset -cp $(taskset -cp $$ | sed "s/.*: //; s/[-,].*//") $$ >&2'
"""Leaves a batch job one CPU, of which the endpoint cannot know."""


def test_a_node_whose_workers_die_gets_no_more_tasks_and_the_others_work(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    provider = LocalProvider(worker_init=f'mkdir {tmp_path}/first && {ONE_CPU}', init_blocks=2, min_blocks=2, max_blocks=2)
    options = {'heartbeat_period': 1, 'heartbeat_threshold': 4, 'job_status_kwargs': {'strategy_period': 0.5}}
    rig = rigs(provider=provider, cpu_affinity='block', **options)
    rig.wait(lambda: rig.engine.status().managers == 2)
    for task_id in [rig.submit(pid) for _ in range(12)]:
        end = rig.end(task_id)
        assert isinstance(end, Finished) or end.cause == 'manager'
    rig.wait(lambda: not rig.engine.status().reason)
    assert all(isinstance(rig.end(task_id), Finished) for task_id in [rig.submit(pid) for _ in range(12)])


PARTY = """
import sys, time
from pathlib import Path
from relay_parsl.engines.base import Work
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.wire import payload
sys.path.insert(0, {tests!r})
from integration.test_htex_engine import touch_and_sleep
home = Path({home!r})
(home / 'spool').mkdir()
engine = HtexEngine(max_workers_per_node=2)
engine.start(lambda event: None, home / 'run', 'party')
for n in range(2):
    arguments = payload.dump_arguments((str(home / str(n)), 600), {{}})
    engine.submit(Work(bytes([n]) * 16, 1, b'a', payload.dump_function(touch_and_sleep), arguments, None, {{}}, str(home / 'spool')))
engine.flush()
time.sleep(600)
"""


@pytest.fixture(name='party')
def _party(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    script = textwrap.dedent(PARTY).format(home=str(tmp_path), tests=str(Path(__file__).parents[1]))
    process = subprocess.Popen([sys.executable, '-c', script])
    try:
        for n in range(2):
            eventually((tmp_path / str(n)).exists)
        (journal,) = (tmp_path / 'run').glob('*.journal')
        yield process, journal.stem
    finally:
        process.kill()
        process.wait()
        for path in (tmp_path / 'run').glob('*.journal'):
            leash.kill_marked(path.stem)


def test_nothing_outlives_a_killed_endpoint(party: tuple[subprocess.Popen[bytes], str]) -> None:
    process, token = party
    assert len(leash.marked(token)) >= 8
    process.kill()
    eventually(lambda: not leash.marked(token), 30)


def test_a_start_kills_what_a_leash_could_not(party: tuple[subprocess.Popen[bytes], str], rigs: Callable[..., Rig], tmp_path: Path) -> None:
    process, token = party
    for victim in [each for each in leash.marked(token) if '--watch' in command(each)]:
        os.kill(victim, signal.SIGKILL)
    process.kill()
    process.wait()
    stray = subprocess.Popen(['sleep', '600'], env={**os.environ, leash.MARK: f'{token}/stray'})
    engine = HtexEngine(max_workers_per_node=1)
    engine.start(lambda event: None, tmp_path / 'run', 'party')
    try:
        stray.wait(20)
        eventually(lambda: not leash.marked(token), 20)
        eventually(lambda: engine.status().workers == 1)
    finally:
        engine.stop()
        stray.kill()
        stray.wait()
    assert list((tmp_path / 'run').glob('*.journal')) == []
