"""Faults of Parsl's SlurmProvider by their numbers in docs/parsl-faults.md: each check fails on the pinned class and passes on ours."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from parsl.jobs.states import JobState
from parsl.providers import SlurmProvider as ParslsProvider

from relay_parsl.providers import SlurmProvider
from tests.fakes.slurm import DISABLED, FakeSlurm

ALIVE = (JobState.PENDING, JobState.RUNNING)
Check = Callable[[type[Any], FakeSlurm], None]


@pytest.fixture(name='slurm')
def _slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    fake = FakeSlurm(tmp_path, monkeypatch)
    yield fake
    fake.end()


def states(provider: Any, *jobs: str) -> list[JobState]:
    return [status.state for status in provider.status(list(jobs))]


def a_live_block_is_not_called_completed_while_sacct_does_not_know_it(kind: type[Any], slurm: FakeSlurm) -> None:
    provider = slurm.provider(kind)
    slurm.tell('sacct', 'late 60')
    job = provider.submit('sleep 60', 1, 'n')
    assert states(provider, job)[0] in ALIVE


def an_end_is_not_overwritten_at_the_next_poll(kind: type[Any], slurm: FakeSlurm) -> None:
    provider = slurm.provider(kind)
    jobs = [provider.submit('sleep 60', 1, 'n') for _ in range(4)]
    for job, state in zip(jobs, ('FAILED 1:0', 'TIMEOUT 0:0', 'CANCELLED 0:0')):
        slurm.become(job, f'{state} None')
    wanted = [JobState.FAILED, JobState.TIMEOUT, JobState.CANCELLED, JobState.RUNNING]
    assert states(provider, *jobs) == wanted
    assert states(provider, *jobs) == wanted


def the_queue_alone_tells_failures_and_a_purged_job_does_not_freeze(kind: type[Any], slurm: FakeSlurm) -> None:
    slurm.tell('sacct', f'refuse {DISABLED}')
    provider = slurm.provider(kind)
    failed, late, forgotten = (provider.submit('sleep 60', 1, 'n') for _ in range(3))
    slurm.become(failed, 'FAILED 1:0 NonZeroExitCode')
    slurm.become(late, 'TIMEOUT 0:15 TimeLimit')
    assert states(provider, failed, late) == [JobState.FAILED, JobState.TIMEOUT]
    slurm.purge(forgotten)
    provider.grace = 0.0
    assert states(provider, forgotten)[0] not in ALIVE


def a_job_is_not_started_again_by_itself(kind: type[Any], slurm: FakeSlurm) -> None:
    """After the crash of a node Slurm would start it once more under the same id, behind the back of HTEX; seen for real in tests/slurm."""
    slurm.provider(kind).submit('sleep 60', 1, 'block')
    (script,) = [path for path in slurm.scripts.glob('block*') if not path.suffix.startswith('.std')]
    assert '#SBATCH --no-requeue' in script.read_text().splitlines()


def what_slurm_does_not_know_is_not_cancelled(kind: type[Any], slurm: FakeSlurm) -> None:
    provider = slurm.provider(kind)
    job = provider.submit('sleep 60', 1, 'n')
    slurm.purge(job)
    assert provider.cancel([job]) == [False]


def a_constructor_runs_no_command(kind: type[Any], slurm: FakeSlurm) -> None:
    slurm.provider(kind)
    assert slurm.asked('sacct') == []


def one_batch_of_jobs_that_fails_does_not_take_the_others_with_it(kind: type[Any], slurm: FakeSlurm) -> None:
    """Questions are in batches (sacct hangs over 200 ids); Parsl throws all answers away when one batch fails."""
    provider = slurm.provider(kind, status_batch_size=1)
    jobs = [provider.submit('sleep 60', 1, 'n') for _ in range(3)]
    slurm.tell('sacct', f'choke {jobs[1]}')
    for job in jobs:
        slurm.become(job, 'FAILED 1:0 NonZeroExitCode')
    assert states(provider, *jobs) == [JobState.FAILED] * 3


def an_accounting_that_goes_away_and_comes_back_is_told_in_each_poll(kind: type[Any], slurm: FakeSlurm) -> None:
    provider = slurm.provider(kind)
    one, two, three = (provider.submit('sleep 60', 1, 'n') for _ in range(3))
    assert states(provider, one, two) == [JobState.RUNNING] * 2
    slurm.tell('sacct', 'refuse sacct: error: Problem talking to the database: Connection refused')
    slurm.become(one, 'FAILED 1:0 NonZeroExitCode')
    assert states(provider, one, two) == [JobState.FAILED, JobState.RUNNING]
    slurm.tell('sacct', '')
    slurm.become(two, 'TIMEOUT 0:0 None')
    assert states(provider, one, two, three) == [JobState.FAILED, JobState.TIMEOUT, JobState.RUNNING]


def jobs_of_two_clusters_may_have_one_number(kind: type[Any], slurm: FakeSlurm) -> None:
    provider = slurm.provider(kind, clusters='alpha,beta')
    one, two = provider.submit('sleep 60', 1, 'n'), provider.submit('sleep 60', 1, 'n')
    slurm.become('1;alpha', 'FAILED 1:0 NonZeroExitCode')
    assert states(provider, one, two) == [JobState.FAILED, JobState.RUNNING]
    assert provider.cancel([two]) == [True]
    assert states(provider, one, two) == [JobState.FAILED, JobState.CANCELLED]


def a_walltime_may_have_days(kind: type[Any], slurm: FakeSlurm) -> None:
    slurm.provider(kind, walltime='1-02:00:00').submit('sleep 60', 1, 'block')


CHECKS: dict[int, tuple[Check, type[BaseException]]] = {
    1: (a_live_block_is_not_called_completed_while_sacct_does_not_know_it, AssertionError),
    2: (an_end_is_not_overwritten_at_the_next_poll, AssertionError),
    3: (the_queue_alone_tells_failures_and_a_purged_job_does_not_freeze, AssertionError),
    4: (a_job_is_not_started_again_by_itself, AssertionError),
    5: (what_slurm_does_not_know_is_not_cancelled, AssertionError),
    30: (a_constructor_runs_no_command, AssertionError),
    31: (one_batch_of_jobs_that_fails_does_not_take_the_others_with_it, AssertionError),
    32: (an_accounting_that_goes_away_and_comes_back_is_told_in_each_poll, AssertionError),
    33: (jobs_of_two_clusters_may_have_one_number, KeyError),
    34: (a_walltime_may_have_days, ValueError),
}


def in_the_table(provider: SlurmProvider, slurm: FakeSlurm, job: str, state: str) -> None:
    """A job that was submitted, and has become this."""
    facts = {'name': f'n{job}', 'cluster': '', 'submitted': 0.0, 'given': {}}
    (slurm.jobs / f'{job}.json').write_text(json.dumps(facts))
    slurm.become(job, state)
    provider._enter(job, provider._job('n', 1))


@pytest.mark.parametrize('size', [50, 200, 7])
def test_no_question_names_more_jobs_than_a_batch_and_more_than_200_jobs_are_told(slurm: FakeSlurm, size: int) -> None:
    """The fake sacct hangs over 200 ids, as that of a large site does."""
    provider = slurm.provider(SlurmProvider, status_batch_size=size, cmd_timeout=20)
    jobs = [str(number) for number in range(1, 231)]
    for job in jobs:
        in_the_table(provider, slurm, job, 'PENDING 0:0 Priority' if int(job) % 2 else 'FAILED 1:0 NonZeroExitCode')
    assert states(provider, *jobs) == [JobState.PENDING if int(job) % 2 else JobState.FAILED for job in jobs]
    for program, count in (('sacct', 230), ('squeue', 115)):
        named = [re.findall(r'--jobs=(\S+)', line)[0].split(',') for line in slurm.asked(program)]
        assert max(map(len, named)) <= size
        assert sum(map(len, named)) == count


@pytest.mark.fault(16)
def test_an_accounting_that_hangs_holds_up_a_poll_once_and_the_queue_answers(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider, status_batch_size=1, cmd_timeout=3)
    jobs = [provider.submit('sleep 60', 1, 'n') for _ in range(4)]
    slurm.become(jobs[0], 'FAILED 1:0 NonZeroExitCode')
    before = len(slurm.asked('sacct'))
    slurm.tell('sacct', 'hang')
    asked = time.monotonic()
    assert states(provider, *jobs) == [JobState.FAILED, *[JobState.RUNNING] * 3]
    assert len(slurm.asked('sacct')) == before + 1, 'one batch has hung; about the others it is not asked in the same poll'
    assert time.monotonic() - asked < len(jobs) * provider.cmd_timeout


@pytest.mark.parametrize('number', CHECKS)
def test_ours_holds(number: int, slurm: FakeSlurm) -> None:
    CHECKS[number][0](SlurmProvider, slurm)


@pytest.mark.parametrize('number', CHECKS)
def test_parsls_does_not(number: int, slurm: FakeSlurm) -> None:
    check, error = CHECKS[number]
    with pytest.raises(error):
        check(ParslsProvider, slurm)
