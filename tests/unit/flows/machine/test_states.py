"""What each type of state does, but for actions."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.flows.definition import Choice, Comparison, ExpressionEval, Fail, Json, Pass, Wait
from relay_parsl.flows.messages import (
    ACTIVE,
    FAILED,
    SUCCEEDED,
    Log,
    SetTimer,
    TimerFired,
)
from tests.unit.flows.play import NOON, Play

# -- Pass, ExpressionEval, Choice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('state', 'body', 'payload'),
    [
        (Pass('P'), {'a': 1}, {'a': 1}),
        (Pass('P', {'b': 2}), {'a': 1}, {'b': 2}),
        (Pass('P', {}), {'a': 1}, {}),
        (Pass('P', {'b.$': '$.a'}, result_path='$.c.d'), {'a': 1}, {'a': 1, 'c': {'d': {'b': 1}}}),
        (Pass('P', input_path='$.a', result_path='$.b'), {'a': [1, 2]}, {'a': [1, 2], 'b': [1, 2]}),
        (Pass('P', input_path='$.a'), {'a': {'z': 0}}, {'z': 0}),
        (Pass('P', input_path='$', result_path='$.copy'), {'a': 1}, {'a': 1, 'copy': {'a': 1}}),
        (Pass('P', result_path='$.copy'), {'a': 1}, {'a': 1, 'copy': {'a': 1}}),
        (Pass('P', result={'k.$': '$.a'}), {'a': 1}, {'k.$': '$.a'}),
        (Pass('P', {'who.$': '$._context.user_id'}, result_path='$.me'), {}, {'me': {'who': 'urn:me'}}),
        (ExpressionEval('P', {'n.=': 'a + 1'}, '$.sum'), {'a': 1}, {'a': 1, 'sum': {'n': 2}}),
        (ExpressionEval('P', {'a.=': '`$.a` * 2'}), {'a': 4}, {'a': 8}),
    ],
)
def test_what_a_pass_writes(state: Pass | ExpressionEval, body: Json, payload: Json) -> None:
    play = Play(state, body=body)
    assert (play.run.status, play.run.payload) == (SUCCEEDED, payload)


def test_the_payload_that_was_given_is_not_changed() -> None:
    body = {'a': {'b': [1]}}
    play = Play(Pass('P', {'c': 2}, result_path='$.a.b'), body=body)
    assert body == {'a': {'b': [1]}}
    assert play.run.payload == {'a': {'b': {'c': 2}}}


def test_nobody_writes_the_context() -> None:
    play = Play(ExpressionEval('P', {'_context': {'username': 'root'}}), body={'a': 1})
    assert play.run.status == FAILED
    assert play.run.details['error'] == 'States.ResultPathMatchFailure'
    play = Play(Pass('P', {'who.$': '$._context.user_id'}), body={'_context': {'user_id': 'root'}})
    assert play.run.payload == {'who': 'urn:me'}


def test_choice_goes_where_a_rule_says_and_fails_without_one() -> None:
    rules = ((Comparison('$.n', 'NumericLessThan', 3), 'Less'),)
    less = Pass('Less', {'less': True})
    play = Play(Choice('C', rules, 'Else'), less, Pass('Else', {'less': False}), body={'n': 5})
    assert play.run.payload == {'less': False}
    assert play.entry('ChoiceCompleted').details['output'] == {'Next': 'Else'}
    play = Play(Choice('C', rules), less, body={'n': 5})
    assert play.run.status == FAILED
    assert play.run.details['error'] == 'States.NoChoiceMatched'
    assert play.run.details['state_name'] == 'C'
    assert play.codes == ['FlowStarted', 'ChoiceStarted', 'ChoiceFailed', 'FlowFailed']


# -- Wait -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('fields', 'body', 'at'),
    [
        ({'seconds': 5}, {}, NOON + 5),
        ({'seconds_path': '$.pause'}, {'pause': 2.5}, NOON + 2.5),
        ({'timestamp': '2026-11-25T12:00:10Z'}, {}, NOON + 10),
        ({'timestamp_path': '$.when'}, {'when': '2026-11-25T13:00:10+01:00'}, NOON + 10),
    ],
)
def test_wait_sets_a_timer_that_does_not_move(fields: dict[str, Any], body: Json, at: float) -> None:
    play = Play(Wait('W', **fields, next='P'), Pass('P', {'done': True}), body=body)
    assert play.all(SetTimer) == [SetTimer('run-1:W:1', at)]
    assert play.run.status == ACTIVE
    assert play.hear(TimerFired('run-1:P:1'), 1) == []
    play.ring()
    assert play.run.status == SUCCEEDED
    assert play.run.payload == {'done': True}
    assert play.codes == ['FlowStarted', 'WaitStarted', 'WaitCompleted', 'PassStarted', 'PassCompleted', 'FlowSucceeded']


@pytest.mark.parametrize('fields', [{'seconds': 0}, {'timestamp': '1999-12-31T23:59:59Z'}, {'timestamp_path': '$.when'}])
def test_what_has_passed_is_not_waited_for(fields: dict[str, Any]) -> None:
    play = Play(Wait('W', **fields), body={'when': '2026-11-25T11:59:59.999Z', 'a': 1})
    assert play.run.status == SUCCEEDED
    assert not play.all(SetTimer)
    assert play.run.payload['a'] == 1


@pytest.mark.parametrize('field', ['seconds_path', 'timestamp_path'])
@pytest.mark.parametrize('value', ['soon', -1, True, None, [5], {}, 1e400, 10**30, '2026-13-01T00:00:00Z', '2026-11-25'])
def test_a_time_that_is_none_is_an_error_that_names_its_path(field: str, value: Json) -> None:
    play = Play(Wait('W', **{field: '$.when'}), body={'when': value})
    assert play.run.status == FAILED
    assert '$.when' in play.run.details['cause']
    assert play.run.details['error'] == 'States.ParameterPathFailure'
    assert play.codes == ['FlowStarted', 'WaitStarted', 'WaitFailed', 'FlowFailed']


def test_a_time_that_is_not_there_is_an_error_too() -> None:
    play = Play(Wait('W', seconds_path='$.when'), body={})
    assert play.run.details['error'] == 'States.ParameterPathFailure'
    assert 'when' in play.run.details['cause']


# -- Fail -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('state', 'error', 'cause'),
    [
        (Fail('F', 'MyError', 'It broke'), 'MyError', 'It broke'),
        (Fail('F'), '', ''),
        (Fail('F', '$.err.code', '$.err.text'), 'E5', 'from the payload'),
        (Fail('F', error_path='$.err.code', cause_path='$.err.list'), 'E5', '[1,2]'),
        (Fail('F', 'E', '$.nonesuch'), 'E', '$.nonesuch'),
        (Fail('F', 'E', '$5 were not enough'), 'E', '$5 were not enough'),
    ],
)
def test_fail_tells_why(state: Fail, error: str, cause: str) -> None:
    play = Play(state, body={'err': {'code': 'E5', 'text': 'from the payload', 'list': [1, 2]}})
    assert play.run.status == FAILED
    assert play.run.completion_time == NOON
    assert play.run.details['error'] == error
    assert play.run.details['cause'] == cause
    assert play.run.details['code'] == 'FlowFailed'
    assert play.codes == ['FlowStarted', 'FailStarted', 'FailCompleted', 'FlowFailed']
    assert play.entry('FlowFailed').details['error'] == error


def test_neither_fail_nor_wait_tells_what_is_private() -> None:
    body = {'_private_pin': 'secret', 'all': {'_private_key': 'secret', 'k': 1}}
    for state in (Fail('F', '$._private_pin', '$.all'), Fail('F', error_path='$.all._private_key', cause='$._private_pin')):
        play = Play(state, body=body)
        assert 'secret' not in str(play.all(Log))
        assert 'secret' not in str(play.run.details)
    assert Play(Fail('F', '$.all', ''), body=body).run.details['error'] == '{"k":1}'
    for path in ('$._private_pin', '$.all'):
        play = Play(Wait('W', seconds_path=path), body=body)
        assert path in play.run.details['cause']
        assert 'secret' not in play.run.details['cause']


@pytest.mark.parametrize('path', ['$.x.pin', '$._private_pin', '$.x'])
def test_a_part_of_the_payload_that_is_private_is_moved_unseen(path: str) -> None:
    first = Pass('A', {'__Private_Parameters': ['pin'], 'pin.$': '$._private_pin', 'k': 1}, result_path='$.x', next='B')
    play = Play(
        first, Pass('B', input_path=path, result_path='$._private_copy', next='F'), Fail('F', '$.x.pin', '$.x'), body={'_private_pin': 'secret'}
    )
    assert 'secret' in str(play.run.payload['_private_copy'])
    assert 'secret' not in str(play.all(Log))
    assert play.run.details['error'] == '$.x.pin'
    assert play.run.details['cause'] == '{"k":1}'
