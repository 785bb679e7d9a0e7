"""What the reference of the language says, sentence by sentence, as far as a reader can hold it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.flows.flow import Flow
from tests.unit.flows.definitions import ONE, action, fault, faults, flow, read

# --- paths: where they may stand, and which -------------------------------------------------------------------------------------------------------

PATHS = [
    *('$.input.Hellos[1:]', '$.x.details.results[0].output', '$.x.details.result[0][1]', '$.a.b_c.d-e', "$.a['name']", '$.a["b c"]', '$'),
    *('$.a[0:2]', '$.a[-1]', '$.a[*].b', '$..b', '$.a[?@.b == 1]', '$._context.run_id', '$._private_x', '$._tokens.Me', '$.ünïcode'),
]
REFERENCES = ['$', '$.a', '$.a.b.c', '$.a[0]', "$.a['b']", '$.a.b[2].c', '$._private_x', '$.not_context._context']
NO_REFERENCES = [
    *('$.a[*]', '$.a[1:]', '$..a', '$.a[?@.b]', '$._context', '$._context.run_id', "$['_context'].x"),
    *('a', '', '$.', '$.a.', '$a', '$.a[', None, 7),
]


@pytest.mark.parametrize('path', PATHS)
def test_a_path_may_stand_wherever_something_is_read(path: str) -> None:
    rule = {'Or': [{'Variable': path, 'StringEqualsPath': path}], 'Next': 'Done'}
    assert (
        faults(
            flow(
                A=action(Parameters={'a': [{'b.$': path}]}, ResultPath='$.a'),
                B={'Type': 'Pass', 'InputPath': path, 'End': True},
                C={'Type': 'Choice', 'Choices': [rule]},
                D={'Type': 'Wait', 'SecondsPath': path, 'Next': 'Done'},
                E={'Type': 'Wait', 'TimestampPath': path, 'Next': 'Done'},
                F={'Type': 'Fail', 'ErrorPath': path, 'Cause.$': path},
                Done=ONE,
            )
        )
        == []
    )


@pytest.mark.parametrize('path', REFERENCES)
def test_a_result_goes_to_one_place(path: str) -> None:
    catch = [{'ErrorEquals': ['States.ALL'], 'Next': 'B', 'ResultPath': path}]
    assert faults(flow(A=action(ResultPath=path, Catch=catch), B={**ONE, 'Parameters': {}, 'ResultPath': path})) == []


@pytest.mark.parametrize('path', NO_REFERENCES)
def test_and_nowhere_else(path: Any) -> None:
    catch = [{'ErrorEquals': ['States.ALL'], 'Next': 'A', 'ResultPath': path}]
    found = [each.split(':')[0] for each in faults(flow(A=action(ResultPath=path, Catch=catch)))]
    assert found == ['$.States.A.ResultPath', '$.States.A.Catch[0].ResultPath']


# --- expressions ----------------------------------------------------------------------------------------------------------------------------------

EXPRESSIONS = (
    '`$.input.source.path` + `$.input.input_filename`',
    'state_manager.counter + 1',
    'pathsplit(source.path)[1]',
    "is_present('a.b')",
    "getattr('a.b')",
    "getattr('a.b', 'none')",
    'len(files)',
    "str(n) + '/'",
    "name.rstrip('/')",
    "name.rpartition('/')[2]",
    "name.split('.')[0]",
    "name.endswith('.h5')",
    '[1, a, [b]]',
    "{'source_path': a, 'recursive': True}",
    "[{'path': x} for x in files]",
    '[x for x in files if x != source]',
    'a in b',
    "'x' not in b",
    'a == b and not c or d != e',
    'a if b else c',
    '[0] * 3',
    'a[1:len(a) - 1]',
    '-1',
    'a[-1]',
    'Hellos == Hellos[0:0]',
)


@pytest.mark.parametrize('expression', EXPRESSIONS)
@pytest.mark.parametrize('kind', ['Action', 'ExpressionEval', 'CreateWebInput'])
def test_expressions_stand_in_actions_expression_evals_and_web_inputs(kind: str, expression: str) -> None:
    parameters = {'a': {'b.=': expression}}
    if kind == 'Action':
        assert faults(flow(A=action(Parameters=parameters))) == []
    elif kind == 'ExpressionEval':
        assert faults(flow(A={'Type': kind, 'Parameters': parameters, 'ResultPath': '$.a', 'End': True})) == []
    else:
        asked = {'InputType': 'Selection', 'Context.=': expression, 'Options.=': expression, 'RespondentUrns.$': '$.a'}
        assert faults(flow(A={'Type': kind, 'Parameters': asked, 'ResultPath': '$.a', 'End': True})) == []


NO_EXPRESSIONS = ['().__class__', 'lambda: 1', "f'{a}'", "'{}'.format(a)", 'open("/etc/passwd")', 'a := 1', 'a.keys()', '']


@pytest.mark.parametrize('expression', NO_EXPRESSIONS)
def test_what_is_no_expression(expression: str) -> None:
    assert fault(A=action(Parameters={'b.=': expression})).startswith('$.States.A.Parameters.b.=: ')


# --- errors, roles, private names -----------------------------------------------------------------------------------------------------------------


ERRORS = [
    *('ActionUnableToRun', 'ActionFailedException', 'ActionTimeout', 'NoTokenException', 'Flows.WebInputExpired'),
    *('States.ALL', 'States.ParameterPathFailure', 'States.ResultPathMatchFailure', 'States.IntrinsicFailure'),
]


@pytest.mark.parametrize('name', ERRORS)
def test_every_error_of_the_language_may_be_caught_without_a_word(name: str) -> None:
    catch = [{'ErrorEquals': [name], 'Next': 'B', 'ResultPath': '$.e'}]
    found = Flow.from_dict(flow(A=action(ExceptionOnActionFailure=True, Catch=catch), B=ONE)).validate()
    assert (found.faults, found.warnings) == ((), ())


@pytest.mark.parametrize('role', ['User', 'Flow', 'DataManager', 'Any role name'])
def test_run_as_is_any_role(role: str) -> None:
    found = Flow.from_dict(flow(A=action(RunAs=role))).validate()
    assert found.valid
    assert list(found.scopes or {}) == [role]


def test_private_names_stand_at_any_level() -> None:
    inner = {'secret.$': '$.s', 'more.=': 'a', 'x': 1, '__Private_Parameters': ['secret', 'more']}
    assert faults(flow(A=action(Parameters={'a': [[inner]], 'b': {'c': inner}, '__Private_Parameters': ['b']}))) == []


# --- actions --------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'url',
    [
        'https://transfer.actions.globus.org/nonesuch',
        'https://actions.automate.globus.org/Transfer',
        'urn:globus:flows:handle:globus:GROUPS.GET_GROUP',
        'transfer',
        'ftp://transfer.actions.globus.org',
    ],
)
def test_what_nobody_serves_here_is_a_fault_before_any_run(url: str) -> None:
    assert 'no action is known for' in fault(A=action(ActionUrl=url))


def test_both_bodies_of_a_transfer_are_bodies() -> None:
    new = {'source_endpoint': 'a', 'destination_endpoint': 'b', 'DATA': [{'source_path': '/a', 'destination_path': '/b', 'recursive': True}]}
    old = {'source_endpoint_id': 'a', 'destination_endpoint_id': 'b', 'transfer_items': [{'source_path': '/a', 'destination_path': '/b'}]}
    for url in ('https://transfer.actions.globus.org/transfer', 'https://actions.automate.globus.org/transfer/transfer'):
        for body in (new, old):
            assert faults(flow(A=action(ActionUrl=url, Parameters=body))) == []


# --- one fault hides no other ---------------------------------------------------------------------------------------------------------------------

WRONG: list[tuple[Any, str]] = [
    (7, ''),
    ({}, ''),
    ({'Type': 'Task'}, '.Type'),
    ({'Type': 'pass', 'End': True}, '.Type'),
    ({'Type': 'Pass'}, ''),
    ({'Type': 'Pass', 'End': False}, '.End'),
    ({'Type': 'Pass', 'Next': 'Nobody'}, '.Next'),
    ({**ONE, 'OutputPath': '$.a'}, '.OutputPath'),
    ({**ONE, 'Parameters': {'a.$': 'b'}}, '.Parameters.a.$'),
    ({**ONE, 'Parameters': {'a': {'b.=': '1'}}}, '.Parameters.a.b.='),
    ({**ONE, 'Parameters': []}, '.Parameters'),
    (action(WaitTime='x'), '.WaitTime'),
    (action(ActionUrl='https://example.org'), '.ActionUrl'),
    (action(Catch=[{'ErrorEquals': ['A'], 'Next': 'Nobody'}]), '.Catch[0].Next'),
    ({'Type': 'Wait', 'Seconds': -1}, '.Seconds'),
    ({'Type': 'Choice', 'Choices': [{'Variable': '$.a', 'IsNul': True, 'Next': 'Done'}]}, '.Choices[0].IsNul'),
    ({'Type': 'Fail', 'Error': 1}, '.Error'),
    ({'Type': 'ExpressionEval', 'Parameters': {}, 'ResultPath': '$.a[*]', 'End': True}, '.ResultPath'),
    ({'Type': 'AwaitWebInput', 'Parameters': {}, 'End': True}, '.Parameters'),
]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(WRONG), min_size=1, max_size=8))
def test_every_wrong_state_is_told(wrong: list[tuple[Any, str]]) -> None:
    states = {f's{i}': json.loads(json.dumps(state)) for i, (state, _) in enumerate(wrong)}
    found = [fault.path for fault in read({'StartAt': 'Nobody', 'States': {**states, 'Done': ONE}}).faults.faults]
    assert found == ['$.StartAt', *(f'$.States.s{i}{place}' for i, (_, place) in enumerate(wrong))]
