"""What the fence holds: escapes, and what would take all the time or all the memory there is."""

import json
import subprocess
import sys
import time

import pytest

from relay_parsl.flows import expressions
from relay_parsl.flows.definition import StateError
from relay_parsl.flows.functions import METHODS

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
        'dict(a=1)',
        'map(str, xs)',
        'filter(None, xs)',
        'frozenset(xs)',
        'tuple(xs)',
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


def test_strings_have_these_methods_and_no_others():
    refused = [name for name in dir(str) if name not in METHODS and expressions.check(f's.{name}()') is None]
    assert not refused
    assert not {'format', 'format_map', 'encode', 'translate', 'maketrans', 'expandtabs'} & METHODS.keys()


def test_keys_of_the_payload_that_look_like_python_s_own_are_keys():
    payload = {'mro': 1, 'd': {'format': 2, 'gi_frame': 3, 'func_globals': 4, '_private': 5, '__class__': 6}}
    assert expressions.evaluate("[mro, d.format, d.gi_frame, d.func_globals, d._private, d['__class__']]", payload) == [1, 2, 3, 4, 5, 6]


def test_a_path_to_what_python_has_leads_nowhere():
    assert expressions.evaluate("[getattr('s.__class__'), getattr('d.__class__.__mro__', 0), is_present('xs.__len__')]", PAYLOAD) == [None, 0, False]


def nested(opening, inside, closing, depth):
    return opening * depth + inside + closing * depth


SHARED = nested('[[a, a] for a in ', '[1]', ']', 25)
"""A list of 25 levels whose JSON would have 33 million numbers, and which is 50 lists."""
LARGE = {
    'parentheses': '(' * 7_999,
    'closed': nested('(', '1', ')', 3_000),
    'brackets': nested('[', '', ']', 3_000),
    'braces': '{' * 7_999,
    'mixed': '({[' * 2_600,
    'dictionaries': nested('{0:', '1', '}', 2_000),
    'signs': '-' * 7_999 + '1',
    'a million signs': '-' * 1_000_000 + '1',
    'nots': 'not ' * 1_999 + '1',
    'dots': 'd' + '.a' * 3_990,
    'subscripts': 'd' + '[0]' * 2_660,
    'calls': 'len(' * 1_900,
    'sums': '1' + '+1' * 3_990,
    'powers': '2**' * 2_660 + '1',
    'few powers': '9**' * 50 + '9',
    'conditions': '1 if 1 else ' * 660 + '1',
    'lambdas': 'lambda:' * 1_140 + '1',
    'comparisons': '1' + '<2' * 3_990,
    'loops': '[x ' + 'for x in xs ' * 660 + ']',
    'loops in eight': '[1 ' + ' '.join(f'for a{index} in long' for index in range(8)) + ']',
    'loops in loops': nested('[', 'x', ' for x in long]', 50),
    'a long string': "'" + 'a' * 8_000 + "'",
    'string times': "'a' * 10**9",
    'list times': '[long] * 10**9',
    'lists times': nested('[', '0', '] * 400', 4),
    'the issue has it': '[[1] * 9999 for i in [1] * 9999]',
    'tower': '9 ** 9 ** 9',
    'negative tower': '9 ** -9 ** 9',
    'power of a float': '2.0 ** 10 ** 6',
    'product': '[2 ** 1000 * 2 ** 1000 for _ in long]',
    'digits': "int('9' * 5000)",
    'huge': 'huge * huge',
    'huge round': 'round(5, -10 ** 9)',
    'range': 'range(10 ** 12)',
    'range beyond': 'range(10 ** 30)',
    'sum of a range': 'sum(range(10 ** 9))',
    'doubling': nested('', '[0]', ' * 2', 40),
    'doubling of text': nested('', "'a'", ' * 2', 50),
    'replace': "text.replace('a', text)",
    'replace nothing': "text.replace('', text)",
    'join': 'text.join(words)',
    'join itself': 'text.join(text)',
    'joined copies': "''.join([text for _ in long])",
    'split': "[text.split('a') for _ in long]",
    'lines': '[text.splitlines() for _ in long]',
    'padding': "'a'.zfill(10 ** 12)",
    'padding both': "'a'.center(10 ** 12, 'b')",
    'padding beyond': "'a'.ljust(10 ** 30)",
    'search': "['a' * 99 + 'b' in text for _ in long]",
    'search from the end': "[text.rfind('b' + 'a' * 90000) for _ in long]",
    'count': "[text.count('a' * 99 + 'b') for _ in long]",
    'strip': '[text.strip(text) for _ in long]',
    'equal texts': "[text + 'a' == text + 'a' for _ in long]",
    'equal twins': '[[a == b for a in [t]] for t in [text * 20] for b in [text * 20] for _ in long]',
    'text in texts': "[text in [text[1:] + 'b'] * 1000 for _ in long]",
    'slices': '[text[:] for _ in long]',
    'wide text': '[wide.upper() for _ in long]',
    'characters': '[list(wide) for _ in long]',
    'small objects': '[{str(i): [i]} for i in range(100000)]',
    'small lists': '[[] for _ in range(100000)]',
    'numbered': '[enumerate(long) for _ in long]',
    'zipped': 'zip(long, long, long, long)',
    'shared': SHARED,
    'shared equal': f'{SHARED} == {SHARED}',
    'shared less': f'{SHARED} < {SHARED}',
    'shared sorted': f'sorted([{SHARED}, {SHARED}])',
    'shared least': f'min({SHARED}, {SHARED})',
    'shared as text': f'str({SHARED})',
    'shared in shared': f'{SHARED} in [{SHARED}]',
    'shared as a key': f'{{{SHARED}: 1}}',
    'shared as a path': f'pathsplit({SHARED})',
    'shared as digits': f'int({SHARED})',
    'shared as a subscript': f'long[{SHARED}]',
    'shared in an object': f'd[{SHARED}]',
    'sorted': '[sorted(long) for _ in long]',
    'least': '[min(long) for _ in long]',
    'equal': '[long == long[:] for _ in long]',
    'any': 'any(0 for x in long for y in long)',
    'paths': '[`$..*` for _ in long]',
    'paths as text': "[getattr('$..*') for _ in long]",
    'many paths': '[is_present(str(x)) for x in range(100000)]',
    'long paths': "[is_present('a' * 1900) for _ in long]",
    'a huge path': '`$' + '.a' * 3_980 + '`',
    'a path of brackets': '`$' + '[' * 1_900 + '`',
    'a path of parentheses': f'`$[?{nested("(", "@.a", ")", 900)}]`',
    'a path of paths': '`$' + '[?@' * 600 + '`',
    'all of the state, often': '[words for _ in long]',
}
CHILD = """
import json, resource, sys, time
from relay_parsl.flows import expressions
from relay_parsl.flows.definition import StateError
payload = {'text': 'a' * 190_000, 'long': [0] * 60_000, 'words': ['ab' * 20] * 4_000}
payload |= {'d': {'a': 1}, 'xs': [1], 'wide': '\\u4e00' * 60_000, 'huge': 9**4000}
expressions.evaluate('[1]', payload)
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, expression in json.load(sys.stdin).items():
    begin = time.thread_time()
    try:
        said = 'made ' + str(len(json.dumps(expressions.evaluate(expression, payload))))
    except StateError as error:
        said = str(error)
    print(json.dumps([name, time.thread_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base, said[:300]]))
"""


