"""Hostile documents: bounded in time and memory, and an error of ours."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_parsl.errors import DefinitionInvalid
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.language import documents
from relay_parsl.flows.language.documents import NOTHING
from relay_parsl.flows.language.faults import MOST, Faults
from tests.unit.flows.definitions import flow


def parse(text: str | bytes, kind: str = '') -> tuple[Any, list[str]]:
    faults = Faults()
    return documents.parse(text, faults, kind), [str(fault) for fault in faults.faults]


def refused(text: str | bytes, kind: str = '') -> str:
    """What is said of a text, which is no document."""
    _, said = parse(text, kind)
    return '\n'.join(said)


def test_json_and_yaml_and_who_says_which() -> None:
    assert parse('{"a": [1, 1.5, "x", null, true]}') == ({'a': [1, 1.5, 'x', None, True]}, [])
    assert parse(b'\xef\xbb\xbf{"a": 1}') == ({'a': 1}, [])
    assert parse('a: [1, 1.5, x, null, true]') == ({'a': [1, 1.5, 'x', None, True]}, [])
    assert parse('{"a": 1}', 'yaml') == ({'a': 1}, [])
    assert parse('when: 2026-11-25T08:00:00Z\nwalltime: 1:00:00') == ({'when': '2026-11-25T08:00:00Z', 'walltime': '1:00:00'}, [])
    assert 'not JSON' in refused('a: 1', 'json')


def test_files_by_their_names(tmp_path: Path) -> None:
    for name, text in (('a.json', '{"a": 1}'), ('a.yaml', 'a: 1'), ('a.yml', 'a: 1'), ('plain', '{"a": 1}'), ('flow', 'a: 1')):
        (tmp_path / name).write_text(text)
        assert documents.load(tmp_path / name, Faults()) == {'a': 1}
    with pytest.raises(OSError, match='nowhere'):
        documents.load(tmp_path / 'nowhere', Faults())


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{"a": }', '$: not JSON: Expecting value in line 1, column 7'),
        ('{"a": NaN}', '$.a: NaN: no number that JSON has'),
        ('{"a": [Infinity, -Infinity]}', '$.a[0]: Infinity: no number that JSON has\n$.a[1]: -Infinity: no number that JSON has'),
        ('{"a": 1e999}', '$.a: inf: no number that JSON has'),
        ('{"a": ' + '9' * 20 + '}', '$.a: a whole number of more than 19 digits'),
        ('{"a": ' + '9' * 5_000 + '}', '$.a: a whole number of more than 19 digits'),
        ('{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}', '$.a: this key stands twice; keep one\n$.b.c: this key stands twice; keep one'),
        ('{"a": "\\ud800"}', '$.a: half of a surrogate pair'),
        ('{"\\ud800": 1}', '$: the key'),
        (b'{"a": "\xff"}', '$: not UTF-8 at byte 7'),
        ('a: 1\na: 2', '$.a: this key stands twice'),
        ('a: .nan', '$.a: nan: no number that JSON has'),
        ('a: .inf', '$.a: inf: no number that JSON has'),
        ('a: !!binary aGk=', '$.a: a bytes, which JSON does not have'),
        ('a: !!python/object:os.system x', '$.a: '),
        ('a: [1', '$: not YAML'),
        ('? [a]\n: 1', '$: a key must be a word'),
    ],
)
def test_what_is_no_document(text: str | bytes, words: str) -> None:
    assert refused(text).startswith(words)


def _aliases(levels: int) -> str:
    lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
    lines += [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 9)}]' for i in range(1, levels)]
    return '\n'.join(lines)


BOMBS = {
    'deep lists': '[' * 200_000,
    'deep objects': '{"a":' * 200_000,
    'deep and closed': '[' * 5_000 + ']' * 5_000,
    'a hundred and one': '[' * 102 + ']' * 102,
    'aliases of aliases': _aliases(9),
    'an alias of itself': 'a: &a [*a]',
    'deep YAML': 'a: ' + '[' * 10_000 + ']' * 10_000,
    'deep YAML of blocks': '\n'.join('  ' * i + 'a:' for i in range(300)),
    'many values of YAML': 'a: [' + '1,' * 100_000 + ']',
    'too large': '{"a": "' + 'x' * (17 << 20) + '"}',
    'too large YAML': 'a: ' + 'x' * (2 << 20),
    'many values': '[' + '1,' * 1_600_000 + '1]',
}


@pytest.mark.parametrize('name', BOMBS)
def test_bombs(name: str) -> None:
    since = time.monotonic()
    assert refused(BOMBS[name]).startswith('$')
    assert time.monotonic() - since < 20


def test_what_is_wrong_hides_nothing_else() -> None:
    text = '{"StartAt": "A", "StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": NaN, "Nxet": "A"}}}'
    assert [str(fault) for fault in Flow.from_text(text).validate().faults] == [
        '$.StartAt: this key stands twice; keep one',
        '$.States.A.Seconds: NaN: no number that JSON has',
        '$.States.A.Nxet: a Wait has no such field; did you mean `Next`?',
    ]


def test_a_loop_of_objects_is_too_deep() -> None:
    loop: dict[str, Any] = {}
    loop['self'] = loop
    tree: list[Any] = []
    for _ in range(60):
        tree = [tree, tree]  # 2^60 values, were they written down
    for document in (loop, tree, {'StartAt': 'A', 'States': loop}):
        faults = Faults()
        assert documents.plain(document, faults) is NOTHING
        assert len(faults.faults) == 1


def test_memory_is_bounded() -> None:
    tracemalloc.start()
    try:
        refused('[' * 200_000)
        refused(_aliases(9))
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def _chain(count: int, **changes: Any) -> dict[str, Any]:
    states = {f's{i}': {'Type': 'Pass', 'Parameters': {'a.$': '$.b'}, 'ResultPath': '$.c', 'Next': f's{i + 1}'} for i in range(count)}
    return flow(**states, **{f's{count}': {'Type': 'Pass', 'End': True}}, **changes)


def test_a_hundred_thousand_states_are_read_and_linted_in_bounded_time() -> None:
    since = time.monotonic()
    found = Flow.from_text(json.dumps(_chain(100_000)))
    assert found.validate().valid
    assert len(found.definition.states) == 100_001
    assert time.monotonic() - since < 100


def test_a_hundred_thousand_wrong_states_are_told_in_bounded_time() -> None:
    document = _chain(100_000)
    for name in document['States']:
        document['States'][name]['Nxet'] = 'nowhere'
    since = time.monotonic()
    said = Flow.from_dict(document).validate().faults
    assert len(said) == MOST
    assert time.monotonic() - since < 30


def test_a_state_with_a_hundred_thousand_faults() -> None:
    names = [f'tokn{i}' for i in range(100_000)]
    since = time.monotonic()
    found = Flow.from_dict(flow(A={'Type': 'Pass', 'Parameters': {'token.$': '$.t', '__Private_Parameters': names}, 'End': True}))
    with pytest.raises(DefinitionInvalid) as caught:
        _ = found.definition
    assert len(str(caught.value)) < 1 << 20
    assert time.monotonic() - since < 30


def test_long_words_make_no_long_messages() -> None:
    found = Flow.from_dict({'StartAt': 'x' * 1_000_000, 'States': {'y' * 1_000_000: {'Type': 'z' * 1_000_000, 'q' * 1_000_000: 'v' * 1_000_000}}})
    assert sum(len(str(fault)) for fault in found.validate().faults) < 5_000


WORDS = st.sampled_from(
    [
        'StartAt',
        'States',
        'Type',
        'Pass',
        'Action',
        'Choice',
        'Wait',
        'Fail',
        'ExpressionEval',
        'CreateWebInput',
        'AwaitWebInput',
        'A',
        'B',
        'Next',
        'End',
        'Parameters',
        'Choices',
        'And',
        'Not',
        'Variable',
        'IsNull',
        'Catch',
        'ErrorEquals',
        'ResultPath',
        'InputPath',
        'Handler',
        'Url',
        'ActionUrl',
        'a.$',
        'a.=',
        '__Private_Parameters',
        'Context',
        'Options',
        'PresentationStyle',
        '$.a',
        '$',
        '$.a[',
        '1+',
        'definition',
        'input_schema',
        '$ref',
        'pattern',
        'Seconds',
        'WaitTime',
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
ANY = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=5), max_leaves=25)
STATES = st.dictionaries(WORDS, st.dictionaries(WORDS, ANY, max_size=8) | ANY, max_size=4)
FLOWS = st.fixed_dictionaries({'StartAt': WORDS, 'States': STATES})


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANY | FLOWS | st.fixed_dictionaries({'definition': FLOWS, 'input_schema': ANY}))
def test_any_json_is_a_definition_or_has_faults(document: Any) -> None:
    found = Flow.from_dict(document)
    validation = found.validate()
    try:
        assert found.definition.start_at in found.definition.states
        assert validation.valid
    except DefinitionInvalid:
        assert validation.faults


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text() | st.binary() | ANY.map(json.dumps) | ANY.map(str), st.sampled_from(('', 'json', 'yaml')))
def test_any_text_is_a_document_or_has_faults(text: str | bytes, kind: str) -> None:
    found, said = parse(text, kind)
    assert found is not NOTHING or said
    if found is not NOTHING:
        json.dumps(found, allow_nan=False).encode()
