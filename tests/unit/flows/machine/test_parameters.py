import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.flows.definition import Action, ExpressionEval, Pass, StateError
from relay_parsl.flows.machine.parameters import NOTHING, PRIVATE, build, disclosed, hide, kept, private, within
from relay_parsl.flows.terms import TERMS

PAYLOAD = {'input': {'path': '/data', 'files': ['a', 'b'], 'config': {'queue': 'debug'}}, 'secret': 'hush', 'n': 2}
CONTEXT = {'run_id': 'R', 'email': 'me@example.org'}


def built(template, payload=PAYLOAD):
    return build(template, payload, CONTEXT, TERMS)


@pytest.mark.parametrize(
    ('template', 'body'),
    [
        ({}, {}),
        ({'a': 1, 'b': None, 'c': [True, 1.5, 'text', {}], 'd': {'e': []}}, {'a': 1, 'b': None, 'c': [True, 1.5, 'text', {}], 'd': {'e': []}}),
        ({'a.$': '$.input.path'}, {'a': '/data'}),
        ({'a.$': '$'}, {'a': PAYLOAD}),
        ({'a.$': '$.input.files[1:]'}, {'a': ['b']}),
        ({'a.=': 'n + 1'}, {'a': 3}),
        ({'a.=': "`$.input.path` + '/' + input.files[0]"}, {'a': '/data/a'}),
        ({'id.$': '$._context.run_id', 'to.=': '[_context.email]'}, {'id': 'R', 'to': ['me@example.org']}),
        (
            {'tasks': [{'function.$': '$.input.path', 'kwargs': {'n.=': 'n', 'deep': [[{'x.$': '$.n'}]]}}, 'plain']},
            {'tasks': [{'function': '/data', 'kwargs': {'n': 2, 'deep': [[{'x': 2}]]}}, 'plain']},
        ),
        (
            {'input.source_transfer.transfer_items': 'DELETED', 'a.b.$': '$.n', 'c.=.x': 1},
            {'input.source_transfer.transfer_items': 'DELETED', 'a.b': 2, 'c.=.x': 1},
        ),
        ({'$.x': 1, '$': '$.n', '=': 'n', 'path': '$.input.path'}, {'$.x': 1, '$': '$.n', '=': 'n', 'path': '$.input.path'}),
        ({'kwargs.$': '$.input'}, {'kwargs': PAYLOAD['input']}),
        ({'a.$': '$.input', PRIVATE: ['a'], 'b': {'c': 1, PRIVATE: ['c']}, 'd': [{PRIVATE: []}]}, {'a': PAYLOAD['input'], 'b': {'c': 1}, 'd': [{}]}),
        ('constant', 'constant'),
        ([{'a.$': '$.n'}], [{'a': 2}]),
        (None, None),
    ],
)
def test_building(template, body):
    before = json.dumps(template)
    assert built(template) == body
    assert json.dumps(template) == before


@pytest.mark.parametrize(
    ('template', 'error', 'said'),
    [
        ({'a.$': '$.nope'}, 'States.ParameterPathFailure', "Parameters.a.$: $.nope: $ has no 'nope'; it has input, secret, n"),
        ({'a.$': 'input.path'}, 'States.ParameterPathFailure', 'Parameters.a.$: '),
        ({'a.$': 5}, 'States.ParameterPathFailure', 'Parameters.a.$: its value is a string, a path'),
        ({'a.$': {'b': 1}}, 'States.ParameterPathFailure', 'its value is a string, a path'),
        ({'a.=': 5}, 'States.IntrinsicFailure', 'Parameters.a.=: its value is a string, an expression'),
        ({'a.=': None}, 'States.IntrinsicFailure', 'its value is a string'),
        ({'a.=': 'nope'}, 'States.IntrinsicFailure', "Parameters.a.=: nope: the payload has no 'nope'"),
        ({'a.=': '1 +'}, 'States.IntrinsicFailure', 'Parameters.a.=: 1 +: invalid syntax'),
        ({'b': [{'c': {'a.=': 'nope'}}]}, 'States.IntrinsicFailure', 'Parameters.b[0].c.a.=: '),
        ({'a': 1, 'a.$': '$.n'}, 'States.ParameterPathFailure', "Parameters: 'a' is given twice"),
        ({'a.=': '1', 'a.$': '$.n'}, 'States.ParameterPathFailure', "'a' is given twice"),
    ],
)
def test_what_cannot_be_built_names_its_place(template, error, said):
    with pytest.raises(StateError) as caught:
        built(template)
    assert caught.value.error == error
    assert said in caught.value.cause


