import json
import re
import time
from pathlib import Path

import pytest

from relay_parsl.flows.definition import StateError
from relay_parsl.flows.terms import expressions
from relay_parsl.flows.terms.functions import FUNCTIONS, LOOKUPS, METHODS

PAYLOAD = {
    'foo': 'bar',
    'object_val': {'sub_val1': 'embedded', 'sub_val2': 'also_embedded'},
    'input': {'files': ['a.h5', 'b.h5'], 'path': '/~/data/scan_7.tar.gz', 'n': 5, 'my-key': 3, 'class': 'word', 'null': None, 'empty': {}},
    'items': 4,
    'keys': [1, 2],
    'values': {'keys': 'inner'},
    'len': 9,
    'x': 0,
    'xs': [1, 2, 3],
    '_private_name': 'me',
    'größe': 2.5,
    'True_': 1,
}
CONTEXT = {'run_id': 'R', 'identities': ['one', 'two']}


@pytest.mark.parametrize(
    ('expression', 'value'),
    [
        # the documentation's own
        ("foo + ' ' + object_val.sub_val1", 'bar embedded'),
        ("pathsplit('/foo/bar/blech')", ['/foo/bar', 'blech']),
        ("pathsplit('/~/path')", ['/~/', 'path']),
        ("x if is_present('x') else 10", 0),
        ("nowhere if is_present('nowhere') else 10", 10),
        ("getattr('foo', 10)", 'bar'),
        ("getattr('nowhere', 10)", 10),
        ("getattr('missing_property')", None),
        ("'Constant string ' + `$.object_val.sub_val1`", 'Constant string embedded'),
        # names, dots, brackets
        ('items', 4),
        ('keys[0] + items', 5),
        ('values.keys', 'inner'),
        ("values['keys']", 'inner'),
        ('len(xs) + len', 12),
        ("input['my-key'] * 2", 6),
        ("input['class']", 'word'),
        ('`$.input.class`', 'word'),
        ('input.files[-1]', 'b.h5'),
        ('input.files[0:1]', ['a.h5']),
        ('xs[::-1]', [3, 2, 1]),
        ('xs[len(xs) - 1]', 3),
        ('foo[1:] + foo[0]', 'arb'),
        ('_context.run_id', 'R'),
        ('`$._context.identities[1]`', 'two'),
        ('_private_name', 'me'),
        ('größe * 2', 5.0),
        ('True_', 1),
        ('input.null', None),
        ('input.null is None and x is not None', True),
        # back quotes
        ('`$.input.files[*]`', ['a.h5', 'b.h5']),
        ('`$.input`.n', 5),
        ('`$.xs`[1:] + `$.xs[:1]`', [2, 3, 1]),
        ('`$.x`if`$.x`else`$.foo`', 'bar'),
        ("'`$.foo`' + `$.foo`", '`$.foo`bar'),
        ('len(`$`) > 3', True),
        # operators
        ('1 + 2 * 3 - 4 / 2', 5.0),
        ('7 // 2 + 7 % 4 + 2 ** 3', 14),
        ('2 ** -1', 0.5),
        ('-x + +items', 4),
        ("'ab' * 2 + 'c'", 'ababc'),
        ('[0] * 3 + xs', [0, 0, 0, 1, 2, 3]),
        ('1 < items <= 4 != 5', True),
        ("'a' in foo and 'z' not in foo", True),
        ('2 in xs', True),
        ("'n' in input", True),
        ('not xs', False),
        ("'' or 'default'", 'default'),
        ('0 and nowhere', 0),
        ('1 or nowhere', 1),
        ('True', True),
        ('None', None),
        # made of others
        ("[f.rstrip('5') for f in input.files]", ['a.h', 'b.h']),
        ('[x for x in xs if x > 1]', [2, 3]),
        ('[x for x in xs] + [x]', [1, 2, 3, 0]),
        ('[a * b for a in xs for b in [10, 100] if a != 2]', [10, 100, 30, 300]),
        ('[a + b for a, b in zip(xs, xs)]', [2, 4, 6]),
        ('[[y for y in [x, x]] for x in xs]', [[1, 1], [2, 2], [3, 3]]),
        ('{k: 1 for k in object_val}', {'sub_val1': 1, 'sub_val2': 1}),
        ("{'a': xs, 'b': {'c': foo}}", {'a': [1, 2, 3], 'b': {'c': 'bar'}}),
        ("{1: 'one', 4: 'four'}[items]", 'four'),
        ('sum(x * x for x in xs)', 14),
        ('(1, 2)', [1, 2]),
        ("[getattr('f') for f in xs]", [1, 2, 3]),
        ("[is_present('f.a') for f in [{'a': 1}, {}]]", [True, False]),
        ("getattr('input.files[0]')", 'a.h5'),
        ("getattr('$.input.n', 0)", 5),
        ("getattr('`$.input.n`', 0)", 5),
        ("is_present('_context.run_id')", True),
        ("is_present('input.null')", True),
        # functions
        ('str(5) + str(1.5) + str(True) + str(None)', '51.5TrueNone'),
        ("int('12') + int(1.9) + int('ff', 16)", 268),
        ("float('1.5')", 1.5),
        ('bool(input.empty)', False),
        ('min(xs) + max(xs) + max(1, 7)', 11),
        ('max([], default=3)', 3),
        ('sorted([3, 1, 2], reverse=True)', [3, 2, 1]),
        ('reversed(xs)', [3, 2, 1]),
        ('round(2.567, 1) + abs(-1)', 3.6),
        ('any(x > 2 for x in xs) and not all(x > 2 for x in xs)', True),
        ('range(3) + list(range(5, 1, -2))', [0, 1, 2, 5, 3]),
        ('enumerate(foo)', [[0, 'b'], [1, 'a'], [2, 'r']]),
        ('zip(xs, foo)', [[1, 'b'], [2, 'a'], [3, 'r']]),
        ('dict(object_val, n=1)', {'sub_val1': 'embedded', 'sub_val2': 'also_embedded', 'n': 1}),
        ("dict([['a', 1]])", {'a': 1}),
        ('dict() or tuple(xs)', [1, 2, 3]),
        # strings
        ("input.path.rpartition('/')[2].split('.')[0]", 'scan_7'),
        ("input.path.endswith('.gz')", True),
        ("input.path.endswith(('.h5', '.gz'))", True),
        ("input.path.endswith(['.h5', '.gz'])", True),
        ("foo.upper().replace('A', '-').zfill(5)", '00B-R'),
        ("','.join([str(x) for x in xs])", '1,2,3'),
        ("'a b  c'.split()", ['a', 'b', 'c']),
        ("'a/b/c'.rsplit('/', 1)", ['a/b', 'c']),
        ("foo.startswith('ba')", True),
        ("'{}'", '{}'),
        ("'it\\'s' \" here\"", "it's here"),
        (r"'\d\n'", '\\d\n'),
        (r"r'\d\n'", '\\d\\n'),
        # how it is written
        ('  1 +\n  2 # three\n', 3),
        ('(foo)', 'bar'),
    ],
)
def test_values(expression, value):
    assert expressions.check(expression) is None
    found = expressions.evaluate(expression, PAYLOAD, CONTEXT)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ('path', 'parts'),
    [
        *(
            ('/a', ['/', 'a']),
            ('a', ['', 'a']),
            ('a/b/', ['a/b', '']),
            ('/', ['/', '']),
            ('', ['', '']),
            ('/~/', ['/~/', '']),
            ('/~/a/b', ['/~/a', 'b']),
        ),
        *(('~/a', ['~', 'a']), ('/a/~/b', ['/a/~', 'b']), ('/~', ['/', '~'])),
    ],
)
def test_pathsplit(path, parts):
    assert expressions.evaluate('pathsplit(p)', {'p': path}) == parts


