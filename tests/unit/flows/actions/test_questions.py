from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.errors import AccessDenied, FlowError
from relay_parsl.flows.actions.questions import answered, shown

ANN, BOB = 'urn:globus:auth:identity:aaaaaaaa-0000-4000-8000-000000000001', 'urn:globus:auth:identity:bbbbbbbb-0000-4000-8000-000000000002'


def question(**more: Any) -> dict[str, Any]:
    options = [{'Value': 'yes'}, {'Value': 1}, {'Value': 'sign', 'respondents': [BOB]}]
    return {'web_input_id': 'q', 'status': 'OPEN', 'time': 0.0, 'expires': 100.0, 'options': options, 'respondents': [ANN], **more}


def test_an_answer_closes_it_and_says_who_and_when() -> None:
    made = answered(question(), 'yes', [ANN, 'ann'], 5.0)
    assert (made['status'], made['response'], made['respondent'], made['response_time']) == ('CLOSED', 'yes', ANN, 5.0)
    with pytest.raises(FlowError, match='CLOSED'):
        answered(made, 'yes', [ANN], 6.0)


@pytest.mark.parametrize('value', ['no', True, 1.0, '1.0', None, ['yes']])
def test_only_its_options_are_answers(value: Any) -> None:
    with pytest.raises(FlowError, match="it has 'yes', 1, 'sign'"):
        answered(question(), value, [ANN], 5.0)


@pytest.mark.parametrize('respondents', [[], ['public'], ['all_authenticated_users', ANN]])
def test_some_questions_are_for_everybody(respondents: list[str]) -> None:
    assert answered(question(respondents=respondents), 1, ['carl'], 5.0)['response'] == 1


def test_a_command_line_has_text_alone() -> None:
    options = [{'Value': 1}, {'Value': '1'}, {'Value': True}, {'Value': 2.5}]
    for text, value in (('1', '1'), ('true', True), ('2.5', 2.5)):
        assert answered(question(options=options), text, [ANN], 5.0)['response'] == value


def test_who_is_not_asked_is_told_what_to_do() -> None:
    with pytest.raises(AccessDenied, match=f'is for {ANN}, not for carl.*--by'):
        answered(question(), 'yes', ['carl', 'carl@here'], 5.0)


def test_an_option_may_be_for_others_than_the_question() -> None:
    assert answered(question(), 'sign', ['bob', BOB], 5.0)['response'] == 'sign'
    with pytest.raises(AccessDenied):
        answered(question(), 'sign', [ANN], 5.0)


def test_it_expires() -> None:
    assert shown(question(), 99.9)['status'] == 'OPEN'
    assert shown(question(), 100.0)['status'] == 'EXPIRED'
    assert shown(question(status='CLOSED'), 200.0)['status'] == 'CLOSED'
    with pytest.raises(FlowError, match='EXPIRED'):
        answered(question(), 'yes', [ANN], 100.0)
