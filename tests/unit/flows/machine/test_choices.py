import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.flows.definition import Choice, Comparison, Junction, StateError
from relay_parsl.flows.machine.choices import OPERATORS, choose, matches
from relay_parsl.flows.terms import TERMS

EARLY, SAME, LATE = '2026-01-01T12:00:00Z', '2026-01-01T13:00:00+01:00', '2026-01-01T12:00:00.001Z'
VALUES = {
    'null': None,
    'true': True,
    'false': False,
    'zero': 0,
    'one': 1,
    'real': 1.5,
    'text': 'b',
    'digits': '1',
    'empty': '',
    'time': EARLY,
    'object': {},
    'list': [],
}
"""One value of each type, and those that are easily taken for one of another."""
NUMBERS, TEXTS, TIMES = ('zero', 'one', 'real'), ('text', 'digits', 'empty', 'time'), ('time',)


def true(operator, value, payload, variable='$.v'):
    choice = Choice('C', ((Comparison(variable, operator, value), 'Yes'),), 'No')
    return choose(choice, payload, {'run_id': 'R'}, TERMS) == 'Yes'


CONSTANTS = {'String': 'b', 'Numeric': 1, 'Timestamp': EARLY}
TRUE_OF = {
    # for each operator with its constant above, the values that it is true of
    'StringEquals': {'text'},
    'StringLessThan': {'digits', 'empty', 'time'},
    'StringGreaterThan': set(),
    'StringLessThanEquals': {'text', 'digits', 'empty', 'time'},
    'StringGreaterThanEquals': {'text'},
    'NumericEquals': {'one'},
    'NumericLessThan': {'zero'},
    'NumericGreaterThan': {'real'},
    'NumericLessThanEquals': {'zero', 'one'},
    'NumericGreaterThanEquals': {'one', 'real'},
    'TimestampEquals': {'time'},
    'TimestampLessThan': set(),
    'TimestampGreaterThan': set(),
    'TimestampLessThanEquals': {'time'},
    'TimestampGreaterThanEquals': {'time'},
}


@pytest.mark.parametrize('operator', TRUE_OF)
def test_comparisons_by_type(operator):
    constant = CONSTANTS[next(kind for kind in CONSTANTS if operator.startswith(kind))]
    for name, value in VALUES.items():
        expected = name in TRUE_OF[operator]
        assert true(operator, constant, {'v': value}) is expected, (operator, name)
        assert true(f'{operator}Path', '$.other', {'v': value, 'other': constant}) is expected, (operator, name)


@pytest.mark.parametrize('operator', TRUE_OF)
def test_a_comparison_with_a_constant_of_another_type_is_false(operator):
    for name, other in VALUES.items():
        for value in (1, 'b', EARLY):
            fits = {'String': TEXTS, 'Numeric': NUMBERS, 'Timestamp': TIMES}[next(kind for kind in CONSTANTS if operator.startswith(kind))]
            if name not in fits:
                assert not true(f'{operator}Path', '$.other', {'v': value, 'other': other}), (name, value)


@pytest.mark.parametrize('name', VALUES)
def test_types(name):
    value = VALUES[name]
    expected = {
        'IsNull': name == 'null',
        'IsBoolean': name in ('true', 'false'),
        'IsNumeric': name in NUMBERS,
        'IsString': name in TEXTS,
        'IsTimestamp': name in TIMES,
        'IsPresent': True,
    }
    for operator, answer in expected.items():
        assert true(operator, True, {'v': value}) is answer, operator
        assert true(operator, False, {'v': value}) is not answer, operator


@pytest.mark.parametrize('wanted', [True, False])
def test_booleans_are_no_numbers(wanted):
    for name, value in VALUES.items():
        expected = name == str(wanted).lower()
        assert true('BooleanEquals', wanted, {'v': value}) is expected, name
        assert true('BooleanEqualsPath', '$.w', {'v': value, 'w': wanted}) is expected, name
    assert not true('BooleanEqualsPath', '$.w', {'v': True, 'w': 1})


def test_the_matrix_leaves_no_operator_out():
    tested = {*TRUE_OF, *(f'{name}Path' for name in TRUE_OF), 'BooleanEquals', 'BooleanEqualsPath', 'StringMatches'}
    assert tested | {'IsNull', 'IsBoolean', 'IsNumeric', 'IsString', 'IsTimestamp', 'IsPresent'} == OPERATORS


@pytest.mark.parametrize(
    ('operator', 'left', 'right', 'answer'),
    [
        ('NumericEquals', 1, 1.0, True),
        ('NumericLessThan', 2**70, 2.0**71, True),
        ('NumericEquals', 10**400, 1.0, False),
        ('NumericGreaterThan', -1, -2, True),
        ('StringLessThan', 'B', 'a', True),
        ('StringLessThan', 'a', 'ä', True),
        ('StringEquals', 'a', 'A', False),
        ('TimestampEquals', SAME, EARLY, True),
        ('TimestampLessThan', SAME, LATE, True),
        ('TimestampGreaterThan', LATE, EARLY, True),
        ('TimestampLessThan', '2026-01-01T12:00:00', LATE, False),
        ('TimestampEquals', EARLY, '2026-01-01', False),
        ('StringEquals', SAME, EARLY, False),
    ],
)
def test_values_that_are_compared_as_what_they_mean(operator, left, right, answer):
    assert true(operator, right, {'v': left}) is answer
    assert true(f'{operator}Path', '$.o', {'v': left, 'o': right}) is answer


