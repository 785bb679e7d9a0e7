import copy
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.flows.definition import StateError
from relay_parsl.flows.terms import paths

PAYLOAD = {
    'input': {
        'files': ['a.h5', 'b.h5', 'c.h5'],
        'my-key': 3,
        '2nd': 'two',
        'größe': 1.5,
        'a.b': 'dotted',
        "it's": 'quoted',
        '': 'empty',
        'null': None,
    },
    'items': [{'name': 'x', 'ok': True, 'n': 1}, {'name': 'y', 'n': 2}, {'name': 'z', 'ok': False, 'n': 3}],
    'matrix': [[1, 2], [3, 4]],
    'wanted': 'y',
    '$ref': 'reference',
    '@id': 'linked',
}


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('$', PAYLOAD),
        ('$.wanted', 'y'),
        ('$.input.files[0]', 'a.h5'),
        ('$.input.files[-1]', 'c.h5'),
        ('$.input.files.[1]', 'b.h5'),
        ('$.matrix[1][0]', 3),
        ('$.input.my-key', 3),
        ('$.input.2nd', 'two'),
        ('$.input.größe', 1.5),
        ("$.input['a.b']", 'dotted'),
        ('$.input["a.b"]', 'dotted'),
        ("$['input'][ 'my-key' ]", 3),
        ("$.input['it\\'s']", 'quoted'),
        ('$.input["it\'s"]', 'quoted'),
        ("$.input['']", 'empty'),
        ("$.input['\\u006dy-key']", 3),
        ("$.input.'my-key'", 3),
        ('$.input.null', None),
        ('$.$ref', 'reference'),
        ('$.@id', 'linked'),
    ],
)
def test_a_path_to_one_place_gives_the_value_there(path, value):
    assert paths.check(path) is None
    assert paths.read(path, PAYLOAD) == value
    assert paths.present(path, PAYLOAD)


@pytest.mark.parametrize(
    ('path', 'values'),
    [
        ('$.input.files[1:]', ['b.h5', 'c.h5']),
        ('$.input.files[:1]', ['a.h5']),
        ('$.input.files[::-1]', ['c.h5', 'b.h5', 'a.h5']),
        ('$.input.files[::2]', ['a.h5', 'c.h5']),
        ('$.input.files[9:]', []),
        ('$.input.files[::0]', []),
        ('$.input.files[0, -1]', ['a.h5', 'c.h5']),
        ('$.input.files[*]', ['a.h5', 'b.h5', 'c.h5']),
        ('$.input.files.*', ['a.h5', 'b.h5', 'c.h5']),
        ("$['wanted', '$ref', 'nowhere']", ['y', 'reference']),
        ('$.items[*].name', ['x', 'y', 'z']),
        ('$.items[*].ok', [True, False]),
        ('$..name', ['x', 'y', 'z']),
        ('$..my-key', [3]),
        ("$..['2nd']", ['two']),
        ('$.matrix..[0]', [[1, 2], 1, 3]),
        ('$.items[?@.ok].name', ['x', 'z']),
        ('$.items[?(@.n >= 2)].name', ['y', 'z']),
        ('$.items[?@.ok == true].name', ['x']),
        ('$.items[?!@.ok].name', ['y']),
        ('$.items[?@.name == $.wanted].n', [2]),
        ('$.items[?@.n == 1 || @.name == "z"].n', [1, 3]),
        ('$.items[?@["name"] == \'x\'].n', [1]),
        ('$.items[?@.name < 5]', []),
        ('$.items[?length(@.name) == 1].n', [1, 2, 3]),
        ('$.items[?count(@.*) == 2].name', ['y']),
        ('$.matrix[?@[1] == 4]', [[3, 4]]),
        ('$.*[0:1].name', ['x']),
    ],
)
def test_a_path_to_several_places_gives_a_list(path, values):
    assert paths.check(path) is None
    assert paths.read(path, PAYLOAD) == values
    assert paths.present(path, PAYLOAD) is bool(values)


