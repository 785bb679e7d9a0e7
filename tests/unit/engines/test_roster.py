"""Rows of blocks and managers, and where a manager's host is read."""

from __future__ import annotations

from pathlib import Path

from parsl.jobs.states import JobState, JobStatus

from relay_parsl.engines import roster

LINE = "2026-01-01 interchange.py:412 [INFO]  Registration info for manager b'{}': {{'type': 'registration', 'hostname': '{}', 'dir': '/'}}\n"
MANAGER = {'manager': 'a1', 'block_id': '0', 'worker_count': 4, 'tasks': 3, 'active': True}


def test_a_block_has_its_job_and_the_schedulers_words() -> None:
    status = {'10': JobStatus(JobState.RUNNING), '9': JobStatus(JobState.PENDING, ' Resources\n'), '2': JobStatus(JobState.FAILED, 'no such account')}
    assert roster.block_rows(status, {'9': 123, '10': 124}) == [
        {'block': '2', 'job': '', 'state': 'FAILED', 'reason': 'no such account'},
        {'block': '9', 'job': '123', 'state': 'PENDING', 'reason': 'Resources'},
        {'block': '10', 'job': '124', 'state': 'RUNNING', 'reason': ''},
    ]


def test_a_block_without_words_says_how_it_ended() -> None:
    ends = [JobStatus(JobState.FAILED, exit_code=9), JobStatus(JobState.COMPLETED, exit_code=0), JobStatus(JobState.FAILED, 'NodeFail', exit_code=1)]
    rows = roster.block_rows({str(number): status for number, status in enumerate(ends)}, {})
    assert [row['reason'] for row in rows] == ['exit code 9', '', 'NodeFail']


def test_only_the_last_ended_blocks_are_shown() -> None:
    status = {str(n): JobStatus(JobState.COMPLETED if n % 2 else JobState.RUNNING) for n in range(20)}
    shown = [int(row['block']) for row in roster.block_rows(status, {}, kept=3)]
    assert shown == [*range(0, 15, 2), 15, 16, 17, 18, 19]


def test_the_host_of_a_manager_is_read_from_the_log_as_it_grows(tmp_path: Path) -> None:
    log = tmp_path / 'interchange.log'
    hosts = roster.Hosts(log)
    assert hosts.of(['a1']) == {}
    log.write_text('noise\n' + LINE.format('a1', 'n1') + LINE.format('b2', 'n2')[:-30])
    assert hosts.of(['a1', 'b2']) == {'a1': 'n1'}
    log.write_text('noise\n' + LINE.format('a1', 'n1') + LINE.format('b2', 'n2'))
    assert hosts.of(['a1', 'b2']) == {'a1': 'n1', 'b2': 'n2'}
    assert hosts.of(['b2']) == {'b2': 'n2'}


def test_a_manager_has_host_block_workers_and_tasks() -> None:
    assert roster.manager_rows([MANAGER, {**MANAGER, 'manager': 'b2'}], {'a1': 'n1'}) == [
        {'manager': 'a1', 'host': 'n1', 'block': '0', 'workers': 4, 'tasks': 3},
        {'manager': 'b2', 'host': '', 'block': '0', 'workers': 4, 'tasks': 3},
    ]


def test_counts_of_tasks_are_no_news() -> None:
    before = {'workers': 4, 'managers_detail': roster.manager_rows([MANAGER], {})}
    after = {'workers': 4, 'managers_detail': roster.manager_rows([{**MANAGER, 'tasks': 4}], {})}
    assert before != after
    assert roster.without_counts(before) == roster.without_counts(after)
