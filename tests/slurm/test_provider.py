"""`SlurmProvider` by itself on the real Slurm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from parsl.jobs.states import JobState
from parsl.launchers import SimpleLauncher
from parsl.providers import SlurmProvider as ParslsProvider
from parsl.providers.errors import SubmitException

from relay_parsl.providers import SlurmProvider
from tests.slurm import cluster

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group('slurm')]
ALIVE = (JobState.PENDING, JobState.RUNNING)
Make = Callable[..., Any]


@pytest.fixture(name='make')
def _make(tmp_path: Path) -> Iterator[Make]:
    made: list[Any] = []

    def make(kind: type[Any] = SlurmProvider, **options: Any) -> Any:
        settings = {'account': cluster.ACCOUNT, 'qos': cluster.QOS, 'launcher': SimpleLauncher(), 'exclusive': False, 'cmd_timeout': 30}
        made.append(kind(**{**settings, **options}))
        made[-1].script_dir = str(tmp_path)
        return made[-1]

    yield make
    jobs = [job for provider in made for job in provider.resources]
    if jobs:
        cluster.run('scancel', *jobs)


def states(provider: Any, jobs: list[str]) -> list[JobState]:
    return [status.state for status in provider.status(jobs)]


def ended(provider: Any, jobs: list[str]) -> list[JobState]:
    cluster.until(lambda: all(status.terminal for status in provider.status(jobs)), 60)
    return states(provider, jobs)


def nothing_is_called_completed_right_after_sbatch(make: Make, kind: type[Any]) -> None:
    """Fault 1: accounting here is 0.2 to 3 s behind."""
    for _ in range(4):
        provider = make(kind)
        job = provider.submit('sleep 60', 1, 'young')
        assert states(provider, [job])[0] in ALIVE


def ends_stay_what_they_are(make: Make, kind: type[Any]) -> None:
    """Fault 2."""
    provider = make(kind)
    jobs = [provider.submit(command, 1, 'end') for command in ('sleep 60', 'exit 3', 'sleep 60')]
    # What Parsl needs: it would take a job for completed that accounting has not heard of.
    cluster.until(lambda: cluster.run('sacct', '-nX', '-j', ','.join(jobs), '-o', 'jobid').split() == jobs, 30)
    cluster.run('scancel', jobs[2])
    wanted = [JobState.RUNNING, JobState.FAILED, JobState.CANCELLED]
    cluster.until(lambda: states(provider, jobs) == wanted or JobState.COMPLETED in states(provider, jobs), 30)
    assert states(provider, jobs) == wanted
    assert states(provider, jobs) == wanted


def what_is_not_there_is_not_cancelled(make: Make, kind: type[Any]) -> None:
    """Fault 5: scancel ends with 0."""
    provider = make(kind)
    provider.resources['999999'] = {'job_id': '999999'}
    try:
        assert provider.cancel(['999999']) == [False]
    finally:
        del provider.resources['999999']


CHECKS = {1: nothing_is_called_completed_right_after_sbatch, 2: ends_stay_what_they_are, 5: what_is_not_there_is_not_cancelled}


@pytest.mark.parametrize('number', CHECKS)
def test_ours_holds(number: int, make: Make) -> None:
    CHECKS[number](make, SlurmProvider)


@pytest.mark.parametrize('number', CHECKS)
def test_parsls_does_not(number: int, make: Make) -> None:
    with pytest.raises(AssertionError):
        CHECKS[number](make, ParslsProvider)


def test_ends_have_exit_codes_and_words(make: Make) -> None:
    provider = make()
    good, bad, long = (provider.submit(command, 1, 'end') for command in ('echo fine', 'echo odd >&2; exit 3', 'sleep 60'))
    cluster.until(lambda: states(provider, [long])[0] == JobState.RUNNING)
    cluster.run('scancel', long)
    assert ended(provider, [good, bad, long]) == [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED]
    found = provider.status([good, bad, long])
    assert [status.exit_code for status in found[:2]] == [0, 3]
    assert (found[0].stdout, found[1].stderr) == ('fine\n', 'odd\n')
    assert found[2].message.startswith('CANCELLED')


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'account': 'nosuch'}, 'Invalid account or account/partition combination specified'),
        ({'qos': 'nosuch'}, 'Invalid qos specification'),
        ({'constraint': 'gpuu'}, 'Invalid feature specification'),
        ({'partition': 'tiny', 'walltime': '01:00:00'}, 'Requested time limit is invalid'),
        ({'gpus_per_node': 8}, 'Requested node configuration is not available'),
    ],
)
def test_refusals_carry_the_words_of_sbatch(make: Make, options: dict[str, Any], said: str) -> None:
    with pytest.raises(SubmitException, match=said) as refused:
        make(**options).submit('true', 1, 'no')
    assert refused.value.retcode == 1
    assert said in refused.value.stderr


def test_why_a_job_waits_is_in_its_message(make: Make) -> None:
    held = make(scheduler_options='#SBATCH --hold')
    later = make(scheduler_options='#SBATCH --begin=now+1hour')
    (status,) = held.status([held.submit('true', 1, 'held')])
    assert (status.state, status.message) == (JobState.PENDING, 'waits: JobHeldUser (its owner holds it: scontrol release)')
    (status,) = later.status([later.submit('true', 1, 'later')])
    assert (status.state, status.message) == (JobState.PENDING, 'waits: BeginTime (its time to begin has not come)')


def test_a_job_that_can_never_run_is_said_to_be_so(make: Make) -> None:
    """Its limit comes down while it waits, as it happens when an allocation's rules change."""
    provider = make(partition='tiny', walltime='00:05:00', scheduler_options='#SBATCH --begin=now+1hour')
    job = provider.submit('true', 1, 'never')
    cluster.run('scontrol', 'update', 'PartitionName=tiny', 'MaxTime=2')
    try:
        cluster.run('scontrol', 'update', f'JobId={job}', 'StartTime=now')
        cluster.until(lambda: 'can never run: PartitionTimeLimit' in str(provider.status([job])[0].message), 30)
        assert states(provider, [job]) == [JobState.PENDING]
    finally:
        cluster.run('scontrol', 'update', 'PartitionName=tiny', 'MaxTime=5')


