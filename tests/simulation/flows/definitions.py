"""Definitions that nobody would write, of every type of state and every field: legal ones, which run in the small world."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from relay_parsl.flows.definition import Json

PATHS = st.sampled_from(
    [
        '$.a',
        '$.n',
        '$.list',
        '$.flag',
        '$.a',
        '$.b.c',
        '$.list[0]',
        '$.list[1:]',
        '$.S0',
        '$.S1.details.n',
        '$.S2.status',
        '$.e.Error',
        '$._context.user_id',
        '$.b',
        '$.no',
        '$.n',
    ]
)
PLACES = st.sampled_from(['$.S0', '$.S1', '$.S2', '$.S3', '$.b.deep.down', '$.a', '$.n', '$.list[0]', '$.a.x'])
EXPRESSIONS = st.sampled_from(
    [
        'n + 1',
        'a',
        '`$.b.c` + "x"',
        'list + [n]',
        'len(list)',
        "is_present('S1.details.n')",
        "getattr('S1.details.n', 0)",
        'no',
        '{"k": n}',
        'n / 0',
    ]
)
ACTIONS = st.sampled_from(
    [
        'https://actions.globus.org/hello_world',
        'https://transfer.actions.globus.org/transfer',
        'https://transfer.actions.globus.org/ls/',
        'https://compute.actions.globus.org/v3',
        'https://actions.automate.globus.org/expression_eval',
    ]
)
ERRORS = ['ActionUnableToRun', 'ActionFailedException', 'ActionTimeout', 'States.ParameterPathFailure', 'States.IntrinsicFailure']
CONSTANTS = st.sampled_from([None, True, 0, 5, 1.5, 'text', [], {}, [1, {'k': 'v'}]])
BODY = {'a': 'text', 'b': {'c': 'c'}, 'list': [1, 2, 3], 'n': 0, '_private_key': 'secret', 'flag': True}
"""What each of them is started with."""


@st.composite
def templates(draw: st.DrawFn, computed: bool = True) -> dict[str, Json]:
    """Parameters."""
    made: dict[str, Json] = {}
    for key in draw(st.lists(st.sampled_from(['k', 'l', 'm', 'tasks']), max_size=3, unique=True)):
        kind = draw(st.sampled_from(['path', 'constant', 'nested', *(['expression'] if computed else [])]))
        if kind == 'path':
            made[f'{key}.$'] = draw(PATHS)
        elif kind == 'expression':
            made[f'{key}.='] = draw(EXPRESSIONS)
        elif kind == 'nested':
            made[key] = [{'deep.$': draw(PATHS)}, draw(CONSTANTS)]
        else:
            made[key] = draw(CONSTANTS)
    if made and draw(st.booleans()):
        made['__Private_Parameters'] = [next(iter(made)).removesuffix('.$').removesuffix('.=')]
    return made


@st.composite
def rules(draw: st.DrawFn, depth: int = 2) -> dict[str, Json]:
    """One of a Choice, without its Next."""
    if depth and draw(st.integers(0, 3)) == 0:
        operator = draw(st.sampled_from(['And', 'Or', 'Not']))
        inner = [draw(rules(depth=depth - 1)) for _ in range(1 if operator == 'Not' else 2)]
        return {operator: inner[0] if operator == 'Not' else inner}
    operator, value = draw(
        st.sampled_from(
            [
                *[('IsPresent', True), ('IsPresent', False), ('NumericLessThan', 3), ('NumericEqualsPath', '$.n'), ('StringEquals', 'SUCCEEDED')],
                *[
                    ('BooleanEquals', True),
                    ('StringMatches', 't*'),
                    ('IsString', True),
                    ('IsNumeric', False),
                    ('TimestampLessThan', '2026-01-01T00:00:00Z'),
                ],
            ]
        )
    )
    return {'Variable': draw(PATHS), operator: value}


def _following(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    return {'Next': draw(st.sampled_from(names))} if draw(st.integers(0, 4)) else {'End': True}


def _catch(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    if draw(st.integers(0, 2)) == 0:
        return {}
    items: list[Json] = [
        {'ErrorEquals': [name], 'Next': draw(st.sampled_from(names)), **draw(st.sampled_from([{}, {'ResultPath': '$.e'}]))}
        for name in draw(st.lists(st.sampled_from(ERRORS), max_size=2, unique=True))
    ]
    if not items or draw(st.booleans()):
        items.append({'ErrorEquals': ['States.ALL'], 'Next': draw(st.sampled_from(names)), 'ResultPath': '$.e'})
    return {'Catch': items}


def _placed(draw: st.DrawFn) -> dict[str, Json]:
    return {'ResultPath': draw(PLACES)} if draw(st.integers(0, 5)) else {}


def _action(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    state: dict[str, Json] = {'Type': 'Action', **_following(draw, names), **_catch(draw, names), **_placed(draw)}
    url = draw(ACTIONS)
    state |= {'ActionUrl': url} if draw(st.booleans()) else {'Handler': {'Type': 'ActionProvider', 'Url': url}}
    state |= {'Parameters': draw(templates())} if draw(st.integers(0, 4)) else {'InputPath': draw(st.sampled_from(['$.b', '$.no', '$.S0']))}
    if draw(st.booleans()):
        state['WaitTime'] = draw(st.sampled_from([10, 60, 86_400]))
    if draw(st.booleans()):
        state['ExceptionOnActionFailure'] = draw(st.booleans())
    return state


def _pass(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    given = draw(st.sampled_from(['Parameters', 'InputPath', 'Result', '']))
    value = {'Parameters': draw(templates(computed=False)), 'InputPath': draw(PATHS), 'Result': {'n': 1, 'r.$': 'as it is'}, '': None}[given]
    return {'Type': 'Pass', **({given: value} if given else {}), **_following(draw, names), **_placed(draw)}


def _expression(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    parameters = {'n.=': draw(EXPRESSIONS)} if draw(st.booleans()) else draw(templates())
    return {'Type': 'ExpressionEval', 'Parameters': parameters, 'ResultPath': draw(PLACES), **_following(draw, names)}


def _choice(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    choices = [{**draw(rules()), 'Next': draw(st.sampled_from(names))} for _ in range(draw(st.integers(1, 3)))]
    return {'Type': 'Choice', 'Choices': choices, **({'Default': draw(st.sampled_from(names))} if draw(st.integers(0, 3)) else {})}


LATER = {'Timestamp': '2026-11-25T12:00:30Z'}


def _wait(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    form = draw(
        st.sampled_from(
            [
                {'Seconds': 5},
                {'Seconds': 0},
                {'SecondsPath': '$.n'},
                {'SecondsPath': '$.a'},
                {'Timestamp': '2026-11-25T12:00:30Z'},
                {'TimestampPath': '$.b.c'},
            ]
        )
    )
    return {'Type': 'Wait', **form, 'Next': draw(st.sampled_from(names))}


def _fail(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    return {'Type': 'Fail', **draw(st.sampled_from([{}, {'Error': 'E', 'Cause': 'C'}, {'ErrorPath': '$.e.Error', 'Cause': '$.a'}]))}


def _create(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    context = {'PresentationStyle': 'Text', 'Title': 'Go on?', 'Text': 'The scan is through.'}
    options = [{'Value': 'yes', 'Label': 'Yes', 'Description': 'go on'}, {'Value': 'no', 'Label': 'No', 'Description': 'stop'}]
    parameters = {'InputType': 'Selection', 'Context': context, 'Options': options, 'RespondentUrns.$': '$.list'}
    return {'Type': 'CreateWebInput', 'Parameters': parameters, **_placed(draw), **_following(draw, names)}


def _await(draw: st.DrawFn, names: list[str]) -> dict[str, Json]:
    return {
        'Type': 'AwaitWebInput',
        'Parameters': {'web_input_id.$': '$.a'},
        **_placed(draw),
        **_catch(draw, names),
        'Next': draw(st.sampled_from(names)),
    }


MAKERS: list[Any] = [_action, _action, _action, _pass, _expression, _choice, _wait, _fail, _create, _await]


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Json]:
    """A definition of one to six states, which may go to any of them, itself included."""
    own = [f'S{number}' for number in range(draw(st.integers(1, 6)))]
    names = [*own, 'End']
    states = {name: draw(st.sampled_from(MAKERS if number else MAKERS[:-3]))(draw, names) for number, name in enumerate(own)}
    return {'StartAt': 'S0', 'States': {**states, 'End': {'Type': 'Pass', 'End': True}}}
