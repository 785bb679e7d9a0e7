"""Why a task waits, in words, and an endpoint's report as tables."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.client import standing

PENDING = {'block': '0', 'job': '123.pbs', 'state': 'PENDING', 'reason': 'Not Running: Insufficient amount of\nresource: ncpus '}


def task(state: str = 'waiting-for-nodes', **more: Any) -> dict[str, Any]:
    return {'state': state, 'detail': {}, 'pool': '', **more}


def endpoint(*, state: str = 'ready', workers: int = 0, reason: str = '', **detail: Any) -> dict[str, Any]:
    return {'online': True, 'report': {'pools': {'': {'state': state, 'workers': workers, 'reason': reason, 'detail': detail}}}}


NEVER = 'Can Never Run: Insufficient amount of resource: system (polariss != polaris)'
STARTED = {'block': '1', 'job': '', 'state': 'RUNNING'}
NONSENSE = {'online': True, 'report': {'pools': {'': {'detail': {'blocks': [3, None]}, 'state': 'ready'}}}}


@pytest.mark.parametrize(
    ('given', 'there', 'words'),
    [
        (task('success'), endpoint(), ''),
        (task('running'), endpoint(), ''),
        (task(detail={'why': 'not connected since noon'}), {'online': False}, 'not connected since noon'),
        (task(), {}, 'its endpoint is not connected'),
        (task('waiting-for-ep', ahead=3), endpoint(workers=1), '3 tasks of yours before it'),
        (task('waiting-for-ep', ahead=1), endpoint(workers=1), '1 task of yours before it'),
        (task('waiting-for-ep', ahead=1000), endpoint(workers=1), '1000 or more tasks of yours before it'),
        (task('waiting-for-ep', ahead=0), endpoint(state='broken', reason='3 blocks'), 'it is the next of yours; engine broken: 3 blocks'),
        (task(cancel=True), endpoint(), 'its cancellation is on the way'),
        (task(), endpoint(state='rebuilding', reason='it died'), 'engine rebuilding: it died'),
        (task(), endpoint(state='starting'), 'engine starting'),
        (task(), endpoint(), 'no workers, and no block is asked for yet'),
        (task(), endpoint(reason='qsub: Unknown queue'), 'no workers, and no block is asked for: qsub: Unknown queue'),
        (task(), endpoint(blocks=[PENDING]), 'no workers yet: job 123.pbs is pending: "Not Running: Insufficient amount of resource: ncpus"'),
        (task(), endpoint(blocks=[{'block': '1', 'job': '9', 'state': 'PENDING', 'reason': ''}]), 'no workers yet: job 9 is pending'),
        (task(), endpoint(blocks=[STARTED]), 'no workers yet: block 1 is running, its workers have not connected'),
        (task(), endpoint(blocks=[{'block': '1', 'job': '8', 'state': 'FAILED'}]), 'no workers, and no block is asked for yet'),
        (task(), endpoint(blocks=[{'job': '7', 'state': 'PENDING', 'reason': NEVER}]),
         f'no workers yet: job 7 can never run as it was asked for; the scheduler says: "{NEVER}"'),
        (task(), endpoint(workers=2, managers=[{'tasks': 1}, {'tasks': 1}]), 'all 2 workers are busy'),
        (task(), endpoint(workers=2, managers=[{'tasks': 1}]), 'its turn has not come'),
        (task(), endpoint(pools=[{'pool': 'a', 'state': 'ready', 'workers': 0, 'detail': {'blocks': [PENDING]}}]),
         'pool a: no workers yet: job 123.pbs is pending: "Not Running: Insufficient amount of resource: ncpus"'),
        (task(), {'online': True, 'report': {'pools': 'nonsense'}}, 'its turn has not come'),
        (task(), NONSENSE, 'no workers, and no block is asked for yet'),
    ],
)  # fmt: skip
def test_why(given: dict[str, Any], there: dict[str, Any], words: str) -> None:
    assert standing.why(given, there) == words


def test_many_jobs_are_counted() -> None:
    words = standing.why(task(), endpoint(blocks=[{**PENDING, 'job': str(number), 'reason': ''} for number in range(5)]))
    assert words == 'no workers yet: job 0 is pending, job 1 is pending, job 2 is pending, and 2 more'


def test_the_pool_is_that_of_the_task_or_the_default_one() -> None:
    both = {'report': {'pools': {'gpu': {'state': 'broken', 'reason': 'x'}, 'default': {'state': 'ready', 'workers': 1}}}, 'online': True}
    assert standing.why(task(pool='gpu'), both) == 'engine broken: x'
    assert standing.why(task(), both) == 'its turn has not come'
    assert standing.why(task(pool='gone'), both) == 'its turn has not come'


def test_the_job_of_a_block() -> None:
    running = task('running', detail={'block': '0'})
    assert standing.job_of(running, endpoint(blocks=[PENDING])) == '123.pbs'
    assert standing.job_of(task('running', detail={'block': '0', 'job': '5'}), endpoint(blocks=[PENDING])) == '5'
    assert not standing.job_of(task('running'), endpoint(blocks=[PENDING]))


def test_rows_that_a_report_had_no_room_for_are_counted() -> None:
    assert standing.left_out(endpoint(more=7)) == 7
    assert standing.left_out(endpoint(more='x')) == standing.left_out({}) == 0


def test_tables() -> None:
    manager = {'manager': 'm', 'host': 'x1', 'block': '0', 'workers': 4, 'tasks': 2}
    site = endpoint(workers=4, blocks=[PENDING], managers=[manager])
    assert standing.block_rows(site) == [{**PENDING, 'reason': 'Not Running: Insufficient amount of resource: ncpus'}]
    assert standing.manager_rows(site) == [{'host': 'x1', 'block': '0', 'workers': 4, 'tasks': 2}]
    assert standing.pool_rows(site) == [{'state': 'ready', 'workers': 4, 'managers': None, 'blocks': None, 'reason': ''}]
    two = {'report': {'pools': {'a': site['report']['pools'][''], 'b': {'state': 'ready'}}}}
    assert [row['pool'] for row in standing.pool_rows(two)] == ['a', 'b']
    assert [row['pool'] for row in standing.block_rows(two)] == ['a']
