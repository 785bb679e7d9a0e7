"""What real Slurm printed (22.05), as this project reads it."""

from __future__ import annotations

import pytest
from parsl.jobs.states import JobState

from relay_parsl.errors import ConfigError
from relay_parsl.providers import slurm_words
from relay_parsl.providers.slurm_words import Answer, Row, weigh

SCONTROL = (
    'JobId=4 JobName=wrap UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=1 Nice=0 Account=m1234_g QOS=debug JobState={} Reason={} '
    'Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode={} RunTime=00:00:02 TimeLimit=00:05:00 Features=gpu Command=(null)\n'
)


@pytest.mark.parametrize(
    ('line', 'state', 'code', 'message'),
    [
        ('4|PENDING|0:0', JobState.PENDING, None, ''),
        ('4|RUNNING|0:0', JobState.RUNNING, None, ''),
        ('4|COMPLETED|0:0', JobState.COMPLETED, 0, ''),
        ('4|CANCELLED by 0|0:0', JobState.CANCELLED, 0, 'CANCELLED by 0'),
        ('4|FAILED|3:0', JobState.FAILED, 3, 'FAILED: the batch script ended with an error'),
        ('4|TIMEOUT|0:0', JobState.TIMEOUT, 0, 'TIMEOUT: its walltime was over'),
        ('4|NODE_FAIL|1:0', JobState.FAILED, 1, 'NODE_FAIL: a node of the job died'),
        ('4|OUT_OF_MEMORY|0:125', JobState.FAILED, 253, 'OUT_OF_MEMORY: more memory than the job had'),
        ('4|PREEMPTED|0:0', JobState.TIMEOUT, 0, 'PREEMPTED: another job was preferred'),
        ('4|BOOT_FAIL|0:0', JobState.FAILED, 0, 'BOOT_FAIL: a node of the job did not start'),
        ('4|DEADLINE|0:0', JobState.TIMEOUT, 0, 'DEADLINE: its deadline was over'),
        ('4|SUSPENDED|0:0', JobState.HELD, None, ''),
    ],
)
def test_a_row_of_sacct(line: str, state: JobState, code: int | None, message: str) -> None:
    view = slurm_words.sacct_rows(f'{line}\n')['4'].view
    assert (view.state, view.exit_code, view.reason) == (state, code, message)


def test_a_word_of_another_version_says_only_that_the_job_is_there() -> None:
    assert slurm_words.sacct_rows('4|HIBERNATING|0:0\n')['4'].view.state == JobState.UNKNOWN
    assert 'HIBERNATING' in slurm_words.sacct_rows('4|HIBERNATING|0:0\n')['4'].view.reason


def test_what_is_no_row_is_passed_over() -> None:
    text = 'CLUSTER: perlmutter\nsacct: warning: something|or|other\n\n 12|RUNNING|0:0\n'
    assert list(slurm_words.sacct_rows(text)) == ['12']


def test_an_array_and_a_heterogeneous_job_live_as_long_as_one_part() -> None:
    rows = slurm_words.squeue_rows('7_0|COMPLETED|None\n7_[1-3]|PENDING|Resources\n8+0|RUNNING|None\n8+1|FAILED|NonZeroExitCode\n')
    assert {job: row.word for job, row in rows.items()} == {'7': 'PENDING', '8': 'RUNNING'}


@pytest.mark.parametrize(
    ('word', 'said'),
    [
        ('None', ''),
        ('Priority', 'waits: Priority (jobs of a higher priority come first)'),
        ('QOSMaxJobsPerUserLimit', 'waits: QOSMaxJobsPerUserLimit (as much as one user may have of its QOS is in use)'),
        ('AssocGrpCPUMinutesLimit', 'waits: AssocGrpCPUMinutesLimit (the allocation of its account is spent, or promised to other jobs)'),
        ('AssocGrpNodeLimit', 'waits: AssocGrpNodeLimit (a limit of its account is reached for now)'),
        (
            'ReqNodeNotAvail, UnavailableNodes:n[1-2]',
            'waits: ReqNodeNotAvail, UnavailableNodes:n[1-2] (nodes that it needs are down, drained or reserved)',
        ),
        ('Nodes required for job are DOWN', 'waits: Nodes required for job are DOWN'),
        ('AccountingPolicy', 'waits: AccountingPolicy (a limit of accounting that Slurm does not name)'),
        ('PartitionTimeLimit', 'can never run: PartitionTimeLimit (the walltime is over the limit of its partition)'),
        ('BadConstraints', 'can never run: BadConstraints (no node has what it asks for)'),
        ('QOSMaxWallDurationPerJobLimit', 'can never run: QOSMaxWallDurationPerJobLimit (it asks for more than one job may have)'),
        ('AssocMaxNodePerJobLimit', 'can never run: AssocMaxNodePerJobLimit (it asks for more than one job may have)'),
    ],
)
def test_why_a_job_waits(word: str, said: str) -> None:
    assert slurm_words.squeue_rows(f'9|PENDING|{word}\n')['9'].view.reason == said