@pytest.mark.parametrize(
    ('expression', 'said'),
    [
        ('nope + 1', "the payload has no 'nope'; it has foo, object_val, input"),
        ('input.fils', "input has no 'fils'; it has files, path, n, my-key"),
        ("input['fils'][0]", "input has no 'fils'"),
        ('input.files.name', 'input.files is a list, which has no .name'),
        ('foo.lower', 'foo is a string, which has no .lower; a dot leads to a key of an object, at foo.lower'),
        ('input.upper()', 'input is an object; only strings have methods'),
        ('max + 1', 'max is a function: call it'),
        ('foo + 1', 'a string and a number cannot be joined with +; str(…) makes a string, at foo + 1'),
        ("'a' - 1", 'a string is no number'),
        ('xs[3]', 'list index out of range, at xs[3]'),
        ("xs['a']", 'an index is a whole number, not a string'),
        ('x[0]', 'a number has no elements'),
        ('1 / x', 'division by zero, at 1 / x'),
        ('`$.input.nope` + 1', "$.input has no 'nope'; it has files, path, n, my-key"),
        ("int('secret')", 'int takes a number, or a string of digits'),
        ("float('secret')", 'float takes a number'),
        ('is_present(x)', 'is_present takes a path as a string'),
        ("is_present('a', 1)", 'is_present takes a path as a string'),
        ('getattr()', "getattr takes a path as a string: getattr('a.b', default)"),
        ("getattr('a b')", 'is no path'),
        ('1 in x', 'a number has nothing in it'),
        ('{foo: 1, 2: 2}', 'a key is a number; write str(…)'),
        ('{xs: 1}', 'a key is a string, not a list'),
        ('[a for a, b in xs]', 'a list is wanted, not a number'),
        ("[a for a, b in ['abc']]", '2 variables for 3 values'),
        ('[a for a in x]', 'a list is wanted, not a number'),
        ('sum([xs])', 'sum takes a list of numbers'),
        ("','.join(xs)", 'join takes a list of strings'),
        ('foo.split(sep=foo)', '.split takes its arguments without their names'),
        ('dict(x)', 'dict does not take what it was given'),
        ('dict([[xs, 1]])', 'dict does not take what it was given'),
        ("dict(['abc'])", 'at dict'),
        ('len(1)', 'len takes a string, a list or an object, not a number'),
        ('len(xs, xs)', 'len does not take what it was given'),
        ("foo.replace('a')", '.replace does not take what it was given'),
        ("'a' < 1", "'<' not supported between instances of 'str' and 'int'"),
        ('1e308 * 10', 'inf is no number that JSON has'),
        ("float('nan')", 'nan is no number that JSON has'),
        ("'\\ud800'", 'half a surrogate pair'),
    ],
)
def test_what_goes_wrong_names_the_expression_the_thing_and_the_place(expression, said):
    assert expressions.check(expression) is None
    with pytest.raises(StateError) as caught:
        expressions.evaluate(expression, PAYLOAD, CONTEXT)
    assert caught.value.error == 'States.IntrinsicFailure'
    assert caught.value.cause.startswith(f'{expression}: ')
    assert said in caught.value.cause
    assert ', at ' in caught.value.cause