def test_a_job_is_submitted_with_a_walltime_of_days_and_the_cluster_named(make: Make) -> None:
    name = cluster.run('sacctmgr', '-nP', 'show', 'cluster', 'format=cluster').strip()
    provider = make(walltime='1-02:00:00', clusters=name)
    job = provider.submit('sleep 60', 1, 'days')
    number, _, where = job.partition(';')
    assert where == name
    assert cluster.field(number, 'TimeLimit') == '1-02:00:00'
    cluster.until(lambda: states(provider, [job]) == [JobState.RUNNING])
    assert provider.cancel([job]) == [True]
    cluster.until(lambda: cluster.field(number, 'JobState') in ('CANCELLED', 'COMPLETING'))
    del provider.resources[job]


def test_without_accounting_the_queue_serves_and_then_accounting_again(make: Make) -> None:
    """slurmdbd is stopped: sacct is refused, sbatch and squeue go on, and what ends is told with its exit code. Fault 32."""
    provider, parsls = make(), make(ParslsProvider)
    jobs = [provider.submit(command, 1, 'end') for command in ('sleep 600', 'sleep 3; exit 4')]
    theirs = parsls.submit('sleep 3; exit 4', 1, 'end')
    cluster.stop_database()
    try:
        late = provider.submit('exit 5', 1, 'end')
        assert ended(provider, [jobs[1], late]) == [JobState.FAILED, JobState.FAILED]
        assert [status.exit_code for status in provider.status([jobs[1], late])] == [4, 5]
        assert states(provider, jobs[:1]) == [JobState.RUNNING]
        cluster.until(lambda: cluster.field(theirs, 'JobState') == 'FAILED', 30)
        assert states(parsls, [theirs]) == [JobState.PENDING], 'Parsl made its choice when it was made'
    finally:
        cluster.start_database()
    started = time.monotonic()
    cluster.run('scancel', jobs[0])
    assert ended(provider, jobs[:1]) == [JobState.CANCELLED]
    assert time.monotonic() - started < 30