def test_the_controller_tells_an_exit_code_without_accounting() -> None:
    row = slurm_words.scontrol_row(SCONTROL.format('FAILED', 'NonZeroExitCode', '3:0'))
    assert row == Row('FAILED', 'FAILED NonZeroExitCode: the batch script ended with an error', 3)
    assert slurm_words.scontrol_row(SCONTROL.format('CANCELLED', 'None', '0:15')).exit_code == 143  # type: ignore[union-attr]
    assert slurm_words.scontrol_row(SCONTROL.format('RUNNING', 'None', '0:0')) == Row('RUNNING')
    assert slurm_words.scontrol_row('') is None


def test_what_scancel_refuses_though_it_ends_with_0() -> None:
    said = (
        'scancel: Terminating job 2\nscancel: error: Kill job error on job id 2: Job/step already completing or completed\n'
        'scancel: Terminating job 99\nscancel: error: Kill job error on job id 99: Invalid job id specified\n'
    )
    assert slurm_words.refusals(said) == {'99': 'Invalid job id specified'}


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [('1-02:03:04', 93784), ('2-00', 172800), ('1-06:30', 109800), ('00:10:00', 600), ('48:00:00', 172800), ('30', 1800), ('2:30', 150)],
)
def test_walltimes(text: str, seconds: int) -> None:
    assert slurm_words.seconds(text) == seconds
    assert slurm_words.seconds(slurm_words.clock(seconds)) == seconds


@pytest.mark.parametrize('text', ['', 'soon', '5:xx', '0', '00:00:00', '1-', '-5', '1:2:3:4'])
def test_what_is_no_walltime(text: str) -> None:
    with pytest.raises(ConfigError, match='walltime'):
        slurm_words.seconds(text)


def answers(told: str = '', queued: str = '', deaf: str = '') -> tuple[Answer, Answer]:
    """Of sacct and of squeue about job 1; `deaf` names those that fail."""
    return (
        Answer(slurm_words.sacct_rows(f'1|{told}|0:0\n') if told else {}, {'1'}, {'1'} if 'sacct' in deaf else set()),
        Answer(slurm_words.squeue_rows(f'1|{queued}|None\n') if queued else {}, {'1'}, {'1'} if 'squeue' in deaf else set()),
    )


@pytest.mark.parametrize(
    ('told', 'queued', 'deaf', 'state'),
    [
        ('', 'RUNNING', '', JobState.RUNNING),  # accounting is late
        ('PENDING', 'RUNNING', '', JobState.RUNNING),
        ('PENDING', 'FAILED', '', JobState.FAILED),
        ('FAILED', '', '', JobState.FAILED),
        ('NODE_FAIL', 'PENDING', '', JobState.PENDING),  # it is in the queue again
        ('NODE_FAIL', 'NODE_FAIL', '', JobState.FAILED),
        ('NODE_FAIL', '', '', JobState.FAILED),
        ('NODE_FAIL', '', 'squeue', JobState.UNKNOWN),  # it may be in the queue again
        ('', '', '', None),
        ('', '', 'squeue', JobState.UNKNOWN),
        ('', '', 'sacct', None),
        ('', 'RUNNING', 'sacct', JobState.RUNNING),
        ('PENDING', '', 'squeue', JobState.PENDING),
        ('RUNNING', '', '', None),  # accounting was never told of its end
    ],
)
def test_who_is_believed(told: str, queued: str, deaf: str, state: JobState | None) -> None:
    view = weigh(['1'], *answers(told, queued, deaf)).get('1')
    assert (view and view.state) == state


def test_a_running_job_about_which_the_queue_was_not_asked_runs() -> None:
    accounts, _ = answers('RUNNING')
    assert not slurm_words.doubtful('1', accounts)
    assert weigh(['1'], accounts, Answer())['1'].state == JobState.RUNNING