def test_descendants_are_those_of_the_document_in_its_order():
    assert paths.read('$..*', {'a': {'b': [1]}, 'c': 2}) == [{'b': [1]}, 2, [1], 1]


def test_strings_have_no_parts():
    assert paths.read('$.*[0:1]', {'a': 'text', 'b': ['first']}) == ['first']


@pytest.mark.parametrize(
    ('path', 'said'),
    [
        ('$.nowhere.deeper', "$.nowhere.deeper: $ has no 'nowhere'; it has input, items, matrix"),
        ('$.input.fils[0]', "$.input has no 'fils'; it has files, my-key"),
        ('$.input.files[7]', '$.input.files has 3 elements, so there is no [7]'),
        ('$.input.files[-4]', '$.input.files has 3 elements, so there is no [-4]'),
        ('$.input.files.name', "$.input.files is a list, which has no 'name'"),
        ('$.wanted[0]', '$.wanted is a string, which has no element [0]'),
        ('$.wanted.x', "$.wanted is a string, which has no 'x'"),
        ('$.input.null.x', "$.input.null is null, which has no 'x'"),
        ('$.wanted[0:1]', '$.wanted is a string, which has no parts'),
        ('$.nowhere[*]', "$ has no 'nowhere'"),
        ("$.input['a.b'].x", "$.input['a.b'] is a string"),
    ],
)
def test_what_is_not_there_is_told_with_how_far_the_path_got(path, said):
    assert paths.check(path) is None
    assert not paths.present(path, PAYLOAD)
    with pytest.raises(StateError) as caught:
        paths.read(path, PAYLOAD)
    assert caught.value.error == 'States.ParameterPathFailure'
    assert said in caught.value.cause


@pytest.mark.parametrize('payload', [None, True, 3, 'text', [1, 2]])
def test_a_payload_may_be_any_json(payload):
    assert paths.read('$', payload) == payload
    assert not paths.present('$.a', payload)
    assert paths.write('$', payload, {'a': 1}) == {'a': 1}


def test_context_is_read_beside_the_payload_and_is_not_in_it():
    context = {'run_id': 'R', 'identities': ['a', 'b']}
    for payload in ({'a': 1}, [1], None):
        assert paths.read('$._context.run_id', payload, context) == 'R'
        assert paths.read('$._context.identities[*]', payload, context) == ['a', 'b']
        assert paths.read("$['_context'].run_id", payload, context) == 'R'
        assert paths.read('$', payload, context) == payload
    assert paths.read('$.*', {'a': 1}, context) == [1]
    with pytest.raises(StateError, match=r"\$\._context has no 'flow'; it has run_id, identities"):
        paths.read('$._context.flow', {}, context)


@pytest.mark.parametrize(
    'path',
    [
        *('', 'a', 'input.a', '$x', '$.', '$..', '$.a.', '$.a..', '$...a', '$.a b', '$.a,b', '$.a*', '$[', '$[]', '$.a[', '$.a[0', "$['a", "$['a'"),
        *(
            '$[a]',
            '$[00]',
            '$[-0]',
            '$[1.5]',
            '$[0x1]',
            '$[99999999999999999999]',
            '$$.a',
            '$$',
            '$ .a',
            '$.a[(@.length-1)]',
            '$.a()',
            '$.`a`',
            "$['\\x']",
        ),
        *('$.a[?]', '$.a[?@.b =~ /x/]', "$.a[?match(@.b, 'x')]", "$.a[?search (@.b, 'x')]", '$.a[?nothing(@.b)]', '$.a[?@..b]', '$.a[?@.b[?@.c]]'),
        *('$.a[?@[0,1]]', '$.a[?$.b[*] == 1]', '$.a[?@.b == ]', '$.a | $.b', '$.a & $.b', '^', '$.a[#]'),
        *('$' + '.a' * 101, '$.' + 'a' * 2_000, '$' + '[' * 1_000, '$[?' + '@[?' * 300, f'$[?{"(" * 30}@.a{")" * 30}]', '$[?' + '!' * 100 + '@.a]'),
        *(f'$[?{" && ".join(["@.a"] * 150)}]', '\ud800', '$.a\n.b', '$.a\x00'),
    ],
)
def test_what_is_no_path(path):
    assert paths.check(path)
    assert paths.check_reference(path)
    assert not paths.present(path, {'a': {'b': 1}})
    with pytest.raises(StateError) as caught:
        paths.read(path, {'a': {'b': 1}})
    assert caught.value.error == 'States.ParameterPathFailure'


