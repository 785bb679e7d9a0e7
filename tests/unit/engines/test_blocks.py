"""The gate before the scheduler, with Parsl's own strategy pushing: what Parsl's executor does beside it."""

from __future__ import annotations

from typing import Any

import pytest
from parsl.executors import HighThroughputExecutor
from parsl.jobs.states import JobState, JobStatus
from parsl.jobs.strategy import Strategy
from parsl.providers import SlurmProvider

from relay_parsl.engines.blocks import Htex, cause, words
from relay_parsl.engines.breaker import LIMIT, PER_MINUTE, Breaker

TICKS = 50


class Scheduler(SlurmProvider):  # type: ignore[misc]
    """Takes jobs, or refuses them; each has ended by the next look."""

    def __init__(self, end: JobState | None, blocks: int = 4) -> None:
        super().__init__(partition='p', init_blocks=1, max_blocks=blocks)
        self.end, self.asked, self.cancelled = end, 0, list[str]()

    def submit(self, command: str, tasks_per_node: int, job_name: str = '') -> str:
        self.asked += 1
        if self.end is None:
            raise ValueError('sbatch: error: Invalid account or account/partition combination specified')
        return str(self.asked)

    def status(self, job_ids: list[Any]) -> list[JobStatus]:
        return [JobStatus(self.end or JobState.UNKNOWN, 'NonZeroExitCode', exit_code=9) for _ in job_ids]

    def cancel(self, job_ids: list[Any]) -> list[bool]:
        self.cancelled += job_ids
        return [True for _ in job_ids]


def built(kind: type[HighThroughputExecutor], provider: Scheduler, came: bool = False) -> Any:
    """An executor that was not started: it has tasks, and workers came from all of its blocks, or from none."""

    class Unstarted(kind):  # type: ignore[misc, valid-type]
        def connected_blocks(self) -> list[str]:
            return list(self.blocks_to_job_id) if came else []

        def connected_managers(self) -> list[dict[str, Any]]:
            return []

        def outstanding(self) -> int:
            return 10

    executor = Unstarted(label='x', address='127.0.0.1', provider=provider, max_workers_per_node=1, block_error_handler=False)
    executor.launch_cmd = 'true'
    if isinstance(executor, Htex):
        executor.breaker = Breaker()
    return executor


def scaled(executor: Any, ticks: int = TICKS) -> None:
    strategy = Strategy(strategy='simple', max_idletime=1.0)
    strategy.add_executors([executor])
    for _ in range(ticks):
        executor._last_poll_time = 0.0
        executor.poll_facade()
        if isinstance(executor, Htex):
            executor.judge()
        strategy.strategize([executor])


def bad_accounts_are_tried_three_times(kind: type[HighThroughputExecutor]) -> None:
    provider = Scheduler(None)
    scaled(built(kind, provider))
    assert provider.asked <= LIMIT


def failing_jobs_are_tried_three_times(kind: type[HighThroughputExecutor]) -> None:
    provider = Scheduler(JobState.FAILED)
    scaled(built(kind, provider))
    assert provider.asked <= LIMIT


def short_jobs_are_few_a_minute(kind: type[HighThroughputExecutor]) -> None:
    provider = Scheduler(JobState.COMPLETED)
    scaled(built(kind, provider, came=True))
    assert 1 < provider.asked <= PER_MINUTE


def a_block_without_workers_is_noticed_soon(kind: type[HighThroughputExecutor]) -> None:
    assert 2 <= built(kind, Scheduler(JobState.FAILED)).status_polling_interval <= 20


CHECKS = [
    bad_accounts_are_tried_three_times,
    failing_jobs_are_tried_three_times,
    short_jobs_are_few_a_minute,
    a_block_without_workers_is_noticed_soon,
]


@pytest.mark.parametrize('check', CHECKS, ids=lambda check: check.__name__)
def test_faults_14_and_43_are_parsls_and_not_ours(check: Any) -> None:
    check(Htex)
    with pytest.raises(AssertionError):
        check(HighThroughputExecutor)


