"""`HtexEngine` on `PBSProProvider`, over the fake PBS: jobs that run workers, jobs that cannot, jobs that end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parsl.launchers import SimpleLauncher, SingleNodeLauncher

from relay_parsl.engines.base import Finished
from relay_parsl.errors import BlocksFailed
from relay_parsl.providers import PBSProProvider
from relay_parsl.wire import payload
from tests.fakes.pbs import FakePBS, fixture
from tests.integration.engine_rig import Rig, eventually

pytestmark = pytest.mark.integration
__all__ = ['fixture']

QUICK = {'address': '127.0.0.1', 'heartbeat_period': 1, 'heartbeat_threshold': 4, 'job_status_kwargs': {'strategy_period': 0.5}}
"""Found on loopback, and seen at once."""


def polaris(**options: Any) -> PBSProProvider:
    given = {'account': 'Catalyst', 'queue': 'debug', 'filesystems': 'home:eagle', 'select_options': 'ngpus=4', 'cores_per_node': 64}
    return PBSProProvider(**{**given, 'walltime': '00:10:00', 'launcher': SimpleLauncher(), 'init_blocks': 0, **options})


def whereabouts() -> tuple[str, str, str]:
    return os.getcwd(), os.environ['PBS_JOBID'], os.environ['PARSL_CORES']


def touch_and_sleep(path: str) -> None:
    Path(path).touch()
    time.sleep(600)


def blocks(rig: Rig) -> list[tuple[str, str]]:
    return [(row['job'], row['state']) for row in rig.engine.status().detail['blocks']]


def test_tasks_run_in_a_job_that_ends_with_the_engine(pbs: FakePBS, rigs: Callable[..., Rig]) -> None:
    rig = rigs(provider=polaris(launcher=SingleNodeLauncher()), **QUICK)
    tasks = [rig.submit(whereabouts) for _ in range(20)]
    for task in tasks:
        directory, job, cores = payload.load_outcome(rig.outcome(task).data)
        assert (job, cores) == ('1.polaris-pbs-01', '64')
        assert directory.startswith(str(rig.run_dir)), 'nothing litters the home directory'
    assert list(pbs.jobs) == ['1.polaris-pbs-01']
    assert pbs.jobs['1.polaris-pbs-01']['wanted']['list']['select'] == '1:ncpus=64:ngpus=4'
    eventually(lambda: blocks(rig) == [('1.polaris-pbs-01', 'RUNNING')])
    assert rig.engine.status().detail['blocks'][0]['reason'].startswith('Job run at ')
    rig.engine.stop()
    assert pbs.wait('1.polaris-pbs-01', 'F')['substate'] == 91
    assert pbs.processes('1.polaris-pbs-01') == []
    assert list((pbs.directory / 'home').iterdir()) == []


def failure(rig: Rig, task: bytes) -> Exception:
    end = rig.end(task)
    assert isinstance(end, Finished), end
    with pytest.raises(BlocksFailed) as raised:
        payload.load_outcome(payload.decode_outcome(end.outcome).data)
    return raised.value


@pytest.mark.parametrize(
    ('options', 'said', 'jobs'),
    [
        ({'account': 'NoSuchProject'}, 'No active allocation found for project NoSuchProject', 0),
        ({'worker_init': 'echo conda: no such environment >&2; exit 9'}, 'conda: no such environment', 3),
    ],
    ids=['account', 'worker_init'],
)
def test_jobs_that_cannot_work_are_three_and_say_why(pbs: FakePBS, rigs: Callable[..., Rig], options: dict[str, Any], said: str, jobs: int) -> None:
    rig = rigs(provider=polaris(max_blocks=5, **options), **QUICK)
    task = rig.submit(whereabouts)
    assert said in str(failure(rig, task))
    assert said in rig.engine.status().reason
    assert said in str(failure(rig, rig.submit(whereabouts)))
    time.sleep(2.0)  # four looks of the strategy
    assert len(pbs.ran('qsub')) == 3
    assert len(pbs.jobs) == jobs


def test_a_job_that_can_never_run_says_so_while_its_task_waits(pbs: FakePBS, rigs: Callable[..., Rig]) -> None:
    rig = rigs(provider=polaris(system='polariss'), **QUICK)
    rig.submit(whereabouts)
    eventually(lambda: [row['reason'] for row in rig.engine.status().detail['blocks'] if row['reason']])
    (row,) = rig.engine.status().detail['blocks']
    assert row['state'] == 'PENDING'
    assert row['reason'] == 'Can Never Run: Insufficient amount of resource: system (polariss != polaris)'
    assert len(pbs.jobs) == 1


def test_a_job_that_is_deleted_costs_its_tasks_and_is_replaced(pbs: FakePBS, rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(provider=polaris(), **QUICK)
    task = rig.submit(touch_and_sleep, str(tmp_path / 'on'))
    eventually((tmp_path / 'on').exists)
    subprocess.run(['qdel', '1'], check=True)
    assert rig.lost(task).cause == 'manager'
    assert rig.call(whereabouts)[1] == '2.polaris-pbs-01'
    assert pbs.jobs['1.polaris-pbs-01']['state'] == 'F'
