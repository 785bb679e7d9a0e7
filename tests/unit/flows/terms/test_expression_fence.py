"""What the fence holds: every way out that is known, or that could be thought of."""

import time

import pytest

from relay_parsl.flows.definition import StateError
from relay_parsl.flows.terms import expressions
from relay_parsl.flows.terms.functions import METHODS

ESCAPES = [
    # to a class, and on to everything
    *('().__class__', "''.__class__.__mro__", '[].__class__.__base__.__subclasses__()', 'd.__class__', 's.__doc__', 's.__len__()', '(1).__add__(2)'),
    *("getattr('', '__class__')", "s['__class__']", "d['__class__']", "xs['__class__']"),
    *('len.__self__', 'len.__globals__', 'str.__init__', 'pathsplit.__globals__', 'is_present.__closure__', '__builtins__', '__import__', '__name__'),
    *(
        "__import__('os').system('id')",
        "eval('1')",
        "exec('1')",
        "open('/etc/passwd')",
        "compile('1', '', 'eval')",
        'globals()',
        'locals()',
        'vars()',
    ),
    *(
        'type(s)',
        "type('X', (), {})",
        'object()',
        'dir(s)',
        'id(s)',
        'hash(s)',
        'iter(xs)',
        'next(iter(xs))',
        'input()',
        'print(s)',
        'repr(s)',
        'help()',
    ),
    *('setattr(d, "a", 1)', 'delattr(d, "a")', 'isinstance(s, str)', 'callable(len)', 'memoryview(b"")', 'bytes(5)', 'bytearray(5)', 'slice(1)'),
    # identifiers that are others once they are normalised
    *('().__\uff43lass__', 's.__\U0001d4b8lass__', '\uff3f\uff3fimport\uff3f\uff3f', "s.ﬁnd('a').__class__", 's.︳︳class︳︳', '_\uff3fclass__'),
    # methods that lead out, and live objects
    *(
        "''.join",
        '{}.fromkeys',
        'd.keys',
        'd.items()',
        'd.values()',
        'd.get("a")',
        'd.update(d)',
        'd.pop("a")',
        'd.clear()',
        'd.copy()',
        'xs.append(1)',
    ),
    *(
        'xs.sort()',
        'xs.pop()',
        'xs.copy',
        '(1).real',
        '(1).to_bytes(9, "big")',
        '(1.5).hex()',
        'True.real',
        'None.real',
        's.upper',
        'len',
        'sorted',
        'str',
    ),
    *(
        "'{}'.format(s)",
        "'{0.__class__}'.format(s)",
        's.format_map(d)',
        's.format',
        's.encode()',
        "s.encode('zip')",
        's.translate(d)',
        's.maketrans(d)',
    ),
    *(
        's.expandtabs(10**9)',
        "s.__format__('')",
        's.__mod__(1)',
        "'%s' % s",
        "'%(a)s' % d",
        "'%9999999999d' % 1",
        's % ()',
        "f'{s}'",
        "f'{s.__class__}'",
        "f'{s!r:>{10**9}}'",
    ),
    # other syntax
    *(
        'lambda: 1',
        '(lambda x: x)(1)',
        '[lambda: 1][0]()',
        '(x := 1)',
        '[y := 1, y**2]',
        '[*xs]',
        '{**d}',
        'len(*xs)',
        'len(**d)',
        '{1, 2}',
        '{x for x in xs}',
        '...',
    ),
    *(
        'x = 1',
        'x: int = 1',
        'del x',
        'import os',
        'from os import system',
        'assert x',
        'pass',
        'return 1',
        'raise s',
        'yield',
        '(yield)',
        '(yield from xs)',
    ),
    *(
        'await x',
        '[x async for x in xs]',
        'if x: 1',
        'for x in xs: x',
        'while True: 1',
        'with x: 1',
        'def f(): 1',
        'class X: 1',
        'global x',
        '1; 2',
        '1\n2',
    ),
    *("b'bytes'", '1j', '(-1) ** 0.5', 'xs @ xs', '1 << 2', '1 >> 2', '1 & 2', '1 | 2', '1 ^ 2', '~1', 's is s', 'x is 5', 'x is not s'),
    *(
        'len()()',
        'xs[0]()',
        'd.a()',
        '(len)(xs)()',
        '(s.upper if x else s.lower)()',
        '[s.upper][0]()',
        "{'a': s.upper}['a']()",
        's.upper.lower()',
        'len[0]',
    ),
    *(
        'rand()',
        'randint(10)',
        'random()',
        'time()',
        'now()',
        'set(xs)',
        'map(str, xs)',
        'filter(None, xs)',
        'frozenset(xs)',
    ),
    *(
        '[x for d.a in xs]',
        '[0 for xs[0] in xs]',
        '[__x for __x in xs]',
        '[x for *y in xs]',
        'xs[1:2, 0]',
        'd[1:2]',
        'd[xs]',
        'd[d]',
        'xs[s]',
        'xs[1.5]',
    ),
    # quotes
    *(
        "'''a'''",
        '"""`$.s`"""',
        "'a",
        '`$.s',
        '`$.s` `',
        '``',
        '`',
        '`s`',
        '`$[?match(@.a, "(a+)+$")]`',
        '`$..[?@..a]`',
        "'\\N{no such name}'",
        "'\\x1'",
        "'\\ud800'",
    ),
    *('', ' ', '\n', '#', '# only words', '\x00', '1\x00', '\ud800', '\\', '$', '$.s', '?', '1 +', ')', '(', '[}', '__class__'),
]
PAYLOAD = {'s': 'text', 'd': {'a': 1}, 'xs': [1, 2], 'x': 1}


