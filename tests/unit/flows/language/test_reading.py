"""From a document to a definition, or to every fault it has, each with its JSON path."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.errors import DefinitionInvalid
from relay_parsl.flows.definition import Catcher
from tests.unit.flows.definitions import HELLO, ONE, action, definition, fault, faults, flow, read


def test_a_definition_is_start_at_and_states_and_perhaps_a_comment() -> None:
    found = read({'StartAt': 'A', 'States': {'A': ONE}, 'Comment': 'why'}).definition()
    assert (found.start_at, list(found.states), found.comment) == ('A', ['A'], 'why')
    assert found.document == {'StartAt': 'A', 'States': {'A': ONE}, 'Comment': 'why'}


def test_a_comment_may_be_null() -> None:
    assert read({'StartAt': 'A', 'States': {'A': {**ONE, 'Comment': None}}, 'Comment': None}).definition().comment == ''


def test_the_comment_of_a_state_is_whatever_its_author_likes() -> None:
    assert read(flow(A={**ONE, 'Comment': ['two', 'lines']})).definition()
    assert faults({**flow(A=ONE), 'Comment': 3}) == ['$.Comment: must be a text, not 3']


@pytest.mark.parametrize('key', ['definition', 'x'])
def test_a_wrapped_definition_brings_schema_and_title(key: str) -> None:
    wrapped = {key: flow(A=ONE), 'input_schema': {'type': 'object'}, 'title': 'T', 'source': 'somewhere'}
    if key == 'definition':
        found = read(wrapped).definition()
        assert (found.input_schema, found.title, list(found.document)) == ({'type': 'object'}, 'T', ['StartAt', 'States'])
    else:
        assert '$: needs StartAt' in faults(wrapped)


def test_the_schema_of_a_wrapper_has_two_spellings() -> None:
    assert read({'definition': flow(A=ONE), 'inputSchema': {'a': 1}}).input_schema == {'a': 1}
    assert faults({'definition': flow(A=ONE), 'inputSchema': {}, 'input_schema': {'a': 1}})[0].startswith('$.inputSchema: there is an `input_schema`')
    assert read({'definition': flow(A=ONE), 'input-schema': {}}).faults.warnings[0].message == 'is not read; did you mean `input_schema`?'


@pytest.mark.parametrize('document', [None, [], 'text', 7, True, {'definition': []}])
def test_a_definition_is_an_object(document: Any) -> None:
    assert 'a flow definition is an object' in faults(document)[0]


def test_what_the_top_lacks_or_has_too_much_is_named() -> None:
    assert faults({}) == ['$: needs StartAt', '$: needs States']
    assert faults({**flow(A=ONE), 'StartsAt': 'A'}) == ['$.StartsAt: no such field; did you mean `StartAt`?']
    assert 'WaitTime' in faults({**flow(A=ONE), 'TimeoutSeconds': 3})[0]
    assert faults({'StartAt': 'A', 'States': {}})[:1] == ['$.States: needs at least one state']
    assert faults({'StartAt': 3, 'States': []}) == ['$.StartAt: must be a name, not 3', '$.States: must be an object, not []']


def test_targets_exist_and_near_ones_are_suggested() -> None:
    assert faults({'StartAt': 'Transfr', 'States': {'Transfer': ONE}}) == ['$.StartAt: there is no state "Transfr"; did you mean `Transfer`?']
    assert fault(A={'Type': 'Pass', 'Next': 'B'}, C=ONE) == '$.States.A.Next: there is no state "B"'
    assert fault(A={'Type': 'Choice', 'Choices': [{'Variable': '$.x', 'IsNull': True, 'Next': 'Q'}]}, C=ONE).startswith('$.States.A.Choices[0].Next')
    assert fault(A={'Type': 'Choice', 'Choices': [{'Variable': '$.x', 'IsNull': True, 'Next': 'C'}], 'Default': 'Q'}, C=ONE).startswith(
        '$.States.A.Default'
    )
    assert fault(A=action(Catch=[{'ErrorEquals': ['States.ALL'], 'Next': 'Q'}])).startswith('$.States.A.Catch[0].Next')


def test_something_ends_the_flow() -> None:
    assert fault(A={'Type': 'Pass', 'Next': 'A'}) == '$.States: no state ends the flow; give one `"End": true`, or add a Fail'
    assert definition(A={'Type': 'Pass', 'Next': 'B'}, B={'Type': 'Fail'})


def test_a_fault_in_one_state_hides_none_in_another() -> None:
    found = faults(flow(A={'Type': 'Psas'}, B=7, C={'Type': 'Wait', 'Seconds': -1}, D={'Type': 'Fail', 'Error': 3}, E=action(WaitTime='x'), F={}))
    assert [each.split(':')[0] for each in found] == [
        *('$.States.A.Type', '$.States.B', '$.States.C.Seconds', '$.States.D.Error', '$.States.E.WaitTime', '$.States.F')
    ]


def test_odd_names_of_states_have_a_path_of_their_own() -> None:
    assert faults({'StartAt': 'a b', 'States': {'a b': {'Type': 'Wait', 'Seconds': 'x'}}})[0].startswith("$.States['a b'].Seconds: ")
    assert "$.States['']: a state needs a name" in faults({'StartAt': '', 'States': {'': ONE}})


@pytest.mark.parametrize('kind', ['Action', 'Pass', 'ExpressionEval', 'CreateWebInput', 'AwaitWebInput'])
def test_next_or_end_and_not_both(kind: str) -> None:
    assert f'{"$.States.A"}: needs Next or End' in faults(flow(A={'Type': kind}))
    assert '$.States.A: has Next and End; keep one' in faults(flow(A={'Type': kind, 'Next': 'A', 'End': True}))
    assert any(each.startswith('$.States.A.End: must be true, not false') for each in faults(flow(A={'Type': kind, 'End': False})))


def test_fields_of_an_action() -> None:
    catch = [{'ErrorEquals': ['ActionTimeout'], 'Next': 'A', 'ResultPath': '$.e'}]
    found: Any = definition(
        A=action(ActionScope='urn:x', RunAs='Me', ExceptionOnActionFailure=True, WaitTime=7.0, ResultPath='$.r.s', Catch=catch, Comment='c')
    ).states['A']
    assert (found.url, found.action, found.run_as, found.wait_time, found.exception_on_action_failure) == (HELLO, 'hello_world', 'Me', 7, True)
    assert (found.result_path, found.catch, found.next, found.parameters) == ('$.r.s', (Catcher(('ActionTimeout',), 'A', '$.e'),), None, {})


def test_what_an_action_has_when_nothing_is_said() -> None:
    found: Any = definition(A=action()).states['A']
    assert (found.wait_time, found.exception_on_action_failure, found.run_as, found.result_path, found.catch) == (300, False, 'User', '$', ())


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({'ActionUrl': 7}, '.ActionUrl: must be a name'),
        ({'Handler': HELLO}, ': has ActionUrl and Handler; keep one'),
        ({'InputPath': '$.a'}, ': has Parameters and InputPath; keep one'),
        ({'Parameters': []}, '.Parameters: must be an object'),
        ({'ResultPath': None}, '.ResultPath: must be a JSONPath'),
        ({'ResultPath': 'a.b'}, '.ResultPath: must be a JSONPath, which begins with `$.`, not "a.b"; did you mean `$.a.b`?'),
        ({'ResultPath': '$.a[*]'}, '.ResultPath: '),
        ({'ResultPath': '$.a[1:2]'}, '.ResultPath: '),
        ({'ResultPath': '$._context.x'}, '.ResultPath: '),
        ({'WaitTime': -1}, '.WaitTime: must be a whole number'),
        ({'WaitTime': 1.5}, '.WaitTime: must be a whole number'),
        ({'WaitTime': True}, '.WaitTime: must be a whole number'),
        ({'ExceptionOnActionFailure': 'true'}, '.ExceptionOnActionFailure: must be true or false'),
        ({'RunAs': ''}, '.RunAs: must be a name'),
        ({'ActionScope': 'all'}, '.ActionScope: must be a URI'),
        ({'Catch': []}, '.Catch: must be a list with at least one'),
        ({'Catch': {}}, '.Catch: must be a list'),
        ({'ResultsPath': '$.a'}, '.ResultsPath: an Action has no such field; did you mean `ResultPath`?'),
        ({'Retry': []}, '.Retry: `Retry` is not supported: catch the error'),
        ({'OutputPath': '$.a'}, '.OutputPath: `OutputPath` is not supported'),
        ({'ResultSelector': {}}, '.ResultSelector: `ResultSelector` is not supported'),
        ({'TimeoutSeconds': 3}, '.TimeoutSeconds: `TimeoutSeconds` is not supported: use WaitTime'),
        ({'HeartbeatSeconds': 3}, '.HeartbeatSeconds: `HeartbeatSeconds` is not supported: use WaitTime'),
        ({'QueryLanguage': 'JSONata'}, '.QueryLanguage: `QueryLanguage` is not supported'),
        ({'Assign': {}}, '.Assign: `Assign` is not supported'),
    ],
)
def test_what_an_action_may_not_have(fields: dict[str, Any], words: str) -> None:
    assert fault(A=action(**fields)).startswith(f'$.States.A{words}')


def test_an_action_needs_a_url_and_a_body() -> None:
    assert faults(flow(A={'Type': 'Action', 'End': True})) == [
        '$.States.A: needs ActionUrl or Handler',
        '$.States.A: needs Parameters or InputPath',
    ]


@pytest.mark.parametrize('handler', [{'Type': 'ActionProvider', 'Url': HELLO}, HELLO])
def test_a_handler_is_an_object_or_a_text(handler: Any) -> None:
    found: Any = definition(A={'Type': 'Action', 'Handler': handler, 'InputPath': '$.a', 'End': True}).states['A']
    assert (found.url, found.action, found.input_path, found.parameters) == (HELLO, 'hello_world', '$.a', None)


@pytest.mark.parametrize(
    ('handler', 'words'),
    [
        (7, ': must be {"Type": "ActionProvider", "Url": …}, {"Type": "RegisteredAPI", "Id": …} or a URN, not 7'),
        ({'Type': 'ActionProvider'}, '.Url: is needed'),
        ({'Type': 'Lambda', 'Url': HELLO}, '.Type: must be "ActionProvider" or "RegisteredAPI", not "Lambda"'),
        ({'Type': 'ActionProvider', 'Url': HELLO, 'URL': 1}, '.URL: a Handler of this type has no such field; did you mean `Url`?'),
        ({'Type': 'ActionProvider', 'Url': 'https://example.org/x'}, '.Url: no action is known'),
        ('urn:globus:flows:handle:globus:GROUPS.GET', ': no action is known'),
        ({'Type': 'RegisteredAPI'}, '.Id: is needed'),
        ({'Type': 'RegisteredAPI', 'Id': 7}, '.Id: must be a text, not 7'),
        ({'Type': 'RegisteredAPI', 'Id': HELLO, 'Url': HELLO}, '.Url: a Handler of this type has no such field'),
        ({'Type': 'RegisteredAPI', 'Id': '8f1e3b9c-0000-4000-8000-000000000000'}, '.Id: no action is known for "8f1e3b9c-'),
    ],
)
def test_what_a_handler_may_not_be(handler: Any, words: str) -> None:
    assert fault(A={'Type': 'Action', 'Handler': handler, 'Parameters': {}, 'End': True}).startswith(f'$.States.A.Handler{words}')


def test_the_remedy_is_named_where_nobody_serves_what_is_asked_for() -> None:
    for handler in (
        {'Type': 'RegisteredAPI', 'Id': '8f1e3b9c-0000-4000-8000-000000000000'},
        'urn:globus:flows:handle:globus:GROUPS.GET',
        'https://a.b/c',
    ):
        said = faults(flow(A={'Type': 'Action', 'Handler': handler, 'Parameters': {}, 'End': True}))
        assert said[0].endswith('an action of your own can serve it: name it under `actions` in flows.yaml')


def test_an_unknown_url_is_a_fault_with_the_nearest_ones() -> None:
    found = fault(A=action(ActionUrl='https://actions.globus.org/helo_world'))
    assert found.startswith('$.States.A.ActionUrl: no action is known for "https://actions.globus.org/helo_world"; did you mean https://')
    assert 'hello_world' in found


@pytest.mark.parametrize(
    ('kind', 'remedy'), [('Task', 'Action'), ('Parallel', 'several runs'), ('Map', 'loop'), ('Succeed', 'End'), ('ActionWait', '1.0')]
)
def test_types_of_other_languages_are_refused_with_what_to_do_instead(kind: str, remedy: str) -> None:
    found = faults(flow(A={'Type': kind, 'Resource': 'arn:x', 'End': True}))
    assert found[0].startswith(f'$.States.A.Type: `{kind}` is not supported: ')
    assert remedy in found[0]
    assert found[1].startswith('$.States.A.Resource: `Resource` is not supported: it is of the language before 1.0')


def test_unknown_types_are_named() -> None:
    assert fault(A={'Type': 'Pas', 'End': True}) == '$.States.A.Type: there is no type "Pas"; did you mean `Pass`?'
    assert 'needs a Type: Action, Pass' in fault(A={'End': True})


def test_a_pass() -> None:
    states = definition(
        A={'Type': 'Pass', 'Parameters': {'a.$': '$.b'}, 'ResultPath': '$.c', 'Next': 'B'},
        B={'Type': 'Pass', 'InputPath': '$.c', 'Next': 'C'},
        C={'Type': 'Pass', 'Result': {'k': '$.not a path'}, 'ResultPath': '$', 'End': True},
    ).states
    assert [(state.parameters, state.input_path, state.result, state.result_path, state.next) for state in states.values()] == [  # type: ignore[union-attr]
        ({'a.$': '$.b'}, None, None, '$.c', 'B'),
        (None, '$.c', None, '$', 'C'),
        (None, None, {'k': '$.not a path'}, '$', None),
    ]
    assert fault(A={**ONE, 'Parameters': {}, 'InputPath': '$.a'}) == '$.States.A: has Parameters and InputPath; keep one'
    assert fault(A={**ONE, 'Result': 7}) == '$.States.A.Result: must be an object, not 7'


def test_an_expression_eval_may_end() -> None:
    found: Any = definition(A={'Type': 'ExpressionEval', 'Parameters': {'a.=': '1 + 1'}, 'ResultPath': '$.a', 'End': True}).states['A']
    assert (found.parameters, found.result_path, found.next) == ({'a.=': '1 + 1'}, '$.a', None)
    assert faults(flow(A={'Type': 'ExpressionEval', 'InputPath': '$.a', 'End': True})) == [
        '$.States.A.InputPath: an ExpressionEval has no such field; it has Type, Comment, Next, End, Parameters, ResultPath',
        '$.States.A: needs Parameters',
        '$.States.A: needs ResultPath',
    ]


@pytest.mark.parametrize(
    ('fields', 'attribute', 'value'),
    [
        ({'Seconds': 0}, 'seconds', 0),
        ({'Seconds': 31_536_000}, 'seconds', 31_536_000),
        ({'SecondsPath': '$.s'}, 'seconds_path', '$.s'),
        ({'Timestamp': '2026-11-25T08:00:00Z'}, 'timestamp', '2026-11-25T08:00:00Z'),
        ({'Timestamp': '2026-11-25T08:00:00.25+01:00'}, 'timestamp', '2026-11-25T08:00:00.25+01:00'),
        ({'TimestampPath': '$.t[0]'}, 'timestamp_path', '$.t[0]'),
    ],
)
def test_a_wait_has_four_forms(fields: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(definition(A={'Type': 'Wait', **fields, 'Next': 'B'}, B=ONE).states['A'], attribute) == value


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({}, ': needs Seconds or SecondsPath or Timestamp or TimestampPath'),
        ({'Seconds': 1, 'SecondsPath': '$.s'}, ': has Seconds and SecondsPath; keep one'),
        ({'Seconds': 31_536_001}, '.Seconds: must be a whole number of seconds up to 31536000, not 31536001'),
        ({'Seconds': '5'}, '.Seconds: must be a whole number'),
        ({'Timestamp': 'tomorrow'}, '.Timestamp: must be a time as RFC 3339'),
        ({'Timestamp': '2026-13-25T08:00:00Z'}, '.Timestamp: must be a time as RFC 3339'),
        ({'Timestamp': '2026-11-25T08:00:00'}, '.Timestamp: must be a time as RFC 3339'),
        ({'TimestampPath': 't'}, '.TimestampPath: must be a JSONPath'),
        ({'Seconds': 1, 'End': True}, '.End: a Wait has no End; a Pass with it may follow'),
        ({'Seconds': 1, 'ResultPath': '$.a'}, '.ResultPath: a Wait has no such field'),
    ],
)
def test_what_a_wait_may_not_have(fields: dict[str, Any], words: str) -> None:
    assert fault(A={'Type': 'Wait', 'Next': 'B', **fields}, B=ONE).startswith(f'$.States.A{words}')


def test_a_wait_without_next_ends_with_a_word() -> None:
    found = read(flow(A={'Type': 'Wait', 'Seconds': 1}))
    assert found.definition().states['A'].next is None  # type: ignore[union-attr]
    assert [str(each) for each in found.faults.warnings] == ['$.States.A: has no Next: the flow ends after it']


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        ({}, (None, None, None, None)),
        ({'Error': 'E', 'Cause': 'why'}, ('E', 'why', None, None)),
        ({'ErrorPath': '$.e', 'CausePath': '$.c'}, (None, None, '$.e', '$.c')),
        ({'Error.$': '$.e', 'Cause.$': '$.c'}, (None, None, '$.e', '$.c')),
        ({'Error': '$.e', 'Cause': '$.c.d'}, (None, None, '$.e', '$.c.d')),
    ],
)
def test_a_fail_says_why_by_text_or_path(fields: dict[str, Any], said: tuple[Any, ...]) -> None:
    found: Any = definition(A={'Type': 'Fail', **fields}).states['A']
    assert (found.error, found.cause, found.error_path, found.cause_path) == said


def test_what_a_fail_may_not_have() -> None:
    assert fault(A={'Type': 'Fail', 'Error': 'E', 'ErrorPath': '$.e'}) == '$.States.A: has Error and ErrorPath; keep one'
    assert fault(A={'Type': 'Fail', 'End': True}) == '$.States.A.End: a Fail has no End'
    assert fault(A={'Type': 'Fail', 'Caus': 'x'}).endswith('did you mean `Cause`?')


def test_a_definition_with_faults_is_none() -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        read(flow(A={'Type': 'Wait'}, B={'Type': 'Fail', 'End': 1})).definition()
    assert str(caught.value).splitlines() == [
        '$.States.A: needs Seconds or SecondsPath or Timestamp or TimestampPath',
        '$.States.B.End: a Fail has no End',
    ]


def test_the_document_is_a_copy() -> None:
    given = flow(A={'Type': 'Pass', 'Parameters': {'a': [1]}, 'End': True})
    found = read(given).definition()
    given['States']['A']['Parameters']['a'].append(2)
    assert found.document['States']['A']['Parameters'] == {'a': [1]}
