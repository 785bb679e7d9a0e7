"""`SlurmProvider` with programs on PATH that lie, refuse and hang as Slurm's do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from parsl.jobs.states import JobState
from parsl.providers.errors import SubmitException

from relay_parsl.errors import ConfigError
from relay_parsl.providers import SlurmProvider
from tests.fakes.patience import give_up
from tests.fakes.slurm import DISABLED, INVALID, FakeSlurm
from tests.integration.commands import until


@pytest.fixture(name='slurm')
def _slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    fake = FakeSlurm(tmp_path, monkeypatch)
    yield fake
    fake.end()


def state(provider: SlurmProvider, job: str) -> JobState:
    return provider.status([job])[0].state


def test_the_script_says_what_the_options_say() -> None:
    provider = SlurmProvider(
        partition='gpu_ss11',
        account='m1234_g',
        qos='debug',
        constraint='gpu&hbm40g',
        nodes_per_block=2,
        cores_per_node=128,
        mem_per_node=200,
        gpus_per_node=4,
        gres='nvme:1',
        walltime='1-02',
        scheduler_options='#SBATCH --core-spec=8\n',
        worker_init='module load conda',
    )
    lines = provider.script('start workers', 1, 'parsl.site.block-0').splitlines()
    assert [line.removeprefix('#SBATCH --') for line in lines if line.startswith('#SBATCH')] == [
        'job-name=parsl.site.block-0',
        'output=parsl.site.block-0.stdout',
        'error=parsl.site.block-0.stderr',
        'account=m1234_g',
        'qos=debug',
        'partition=gpu_ss11',
        'constraint=gpu&hbm40g',
        'time=1-02:00:00',
        'nodes=2',
        'ntasks-per-node=1',
        'cpus-per-task=128',
        'mem=200g',
        'gpus-per-node=4',
        'gres=nvme:1',
        'exclusive',
        'no-requeue',
        'no-kill',
        'core-spec=8',
    ]
    assert lines.index('module load conda') < lines.index('export PARSL_CORES=128')
    assert 'export PARSL_MEMORY_GB=200' in lines


def test_what_may_be_switched() -> None:
    text = SlurmProvider(requeue=True, exclusive=False, no_kill=False, nodes_per_block=2).script('x', 1, 'n')
    assert '#SBATCH --requeue\n' in text
    assert not {'--no-requeue', '--exclusive', '--no-kill', '--account'} & set(text.replace('#SBATCH ', '').split())


@pytest.mark.parametrize('option', ['partition', 'account', 'qos', 'constraint', 'clusters', 'gres'])
def test_no_option_brings_a_directive_of_its_own(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        SlurmProvider(**{option: 'a\n#SBATCH --account=other'})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'scheduler_options': '--qos=debug'}, 'write `#SBATCH --qos=debug`'),
        ({'scheduler_options': ' #SBATCH --qos=debug'}, 'write `#SBATCH --qos=debug`'),
        ({'scheduler_options': '#SBATCH --array=0-9'}, 'nodes_per_block or max_blocks'),
        ({'regex_job_id': r'job (\d+)'}, r'\(\?P<id>'),
        ({'regex_job_id': '('}, 'no regular expression'),
        ({'walltime': 'long'}, 'walltime'),
        ({'status_batch_size': 0}, 'status_batch_size'),
    ],
)
def test_options_are_checked_at_once(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SlurmProvider(**options)  # type: ignore[arg-type]


def test_a_path_is_no_pattern(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    provider.script_dir = str(slurm.home / '100%j')
    assert f'#SBATCH --output={slurm.home}/100%%j/n.stdout\n' in provider.script('x', 1, 'n')


def test_a_job_from_start_to_end(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    good, bad = provider.submit('echo done; echo odd >&2', 1, 'good'), provider.submit('exit 3', 1, 'bad')
    until(lambda: all(status.terminal for status in provider.status([good, bad])))
    ended = provider.status([good, bad])
    assert [(status.state, status.exit_code) for status in ended] == [(JobState.COMPLETED, 0), (JobState.FAILED, 3)]
    assert (ended[0].stdout, ended[0].stderr) == ('done\n', 'odd\n')
    assert ended[1].message == 'FAILED: the batch script ended with an error'


def test_why_a_job_waits_is_shown(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    job = provider.submit('sleep 60', 1, 'n')
    slurm.become(job, 'PENDING 0:0 PartitionTimeLimit')
    status = provider.status([job])[0]
    assert status.state == JobState.PENDING
    assert status.message is not None
    assert status.message.startswith('can never run: PartitionTimeLimit')


@pytest.mark.fault(16)
def test_what_sbatch_says_reaches_the_error(slurm: FakeSlurm) -> None:
    with pytest.raises(SubmitException) as refused:
        slurm.provider(SlurmProvider, account='nosuch').submit('x', 1, 'n')
    assert refused.value.retcode == 1
    assert 'Invalid account or account/partition combination specified' in str(refused.value)


@pytest.mark.fault(17)
@pytest.mark.parametrize('clusters', [None, 'beta,alpha'])
def test_a_job_of_an_sbatch_that_hung_is_found_by_its_name(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, clusters: str | None) -> None:
    """It would run beside the one that is submitted instead, and nobody would cancel it."""
    slurm.tell('sbatch', 'hang')
    give_up(monkeypatch, 'sbatch', 2)
    provider = slurm.provider(SlurmProvider, clusters=clusters)
    job = provider.submit('sleep 60', 1, 'n')
    assert state(provider, job) == JobState.RUNNING
    assert provider.cancel([job]) == [True]


def test_an_sbatch_that_hung_before_anything_was_submitted_is_an_error(slurm: FakeSlurm) -> None:
    slurm.tell('sbatch', 'hang')
    slurm.tell('squeue', 'refuse slurm_load_jobs error: Unable to contact slurm controller (connect failure)')
    with pytest.raises(SubmitException, match='did not answer within 1 s'):
        slurm.provider(SlurmProvider, cmd_timeout=1).submit('sleep 60', 1, 'n')


@pytest.mark.parametrize('fault', ['empty', f'refuse {DISABLED}', 'hang', 'late 60'])
def test_without_accounting_the_queue_tells_how_a_job_is_and_how_it_ended(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    provider = slurm.provider(SlurmProvider)
    give_up(monkeypatch, 'sacct', 0.5)
    job, other = provider.submit('sleep 60', 1, 'n'), provider.submit('sleep 60', 1, 'n')
    slurm.tell('sacct', fault)
    assert state(provider, job) == JobState.RUNNING
    slurm.become(job, 'TIMEOUT 0:15 TimeLimit')
    slurm.become(other, 'FAILED 4:0 NonZeroExitCode')
    ended = provider.status([job, other])
    assert [(status.state, status.exit_code) for status in ended] == [(JobState.TIMEOUT, 143), (JobState.FAILED, 4)]


@pytest.mark.fault(16)
def test_when_nothing_answers_jobs_stay_as_they_were(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    job = provider.submit('sleep 60', 1, 'n')
    assert state(provider, job) == JobState.RUNNING
    for program in ('sacct', 'squeue', 'scontrol'):
        slurm.tell(program, 'refuse slurm_load_jobs error: Unable to contact slurm controller (connect failure)')
    provider.grace = 0.0
    for _ in range(3):
        assert state(provider, job) == JobState.RUNNING
    for program in ('sacct', 'squeue', 'scontrol'):
        slurm.tell(program, '')
    slurm.become(job, 'FAILED 1:0 NonZeroExitCode')
    assert state(provider, job) == JobState.FAILED


def test_sacct_is_asked_again_in_each_poll(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    slurm.tell('sacct', f'refuse {DISABLED}')
    job = provider.submit('sleep 60', 1, 'n')
    assert state(provider, job) == JobState.RUNNING
    slurm.tell('sacct', '')
    asked = len(slurm.asked('squeue'))
    assert state(provider, job) == JobState.RUNNING
    assert len(slurm.asked('squeue')) == asked, 'accounting knows that it runs: the controller is spared'


def test_a_purged_job_is_over_only_after_the_grace_and_leaves_the_others_alone(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    gone, there = provider.submit('sleep 60', 1, 'n'), provider.submit('sleep 60', 1, 'n')
    assert state(provider, gone) == JobState.RUNNING
    slurm.purge(gone)
    slurm.become(there, 'FAILED 2:0 NonZeroExitCode')
    assert [status.state for status in provider.status([gone, there])] == [JobState.RUNNING, JobState.FAILED]
    provider.grace = 0.0
    status = provider.status([gone])[0]
    assert status.state == JobState.COMPLETED
    assert INVALID in (status.message or '')


def test_hundreds_of_jobs_are_asked_about_in_batches(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    job = provider.submit('sleep 60', 1, 'n')
    facts = (slurm.jobs / f'{job}.json').read_text()
    for number in range(1000, 1250):
        (slurm.jobs / f'{number}.json').write_text(facts)
        slurm.become(str(number), 'COMPLETED 0:0 None')
        provider._enter(str(number), provider._job('n', 1))
    assert {status.state for status in provider.status(list(provider.resources)[1:])} == {JobState.COMPLETED}
    assert [call.count(',') - 2 for call in slurm.asked('sacct')] == [49, 49, 49, 49, 49, 0]


def test_jobs_of_a_federation_are_asked_about_where_they_are(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider, clusters='alpha,beta')
    job = provider.submit('sleep 60', 1, 'n')
    assert job == '1;alpha'
    assert state(provider, job) == JobState.RUNNING
    slurm.tell('sacct', 'empty')
    slurm.become(job, 'FAILED 5:0 NonZeroExitCode')
    status = provider.status([job])[0]
    assert (status.state, status.exit_code) == (JobState.FAILED, 5)
    for program in ('sacct', 'squeue', 'scontrol'):
        assert all('--clusters=alpha ' in f'{call} ' for call in slurm.asked(program)[-1:])


def test_cancel_answers_job_by_job(slurm: FakeSlurm) -> None:
    provider = slurm.provider(SlurmProvider)
    alive, ended = provider.submit('sleep 60', 1, 'n'), provider.submit('true', 1, 'n')
    until((slurm.jobs / f'{ended}.exit').exists)
    assert provider.cancel([alive, '999999', ended]) == [True, False, True]
    assert [status.state for status in provider.status([alive, ended])] == [JobState.CANCELLED, JobState.COMPLETED]


@pytest.mark.fault(16)
def test_a_scancel_that_hangs_is_killed(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = slurm.provider(SlurmProvider)
    give_up(monkeypatch, 'scancel', 0.5)
    job = provider.submit('sleep 60', 1, 'n')
    slurm.tell('scancel', 'hang')
    started = time.monotonic()
    assert provider.cancel([job]) == [False]
    assert time.monotonic() - started < 10
    assert state(provider, job) == JobState.RUNNING