@pytest.mark.parametrize('payload', [None, 5, 'text', [1, 2]])
def test_a_payload_that_is_no_object_has_no_names(payload):
    assert expressions.evaluate('1 + 1', payload) == 2
    assert expressions.evaluate('`$`', payload) == payload
    with pytest.raises(StateError, match="which has no 'foo'"):
        expressions.evaluate('foo', payload)


def test_without_a_context_its_name_is_any_other():
    assert expressions.evaluate('_context', {'_context': 1}) == 1
    with pytest.raises(StateError, match="the payload has no '_context'"):
        expressions.evaluate('_context', {})


def test_the_result_shares_nothing_with_the_payload():
    payload = {'a': {'b': [1]}}
    found = expressions.evaluate('a', payload)
    found['b'].append(2)
    assert payload == {'a': {'b': [1]}}


def test_no_expression_changes_the_payload():
    payload = {'a': [3, 1], 'd': {'k': 1}}
    for expression in ('a + [1]', 'sorted(a)', 'reversed(a)', '[a for a in a]', '{d: 1 for d in d}', 'a * 2'):
        expressions.evaluate(expression, payload)
    assert payload == {'a': [3, 1], 'd': {'k': 1}}


def test_an_expression_that_is_evaluated_again_gives_the_same():
    text = '[x + n for x in xs]'
    assert expressions.evaluate(text, {'xs': [1], 'n': 1}) == [2]
    assert expressions.evaluate(text, {'xs': [5], 'n': 2}) == [7]
    with pytest.raises(StateError):
        expressions.evaluate(text, {'xs': [5]})
    assert expressions.evaluate(text, {'xs': [1], 'n': 1}) == [2]


def test_an_expression_of_three_names_is_fast():
    payload = {'a': 1, 'b': {'c': 2}, 'd': 3}
    expressions.evaluate('a + b.c + d', payload)
    begin = time.thread_time()
    for _ in range(1_000):
        expressions.evaluate('a + b.c + d', payload)
    assert (time.thread_time() - begin) / 1_000 < 250e-6


def test_the_examples_of_the_documentation_give_what_it_says():
    text = (Path(__file__).parents[4] / 'docs' / 'flows.md').read_text()
    section = text[text.index('### What an expression may say') : text.index('### The fence')]
    payload = json.loads(re.search(r'With the payload `(.+?)`:', section)[1])
    rows = re.findall(r'^\| [^|]+ \| (?:`` (.+?) ``|`([^`]+)`) \| `([^`]+)`', section, re.MULTILINE)
    assert len(rows) >= 13
    for quoted, plain, value in rows:
        assert expressions.evaluate(quoted or plain, payload, {'email': 'me@example.org'}) == json.loads(value), quoted or plain


def test_the_documentation_lists_every_function_and_every_method():
    text = (Path(__file__).parents[4] / 'docs' / 'flows.md').read_text()
    functions = text[text.index('- **Functions**') : text.index('- **Methods')]
    methods = text[text.index('- **Methods') : text.index('- **A dot on an object')]
    assert {*FUNCTIONS, *LOOKUPS} - set(re.findall(r'`(\w+)`', functions)) == set()
    assert set(METHODS) - {name for name in METHODS if name.startswith('is')} == set(re.findall(r'`(\w+)`', methods))
