"""What answers of a scheduler change in what is known, and what nothing changes."""

from __future__ import annotations

import pytest
from parsl.jobs.states import TERMINAL_STATES, JobState

from relay_parsl.providers.jobs import JobView, Known, gone, live, merge, overdue, restless

PENDING, RUNNING, FAILED = JobView(JobState.PENDING, 'no nodes'), JobView(JobState.RUNNING), JobView(JobState.FAILED, 'exit 3', 3)


@pytest.mark.parametrize('state', TERMINAL_STATES)
@pytest.mark.parametrize('seen', [None, {}, {'1': RUNNING}, {'1': FAILED}])
def test_an_ended_job_stays_as_it_ended(state: JobState, seen: dict[str, JobView] | None) -> None:
    known = {'1': Known(JobView(state, 'why', 7), 1.0)}
    assert merge(known, seen, 99.0) == known


def test_a_command_that_fails_is_no_answer() -> None:
    known = {'1': Known(PENDING), '2': Known(RUNNING, missing=3.0)}
    assert merge(known, None, 99.0) == known


def test_a_job_that_is_not_mentioned_keeps_its_state_and_is_overdue_after_the_grace() -> None:
    known = {'1': Known(RUNNING), '2': Known(PENDING)}
    for now in (10.0, 30.0, 70.0):
        known = merge(known, {'2': PENDING}, now)
        assert known['1'].view == RUNNING
    assert overdue(known, 69.9, 60.0) == []
    assert overdue(known, 70.0, 60.0) == ['1']
    known = merge(known, {'1': RUNNING, '2': PENDING}, 71.0)
    assert overdue(known, 200.0, 60.0) == []


def test_a_word_that_we_do_not_know_changes_no_state() -> None:
    known = merge({'1': Known(RUNNING, 5.0, missing=6.0)}, {'1': JobView(JobState.UNKNOWN, 'state Z')}, 9.0)
    assert known == {'1': Known(JobView(JobState.RUNNING, 'state Z'), 5.0)}


def test_only_a_change_of_state_is_news() -> None:
    known = merge({'1': Known(PENDING, 5.0)}, {'1': JobView(JobState.PENDING, 'other words')}, 9.0)
    assert known['1'] == Known(JobView(JobState.PENDING, 'other words'), 5.0)
    assert merge(known, {'1': RUNNING}, 11.0)['1'].since == 11.0


def test_who_is_asked_about() -> None:
    assert live({'1': Known(RUNNING), '2': Known(FAILED), '3': Known(PENDING)}) == ['1', '3']


def test_a_job_that_was_forgotten_has_ended_and_nobody_knows_how() -> None:
    view = gone(RUNNING, 'Unknown Job Id 7')
    assert view.state == JobState.COMPLETED
    assert view.exit_code is None
    assert view.reason == 'Unknown Job Id 7; when last seen it was RUNNING, how it ended is not known'


def test_jobs_are_restless_while_they_are_new() -> None:
    assert restless([Known(RUNNING, 100.0)], 219.0)
    assert not restless([Known(RUNNING, 100.0)], 221.0)
    assert not restless([Known(FAILED, 100.0)], 101.0)
    assert not restless([], 0.0)
