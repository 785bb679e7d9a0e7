"""What a definition's graph says, and the way of a run through it."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.flows.graph import Edge, graph, short, stays, words

ACTION = {'Type': 'Action', 'ActionUrl': 'https://transfer.actions.globus.org/transfer/', 'Parameters': {}}
IS_TRUE = {'Variable': '$.a', 'BooleanEquals': True}
FLOW: dict[str, Any] = {
    'Comment': 'Copy until it is enough',
    'StartAt': 'Copy',
    'States': {
        'Enough': {
            'Type': 'Choice',
            'Choices': [{'Variable': '$.n', 'NumericLessThan': 3, 'Next': 'Copy'}, {'Variable': '$.stop', 'BooleanEquals': True, 'Next': 'Done'}],
            'Default': 'Done',
        },
        'Copy': {
            **ACTION,
            'Next': 'Enough',
            'Catch': [{'ErrorEquals': ['ActionTimeout'], 'Next': 'Gone'}, {'ErrorEquals': ['States.ALL'], 'Next': 'Gone'}],
        },
        'Done': {'Type': 'Pass', 'End': True},
        'Gone': {'Type': 'Fail', 'Error': 'Lost'},
    },
}


def entry(time: float, code: str, state: str = '') -> dict[str, Any]:
    return {'time': time, 'code': code, 'details': {'state_name': state} if state else {}}


def test_the_first_state_comes_first_and_every_way_is_there() -> None:
    drawn = graph(FLOW)
    assert [node.name for node in drawn.nodes] == ['Copy', 'Enough', 'Done', 'Gone']
    assert drawn.title == 'Copy until it is enough'
    assert drawn.edges == [
        Edge('Copy', 'Enough'),
        Edge('Copy', 'Gone', 'catch', ''),
        Edge('Enough', 'Copy', 'choice', '$.n < 3'),
        Edge('Enough', 'Done', 'choice', '$.stop is true or otherwise'),
    ]
    assert [node.name for node in drawn.nodes if node.ends] == ['Done', 'Gone']


def test_what_leads_nowhere_and_what_is_no_state_is_left_out() -> None:
    drawn = graph({'StartAt': 'a', 'States': {'a': {'Type': 'Pass', 'Next': 'missing'}, 'b': 7}})
    assert [node.name for node in drawn.nodes] == ['a']
    assert not drawn.edges
    assert graph({}).nodes == []
    assert graph({'States': []}).nodes == []


@pytest.mark.parametrize(
    ('rule', 'text'),
    [
        ({'Variable': '$.a', 'StringEquals': 'x "y"'}, '$.a = "x \\"y\\""'),
        ({'Variable': '$.a', 'NumericGreaterThanEqualsPath': '$.b'}, '$.a ≥ $.b'),
        ({'Variable': '$.a', 'IsPresent': False}, '$.a is not present'),
        ({'Variable': '$.a', 'StringMatches': '*.h5'}, '$.a matches "*.h5"'),
        ({'Variable': '$.a', 'TimestampLessThan': '2026-01-01T00:00:00Z'}, '$.a < 2026-01-01T00:00:00Z'),
        ({'Not': {'Variable': '$.a', 'IsNull': True}}, 'not $.a is null'),
        (
            {
                'And': [
                    {'Variable': '$.a', 'BooleanEquals': True},
                    {'Or': [{'Variable': '$.b', 'IsString': True}, {'Variable': '$.c', 'NumericEquals': 1}]},
                ]
            },
            '$.a is true and ($.b is a string or $.c = 1)',
        ),
    ],
)
def test_a_rule_in_words(rule: dict[str, Any], text: str) -> None:
    assert words({**rule, 'Next': 'there'}) == text


def test_a_rule_of_any_depth_ends() -> None:
    rule: dict[str, Any] = {'Variable': '$.a', 'IsNull': True}
    for _ in range(500):
        rule = {'Not': rule}
    assert words(rule).endswith('…')


@pytest.mark.parametrize(
    ('url', 'name'),
    [
        ('https://actions.automate.globus.org/transfer/transfer', 'transfer'),
        ('https://compute.actions.globus.org', 'compute'),
        ('https://compute.actions.globus.org/v3/', 'compute v3'),
        ('https://actions.globus.org/hello_world', 'hello_world'),
        ('urn:globus:flows:handle:globus:transfer.ls', 'transfer.ls'),
    ],
)
def test_an_action_is_called_by_what_it_does(url: str, name: str) -> None:
    assert short(url) == name


LOG = [
    entry(0, 'FlowStarted'),
    entry(0, 'ActionStarted', 'Copy'),
    entry(4, 'ActionCompleted', 'Copy'),
    entry(4, 'ChoiceStarted', 'Enough'),
    entry(4, 'ChoiceCompleted', 'Enough'),
    entry(4, 'ActionStarted', 'Copy'),
]


def test_the_way_of_a_run_that_goes_on() -> None:
    drawn = graph(FLOW, run={'status': 'ACTIVE', 'state': 'Copy'}, log=LOG)
    standing = {node.name: (node.standing, node.visits, node.seconds) for node in drawn.nodes}
    assert standing == {'Copy': ('now', 2, 4.0), 'Enough': ('done', 1, 0.0), 'Done': ('', 0, None), 'Gone': ('', 0, None)}
    assert [(edge.source, edge.target) for edge in drawn.edges if edge.taken] == [('Copy', 'Enough'), ('Enough', 'Copy')]
    assert list(drawn.path) == ['Copy', 'Enough', 'Copy']


def test_a_state_that_failed_left_by_its_catch() -> None:
    log = [*LOG, entry(9, 'ActionTimeout', 'Copy'), entry(9, 'FailStarted', 'Gone'), entry(9, 'FlowFailed')]
    drawn = graph(FLOW, run={'status': 'FAILED', 'state': ''}, log=log)
    assert {node.name: node.standing for node in drawn.nodes} == {'Copy': 'caught', 'Enough': 'done', 'Done': '', 'Gone': 'failed'}
    assert [edge.kind for edge in drawn.edges if edge.taken] == ['next', 'catch', 'choice']


def test_a_state_whose_error_nobody_caught_is_where_the_run_failed() -> None:
    drawn = graph(FLOW, run={'status': 'FAILED'}, log=[*LOG, entry(9, 'FlowFailed')])
    assert {node.name: node.standing for node in drawn.nodes}['Copy'] == 'failed'


def test_times_of_the_log_are_read() -> None:
    log = [
        {'time': '2023-04-25T18:54:30.715000+00:00', 'code': 'PassStarted', 'details': {'state_name': 'a'}},
        {'time': '2023-04-25T18:54:31.715Z', 'code': 'PassCompleted', 'details': {'state_name': 'a'}},
        {'time': 'never', 'code': 'FlowSucceeded', 'details': None},
    ]
    (stay,) = stays(log)
    assert stay.left is not None
    assert stay.left - stay.entered == pytest.approx(1.0)
    assert stay.completed