@pytest.mark.parametrize('operator', sorted(OPERATORS - {'IsPresent'}))
def test_a_variable_that_is_not_there_is_an_error(operator):
    value = '$.there' if operator.endswith('Path') else True if operator.startswith(('Is', 'Boolean')) else 1 if operator.startswith('Num') else 'x'
    with pytest.raises(StateError) as caught:
        true(operator, value, {'there': 1})
    assert caught.value.error == 'States.Runtime'
    assert "$ has no 'v'; it has there" in caught.value.cause


def test_what_a_path_compares_with_must_be_there():
    with pytest.raises(StateError, match=r"States\.Runtime: \$\.o: \$ has no 'o'"):
        true('NumericEqualsPath', '$.o', {'v': 1})


def test_presence():
    payload = {'a': {'b': None}, 'list': [1], 'none': []}
    for path, there in {
        '$.a': True,
        '$.a.b': True,
        '$.a.c': False,
        '$.a.b.c': False,
        '$.list[0]': True,
        '$.list[1]': False,
        '$.none[*]': False,
    }.items():
        assert true('IsPresent', True, payload, path) is there, path
        assert true('IsPresent', False, payload, path) is not there, path
    assert true('IsPresent', True, payload, '$._context.run_id')
    assert true('StringEquals', 'R', payload, '$._context.run_id')


def test_junctions():
    there, absent, one = Comparison('$.v', 'IsPresent', True), Comparison('$.w', 'IsPresent', True), Comparison('$.v', 'NumericEquals', 1)
    failing = Comparison('$.w', 'NumericEquals', 1)

    def holds(operator, *rules):
        return choose(Choice('C', ((Junction(operator, rules), 'Yes'),), 'No'), {'v': 1}, {}, TERMS) == 'Yes'

    assert holds('And', there, one)
    assert not holds('And', there, absent)
    assert holds('Or', absent, one)
    assert not holds('Or', absent, absent)
    assert holds('Not', absent)
    assert not holds('Not', one)
    assert holds('And', Junction('Or', (absent, Junction('Not', (absent,)))), Junction('Not', (Junction('And', (there, absent)),)))
    assert not holds('And', absent, failing), 'the rest is not looked at'
    assert holds('Or', one, failing), 'the rest is not looked at'
    with pytest.raises(StateError):
        holds('And', there, failing)


def test_the_first_true_rule_wins():
    rules = [(Comparison('$.v', 'NumericLessThan', limit), f'Below{limit}') for limit in (1, 5, 10)]
    choice = Choice('C', tuple(rules), 'Rest')
    assert [choose(choice, {'v': value}, {}, TERMS) for value in (0, 1, 7, 10)] == ['Below1', 'Below5', 'Below10', 'Rest']


def test_no_rule_and_no_default():
    with pytest.raises(StateError) as caught:
        choose(Choice('Pick', ((Comparison('$.v', 'IsNull', True), 'X'),)), {'v': 1}, {}, TERMS)
    assert caught.value.error == 'States.NoChoiceMatched'
    assert caught.value.cause == 'Pick: no rule is true, and there is no Default'


@pytest.mark.parametrize(
    ('pattern', 'text', 'answer'),
    [
        ('foo*.log', 'foo23.log', True),
        ('foo*.log', 'foo.log', True),
        ('foo*.log', 'zebra.log', False),
        ('*', '', True),
        ('', '', True),
        ('', 'x', False),
        ('**', 'x', True),
        ('*.log', 'a.log.gz', False),
        ('a*a', 'a', False),
        ('a*a', 'aa', True),
        ('*ab*ab*', 'ab', False),
        ('*ab*ab*', 'abab', True),
        ('a*b*c', 'axxbyyc', True),
        ('a*b*c', 'acb', False),
        (r'a\*b', 'a*b', True),
        (r'a\*b', 'axb', False),
        (r'\\*', '\\anything', True),
        (r'\\', '\\', True),
        (r'\d*', r'\d5', True),
        ('a?[b].+', 'a?[b].+', True),
        ('a*', 'a\nb', True),
        ('\\', '\\', True),
    ],
)
def test_patterns(pattern, text, answer):
    assert matches(pattern, text) is answer
    assert true('StringMatches', pattern, {'v': text}) is answer


@pytest.mark.parametrize('name', [name for name in VALUES if name not in TEXTS])
def test_only_strings_match(name):
    assert not true('StringMatches', '*', {'v': VALUES[name]})


@given(st.text(alphabet='ab*\\', max_size=8), st.text(alphabet='ab*\\', max_size=8))
def test_patterns_are_those_of_a_slow_and_simple_matcher(pattern, text):
    pieces, at = [], 0
    while at < len(pattern):
        escaped = pattern[at] == '\\' and pattern[at + 1 : at + 2] in ('*', '\\') and at + 1 < len(pattern)
        pieces.append((pattern[at + escaped], pattern[at] == '*'))
        at += 1 + escaped

    def simple(index, rest):
        if index == len(pieces):
            return not rest
        character, star = pieces[index]
        if star:
            return any(simple(index + 1, rest[skipped:]) for skipped in range(len(rest) + 1))
        return rest[:1] == character and simple(index + 1, rest[1:])

    assert matches(pattern, text) is simple(0, text)


def test_no_pattern_is_slow():
    begin = time.thread_time()
    assert not matches('*a' * 5_000 + 'b', 'a' * 200_000)
    assert not matches('*' + 'a' * 50 + 'b*', 'a' * 200_000)
    assert not matches('*' * 100_000 + 'b', 'a' * 100_000)
    assert time.thread_time() - begin < 1


def test_all_rules_together_have_one_budget():
    rules = tuple((Comparison('$..nowhere', 'IsPresent', True), 'X') for _ in range(1_000))
    begin = time.thread_time()
    with pytest.raises(StateError, match='together'):
        choose(Choice('C', rules, 'Y'), {'xs': [[0]] * 30_000}, {}, TERMS)
    assert time.thread_time() - begin < 2
