"""Input schemas: every violation at once, and bombs that do not go off."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from relay_parsl.errors import InputInvalid
from relay_parsl.flows.language import schema


def faults(document: Any) -> list[str]:
    return [str(fault) for fault in schema.check(document)]


def violations(body: Any, document: Any) -> list[str]:
    with pytest.raises(InputInvalid) as caught:
        schema.need(body, document)
    return str(caught.value).splitlines()


INPUT = {
    'type': 'object',
    'required': ['input'],
    'properties': {
        'input': {
            'type': 'object',
            'required': ['source', 'count'],
            'properties': {
                'source': {'type': 'object', 'format': 'globus-collection', 'properties': {'id': {'type': 'string', 'format': 'uuid'}}},
                'count': {'type': 'integer', 'minimum': 1},
                'names': {'type': 'array', 'items': {'type': 'string'}},
                'who': {'type': 'string', 'format': 'globus-principal'},
            },
            'additionalProperties': False,
        }
    },
    'additionalProperties': False,
}


def test_a_body_that_fits_comes_back_as_a_copy() -> None:
    body = {'input': {'source': {'id': 'beamline'}, 'count': 3, 'names': ['a']}}
    found = schema.need(body, INPUT)
    assert found == body
    assert found is not body
    assert schema.need({'any': 1}, None) == {'any': 1}


def test_every_violation_is_told_with_its_place() -> None:
    body = {'input': {'count': 0, 'names': ['a', 3], 'conut': 1}, 'more': 1}
    assert violations(body, INPUT) == [
        '$.input.conut: is not declared by the schema; did you mean `count`?',
        '$.input.count: 0 is less than the minimum of 1',
        "$.input.names[1]: 3 is not of type 'string'",
        '$.input.source: is needed',
        '$.more: is not declared by the schema',
    ]


@pytest.mark.parametrize('body', [None, [], 'x', 3])
def test_a_body_is_an_object(body: Any) -> None:
    assert violations(body, None)[0].startswith("$: a run's body is an object")


def test_a_body_is_json() -> None:
    assert violations({'a': float('nan'), 'b': {1, 2}, 3: 4}, None) == [
        '$: the key 3 is no text that JSON can have',
        '$.a: nan: no number that JSON has',
        '$.b: a set, which JSON does not have',
    ]


@pytest.mark.parametrize(
    ('document', 'words'),
    [
        ([], 'must be a JSON Schema, an object, not []'),
        (True, 'must be a JSON Schema, an object, not true'),
        ({'type': 'strin'}, ".type: 'strin' is not valid under any of the given schemas"),
        ({'properties': {'a': {'minimum': 'x'}}}, ".properties.a.minimum: 'x' is not of type 'number'"),
        ({'$schema': 7}, '.$schema: must be the URI of a draft'),
        ({'properties': {'a': {'pattern': '('}}}, ".properties.a.pattern: '(' is not a 'regex'"),
        ({'properties': {'a': {'$ref': '#/definitions/b'}}}, '.properties.a.$ref: "#/definitions/b" leads to nothing in this schema'),
        ({'properties': {'a': {'$ref': 'http://169.254.169.254/x'}}}, '.properties.a.$ref: "http://169.254.169.254/x" leads to nothing'),
        ({'properties': {'a': {'$ref': 'file:///etc/passwd'}}}, '.properties.a.$ref: "file:///etc/passwd" leads to nothing'),
    ],
)
def test_what_is_no_schema(document: Any, words: str) -> None:
    found = faults(document)
    assert len(found) == 1
    assert found[0].removeprefix('$.input_schema').lstrip(': ').startswith(words.lstrip(': '))


def test_every_fault_of_a_schema_is_told() -> None:
    found = faults({'type': 'strin', 'properties': {'a': {'minimum': 'x', '$ref': '#/nowhere'}, 'b': 7}})
    assert [each.split(':')[0].removeprefix('$.input_schema') for each in found] == ['.properties.a.minimum', '.properties.b', '.type']
    found = faults({'type': 'strin', 'properties': {'a': {'$ref': '#/nowhere'}, 'b': {'minimum': 'x'}}})
    assert [each.split(':')[0].removeprefix('$.input_schema') for each in found][-2:] == ['.type', '.properties.a.$ref']


def test_what_is_a_schema() -> None:
    assert faults(None) == faults({}) == faults(INPUT) == []
    assert faults({'definitions': {'b': {'type': 'string'}}, 'properties': {'a': {'$ref': '#/definitions/b'}}}) == []
    assert faults({'$defs': {'b': {'$anchor': 'here'}}, '$schema': 'https://json-schema.org/draft/2020-12/schema', '$ref': '#here'}) == []
    assert faults({'properties': {'default': {'default': {'$ref': 'no reference, a value'}}}}) == []


def test_the_draft_is_what_the_schema_says_and_07_otherwise() -> None:
    draft4 = {'$schema': 'http://json-schema.org/draft-04/schema#', 'properties': {'a': {'minimum': 1, 'exclusiveMinimum': True}}}
    assert faults(draft4) == []
    assert violations({'a': 1}, draft4) == ['$.a: 1 is less than or equal to the minimum of 1']
    assert faults({key: value for key, value in draft4.items() if key != '$schema'}) != []
    tuples = {'properties': {'a': {'prefixItems': [{'type': 'string'}]}}}
    assert schema.need({'a': [1]}, tuples) == {'a': [1]}
    assert violations({'a': [1]}, {**tuples, '$schema': 'https://json-schema.org/draft/2020-12/schema'}) == ["$.a[0]: 1 is not of type 'string'"]


@pytest.mark.parametrize(
    ('uri', 'name'),
    [
        ('http://json-schema.org/draft-07/schema#', 'Draft7Validator'),
        ('http://json-schema.org/draft-07/schema', 'Draft7Validator'),
        ('https://json-schema.org/draft-07/schema#', 'Draft7Validator'),
        ('http://json-schema.org/draft-06/schema#', 'Draft6Validator'),
        ('http://json-schema.org/draft/2020-12/schema', 'Draft202012Validator'),
        ('https://json-schema.org/draft/2019-09/schema', 'Draft201909Validator'),
        (None, 'Draft7Validator'),
    ],
)
def test_a_draft_however_it_is_spelled(uri: str | None, name: str) -> None:
    assert schema.draft({'$schema': uri}).__name__ == name


def test_a_draft_that_nobody_knows_is_read_as_07() -> None:
    odd = {'$schema': 'http://json-schema.org/schema#', 'required': ['a']}
    assert schema.draft(odd) is None
    assert faults(odd) == []
    assert violations({}, odd) == ['$.a: is needed']


def test_references_and_patterns_work() -> None:
    document = {'definitions': {'id': {'type': 'string', 'pattern': '^[a-f0-9]+$'}}, 'properties': {'a': {'$ref': '#/definitions/id'}}}
    assert schema.need({'a': 'beef'}, document) == {'a': 'beef'}
    assert violations({'a': 'pork'}, document) == ["$.a: 'pork' does not match '^[a-f0-9]+$'"]


def test_a_list_of_items_that_refers_to_itself_is_no_bomb() -> None:
    tree = {'definitions': {'t': {'type': 'object', 'properties': {'kids': {'items': {'$ref': '#/definitions/t'}}}}}, '$ref': '#/definitions/t'}
    assert faults(tree) == []
    assert violations({'kids': [{'kids': [3]}]}, tree) == ["$.kids[0].kids[0]: 3 is not of type 'object'"]


def _doubled(word: str) -> dict[str, Any]:
    """Thirty definitions, each of which refers to the next twice."""
    names: dict[str, Any] = {f'd{i}': {word: [{'$ref': f'#/definitions/d{i + 1}'}] * 2} for i in range(40)}
    return {'definitions': {**names, 'd40': {'type': 'object' if word == 'allOf' else 'string'}}, '$ref': '#/definitions/d0'}


BOMBS = {
    'a pattern that backtracks': ({'properties': {'a': {'pattern': '^(a+)+$'}}}, {'a': 'a' * 40 + '!'}),
    'a key that backtracks': ({'patternProperties': {'^(a|aa)+$': {}}}, {'a' * 60 + '!': 1}),
    'all of two, forty times': (_doubled('allOf'), {}),
    'any of two, forty times': (_doubled('anyOf'), {}),
    'a schema that is itself': ({'$ref': '#'}, {}),
    'two that are one another': (
        {'definitions': {'a': {'$ref': '#/definitions/b'}, 'b': {'$ref': '#/definitions/a'}}, '$ref': '#/definitions/a'},
        {},
    ),
}


@pytest.mark.parametrize('name', BOMBS)
def test_bombs_are_stopped(name: str) -> None:
    document, body = BOMBS[name]
    since = time.monotonic()
    if not schema.check(document):
        assert re.search('takes more than 3 s|without an end', violations(body, document)[0])
    assert time.monotonic() - since < 40


def test_large_and_deep_schemas_are_refused_at_once() -> None:
    deep: Any = {}
    for _ in range(80):
        deep = {'items': deep}
    since = time.monotonic()
    assert faults(deep) == ['$.input_schema: has more than 60 objects and lists within one another']
    assert faults({'properties': {str(i): {} for i in range(30_000)}}) == ['$.input_schema: has more than 20000 values']
    assert time.monotonic() - since < 5


def test_a_large_body_is_checked_elsewhere_and_all_of_it() -> None:
    document = {'properties': {'a': {'items': {'type': 'integer', 'minimum': 0, 'maximum': 10}}}}
    assert violations({'a': [5] * 40_000 + [11]}, document) == ['$.a[40000]: 11 is greater than the maximum of 10']


def test_odd_numbers_are_no_crash() -> None:
    with pytest.raises(InputInvalid):
        schema.need({'a': 10**18}, {'properties': {'a': {'multipleOf': 1e-300, 'type': 'string'}}})


def test_no_more_than_a_hundred_violations_are_told() -> None:
    assert len(violations({'a': ['x'] * 1_000}, {'properties': {'a': {'items': {'type': 'integer'}}}})) == 100
