"""What an event log looks like to people."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.cli.flow_lines import (
    BAD,
    GOOD,
    NOW,
    WARNING,
    current,
    duration,
    history,
    progress,
    reason,
    settled,
    size,
    worded,
)

START = '2026-11-25T10:34:{:06.3f}+00:00'


def entry(second: float, code: str, state: str = '', /, **details: Any) -> dict[str, Any]:
    return {'seq': 1, 'time': START.format(second), 'code': code, 'details': {**({'state_name': state} if state else {}), **details}}


LOG = [
    entry(0, 'FlowStarted', input={}),
    entry(0, 'ActionStarted', 'SourceTransfer'),
    entry(10, 'ActionCompleted', 'SourceTransfer', output={'status': 'SUCCEEDED'}),
    entry(10, 'ActionStarted', 'XpcsBoostCorr'),
    entry(10.4, 'ActionCompleted', 'XpcsBoostCorr'),
    entry(10.4, 'ChoiceStarted', 'ResultTransferChoice'),
    entry(10.41, 'ChoiceCompleted', 'ResultTransferChoice'),
    entry(10.41, 'FlowSucceeded'),
]


def test_the_log_has_the_shape_of_the_hosted_screen() -> None:
    assert [worded(line) for line in history(LOG)] == [
        '✔ FlowStarted',
        '✔ SourceTransfer - ActionStarted (10 seconds)',
        '✔ SourceTransfer - ActionCompleted',
        '✔ XpcsBoostCorr - ActionStarted (0.4 seconds)',
        '✔ XpcsBoostCorr - ActionCompleted',
        '✔ ResultTransferChoice - ChoiceStarted',
        '✔ ResultTransferChoice - ChoiceCompleted',
        '✔ FlowSucceeded',
    ]


def test_a_state_that_failed_says_why_and_how_long_it_took() -> None:
    lines = history([entry(0, 'ActionStarted', 'A'), entry(3, 'ActionTimeout', 'A', error='ActionTimeout', cause='no end\nafter 3 s')])
    assert [worded(line) for line in lines] == ['✔ A - ActionStarted (3 seconds)', '! A - ActionTimeout  no end after 3 s']


def test_an_action_that_failed_and_raised_nothing_is_a_warning() -> None:
    output = {'status': 'FAILED', 'details': {'code': 'TaskFailed', 'description': '1 of 1 tasks failed'}}
    (line,) = history([entry(0, 'ActionCompleted', 'A', output=output)])
    assert (line.tone, line.why) == (WARNING, 'TaskFailed: 1 of 1 tasks failed')


def test_the_end_of_a_run_that_failed_is_red_and_says_why() -> None:
    *_, line = history([entry(0, 'ActionStarted', 'A'), entry(1, 'FlowFailed', 'A', code='FlowFailed', error='States.ALL', cause='lost')])
    assert (line.text, line.tone, line.why) == ('FlowFailed', BAD, 'States.ALL: lost')


def test_a_run_that_was_cancelled_ends_the_time_of_its_state() -> None:
    lines = history([entry(0, 'WaitStarted', 'W'), entry(5, 'FlowCanceled', 'W', code='FlowCanceled')])
    assert worded(lines[0]) == '✔ W - WaitStarted (5 seconds)'
    assert lines[1].tone == WARNING


def test_names_cannot_move_the_cursor() -> None:
    (line,) = history([entry(0, 'PassStarted', 'a\x1b[2J\nb')])
    assert line.text == 'a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}b - PassStarted'


def test_entries_of_any_shape_make_lines() -> None:
    assert [line.text for line in history([{}, {'code': 'X', 'details': None, 'time': 'never'}, {'code': 'Y', 'details': {'state_name': 7}}])] == [
        '',
        'X',
        'Y',
    ]


# -- What goes on now


def test_the_state_that_goes_on_has_its_time_and_its_progress() -> None:
    action = {'details': {'tasks': {'running': 2, 'success': 1}}}
    line = current(LOG[:4], {'status': 'ACTIVE', 'action': action}, now=history(LOG)[3].time + 154)
    assert line is not None
    assert (line.tone, worded(line)) == (NOW, '● XpcsBoostCorr - ActionStarted (2 minutes 34 seconds)  2 running, 1 success')


def test_an_inactive_run_says_what_it_waits_for() -> None:
    details = {'code': 'ConsentRequired', 'description': 'needs a scope', 'resolution_url': 'https://example.org'}
    line = current([*LOG[:4], entry(11, 'FlowInactive')], {'status': 'INACTIVE', 'details': details}, now=0.0)
    assert line is not None
    assert (line.tone, line.why) == (WARNING, 'ConsentRequired: needs a scope (https://example.org)')


@pytest.mark.parametrize(('entries', 'status'), [(LOG[:3], 'ACTIVE'), (LOG, 'SUCCEEDED'), ([], 'ACTIVE'), (LOG[:1], 'ACTIVE')])
def test_between_two_states_and_at_the_end_nothing_goes_on(entries: list[dict[str, Any]], status: str) -> None:
    assert current(entries, {'status': status}, now=1.0) is None


def test_a_start_is_drawn_when_its_end_is_known() -> None:
    pending: list[dict[str, Any]] = []
    drawn: list[list[str]] = []
    for each in [*LOG[:2], entry(5, 'FlowInactive'), entry(8, 'FlowResumed'), LOG[2], LOG[3]]:
        lines, pending = settled([*pending, each])
        drawn.append([line.text for line in lines])
    assert drawn == [
        ['FlowStarted'],
        [],
        [],
        [],
        ['SourceTransfer - ActionStarted', 'FlowInactive', 'FlowResumed', 'SourceTransfer - ActionCompleted'],
        [],
    ]
    assert pending == [LOG[3]]


def test_a_start_without_an_end_is_drawn_before_the_next_start() -> None:
    lines, pending = settled([LOG[1], LOG[3]])
    assert [line.text for line in lines] == ['SourceTransfer - ActionStarted']
    assert pending == [LOG[3]]


# -- Progress


def test_the_progress_of_a_transfer() -> None:
    details = {'files': 9, 'files_transferred': 2, 'files_skipped': 1, 'bytes_transferred': 12_000_000, 'bytes_total': 40_000_000}
    details |= {'effective_bytes_per_second': 4_100_000, 'nice_status': 'OK', 'nice_status_details': None}
    assert progress({'details': details}) == '12 MB of 40 MB, 3 of 9 files, 4.1 MB/s'
    trouble = {**details, 'nice_status': 'CONNECTION_LOST', 'nice_status_details': 'the server went away'}
    assert progress({'details': trouble}).endswith(', the server went away')


@pytest.mark.parametrize(
    ('action', 'text'),
    [
        (None, ''),
        ({'details': None, 'display_status': 'ACTIVE'}, ''),
        ({'details': {}, 'display_status': 'waiting for an answer'}, 'waiting for an answer'),
        ({'details': {'tasks': {'waiting-for-nodes': 1}, 'why': 'job 7 is held'}}, '1 waiting-for-nodes: job 7 is held'),
        ({'details': {'files': True, 'bytes_transferred': 'many'}}, ''),
    ],
)
def test_the_progress_of_others(action: Any, text: str) -> None:
    assert progress(action) == text


def test_why_a_run_ended() -> None:
    assert reason({'code': 'FlowCanceled', 'description': 'by the user'}) == 'FlowCanceled: by the user'
    failed = {'code': 'FlowFailed', 'description': 'The Flow Instance failed', 'state_name': 'Copy', 'error': 'ActionTimeout', 'cause': 'no end'}
    assert reason(failed) == 'in state Copy: ActionTimeout: no end'
    assert reason(None) == ''


def test_numbers_for_people() -> None:
    assert [duration(each) for each in (0.0, 0.44, 1.0, 9.94, 10.2, 154, 3_900, 86_400, 93_600)] == [
        '0 seconds', '0.4 seconds', '1 second', '9.9 seconds', '10 seconds', '2 minutes 34 seconds', '1 hour 5 minutes', '1 day', '1 day 2 hours',
    ]  # fmt: skip
    assert [size(each) for each in (0, 999, 1000, 13_107_200, 2.5e12)] == ['0 B', '999 B', '1 kB', '13.1 MB', '2.5 TB']
    assert GOOD != BAD
