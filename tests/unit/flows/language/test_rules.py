"""The rules of a Choice: every operator, and what is no rule."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.flows.definition import Comparison, Junction
from tests.unit.flows.definitions import ONE, definition, fault, faults, flow


def choice(*rules: Any, **more: Any) -> dict[str, Any]:
    return {'Type': 'Choice', 'Choices': list(rules), **more}


def test_rules_nest() -> None:
    rule = {
        'And': [{'Variable': '$.a', 'StringMatches': '*.h5'}, {'Not': {'Or': [{'Variable': '$.b', 'IsPresent': True}]}}],
        'Next': 'B',
        'Comment': 'c',
    }
    found: Any = definition(A=choice(rule, Default='B'), B=ONE).states['A']
    inner = Junction('Not', (Junction('Or', (Comparison('$.b', 'IsPresent', True),)),))
    assert found.choices == ((Junction('And', (Comparison('$.a', 'StringMatches', '*.h5'), inner)), 'B'),)
    assert found.default == 'B'


VALUES = {'String': 'x', 'Numeric': 1.5, 'Boolean': False, 'Timestamp': '2026-11-25T08:00:00Z'}
ORDERS = ('Equals', 'LessThan', 'GreaterThan', 'LessThanEquals', 'GreaterThanEquals')
EVERY = [
    *((f'{kind}{order}', VALUES[kind]) for kind in VALUES for order in ORDERS if kind != 'Boolean' or order == 'Equals'),
    *((f'{kind}{order}Path', '$.other') for kind in VALUES for order in ORDERS if kind != 'Boolean' or order == 'Equals'),
    ('StringMatches', 'a*'),
    *((f'Is{kind}', True) for kind in ('Null', 'Present', 'Numeric', 'String', 'Boolean', 'Timestamp')),
]


@pytest.mark.parametrize(('operator', 'value'), EVERY)
def test_every_operator(operator: str, value: Any) -> None:
    found: Any = definition(A=choice({'Variable': '$.v', operator: value, 'Next': 'B'}), B=ONE).states['A']
    assert found.choices == ((Comparison('$.v', operator, value), 'B'),)
    wrong = fault(A=choice({'Variable': '$.v', operator: [], 'Next': 'B'}), B=ONE)
    assert wrong.startswith(f'$.States.A.Choices[0].{operator}: must be ')


def test_there_are_39_operators() -> None:
    assert len(EVERY) == 39


@pytest.mark.parametrize(
    ('rule', 'words'),
    [
        (7, ': must be a rule'),
        ({'Variable': '$.a', 'IsNull': True}, ': needs a Next'),
        ({'Variable': '$.a', 'IsNull': True, 'Next': 7}, '.Next: must be the name of a state'),
        ({'Variable': '$.a', 'Next': 'B'}, ': needs one operator, and has none'),
        ({'Variable': '$.a', 'IsNull': True, 'IsString': True, 'Next': 'B'}, ': needs one operator, and has IsNull, IsString'),
        ({'IsNull': True, 'Next': 'B'}, ': IsNull needs a Variable'),
        ({'Variable': 'a', 'IsNull': True, 'Next': 'B'}, '.Variable: must be a JSONPath'),
        ({'Variable': '$.a', 'Not': {'Variable': '$.a', 'IsNull': True}, 'Next': 'B'}, '.Variable: does not belong beside Not'),
        ({'Variable': '$.a', 'StringEqual': 'x', 'Next': 'B'}, '.StringEqual: no operator; did you mean `StringEquals`?'),
        ({'Variable': '$.a', 'StringEquals': 3, 'Next': 'B'}, '.StringEquals: must be a text, not 3'),
        ({'Variable': '$.a', 'NumericEquals': True, 'Next': 'B'}, '.NumericEquals: must be a number, not true'),
        ({'Variable': '$.a', 'NumericEquals': '$.b', 'Next': 'B'}, '.NumericEquals: must be a number, not "$.b"; did you mean `NumericEqualsPath`?'),
        ({'Variable': '$.a', 'BooleanEquals': 'true', 'Next': 'B'}, '.BooleanEquals: must be true or false'),
        ({'Variable': '$.a', 'TimestampEquals': '2026', 'Next': 'B'}, '.TimestampEquals: must be a time'),
        ({'Variable': '$.a', 'NumericEqualsPath': 'b', 'Next': 'B'}, '.NumericEqualsPath: must be a JSONPath'),
        ({'And': [], 'Next': 'B'}, '.And: must be a list of rules'),
        ({'And': [{'Variable': '$.a', 'IsNull': True, 'Next': 'B'}], 'Next': 'B'}, '.And[0].Next: only a rule in `Choices` itself has a Next'),
        ({'Not': [], 'Next': 'B'}, '.Not: must be a rule'),
        ({'Not': {'Or': [{'Variable': '$.a', 'IsNul': True}]}, 'Next': 'B'}, '.Not.Or[0].IsNul: no operator; did you mean `IsNull`?'),
        ({'Condition': '{% $x %}', 'Next': 'B'}, '.Condition: is JSONata, which is not supported'),
    ],
)
def test_what_a_rule_may_not_be(rule: Any, words: str) -> None:
    assert fault(A=choice(rule), B=ONE).startswith(f'$.States.A.Choices[0]{words}')


def test_a_choice_has_rules_and_no_next_of_its_own() -> None:
    found = faults(flow(A={'Type': 'Choice', 'Next': 'B', 'End': True, 'ResultPath': '$.a'}, B=ONE))
    assert found == [
        '$.States.A.Next: a Choice has no Next of its own; its rules have, and `Default`',
        '$.States.A.End: a Choice has no End',
        '$.States.A.ResultPath: a Choice has no such field; it has Type, Comment, Choices, Default',
        '$.States.A: needs Choices',
    ]
    assert fault(A=choice(), B=ONE).startswith('$.States.A.Choices: must be a list with at least one')