@pytest.mark.parametrize('path', [None, 5, True, ['$.a'], {'a': 1}])
def test_what_documents_hold_instead_of_a_path(path):
    assert 'a path is a string' in str(paths.check(path))
    assert 'a path is a string' in str(paths.check_reference(path))


@pytest.mark.attack(39)
def test_regular_expressions_are_refused_by_name_and_a_key_of_that_name_is_not():
    assert 'match() and search() are refused' in str(paths.check("$.a[?match(@.b, '(a+)+')]"))
    assert paths.check("$.a[?@.b == 'match(x)']") is None
    assert paths.read('$.match', {'match': 1}) == 1


@pytest.mark.parametrize(
    'path', ['$.a[*]', '$..a', '$.a[0:1]', '$.a[-1]', '$._context', '$._context.run_id', "$['_context']", '$.a[?@.b]', "$['a','b']"]
)
def test_a_reference_path_leads_to_one_place_and_never_into_the_context(path):
    assert paths.check(path) is None
    assert paths.check_reference(path)
    with pytest.raises(StateError) as caught:
        paths.write(path, {'a': [1]}, 2)
    assert caught.value.error == 'States.ResultPathMatchFailure'


@pytest.mark.parametrize(
    ('path', 'payload', 'written'),
    [
        ('$', {'a': 1}, 'NEW'),
        ('$.a', {'a': 1, 'b': 2}, {'a': 'NEW', 'b': 2}),
        ('$.a.b.c', {}, {'a': {'b': {'c': 'NEW'}}}),
        ('$.a.b', {'a': {'c': 1}}, {'a': {'c': 1, 'b': 'NEW'}}),
        ('$.a[1]', {'a': [1, 2, 3]}, {'a': [1, 'NEW', 3]}),
        ('$.a[0].x.y', {'a': [{}]}, {'a': [{'x': {'y': 'NEW'}}]}),
        ('$[0]', [1], ['NEW']),
        ('$.my-key', {}, {'my-key': 'NEW'}),
        ("$['a.b']", {}, {'a.b': 'NEW'}),
        ('$.context', {}, {'context': 'NEW'}),
        ('$.a._context', {}, {'a': {'_context': 'NEW'}}),
    ],
)
def test_writing(path, payload, written):
    before = copy.deepcopy(payload)
    assert paths.check_reference(path) is None
    assert paths.write(path, payload, 'NEW') == written
    assert payload == before


@pytest.mark.parametrize(
    ('path', 'payload', 'said'),
    [
        ('$.a.b', {'a': 1}, "cannot write $.a.b: $.a is a number, which has no 'b'"),
        ('$.a.b', {'a': None}, '$.a is null'),
        ('$.a.b', {'a': [1]}, '$.a is a list'),
        ('$.a.b', 'text', "$ is a string, which has no 'a'"),
        ('$.a[0]', {'a': 'text'}, '$.a is a string, which has no element [0]'),
        ('$.a[1]', {'a': [1]}, '$.a has 1 elements, so there is no [1]'),
        ('$.a[0]', {}, '$.a is an object, which has no element [0]'),
        ('$.a[0].b', {'a': {}}, '$.a is an object, which has no element [0]'),
    ],
)
def test_writing_through_what_has_no_such_part(path, payload, said):
    with pytest.raises(StateError) as caught:
        paths.write(path, payload, 1)
    assert caught.value.error == 'States.ResultPathMatchFailure'
    assert said in caught.value.cause


