"""Blocks as an engine tells of them: where they are, why they fail, and when it stops asking for more."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parsl.providers import LocalProvider

from relay_parsl.engines.base import Changed, EngineStatus, Finished, Lost
from relay_parsl.errors import BlocksFailed
from relay_parsl.wire import payload
from tests.integration.engine_rig import Rig, eventually

pytestmark = pytest.mark.integration


def test_the_status_names_blocks_jobs_managers_and_hosts(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    rig.wait(lambda: rig.engine.status().workers == 2)
    detail = rig.engine.status().detail
    (block,), (manager,) = detail['blocks'], detail['managers']
    assert (block['block'], block['reason']) == ('0', '')
    assert block['state'] in ('PENDING', 'RUNNING')
    assert int(block['job']) > 1
    assert (manager['host'], manager['block'], manager['workers'], manager['tasks']) == (platform.node(), '0', 2, 0)


QUICK = {'heartbeat_period': 1, 'heartbeat_threshold': 4, 'job_status_kwargs': {'strategy_period': 0.5}}
ONE_CPU = 'taskset -cp $(taskset -cp $$ | sed "s/.*: //; s/[-,].*//") $$ >&2'
"""Leaves a batch job one CPU, of which the endpoint cannot know."""


def pid() -> int:
    return os.getpid()


def failing(note: Path, script: str = 'echo the module is gone >&2; exit 9', blocks: int = 5) -> LocalProvider:
    """A provider whose jobs leave a line in `note` and end before there is a worker."""
    return LocalProvider(worker_init=f'echo >>{note}; {script}', init_blocks=1, max_blocks=blocks)


def submitted(note: Path) -> int:
    return len(note.read_text()) if note.exists() else 0


def error(end: Finished | Lost) -> Exception:
    assert isinstance(end, Finished), end
    with pytest.raises(Exception) as raised:  # noqa: PT011  the test looks at what it is
        payload.load_outcome(payload.decode_outcome(end.outcome).data)
    return raised.value


def broken(rig: Rig) -> EngineStatus:
    rig.wait(lambda: any(isinstance(event, Changed) and event.status.state == 'broken' for event in rig.events))
    return rig.engine.status()


def test_a_broken_worker_init_is_submitted_three_times_and_its_words_reach_the_tasks(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(provider=failing(tmp_path / 'note'), **QUICK)
    tasks = [rig.submit(pid) for _ in range(50)]
    for task in (tasks[0], tasks[-1]):
        failure = error(rig.end(task))
        assert isinstance(failure, BlocksFailed)
        assert 'the module is gone' in str(failure)
        assert 'exit code 9' in str(failure)
    assert submitted(tmp_path / 'note') == 3
    status = broken(rig)
    assert 'the module is gone' in status.reason
    eventually(lambda: [row['state'] for row in rig.engine.status().detail['blocks']] == ['FAILED'] * 3)
    assert isinstance(error(rig.end(rig.submit(pid))), BlocksFailed)
    (log,) = rig.run_dir.glob('*/engine.log')
    assert 'block 2 is barren (3 in a row)' in log.read_text()
    assert not any(isinstance(event, Lost) for event in rig.events)
    time.sleep(2.0)  # four looks of the strategy
    assert submitted(tmp_path / 'note') == 3


def test_tasks_wait_where_the_file_says_so(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(provider=failing(tmp_path / 'note'), block_error_handler=False, **QUICK)
    task = rig.submit(pid)
    assert 'the module is gone' in broken(rig).reason
    time.sleep(2.0)  # four looks of the strategy
    assert [event for event in rig.events if isinstance(event, (Finished, Lost))] == []
    assert submitted(tmp_path / 'note') == 3
    assert rig.engine.status().outstanding == 1
    assert rig.engine.cancel(task, 1) in (True, False)


def test_the_count_outlives_the_engine_process(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(provider=failing(tmp_path / 'note'), block_error_handler=False, **QUICK)
    rig.submit(pid)
    broken(rig)
    token = rig.token
    os.kill(rig.pid_of('engines.child'), signal.SIGKILL)
    eventually(lambda: rig.token != token)
    rig.submit(pid)
    rig.wait(lambda: rig.engine.status().detail['blocks'] == [] and rig.engine._state == 'ready')
    assert rig.engine.status().state == 'broken'
    time.sleep(2.0)  # four looks of the strategy
    assert submitted(tmp_path / 'note') == 3


def test_two_bad_blocks_and_a_good_one_are_no_reason_to_stop(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    provider = failing(tmp_path / 'note', f'[ $(wc -l <{tmp_path}/note) -gt 2 ] || exit 9', blocks=1)
    rig = rigs(provider=provider, **QUICK)
    assert rig.call(pid)
    assert submitted(tmp_path / 'note') == 3
    assert rig.engine.status().state == 'ready'


@pytest.mark.parametrize(
    ('script', 'options', 'said'),
    [
        ('export PARSL_CORES=1', {'cores_per_worker': 2}, 'no worker fits on a node of block'),
        (ONE_CPU, {'cpu_affinity': 'block'}, 'Affinity does not work if there are more workers than cores'),
    ],
)
def test_nodes_without_workers_are_seen_and_said(rigs: Callable[..., Rig], tmp_path: Path, script: str, options: dict[str, Any], said: str) -> None:
    """Parsl's tasks would wait for ever, and nobody would be told (6, 23)."""
    rig = rigs(provider=failing(tmp_path / 'note', script, blocks=1), **QUICK, **options)
    failure = error(rig.end(rig.submit(pid)))
    assert isinstance(failure, BlocksFailed)
    assert said in str(failure)
    assert submitted(tmp_path / 'note') == 3
    assert not any(isinstance(event, Lost) for event in rig.events)


def block_after(seconds: float) -> str:
    time.sleep(seconds)
    return os.environ['PARSL_WORKER_BLOCK_ID']


def test_a_node_that_drains_ends_its_tasks_and_takes_no_more(rigs: Callable[..., Rig]) -> None:
    """As it does before its walltime: nothing is lost, and the next block goes on."""
    rig = rigs(provider=LocalProvider(init_blocks=1, max_blocks=1), max_workers_per_node=1, drain_period=4, **QUICK)
    assert rig.call(block_after, 0.0) == '0'
    assert rig.call(block_after, 6.0) == '0', 'it was running when the node began to drain'
    assert rig.call(block_after, 0.0) == '1'
    assert not any(isinstance(event, Lost) for event in rig.events)
    assert rig.engine.status().state == 'ready'
