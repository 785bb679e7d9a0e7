"""A batch system that lies, loses its answers, is away, or ends jobs in the middle of a task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from parsl.launchers import SimpleLauncher
from parsl.providers.errors import SubmitException

from relay_parsl.providers import PBSProProvider, SlurmProvider
from tests.fakes.pbs import FakePBS, fixture
from tests.fakes.slurm import FakeSlurm
from tests.integration.conftest import _rigs  # noqa: F401  the fixture `rigs`
from tests.integration.engine_rig import Rig, eventually

pytestmark = pytest.mark.integration
__all__ = ['fixture']

QUICK = {'address': '127.0.0.1', 'heartbeat_period': 1, 'heartbeat_threshold': 4, 'job_status_kwargs': {'strategy_period': 0.5}}
"""Found on loopback, and seen at once."""
LOOKS = 3.0
"""Seconds for several looks of the strategy that runs each 0.5 s."""


@pytest.fixture(name='slurm')
def _slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    fake = FakeSlurm(tmp_path, monkeypatch)
    yield fake
    fake.end()


def polaris(**options: Any) -> PBSProProvider:
    given = {'account': 'Catalyst', 'queue': 'debug', 'filesystems': 'home:eagle', 'cores_per_node': 64, 'walltime': '00:10:00'}
    return PBSProProvider(**{**given, 'launcher': SimpleLauncher(), 'init_blocks': 0, **options})  # type: ignore[arg-type]


def where() -> str:
    import os

    return os.environ['PBS_JOBID']


def sleep_in_the_first_job(mark: str) -> str:
    import os
    import time
    from pathlib import Path

    job = os.environ['PBS_JOBID']
    if job.startswith('1.'):
        Path(mark).touch()
        time.sleep(600)
    return job


@pytest.mark.slow
@pytest.mark.fault(15)
def test_a_task_that_its_jobs_walltime_cuts_off_is_lost_to_the_walltime_and_runs_in_another_block(
    pbs: FakePBS, rigs: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = rigs(provider=polaris(walltime='00:00:12', max_blocks=1), **QUICK)
    task = rig.submit(sleep_in_the_first_job, str(tmp_path / 'on'))
    eventually((tmp_path / 'on').exists)
    lost = rig.lost(task)
    assert lost.cause == 'walltime', lost
    assert rig.call(sleep_in_the_first_job, str(tmp_path / 'on')).startswith('2.')


@pytest.mark.fault(16)
def test_a_scheduler_that_is_away_is_asked_three_times_and_the_task_learns_why(pbs: FakePBS, rigs: Callable[..., Rig]) -> None:
    pbs.set(down=True)
    rig = rigs(provider=polaris(max_blocks=5), **QUICK)
    rig.submit(where)
    eventually(lambda: 'cannot connect to server' in rig.engine.status().reason)
    time.sleep(LOOKS)
    assert len(pbs.ran('qsub')) == 3, 'no storm of submissions'


@pytest.mark.fault(16)
def test_what_sbatch_says_when_slurm_is_down_is_the_error(slurm: FakeSlurm) -> None:
    slurm.tell('sbatch', 'refuse sbatch: error: Unable to contact slurm controller (connect failure)')
    with pytest.raises(SubmitException, match='Unable to contact slurm controller'):
        slurm.provider(SlurmProvider).submit('sleep 60', 1, 'n')


@pytest.mark.fault(16)
def test_garbage_is_no_job_and_no_news_of_one(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    job = provider.submit('sleep 60', 1, 'n')
    for program in ('sbatch', 'squeue', 'sacct', 'scontrol'):
        slurm.tell(program, 'garbage')
    with pytest.raises(SubmitException, match='no job id in its answer'):
        provider.submit('sleep 60', 1, 'n')
    assert not provider.status([job])[0].terminal


@pytest.mark.fault(17)
def test_a_job_whose_submission_lost_its_answer_is_found_by_its_name(slurm: FakeSlurm) -> None:
    slurm.tell('sbatch', 'mute')
    provider = slurm.provider(SlurmProvider)
    job = provider.submit('sleep 60', 1, 'n')
    assert [path.stem for path in slurm.jobs.glob('*.json')] == [job]
    assert provider.cancel([job]) == [True]


@pytest.mark.fault(17)
def test_no_more_jobs_run_than_there_may_be_blocks_when_answers_are_lost(pbs: FakePBS, rigs: Callable[..., Rig]) -> None:
    pbs.set(mute=True)
    rig = rigs(provider=polaris(max_blocks=1), **QUICK)
    assert rig.call(where) == '1.polaris-pbs-01'
    time.sleep(LOOKS)
    assert list(pbs.jobs) == ['1.polaris-pbs-01']
    rig.engine.stop()
    assert pbs.wait('1.polaris-pbs-01', 'F')