def test_what_is_large_is_refused_in_little_time_and_memory():
    """In a process of its own, whose memory is its own; twice, since what is refused once is refused always, at the same place."""
    command, given = [sys.executable, '-c', CHILD], json.dumps(LARGE)
    runs = [subprocess.run(command, input=given, capture_output=True, text=True, timeout=110, check=True) for _ in range(2)]
    first, second = ([json.loads(line) for line in run.stdout.splitlines()] for run in runs)
    assert [row[0] for row in first] == list(LARGE), runs[0].stderr
    assert [row[3] for row in first] == [row[3] for row in second]
    for name, seconds, kilobytes, said in first:
        assert said.startswith('States.IntrinsicFailure'), (name, said)
        assert seconds < 1, (name, seconds)
        assert kilobytes < 100_000 * (1 if sys.platform == 'linux' else 1_000), (name, kilobytes)


def test_what_is_refused_uses_no_more_than_its_budget_here_either():
    begin = time.thread_time()
    for _ in range(3):
        with pytest.raises(StateError, match='it takes too much'):
            expressions.evaluate(SHARED, {})
    assert time.thread_time() - begin < 3


def test_a_state_of_the_usual_size_is_none_too_large():
    payload = {'files': [{'name': f'scan_{index}.h5', 'size': index} for index in range(4_000)]}
    assert len(json.dumps(payload)) > 150_000
    assert expressions.evaluate('[f.name for f in files if f.size % 2 == 0]', payload)[-1] == 'scan_3998.h5'
    assert expressions.evaluate("[f.name.split('.')[0] for f in files]", payload)[0] == 'scan_0'
    assert expressions.evaluate('sum([f.size for f in files])', payload) == 7_998_000
    assert expressions.evaluate('files', payload) == payload['files']
    assert expressions.evaluate('`$.files[*].name`', payload)[1] == 'scan_1.h5'
    assert expressions.evaluate('files == files[0:0]', payload) is False
