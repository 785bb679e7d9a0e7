from __future__ import annotations

import pytest

from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.actions.bodies import Fields, kind


def test_every_fault_is_told_at_once_with_its_place() -> None:
    fields = Fields({'a': 1, 'list': [{'b': 'x'}, 3], 'inner': {'c': None}, 'flg': True})
    fields.text('a')
    fields.flag('flag', False)
    for each in fields.objects('list'):
        each.number('b')
    fields.object('inner').choice('c', ('x', 'y'))
    fields.only()
    with pytest.raises(ActionUnableToRun) as refusal:
        fields.done()
    assert str(refusal.value).split('; ') == [
        'a is text, not 1',
        'list[1] is an object, not 3',
        "list[0].b is a number, not 'x'",
        'list[1].b is missing: a number',
        'inner.c is missing: one of x, y',
        'flg is unknown',
        "did you mean 'flag'?",
    ]


def test_null_is_as_if_it_were_not_there() -> None:
    fields = Fields({'a': None, 'b': None})
    assert fields.text('a', 'default') == 'default'
    assert fields.mapping('b', {'x': 1}) == {'x': 1}
    assert 'a' not in fields
    fields.only()
    fields.done()


@pytest.mark.parametrize('value', [True, 'x', float('inf'), float('nan'), [1]])
def test_a_number_is_one(value: object) -> None:
    fields = Fields({'n': value})
    assert fields.number('n', 7) == 7
    assert len(fields.faults) == 1


@pytest.mark.parametrize(
    ('value', 'said'), [(None, 'null'), (False, 'false'), (1, '1'), ('x', "'x'"), ([], 'a list of 0'), ({}, 'an object'), ('x' * 99, f"'{'x' * 56}…")]
)
def test_values_are_said_in_the_words_of_json(value: object, said: str) -> None:
    assert kind(value) == said


def test_a_secret_is_not_told() -> None:
    fields = Fields({'password': 4711})
    fields.text('password')
    assert fields.faults == ['password is text, not int']
