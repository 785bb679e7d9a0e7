"""What is legal but dangerous: each lint where it must speak, and where it must not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from relay_parsl.flows.flow import Flow
from relay_parsl.flows.language.faults import MOST
from tests.unit.flows.definitions import ONE, action, flow

TRANSFER = 'https://transfer.actions.globus.org/transfer'
DELETE = 'https://transfer.actions.globus.org/delete'
COMPUTE = 'https://compute.actions.globus.org/v3'


def said(document: dict[str, Any], schema: Any = None) -> list[str]:
    found = Flow.from_dict(document, input_schema=schema).validate()
    assert not found.faults
    return [str(each) for each in found.warnings]


def warnings(**states: Any) -> list[str]:
    return said(flow(**states))


def step(url: str = TRANSFER, then: str = '', **fields: Any) -> dict[str, Any]:
    """An action of which nothing is to be said."""
    onward: dict[str, Any] = {'Next': then} if then else {'End': True}
    return {'Type': 'Action', 'ActionUrl': url, 'Parameters': {}, 'ResultPath': '$.Result', 'WaitTime': 60, **onward, **fields}


def look(variable: str, yes: str, no: str) -> dict[str, Any]:
    return {'Type': 'Choice', 'Choices': [{'Variable': variable, 'StringEquals': 'SUCCEEDED', 'Next': yes}], 'Default': no}


STOP = {'Type': 'Fail'}


# --- a delete after what may have failed ---------------------------------------------------------------------------------------------------------


def test_a_delete_after_an_unchecked_transfer() -> None:
    found = warnings(Copy=step(then='Clean'), Clean=step(DELETE))
    remedy = 'give it `"ExceptionOnActionFailure": true`, or look at `$.Result.status` in a Choice first'
    assert found == [f'$.States.Clean: removes things even if `Copy` failed; {remedy}']


def test_also_with_states_in_between_in_loops_and_when_it_was_said_to_be_so() -> None:
    between = {'Type': 'Pass', 'Parameters': {}, 'ResultPath': '$.p', 'Next': 'Clean'}
    assert 'Clean: removes' in warnings(Copy=step(then='P'), P=between, Clean=step(DELETE))[0]
    assert 'Clean: removes' in warnings(Copy=step(then='Clean', ExceptionOnActionFailure=False), Clean=step(DELETE))[0]
    other = look('$.other.status', 'Clean', 'Stop')
    assert 'Clean: removes' in warnings(Copy=step(then='Look'), Look=other, Clean=step(DELETE), Stop=STOP)[0]
    loop = warnings(Clean=step(DELETE, then='Copy'), Copy=step(then='More'), More=look('$.more', 'Clean', 'Stop'), Stop=STOP)
    assert '$.States.Clean: removes things even if `Copy` failed' in loop[0]


def test_not_where_the_failure_is_noticed() -> None:
    assert warnings(Copy=step(then='Clean', ExceptionOnActionFailure=True), Clean=step(DELETE)) == []
    assert warnings(Copy=step(then='Look'), Look=look('$.Result.status', 'Clean', 'Stop'), Clean=step(DELETE), Stop=STOP) == []
    assert warnings(Clean=step(DELETE, then='Copy'), Copy=step()) == []
    judged = {'Type': 'ExpressionEval', 'Parameters': {'ok.=': "Result.status == 'SUCCEEDED'"}, 'ResultPath': '$.judged', 'Next': 'Look'}
    look_at_it = {'Type': 'Choice', 'Choices': [{'Variable': '$.judged.ok', 'BooleanEquals': True, 'Next': 'Clean'}], 'Default': 'Stop'}
    assert warnings(Copy=step(then='J'), J=judged, Look=look_at_it, Clean=step(DELETE), Stop=STOP) == []


def test_bodies_that_remove_things_count_too() -> None:
    mirror = step(Parameters={'delete_destination_extra': True})
    assert 'Mirror: removes' in warnings(Copy=step(then='Mirror'), Mirror=mirror)[0]
    deny = step('https://transfer.actions.globus.org/manage_permission', Parameters={'operation': 'DELETE'})
    assert 'Deny: removes' in warnings(Copy=step(then='Deny'), Deny=deny)[0]
    allow = step('https://transfer.actions.globus.org/manage_permission', Parameters={'operation': 'CREATE'})
    assert warnings(Copy=step(then='Allow'), Allow=allow) == []


# --- results of a computation that may have failed ------------------------------------------------------------------------------------------------


def test_results_that_are_read_though_the_computation_may_have_failed() -> None:
    reads = {'Type': 'Pass', 'Parameters': {'a.$': '$.Result.details.result[0][1]'}, 'ResultPath': '$.a', 'End': True}
    assert '$.States.Run: `Use` reads its results' in warnings(Run=step(COMPUTE, then='Use'), Use=reads)[0]
    text = {'Type': 'ExpressionEval', 'Parameters': {'a.=': "x + `$.Result.details.results[0].output` + 'b'"}, 'ResultPath': '$.a', 'End': True}
    assert '$.States.Run: `Use` reads its results' in warnings(Run=step(COMPUTE, then='Use'), Use=text)[0]


def test_not_where_it_cannot_have_failed_or_nobody_reads() -> None:
    reads = {'Type': 'Pass', 'Parameters': {'a.$': '$.Result.details.result[0]'}, 'ResultPath': '$.a', 'End': True}
    other = {**reads, 'Parameters': {'a.$': '$.Other.details.result[0]', 'b.$': '$.Result.status'}}
    assert warnings(Run=step(COMPUTE, then='Use', ExceptionOnActionFailure=True), Use=reads) == []
    assert warnings(Run=step(COMPUTE, then='Use'), Use=other) == []
    assert warnings(Run=step(COMPUTE, then='Look'), Look=look('$.Result.status', 'Use', 'Stop'), Use=reads, Stop=STOP) == []


# --- ways ----------------------------------------------------------------------------------------------------------------------------------------


def test_states_that_nobody_reaches() -> None:
    assert warnings(A=ONE, B={'Type': 'Pass', 'Next': 'A'}) == ['$.States.B: no state leads to it; remove it, or go to it']
    assert warnings(A=action(Catch=[{'ErrorEquals': ['States.ALL'], 'Next': 'B', 'ResultPath': '$.e'}]), B=ONE) == []


def test_no_way_out() -> None:
    found = warnings(A=look('$.a', 'B', 'Z'), B={'Type': 'Pass', 'Next': 'C'}, C={'Type': 'Pass', 'Next': 'B'}, Z=STOP)
    assert found == ['$.States.B: no way out: from `B`, `C` no end can be reached; add a Choice that leaves the loop']
    assert 'no way out: from `A`' in warnings(A={'Type': 'Pass', 'Next': 'A'}, B=ONE)[1]
    assert warnings(A=look('$.a', 'B', 'Z'), B={'Type': 'Pass', 'Next': 'A'}, Z=STOP) == []


# --- choices, payloads, errors --------------------------------------------------------------------------------------------------------------------


def choice(*rules: dict[str, Any]) -> list[str]:
    return warnings(A={'Type': 'Choice', 'Choices': [{**rule, 'Next': 'B'} for rule in rules]}, B=ONE)


def test_a_choice_without_default() -> None:
    assert 'has no Default' in choice({'Variable': '$.a', 'IsPresent': True})[0]
    assert 'has no Default' in choice({'Variable': '$.a', 'BooleanEquals': True}, {'Variable': '$.b', 'BooleanEquals': False})[0]
    rule = {'Variable': '$.a', 'StringEquals': 'x'}
    assert choice(rule, {'Not': rule}) == []
    assert choice({'Variable': '$.a', 'IsPresent': True}, {'Variable': '$.a', 'IsPresent': False}) == []
    assert warnings(A=look('$.a', 'B', 'B'), B=ONE) == []


def test_results_that_replace_the_payload() -> None:
    bare = {'Type': 'Action', 'ActionUrl': TRANSFER, 'Parameters': {}, 'WaitTime': 1}
    assert warnings(A={**bare, 'Next': 'B'}, B=ONE) == [
        '$.States.A: has no ResultPath: its result replaces the whole payload; `"ResultPath": "$.A"` keeps it'
    ]
    assert 'replaces' in warnings(A={'Type': 'Pass', 'Parameters': {'a': 1}, 'Next': 'B'}, B=ONE)[0]
    assert warnings(A={**bare, 'End': True}) == []
    assert warnings(A={'Type': 'Pass', 'Next': 'B'}, B=ONE) == []
    assert warnings(A={**bare, 'ResultPath': '$', 'Next': 'B'}, B=ONE) == []


def test_errors_that_replace_the_payload() -> None:
    catch = {'ErrorEquals': ['States.ALL'], 'Next': 'B'}
    assert '$.States.A.Catch[0]: has no ResultPath: the error replaces' in warnings(A=step(Catch=[catch]), B=ONE)[0]
    assert warnings(A=step(Catch=[{**catch, 'ResultPath': '$.e'}]), B=ONE) == []
    assert warnings(A=step(Catch=[catch]), B=STOP) == []


def test_errors_that_nobody_raises() -> None:
    def caught(name: str, **fields: Any) -> list[str]:
        return warnings(A=step(Catch=[{'ErrorEquals': [name], 'Next': 'B', 'ResultPath': '$.e'}], **fields), B=ONE)

    assert '$.States.A.Catch[0]: no state raises `States.Timeout`' in caught('States.Timeout')[0]
    assert '$.States.A.Catch[0]: ActionFailedException is raised only where' in caught('ActionFailedException')[0]
    assert caught('ActionFailedException', ExceptionOnActionFailure=True) == []
    assert caught('ActionTimeout') == []
    assert 'is spelled `States.ALL`' in caught('States.All')[0]


# --- actions -------------------------------------------------------------------------------------------------------------------------------------


def test_a_transfer_without_wait_time() -> None:
    bare = {key: value for key, value in step().items() if key != 'WaitTime'}
    assert warnings(A=bare) == ['$.States.A: has no WaitTime: a transfer that takes longer than 300 s is cancelled']
    assert warnings(A={**bare, 'ActionUrl': COMPUTE}) == []
    assert warnings(A=step(WaitTime=604_800)) == []
    assert warnings(A=step(WaitTime=10**9)) == ['$.States.A.WaitTime: is longer than a run may last']


@pytest.mark.parametrize('url', ['https://actions.globus.org/transfer/transfer', 'https://actions.automate.globus.org/transfer/transfer/'])
def test_urls_that_were_retired(url: str) -> None:
    assert warnings(A=step(url))[0].startswith('$.States.A.ActionUrl: was retired by Globus; it works here; use https://transfer.actions.globus.org/')
    assert warnings(A=step('https://automate.funcx.org'))[0].endswith('use https://compute.actions.globus.org')
    handled = {key: value for key, value in step().items() if key != 'ActionUrl'}
    assert warnings(A={**handled, 'Handler': {'Type': 'ActionProvider', 'Url': url}})[0].startswith('$.States.A.Handler: was retired')


def test_roles_have_no_effect() -> None:
    assert warnings(A=step(RunAs='Flow')) == ['$.States.A.RunAs: `Flow` has no effect here: every action runs as the account itself']
    assert warnings(A=step(RunAs='User')) == []


def test_a_suffix_that_was_forgotten() -> None:
    found = warnings(A=step(Parameters={'a': [{'source': '$.input.path'}], 'b': ['$.x.y'], 'c': '$5.00 each', 'd': '$', 'e.$': '$.f', 'g': '$.'}))
    assert found == [
        '$.States.A.Parameters.a[0].source: a constant that looks like a JSONPath; to have it read, end the key in `.$`: `source.$`',
        '$.States.A.Parameters.b[0]: a constant that looks like a JSONPath; to have it read, end the key in `.$`',
    ]


# --- paths that nothing made -----------------------------------------------------------------------------------------------------------------------

CLOSED = {'properties': {'input': {}}, 'additionalProperties': False}


def reading(path: str, schema: Any = CLOSED) -> list[str]:
    reader = {'Type': 'Pass', 'Parameters': {'a.$': path}, 'ResultPath': '$.Late', 'End': True}
    return said(flow(A=step(then='B', ResultPath='$.Copy'), B=reader), schema)


def test_paths_that_nothing_can_have_made() -> None:
    assert reading('$.inptu.a') == [
        '$.States.B.Parameters.a.$: `$.inptu.a`: neither the input schema nor a state before has `inptu`; did you mean `input`?'
    ]
    assert '`Late`' in reading('$.Late.x')[0]
    assert reading('$.Copy.detials.x') == [
        '$.States.B.Parameters.a.$: `$.Copy.detials.x`: the result of an action has no `detials`; did you mean `details`?'
    ]


def test_not_where_something_may_have() -> None:
    for path in ('$.input.anything', '$.Copy.details.anything', '$._context.run_id', '$._tokens.Me', '$'):
        assert reading(path) == []
    for schema in (None, {'properties': {'input': {}}}, {**CLOSED, 'patternProperties': {'^x': {}}}):
        assert reading('$.inptu', schema) == []
    replaced = {'Type': 'Pass', 'Parameters': {'x': 1}, 'ResultPath': '$', 'Next': 'B'}
    assert said(flow(A=replaced, B={'Type': 'Pass', 'InputPath': '$.x', 'End': True}), CLOSED) == []
    asked = {'Type': 'Choice', 'Choices': [{'Variable': '$.seen', 'IsPresent': True, 'Next': 'B'}], 'Default': 'B'}
    assert said(flow(A=asked, B=ONE), CLOSED) == []


def test_a_loop_reads_what_it_made_in_its_last_turn() -> None:
    count = {'Type': 'ExpressionEval', 'Parameters': {'n.=': 'x'}, 'ResultPath': '$.count', 'Next': 'A'}
    again = {'Type': 'Choice', 'Choices': [{'Variable': '$.count.n', 'NumericLessThan': 3, 'Next': 'B'}], 'Default': 'Z'}
    assert said(flow(A=again, B=count, Z=ONE), CLOSED) == []


# --- the schema -----------------------------------------------------------------------------------------------------------------------------------


def test_additional_properties_among_the_properties() -> None:
    inner = {'type': 'object', 'properties': {'a': {}, 'additionalProperties': False}}
    assert said(flow(A=ONE), {'properties': {'tar': inner}}) == [
        '$.input_schema.properties.tar.properties.additionalProperties: is a property of this name here; it belongs beside `properties`'
    ]
    assert said(flow(A=ONE), {'properties': {'tar': {'properties': {'a': {}}, 'additionalProperties': False}}}) == []


def test_a_draft_that_nobody_knows() -> None:
    found = said(flow(A=ONE), {'$schema': 'http://json-schema.org/schema#'})
    assert found == ['$.input_schema.$schema: is no draft of JSON Schema; it is read as draft-07, http://json-schema.org/draft-07/schema#']
    assert said(flow(A=ONE), {'$schema': 'https://json-schema.org/draft/2020-12/schema'}) == []


def test_many_states_and_rules_are_looked_through_in_seconds() -> None:
    rules = [{'Variable': f'$.a{i}', 'IsNull': True, 'Next': 'Clean'} for i in range(20_000)]
    copies = {f's{i}': step(then=f's{i + 1}', ResultPath=f'$.r{i}') for i in range(990)}
    states = {**copies, 's990': {'Type': 'Choice', 'Choices': rules, 'Default': 'Clean'}, 'Clean': step(DELETE)}
    since = time.monotonic()
    assert 'Clean: removes things even if `s0` or `s1` or ' in warnings(**states)[0]
    assert time.monotonic() - since < 30
    more = warnings(**states, **{f'm{i}': ONE for i in range(100)})
    assert any(each.startswith('$.States: more than 1000 states') for each in more)


def test_many_rules_of_one_choice_are_looked_through_in_seconds() -> None:
    rules = [{'Variable': f'$.a{i}.b', 'BooleanEquals': True, 'Next': 'B'} for i in range(20_000)]
    since = time.monotonic()
    found = said(flow(A={'Type': 'Choice', 'Choices': rules}, B=ONE), CLOSED)
    assert len(found) == MOST
    assert time.monotonic() - since < 30


def test_a_sound_flow_has_no_warning() -> None:
    states = {
        'In': step(then='Run', ResultPath='$.In', ExceptionOnActionFailure=True),
        'Run': step(COMPUTE, then='Good', ResultPath='$.Run', ExceptionOnActionFailure=True),
        'Good': look('$.Run.details.result[0]', 'Out', 'Ask'),
        'Out': step(then='Clean', ResultPath='$.Out', ExceptionOnActionFailure=True),
        'Clean': step(DELETE, ResultPath='$.Clean'),
        'Ask': {'Type': 'Fail', 'Error': 'Poor', 'Cause': 'see the plot'},
    }
    assert said(flow(**states), CLOSED) == []