def test_writing_copies_the_spine_alone():
    payload = {'big': {'x': list(range(1000))}, 'a': {'b': 1, 'other': [1]}}
    written = paths.write('$.a.b', payload, 2)
    assert written['big'] is payload['big']
    assert written['a']['other'] is payload['a']['other']
    assert payload['a']['b'] == 1


NAMES = st.text(min_size=0, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def spelled(names):
    return '$' + ''.join('["' + name.replace('\\', '\\\\').replace('"', '\\"') + '"]' for name in names)


@given(st.lists(NAMES.filter(lambda name: name.isprintable() and name != '_context'), min_size=1, max_size=5), JSON, JSON)
def test_what_was_written_is_read(names, payload, value):
    path, before = spelled(names), copy.deepcopy(payload)
    assert paths.check_reference(path) is None
    written, error = outcome(lambda: paths.write(path, payload, value))
    assert error in ('', 'States.ResultPathMatchFailure')
    if not error:
        assert paths.read(path, written) == value
        assert paths.write(path, written, value) == written
    assert payload == before


def outcome(doing):
    """What it returns, and the name of the error that it ends with."""
    try:
        return doing(), ''
    except StateError as error:
        return None, error.error


@given(
    st.text(max_size=30).map(lambda text: f'$.{text}') | st.text(alphabet='$.[]*?@\'"0a:,()!&|=-\\', max_size=30).map(lambda text: f'${text}'), JSON
)
def test_any_text_is_a_path_or_is_refused(path, payload):
    _, error = outcome(lambda: paths.read(path, payload))
    assert error in ('', 'States.ParameterPathFailure')
    assert error or paths.check(path) is None


@pytest.mark.parametrize(
    'path',
    [
        '$..*',
        '$..[*,*,*,*]',
        '$.a[*,*,*,*,*,*][*,*,*,*,*,*]',
        "$['a','a','a','a']..b",
        '$.a[?@.b == 1 && @.c == 2 && @.d < 3]',
        '$..[?@.b]',
        '$.a[*]..*',
    ],
)
def test_a_path_over_a_large_document_ends_soon(path):
    payload = {'a': [{'b': index, 'c': [index], 'd': {}} for index in range(100_000)]}
    begin = time.thread_time()
    with pytest.raises(StateError, match='looks at more than 500000 places'):
        paths.read(path, payload)
    assert time.thread_time() - begin < 1


def test_a_deep_document_is_no_obstacle():
    payload = []
    for _ in range(5_000):
        payload = [payload]
    assert len(paths.read('$..*', payload)) == 5_000


def test_a_filter_compares_plain_values():
    with pytest.raises(StateError, match='is an object or a list'):
        paths.read('$.a[?@ == $.b]', {'a': [[1]], 'b': [1]})


def test_reading_is_fast():
    payload = {'input': {'files': ['a', 'b']}}
    paths.read('$.input.files[0]', payload)
    begin = time.thread_time()
    for _ in range(2_000):
        paths.read('$.input.files[0]', payload)
    assert (time.thread_time() - begin) / 2_000 < 50e-6


@pytest.mark.parametrize('path', ['$.\ud800', "$['\\ud800']", '$.a.\ud800', '\ud800', '$.b.c'])
def test_errors_can_be_written_to_any_file(path):
    with pytest.raises(StateError) as caught:
        paths.read(path, {'a': {'\udfff': 1}, 'b': {'\udfff': 1}})
    assert caught.value.cause.encode()
    with pytest.raises(StateError) as caught:
        paths.write(f'{path}.x', {'\ud800': 1, 'a': {'\ud800': 1}, 'b': {'c': 1}}, 1)
    assert caught.value.cause.encode()