def test_a_block_that_ended_keeps_its_state_and_the_schedulers_words() -> None:
    executor = built(Htex, Scheduler(JobState.FAILED))
    scaled(executor)
    assert {status.state for status in executor.status_facade.values()} == {JobState.FAILED}
    assert executor.breaker.evidence == [f'job {job}: FAILED, NonZeroExitCode, exit code 9' for job in (1, 2, 3)]


def test_the_third_barren_block_takes_those_in_the_queue_with_it() -> None:
    provider = Scheduler(JobState.PENDING, blocks=8)
    executor = built(Htex, provider)
    executor.breaker = Breaker(facts={'proven': True})
    scaled(executor, 2)
    assert provider.asked == 6
    for block in ('0', '1', '2'):
        executor.condemn(block, 'words')
    assert provider.cancelled == ['4', '5', '6']
    provider.end = JobState.CANCELLED
    scaled(executor, 2)
    assert provider.asked == 6
    assert executor.breaker.evidence == ['words'] * 3, 'that we cancelled them is no reason'


def test_first_blocks_that_had_to_wait_come_later() -> None:
    provider = Scheduler(JobState.RUNNING)
    executor = built(Htex, provider)
    executor.breaker = Breaker(facts={'times': [0.0], 'barren': 2, 'evidence': ['a', 'b']})
    assert len(executor.scale_out_facade(3)) == 1
    assert executor.owed == 2
    executor.settle()
    assert (provider.asked, executor.owed) == (1, 2)
    executor.breaker.connected('0')
    executor.settle()
    assert (provider.asked, executor.owed) == (3, 0)


def test_many_first_blocks_with_a_broken_init_are_three_jobs() -> None:
    provider = Scheduler(JobState.FAILED, blocks=500)
    provider.init_blocks = 500
    executor = built(Htex, provider)
    scaled(executor)
    assert provider.asked == LIMIT


def test_many_first_blocks_are_reached_within_the_cap_once_a_worker_came() -> None:
    provider = Scheduler(JobState.RUNNING, blocks=5)
    provider.init_blocks = 5
    executor = built(Htex, provider)
    executor.outstanding = lambda: 0
    scaled(executor, 1)
    executor.settle()
    assert (provider.asked, executor.owed) == (LIMIT, 2)
    executor.breaker.connected('0')
    executor.settle()
    assert (provider.asked, executor.owed) == (5, 0)


def test_first_blocks_that_wait_are_forgotten_when_there_are_too_many() -> None:
    provider = Scheduler(JobState.RUNNING, blocks=5)
    executor = built(Htex, provider)
    executor.scale_out_facade(5)
    executor.scale_in_facade(0)
    executor.breaker.connected('0')
    executor.settle()
    assert provider.asked == LIMIT


def test_words_hold_the_end_of_what_the_job_printed(tmp_path: Any) -> None:
    (tmp_path / 'err').write_text('noise\n' * 5000 + 'the module is gone')
    status = JobStatus(JobState.FAILED, exit_code=9, stderr_path=str(tmp_path / 'err'), stdout_path=str(tmp_path / 'none'))
    said = words('17', status)
    assert said.startswith('job 17: FAILED, exit code 9, stderr: ')
    assert said.endswith('the module is gone')
    assert len(said) < 5000
    assert words(None, JobStatus(JobState.FAILED, 'no such account')) == 'it could not be submitted, no such account'


@pytest.mark.parametrize(
    ('state', 'drained', 'why'),
    [
        (JobState.TIMEOUT, False, 'walltime'),
        (JobState.FAILED, True, 'walltime'),
        (JobState.COMPLETED, True, 'walltime'),
        (JobState.FAILED, False, 'manager'),
        (JobState.RUNNING, True, 'manager'),
        (JobState.SCALED_IN, True, 'manager'),
        (None, True, 'manager'),
    ],
)
def test_a_manager_lost_at_the_walltime_is_told_from_a_crashed_one(state: JobState | None, drained: bool, why: str) -> None:
    assert cause(None if state is None else JobStatus(state), drained=drained) == why
