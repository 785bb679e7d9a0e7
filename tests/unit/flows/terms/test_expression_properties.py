"""Expressions of the language give what Python gives."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.flows.definition import StateError
from relay_parsl.flows.terms import expressions

PAYLOAD = {
    'n': 3,
    'z': 0,
    'r': 2.5,
    's': 'scan_7.h5',
    't': '',
    'yes': True,
    'xs': [3, 1, 2],
    'ts': ['b', 'a'],
    'd': {'a': 1, 'b': {'c': 'deep'}},
    'none': None,
}
BUILTINS = {function.__name__: function for function in (len, str, int, float, bool, min, max, sum, sorted, round, abs, any, all)}
ATOMS = st.sampled_from(
    [
        'n',
        'z',
        'r',
        's',
        't',
        'yes',
        'xs',
        'ts',
        "d['a']",
        "d['b']['c']",
        'd',
        'none',
        'None',
        'True',
        '0',
        '1',
        '-2',
        '1.5',
        "'a'",
        "'_'",
        "''",
        '[]',
        '[1, 2]',
        '{}',
        'x',
    ]
)
BINARY = st.sampled_from(['+', '-', '*', '/', '//', '%', '==', '!=', '<', '<=', '>', '>=', 'in', 'not in', 'and', 'or'])
CALLS = st.sampled_from(['len', 'str', 'int', 'float', 'bool', 'min', 'max', 'sum', 'sorted', 'round', 'abs', 'any', 'all', '-', 'not '])
METHODS = st.sampled_from(
    [
        '.upper()',
        ".split('_')",
        ".rpartition('.')[2]",
        ".replace('a', 'bb')",
        '.strip()',
        ".startswith('s')",
        '.isdigit()',
        '.zfill(5)',
        ".find('7')",
        '.title()',
        ".rsplit('.', 1)",
    ]
)


def larger(inner):
    return st.one_of(
        st.builds('({} {} {})'.format, inner, BINARY, inner),
        st.builds('({}({}))'.format, CALLS, inner),
        st.builds('({}){}'.format, inner, METHODS),
        st.builds('({})[{}]'.format, inner, inner),
        st.builds('({})[{}:{}]'.format, inner, inner, inner),
        st.builds('({} if {} else {})'.format, inner, inner, inner),
        st.builds('[{}, {}]'.format, inner, inner),
        st.builds('{{"k": {}, "l": {}}}'.format, inner, inner),
        st.builds('[{} for x in {}]'.format, inner, inner),
        st.builds('[{} for x in {} if {}]'.format, inner, inner, inner),
        st.builds('({} < {} <= {})'.format, inner, inner, inner),
    )


SOURCES = st.recursive(ATOMS, larger, max_leaves=8)


def python(source):
    """What Python says, as JSON text; None where it raises, or where the result is no JSON."""
    try:
        return as_json(eval(source, {**PAYLOAD, 'x': 7, '__builtins__': BUILTINS}))  # noqa: S307  the sources are made above
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None


def as_json(value):
    """Text that tells 1 from True and 1.0; None for what JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    return json.dumps(value, allow_nan=False, sort_keys=True)


def ours(source):
    try:
        return as_json(expressions.evaluate(source, PAYLOAD | {'x': 7}))
    except StateError as error:
        assert error.error == 'States.IntrinsicFailure'  # noqa: PT017  the other outcome is as good
        return None


@pytest.mark.filterwarnings('ignore::SyntaxWarning')  # Python's own of the sources, which it compiles
@settings(max_examples=400, deadline=None)
@given(SOURCES)
def test_an_expression_gives_what_python_gives(source):
    before = json.dumps(PAYLOAD)
    assert expressions.check(source) is None
    found, expected = ours(source), python(source)
    assert found == expected or (found is None and ' % ' in source), 'a string on the left of % is a format string, and is refused'
    assert json.dumps(PAYLOAD) == before


@settings(max_examples=200, deadline=None)
@given(SOURCES)
def test_what_was_evaluated_is_json_and_evaluates_again_to_the_same(source):
    first = ours(source)
    assert ours(source) == first
    if first is not None:
        assert json.loads(first) == expressions.evaluate(source, PAYLOAD | {'x': 7})


TOKENS = [
    'n',
    's',
    'xs',
    'd',
    '.a',
    '.upper',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ':',
    ',',
    '+',
    '*',
    '**',
    '-',
    "'",
    '"',
    '`',
    '$',
    '`$.n`',
    ' for ',
    ' in ',
    ' if ',
    ' else ',
    'lambda ',
    '=',
    ':=',
    '_',
    '__class__',
    '1',
    '9' * 9,
    '\\',
    '\n',
    '#',
    'f',
    'b',
    'not ',
    '@',
    ';',
    '\x00',
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=14).map(''.join) | st.text(max_size=20))
def test_any_text_is_an_expression_or_is_refused(source):
    fault = expressions.check(source)
    found = ours(source)
    assert fault is None or found is None
    assert found is None or fault is None