def test_what_was_built_shares_no_list_with_the_template():
    template = {'a': [1], 'b': {'c': [2]}}
    body = built(template)
    body['a'].append(3)
    body['b']['c'].append(3)
    assert template == {'a': [1], 'b': {'c': [2]}}


def test_a_template_that_is_too_deep_is_refused():
    template = {'a': 1}
    for _ in range(5_000):
        template = [template]
    with pytest.raises(StateError, match='more than 100 levels'):
        built(template)


def test_a_payload_may_be_any_json():
    assert built({'a.$': '$[0]', 'b.$': '$._context.run_id', 'c.=': '`$[1]` + 1'}, [5, 6]) == {'a': 5, 'b': 'R', 'c': 7}
    assert built({'a.$': '$'}, 'text') == {'a': 'text'}


def test_two_hundred_kilobytes_are_built_fast():
    template = {f'task{index}': {'function.$': '$.input.path', 'n.=': 'n + 1', 'constant': ['x' * 40, index]} for index in range(1_500)}
    assert len(json.dumps(template)) > 150_000
    built(template)
    begin = time.thread_time()
    built(template)
    assert time.thread_time() - begin < 0.5


TEMPLATE = {
    'user': 'me',
    'password.$': '$.secret',
    PRIVATE: ['password'],
    'server': {'url': 'https://example.org', 'token.=': 'secret', 'key': 'k', PRIVATE: ['token', 'key.$']},
    'list': [{'a': 1}, {'b': 2, PRIVATE: ['b']}],
}


def test_private_parameters_are_hidden_from_logs_and_given_to_the_action():
    body = built(TEMPLATE)
    assert body == {
        'user': 'me',
        'password': 'hush',
        'server': {'url': 'https://example.org', 'token': 'hush', 'key': 'k'},
        'list': [{'a': 1}, {'b': 2}],
    }
    assert hide(body, private(TEMPLATE)) == {'user': 'me', 'server': {'url': 'https://example.org'}, 'list': [{'a': 1}, {}]}
    assert 'password' in body


def test_the_template_itself_is_hidden_the_same_way():
    hidden = hide(TEMPLATE, private(TEMPLATE))
    assert 'hush' not in json.dumps(hidden)
    assert 'secret' not in json.dumps(hidden)
    assert hidden['user'] == 'me'


def test_keys_that_begin_with_private_are_hidden_at_any_depth():
    state = {'_private': {'a': 1}, '_private_key': 2, 'x': [{'_privateer': 3, 'y': 4}], '__private': 5, 'not_private': 6}
    assert hide(state) == {'x': [{'y': 4}], '__private': 5, 'not_private': 6}


@pytest.mark.parametrize(
    'template', [{}, {'a': 1}, {'a': {'b': [1]}}, {PRIVATE: []}, {PRIVATE: 'password'}, {PRIVATE: None}, {PRIVATE: [5, {}]}, None, 'x', 5, []]
)
def test_what_names_nothing_private_hides_nothing(template):
    assert private(template) is NOTHING
    assert hide({'password': 1}, private(template)) == {'password': 1}


def test_what_was_hidden_is_a_copy():
    value = {'a': {'b': [1]}}
    hide(value)['a']['b'].append(2)
    assert value == {'a': {'b': [1]}}


CONSTANTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5).filter(lambda key: not key.endswith(('.$', '.='))), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(CONSTANTS)
def test_constants_stand_for_themselves(template):
    assert built(template) == template
    assert private(template) is NOTHING


def test_all_that_a_template_says_together_has_one_budget():
    template = {f'{index}.=': "'a' * 3000000" for index in range(50)}
    begin = time.thread_time()
    with pytest.raises(StateError, match=r'Parameters\.[2-5]\.=: .*which is what the rest of this state left'):
        built(template)
    assert time.thread_time() - begin < 2
    with pytest.raises(StateError, match='paths and expressions of this state look at more than 1000000 places together'):
        built({f'{index}.$': '$.xs[*]' for index in range(50)}, {'xs': [0] * 60_000})


@pytest.mark.parametrize(
    'template',
    [
        {'password.=': "'hunter2' + nope", PRIVATE: ['password']},
        {'server': {'password.=': "'hunter2' + nope"}, PRIVATE: ['server']},
        {'servers': [{'password.$': '$.hunter2'}], PRIVATE: ['servers']},
    ],
)
def test_an_error_does_not_show_how_a_private_parameter_is_made(template):
    with pytest.raises(StateError, match=r'Parameters.*password.*it is private') as caught:
        built(template)
    assert 'hunter2' not in str(caught.value)


def test_a_payload_is_shown_without_what_states_wrote_to_it_in_private():
    states = [
        Pass('P', {'user': 'me', 'key': 'hush', PRIVATE: ['key']}, result_path='$.a.b'),
        ExpressionEval('E', {'other': {'key.=': '1', PRIVATE: ['key']}}, result_path='$.a'),
        Action('A', '', 'ls', {'visible': 1, PRIVATE: ['visible']}, result_path='$.c'),
        Pass('Q', {'x': [{'y': 1, PRIVATE: ['y']}]}, result_path='$.list[0]'),
        Pass('R', {'plain': 1}),
    ]
    payload = {
        'a': {'b': {'user': 'me', 'key': 'hush'}, 'other': {'key': 1}, 'key': 2},
        'c': {'visible': 1},
        'list': [{'x': [{'y': 1, 'z': 2}]}, {'x': [{'y': 1}]}],
    }
    hidden = kept(states, TERMS)
    assert hide(payload, hidden) == {
        'a': {'b': {'user': 'me'}, 'other': {}, 'key': 2},
        'c': {'visible': 1},
        'list': [{'x': [{'z': 2}]}, {'x': [{'y': 1}]}],
    }
    assert hide(payload['a'], within(hidden, ('a',))) == {'b': {'user': 'me'}, 'other': {}, 'key': 2}
    assert within(hidden, ('nowhere', 5)) is NOTHING
    assert kept([states[4], states[2]], TERMS) is NOTHING
    assert hide({'key': 1, 'a': 2}, kept([Pass('P', {'key': 1, PRIVATE: ['key']})], TERMS)) == {'a': 2}


def test_a_definition_is_disclosed_without_its_private_constants():
    """`--json` printed passwords that stood in the definition itself."""
    mail = {'host': 'h', 'login': [{'user': 'u', 'password': 'hush', PRIVATE: ['password']}], 'key.=': "'hush'", '_private': 'hush', PRIVATE: ['key']}
    states = {'Mail': {'Type': 'Action', 'Parameters': mail, 'End': True}, '_private state': {'Type': 'Pass', 'Next': 'Mail'}}
    document = {'StartAt': '_private state', 'States': states}
    told = disclosed(document)
    shown = {'host': 'h', 'login': [{'user': 'u', PRIVATE: ['password']}], PRIVATE: ['key']}
    assert told == {**document, 'States': {**states, 'Mail': {'Type': 'Action', 'Parameters': shown, 'End': True}}}
    assert document['States']['Mail']['Parameters']['key.='] == "'hush'"
