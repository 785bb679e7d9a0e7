"""What would take all the time or all the memory there is, and how little of both it is given."""

import json
import subprocess
import sys
import time

import pytest

from relay_parsl.flows.definition import StateError
from relay_parsl.flows.terms import expressions


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
    'objects': '[dict([[str(x), x] for x in long]) for _ in long]',
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
from relay_parsl.flows.terms import expressions
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


LET_THROUGH = {
    'wide text': "'\U0001f600' * 2_000_000 + 'a'",
    'characters': 'list(wide)',
    'numbers': '[x * 1.5 for x in range(30000)]',
    'small lists': '[[x] for x in range(30000)]',
    'small objects': '[{"a": x} for x in range(20000)]',
    'keys': '{str(x): x for x in range(20000)}',
    'pieces': "wide.replace(wide[0], 'a ').split()",
    'the state, twice': '[words, words]',
}
"""As much as the fuel is enough for, or nearly."""


def run_in_a_child(given):
    command = [sys.executable, '-c', CHILD]
    run = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=110, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_what_the_fuel_is_enough_for_takes_no_more_than_the_rest():
    for name, seconds, kilobytes, said in run_in_a_child(LET_THROUGH):
        assert said.startswith('made '), (name, said)
        assert seconds < 1, (name, seconds)
        assert kilobytes < 100_000 * (1 if sys.platform == 'linux' else 1_000), (name, kilobytes)


@pytest.mark.attack(39)
def test_what_is_large_is_refused_in_little_time_and_memory():
    """In a process of its own, whose memory is its own; twice, since what is refused once is refused always, at the same place."""
    first, second = run_in_a_child(LARGE), run_in_a_child(LARGE)
    assert [row[0] for row in first] == list(LARGE)
    assert [row[3] for row in first] == [row[3] for row in second]
    for name, seconds, kilobytes, said in first:
        assert said.startswith('States.IntrinsicFailure'), (name, said)
        assert seconds < 1, (name, seconds)
        assert kilobytes < 100_000 * (1 if sys.platform == 'linux' else 1_000), (name, kilobytes)


@pytest.mark.attack(39)
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