@pytest.mark.attack(39)
@pytest.mark.parametrize('expression', ESCAPES)
def test_an_escape_is_refused_and_told_why(expression):
    begin = time.thread_time()
    with pytest.raises(StateError) as caught:
        expressions.evaluate(expression, PAYLOAD)
    assert time.thread_time() - begin < 1
    assert caught.value.error == 'States.IntrinsicFailure'
    assert len(caught.value.cause) < 1_000
    assert '0x' not in caught.value.cause, 'the address of a live object'


@pytest.mark.parametrize('expression', [5, None, True, ['1'], {'a': 1}, b'1'])
def test_what_is_no_source_at_all(expression):
    assert 'an expression is a string' in str(expressions.check(expression))
    with pytest.raises(StateError, match='an expression is a string'):
        expressions.evaluate(expression, {})


def test_what_can_be_known_without_a_payload_is_told_at_validate():
    for expression in (
        '().__class__',
        'lambda: 1',
        'eval(s)',
        's.format(s)',
        "f'{s}'",
        '(x := 1)',
        '`$[?match(@.a, "b")]`',
        '[' * 61,
        'x is 5',
        '-' * 9_000,
    ):
        assert expressions.check(expression), expression
    assert 'there is no function eval; there are abs, all, any' in str(expressions.check('eval(s)'))
    assert 'there is no method format; a string has capitalize' in str(expressions.check('s.format(s)'))
    assert "a key that is a word of Python's is written ['class']" in str(expressions.check('input.class'))


@pytest.mark.attack(39)
def test_strings_have_these_methods_and_no_others():
    refused = [name for name in dir(str) if name not in METHODS and expressions.check(f's.{name}()') is None]
    assert not refused
    assert not {'format', 'format_map', 'encode', 'translate', 'maketrans', 'expandtabs'} & METHODS.keys()


def test_keys_of_the_payload_that_look_like_python_s_own_are_keys():
    payload = {'mro': 1, 'd': {'format': 2, 'gi_frame': 3, 'func_globals': 4, '_private': 5, '__class__': 6}}
    assert expressions.evaluate("[mro, d.format, d.gi_frame, d.func_globals, d._private, d['__class__']]", payload) == [1, 2, 3, 4, 5, 6]


def test_a_path_to_what_python_has_leads_nowhere():
    assert expressions.evaluate("[getattr('s.__class__'), getattr('d.__class__.__mro__', 0), is_present('xs.__len__')]", PAYLOAD) == [None, 0, False]


@pytest.mark.parametrize(
    ('expression', 'hint'),
    [
        ('$.s + 1', 'stands in back quotes: `$.a.b`'),
        ('x && x', 'write and'),
        ('x || x', 'write or'),
        ('!x', 'write not'),
        ('x ? 1 : 2', 'write a if condition else b'),
        ('x == true', 'write True'),
        ('x == null', 'write None'),
    ],
)
def test_what_is_of_another_language_is_told_what_it_is_called_here(expression, hint):
    with pytest.raises(StateError) as caught:
        expressions.evaluate(expression, PAYLOAD)
    assert hint in caught.value.cause


def test_errors_can_be_written_to_any_file():
    for expression in ("'\ud800' + nope", '\ud800', "d['\ud800']", '`$.\ud800`'):
        with pytest.raises(StateError) as caught:
            expressions.evaluate(expression, {'d': {'\udfff': 1}, '\udffe': 2})
        assert caught.value.cause.encode()
