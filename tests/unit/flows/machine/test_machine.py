"""The machine, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.flows import machine
from relay_parsl.flows.definition import Catcher, Pass, Wait
from relay_parsl.flows.messages import (
    ACTIVE,
    ENDED,
    FAILED,
    INACTIVE,
    SUCCEEDED,
    ActionRefused,
    ActionStatus,
    CancelAction,
    CancelRequested,
    Continue,
    Continued,
    Limits,
    Log,
    ReleaseAction,
    ResumeAction,
    ResumeRequested,
    RunAction,
    SetTimer,
    Started,
    TimerFired,
    Waiting,
)
from relay_parsl.flows.terms import TERMS
from tests.unit.flows.play import CATCH_ALL, MEND, NOON, Play, act

# -- The order of things -----------------------------------------------------------------------------------------------


def test_an_action_is_called_once_logged_and_released() -> None:
    play = Play(
        act(parameters={'echo_string.$': '$.word'}, wait_time=60, next='Say'), Pass('Say', {'ok': True}, result_path='$.said'), body={'word': 'hi'}
    )
    assert play.asked == RunAction('run-1:Act:1', 'hello_world', {'echo_string': 'hi'}, '', NOON + 60, 'User')
    assert play.all(SetTimer) == [SetTimer('run-1:Act:1', NOON + 60)]
    assert play.run.waiting == Waiting('run-1:Act:1', 'run-1:Act:1', NOON + 60)
    commands = play.succeed({'hello': 'hi'})
    assert [type(each) for each in commands] == [Log, ReleaseAction, Log, Log, Log]
    assert play.codes == ['FlowStarted', 'ActionStarted', 'ActionCompleted', 'PassStarted', 'PassCompleted', 'FlowSucceeded']
    assert play.run.status == SUCCEEDED
    assert play.run.state == ''
    assert play.run.completion_time == NOON + 1
    assert play.run.payload['Act']['details'] == {'hello': 'hi'}
    assert play.run.payload['said'] == {'ok': True}
    assert play.run.payload['word'] == 'hi'


def test_each_visit_has_a_request_of_its_own() -> None:
    play = Play(act(next='Act'))
    for _ in range(3):
        play.succeed()
    assert [each.request_id for each in play.all(RunAction)] == [f'run-1:Act:{visit}' for visit in (1, 2, 3, 4)]


@pytest.mark.parametrize('which', ['doubled', 'unknown', 'late'])
def test_reports_that_nobody_waits_for_change_nothing(which: str) -> None:
    play = Play(act(next='Act'))
    play.succeed({'number': 1})
    before = play.run
    asked = {'doubled': 'run-1:Act:1', 'unknown': 'run-1:Nonesuch:1', 'late': ''}[which]
    assert play.report_of(asked, FAILED, {}) == []
    assert play.run is before
    assert play.hear(TimerFired('run-1:Act:1')) == []
    assert play.run is before
    assert play.hear(Continued()) == []
    assert play.hear(Started({})) == []
    assert play.hear(ResumeRequested()) == []
    assert play.run is before


def test_progress_changes_nothing() -> None:
    play = Play(act())
    assert play.report(ACTIVE, {'bytes': 5}) == [] or play.run.status == ACTIVE
    assert play.codes == ['FlowStarted', 'ActionStarted']


def test_a_long_chain_lets_others_have_their_turn() -> None:
    states = [Pass(f'S{number}', {'n': number}, result_path='$.x', next=f'S{number + 1}') for number in range(120)]
    play = Play(*states, Pass('S120', {'n': 120}, result_path='$.x'))
    assert len(play.all(Continue)) == 2
    assert play.run.status == SUCCEEDED
    assert play.run.payload == {'x': {'n': 120}}
    assert play.codes.count('PassCompleted') == 121


def test_a_run_between_turns_can_be_cancelled_and_hears_nothing_else() -> None:
    loop = Pass('Loop', {'n': 1}, result_path='$.x', next='Loop')
    play = Play(Wait('Sleep', seconds=1, next='Loop'), loop)
    run, commands = machine.advance(play.definition, play.run, TimerFired('run-1:Sleep:1'), NOON + 1, TERMS)
    assert isinstance(commands[-1], Continue)
    assert run.state == 'Loop'
    assert run.waiting == Waiting()
    assert machine.advance(play.definition, run, TimerFired('run-1:Sleep:1'), NOON + 1, TERMS) == (run, [])
    ended, commands = machine.advance(play.definition, run, CancelRequested('me'), NOON + 1, TERMS)
    assert ended.status == ENDED
    assert ended.details['by'] == 'me'
    assert [type(each) for each in commands] == [Log]
    assert machine.advance(play.definition, ended, Continued(), NOON + 1, TERMS) == (ended, [])


def test_the_same_events_make_the_same_run() -> None:
    first, second = (Play(act(next='Act'), body={'n': 1}) for _ in range(2))
    for play in (first, second):
        play.rest({'code': 'ConsentRequired'})
        play.hear(ResumeRequested('me'), 5)
        play.succeed({'x': [1, 2]})
    assert first.run == second.run
    assert first.said == second.said


# -- Actions that do not end well -----------------------------------------------------------------------------------


def test_a_failed_action_is_a_result_unless_it_is_said_to_be_an_exception() -> None:
    play = Play(act(next='P'), Pass('P', {'status.$': '$.Act.status', 'code.$': '$.Act.details.code'}))
    play.lose({'code': 'NotFound'})
    assert play.run.status == SUCCEEDED
    assert play.run.payload == {'status': 'FAILED', 'code': 'NotFound'}
    assert play.codes[2] == 'ActionCompleted'
    assert len(play.all(ReleaseAction)) == 1


def test_an_exception_that_nothing_catches_fails_the_run() -> None:
    play = Play(act(exception_on_action_failure=True))
    play.lose({'code': 'NotFound', 'description': 'no such file'})
    details = play.run.details
    assert play.run.status == FAILED
    assert details['error'] == 'ActionFailedException'
    assert 'no such file' in details['cause']
    assert details['state_name'] == 'Act'
    assert details['action_statuses'][0]['details']['code'] == 'NotFound'
    assert play.codes == ['FlowStarted', 'ActionStarted', 'ActionFailed', 'FlowFailed']
    assert play.all(ReleaseAction) == [ReleaseAction('run-1:Act:1')]
    assert not play.all(CancelAction)


def test_a_refusal_is_always_an_exception() -> None:
    play = Play(act(catch=CATCH_ALL), MEND)
    play.hear(ActionRefused('run-1:Act:1', 'echo_string is no number'))
    assert play.run.payload['Error'] == {'Error': 'ActionUnableToRun', 'Cause': 'echo_string is no number'}
    assert play.run.status == SUCCEEDED
    assert not play.all(ReleaseAction)
    assert not play.all(CancelAction)


def test_wait_time_ends_an_action() -> None:
    play = Play(act(wait_time=30, catch=CATCH_ALL), MEND)
    play.hear(TimerFired('run-1:Act:1', ActionStatus('id', ACTIVE, {'bytes': 7}, 'half way')), 30)
    error = play.run.payload['Error']
    assert error['Error'] == 'ActionTimeout'
    assert '30 s' in error['Cause']
    assert 'half way' in error['Cause']
    assert error['action_statuses'][0]['details'] == {'bytes': 7}
    assert error['action_statuses'][0]['completion_time'] is None
    assert play.all(CancelAction) == [CancelAction('run-1:Act:1')]
    assert play.run.status == SUCCEEDED
    assert play.codes[2] == 'ActionTimeout'
    before = play.run
    assert play.report_of('run-1:Act:1', SUCCEEDED, {}) == []
    assert play.run is before


def test_a_timer_that_comes_too_early_is_set_again() -> None:
    play = Play(act(wait_time=30))
    play.rest()
    play.hear(ResumeRequested(), 25)
    before = play.run
    assert play.hear(TimerFired('run-1:Act:1'), 5) == [SetTimer('run-1:Act:1', play.now + 25)]
    assert play.run == before


def test_the_first_catch_that_names_an_error_takes_it() -> None:
    catch = (
        Catcher(('ActionTimeout', 'States.ParameterPathFailure'), 'Other'),
        Catcher(('ActionFailedException',), 'Mend', '$.First'),
        Catcher(('States.ALL',), 'Other'),
    )
    play = Play(act(exception_on_action_failure=True, catch=catch), MEND, Pass('Other'), body={'kept': 1})
    play.lose()
    assert play.run.payload['First']['Error'] == 'ActionFailedException'
    assert play.run.payload['kept'] == 1


def test_catch_without_a_result_path_replaces_the_payload() -> None:
    play = Play(act(catch=(Catcher(('ActionUnableToRun',), 'End'),)), Pass('End'), body={'gone': 1})
    play.hear(ActionRefused('run-1:Act:1', 'no'))
    assert play.run.payload == {'Error': 'ActionUnableToRun', 'Cause': 'no'}


def test_an_error_that_no_catch_names_fails_the_run() -> None:
    play = Play(act(catch=(Catcher(('ActionTimeout',), 'End'),)), Pass('End'))
    play.hear(ActionRefused('run-1:Act:1', 'no'))
    assert play.run.status == FAILED
    assert play.run.details['error'] == 'ActionUnableToRun'


@pytest.mark.parametrize(
    ('fields', 'error'),
    [
        ({'parameters': {'x.$': '$.nonesuch'}}, 'States.ParameterPathFailure'),
        ({'parameters': {'x.=': 'nonesuch + 1'}}, 'States.IntrinsicFailure'),
        ({'parameters': None, 'input_path': '$.nonesuch'}, 'States.ParameterPathFailure'),
    ],
)
def test_errors_before_the_call_are_caught_and_nothing_is_called(fields: dict[str, Any], error: str) -> None:
    play = Play(act(**fields, catch=CATCH_ALL), MEND)
    assert play.run.payload['Error']['Error'] == error
    assert play.run.status == SUCCEEDED
    assert not play.all(RunAction)
    assert play.codes == ['FlowStarted', 'ActionStarted', 'ActionFailed', 'PassStarted', 'PassCompleted', 'FlowSucceeded']
    assert play.entry('ActionStarted').details['input'] is None


def test_a_result_that_has_no_place_is_an_error_and_the_action_is_released() -> None:
    play = Play(act(result_path='$.number.x', catch=CATCH_ALL), MEND, body={'number': 5})
    play.succeed()
    assert play.run.payload['Error']['Error'] == 'States.ResultPathMatchFailure'
    assert play.all(ReleaseAction)
    play = Play(act(exception_on_action_failure=True, catch=(Catcher(('States.ALL',), 'Mend', '$.number.x'),)), MEND, body={'number': 5})
    play.lose()
    assert play.run.status == FAILED
    assert play.run.details['error'] == 'States.ResultPathMatchFailure'


def test_a_very_long_cause_does_not_fill_the_state() -> None:
    play = Play(act(catch=CATCH_ALL), MEND)
    play.hear(ActionRefused('run-1:Act:1', 'x' * 1_000_000))
    assert play.run.status == SUCCEEDED
    assert len(play.run.payload['Error']['Cause']) < 10_000


# -- INACTIVE, resume, cancel ----------------------------------------------------------------------------------------


def test_an_inactive_action_makes_the_run_wait_for_somebody_without_its_wait_time() -> None:
    play = Play(act(wait_time=30, next='End'), Pass('End'), limits=Limits(duration=10_000))
    play.rest({'code': 'ConsentRequired', 'required_scope': 'urn:scope', 'description': 'Consent, please'})
    assert play.run.status == INACTIVE
    assert play.run.details['code'] == 'ConsentRequired'
    assert play.run.details['required_scope'] == 'urn:scope'
    assert play.run.details['state_name'] == 'Act'
    assert play.run.details['action_statuses'][0]['status'] == INACTIVE
    assert play.all(SetTimer)[-1].at == NOON + 10_000
    assert play.rest({'code': 'ConsentRequired', 'required_scope': 'urn:scope', 'description': 'Consent, please'}) == []
    assert play.hear(ResumeRequested('me'), 500)[-1] == ResumeAction('run-1:Act:1')
    assert play.run.status == ACTIVE
    assert play.run.details is None
    assert play.all(SetTimer)[-1].at == play.now + 30
    assert play.hear(ResumeRequested('me')) == []
    play.succeed()
    assert play.run.status == SUCCEEDED
    expected = ['FlowStarted', 'ActionStarted', 'FlowInactive', 'FlowResumed', 'ActionCompleted', 'PassStarted', 'PassCompleted', 'FlowSucceeded']
    assert play.codes == expected


def test_an_action_may_rest_again_or_go_on_by_itself() -> None:
    play = Play(act())
    play.rest({'code': 'A'})
    play.hear(ResumeRequested())
    play.rest({'code': 'B'})
    assert play.run.status == INACTIVE
    assert play.run.details['code'] == 'B'
    play.report(ACTIVE)
    assert play.run.status == ACTIVE
    play.rest()
    assert play.run.details['code'] == 'ActionInactive'
    play.succeed()
    assert play.run.status == SUCCEEDED
    assert play.codes.count('FlowInactive') == 3 == play.codes.count('FlowResumed')


@pytest.mark.parametrize('resting', [False, True])
def test_cancel_ends_the_run_and_its_action(resting: bool) -> None:
    play = Play(act(next='Act'))
    if resting:
        play.rest()
    play.hear(CancelRequested('me'), 1)
    assert play.run.status == ENDED
    assert play.run.details['code'] == 'FlowCanceled'
    assert play.run.details['state_name'] == 'Act'
    assert play.all(CancelAction) == [CancelAction('run-1:Act:1')]
    assert play.codes[-1] == 'FlowCanceled'
    assert play.entry('FlowCanceled').description == 'The Flow Instance was canceled by the user'
    before = play.run
    assert play.report_of('run-1:Act:1', SUCCEEDED) == []
    assert play.hear(CancelRequested()) == []
    assert play.hear(ResumeRequested()) == []
    assert play.run is before


def test_a_wait_can_be_cancelled() -> None:
    play = Play(Wait('W', seconds=100))
    play.hear(CancelRequested())
    assert play.run.status == ENDED
    assert not play.all(CancelAction)
    assert play.ring() == []


def test_a_run_that_never_started_can_be_cancelled() -> None:
    run = machine.begin('r')
    ended, _ = machine.advance(Play(Pass('P')).definition, run, CancelRequested(), NOON, TERMS)
    assert ended.status == ENDED
    assert machine.advance(Play(Pass('P')).definition, ended, Started({}), NOON, TERMS) == (ended, [])
