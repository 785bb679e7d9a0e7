"""What is written is what is read."""

from __future__ import annotations

import pytest

from relay_parsl.flows import definition as d
from relay_parsl.flows import messages as m
from relay_parsl.flows.journal import coding

RULE = d.Junction('And', (d.Comparison('$.a', 'IsPresent', True), d.Junction('Not', (d.Comparison('$.b', 'NumericEquals', 3),))))
STATES: dict[str, d.State] = {
    'A': d.Action('A', 'https://x', 'x', {'p': [1, {'@': 'no class'}]}, catch=(d.Catcher(('States.ALL',), 'B', '$.e'),), next='B'),
    'B': d.Choice('B', ((RULE, 'C'), (d.Comparison('$.c', 'IsNull', False), 'D')), default='W'),
    'W': d.Wait('W', seconds=0, next='C'),
    'C': d.Pass('C', result=None, next=None),
    'D': d.Fail('D', 'Wrong', 'Why'),
    'E': d.ExpressionEval('E', {'x.=': '1'}, '$.x', 'C'),
    'F': d.CreateWebInput('F', {'InputType': 'Selection'}, next='G'),
    'G': d.AwaitWebInput('G', {'web_input_id.$': '$.F.id'}, catch=(d.Catcher(('Flows.WebInputExpired',), 'C'),), next='C'),
}
VALUES = [
    d.Definition('A', STATES, {'StartAt': 'A', 'States': {}}, {'type': 'object'}, 'A title', 'said'),
    m.Started({'@': 'Started', 'x': [None, 1.5, 'ü\ud800']}),
    m.ActionReported('r:A:1', m.ActionStatus('a', m.SUCCEEDED, {'result': [1]}, 'done', 1.0, 2.0)),
    m.ActionRefused('r:A:1', 'no'),
    m.TimerFired('t'),
    m.Continued(),
    m.CancelRequested('me'),
    m.ResumeRequested(),
    m.RunAction('r:A:1', 'x', {'b': 1}, 'label', 9.0),
    m.RunRecord(
        'r', 'l', {'run_id': 'r'}, m.Limits(5, 6, 7.0), m.INACTIVE, {'a': 1}, 'A', {'A': 2}, 3, m.Waiting('r:A:2', 't', 4.0), {'code': 'c'}, 1.0
    ),
]


@pytest.mark.parametrize('value', VALUES, ids=lambda value: type(value).__name__)
def test_the_same_comes_back(value: object) -> None:
    text = coding.dump(value)
    assert coding.load(type(value), text) == value
    assert coding.load_any(text) == value


def test_zero_and_false_are_kept_apart_from_defaults_like_them() -> None:
    assert coding.load(d.Wait, coding.dump(d.Wait('W', seconds=0))).seconds == 0
    assert coding.load(d.Action, coding.dump(d.Action('A', 'u', 'u', parameters=False))).parameters is False


def test_what_is_new_since_has_its_default() -> None:
    assert coding.load(m.ActionStatus, '{"@":"ActionStatus","action_id":"a","status":"ACTIVE"}') == m.ActionStatus('a', m.ACTIVE)


@pytest.mark.parametrize('text', ['{', '{"@":"Nonesuch"}', '{"@":"Started","nonesuch":1}'])
def test_what_is_none_of_ours_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        coding.load_any(text)
