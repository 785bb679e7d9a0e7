"""The language as a table: which types of states there are, which fields each may have, and what may stand in them.

After the reference of Globus Flows as of 2026, and its JSON Schema of 2022 (`Pass.Result`). What the Amazon States Language has besides is refused by
name, with what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from relay_parsl.flows.definition import Json
from relay_parsl.flows.language.faults import Faults, shown, under
from relay_parsl.flows.language.syntax import is_moment, path_fault, reference_fault

Check: TypeAlias = Callable[[Json], str]
"""What is wrong with a value; '' for nothing."""
YEAR = 366 * 86_400
LONGEST_WAIT = 31_536_000
"""Seconds of a Wait: the hosted service's limit."""


def _text(value: Json) -> str:
    return '' if isinstance(value, str) else f'must be a text, not {shown(value)}'


def _name(value: Json) -> str:
    return '' if isinstance(value, str) and value else f'must be a name, not {shown(value)}'


def _comment(value: Json) -> str:
    return '' if value is None else _text(value)


def _object(value: Json) -> str:
    return '' if isinstance(value, dict) else f'must be an object, not {shown(value)}'


def _list(value: Json) -> str:
    return '' if isinstance(value, list) and value else f'must be a list with at least one object, not {shown(value)}'


def _flag(value: Json) -> str:
    return '' if isinstance(value, bool) else f'must be true or false, not {shown(value)}'


def _end(value: Json) -> str:
    return '' if value is True else f'must be true, not {shown(value)}; a state that does not end has a Next instead'


def _whole(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)


def _wait_time(value: Json) -> str:
    return '' if _whole(value) and value >= 0 else f'must be a whole number of seconds, not {shown(value)}'


def _seconds(value: Json) -> str:
    if _whole(value) and 0 <= value <= LONGEST_WAIT:
        return ''
    return f'must be a whole number of seconds up to {LONGEST_WAIT}, not {shown(value)}'


def _moment(value: Json) -> str:
    return '' if is_moment(value) else f'must be a time as RFC 3339 has it, `2026-11-25T08:00:00Z`, not {shown(value)}'


def _scope(value: Json) -> str:
    return '' if isinstance(value, str) and ':' in value else f'must be a URI, not {shown(value)}'


def _said(value: Json) -> str:
    """`Error` and `Cause`: a text, or a JSONPath to one."""
    return path_fault(value) if isinstance(value, str) and value.startswith('$.') else _text(value)


def _any(_value: Json) -> str:
    return ''


ALWAYS: Mapping[str, Check] = {'Type': _text, 'Comment': _any}
ONWARD: Mapping[str, Check] = {'Next': _name, 'End': _end}
FIELDS: Mapping[str, Mapping[str, Check]] = {
    'Action': {
        **ALWAYS,
        **ONWARD,
        'ActionUrl': _name,
        'Handler': _any,
        'ActionScope': _scope,
        'RunAs': _name,
        'ExceptionOnActionFailure': _flag,
        'WaitTime': _wait_time,
        'Parameters': _object,
        'InputPath': path_fault,
        'ResultPath': reference_fault,
        'Catch': _list,
    },
    'Pass': {**ALWAYS, **ONWARD, 'Parameters': _object, 'InputPath': path_fault, 'Result': _object, 'ResultPath': reference_fault},
    'ExpressionEval': {**ALWAYS, **ONWARD, 'Parameters': _object, 'ResultPath': reference_fault},
    'Choice': {**ALWAYS, 'Choices': _list, 'Default': _name},
    'Wait': {**ALWAYS, 'Next': _name, 'Seconds': _seconds, 'SecondsPath': path_fault, 'Timestamp': _moment, 'TimestampPath': path_fault},
    'Fail': {
        **ALWAYS,
        'Error': _said,
        'Cause': _said,
        'ErrorPath': path_fault,
        'CausePath': path_fault,
        'Error.$': path_fault,
        'Cause.$': path_fault,
    },
    'CreateWebInput': {**ALWAYS, **ONWARD, 'Parameters': _object, 'ResultPath': reference_fault, 'Catch': _list},
    'AwaitWebInput': {**ALWAYS, **ONWARD, 'Parameters': _object, 'ResultPath': reference_fault, 'Catch': _list},
}
"""Every type and every field that it may have."""
ONE_OF: Mapping[str, tuple[tuple[str, ...], ...]] = {
    'Action': (('ActionUrl', 'Handler'), ('Parameters', 'InputPath'), ('Next', 'End')),
    'Pass': (('Next', 'End'),),
    'ExpressionEval': (('Parameters',), ('ResultPath',), ('Next', 'End')),
    'Choice': (('Choices',),),
    'Wait': (('Seconds', 'SecondsPath', 'Timestamp', 'TimestampPath'),),
    'Fail': (),
    'CreateWebInput': (('Parameters',), ('Next', 'End')),
    'AwaitWebInput': (('Parameters',), ('Next', 'End')),
}
"""Of each group exactly one must be there."""
AT_MOST: Mapping[str, tuple[tuple[str, ...], ...]] = {
    'Pass': (('Parameters', 'InputPath', 'Result'),),
    'Fail': (('Error', 'ErrorPath', 'Error.$'), ('Cause', 'CausePath', 'Cause.$')),
}
"""Of each group one may be there."""
EXPRESSIONS = frozenset({'Action', 'ExpressionEval', 'CreateWebInput', 'AwaitWebInput'})
"""Types whose Parameters may have keys that end in `.=`."""

NO_TYPE: Mapping[str, str] = {
    'Task': 'make it an Action, with an ActionUrl',
    'Parallel': 'run one after the other, or start several runs',
    'Map': 'loop with a Choice and an ExpressionEval that takes the first item off a list, or give one Action all the items',
    'Succeed': 'end with `"End": true` on the last state, or with a Pass that has it',
    'ActionWait': 'it is of the language before 1.0: an Action waits by itself; remove this state, and give the Action its Catch and Next',
}
"""Types of the Amazon States Language and of old definitions, and what to do instead."""
NO_FIELD: Mapping[str, str] = {
    'Retry': 'catch the error, and go back to the state',
    'OutputPath': 'say with ResultPath where the result goes, and take a part of it with a Pass that has an InputPath',
    'ResultSelector': 'take parts of the result with a Pass after it',
    'Resource': 'it is of the language before 1.0: use ActionUrl',
    'TimeoutSeconds': 'use WaitTime',
    'TimeoutSecondsPath': 'use WaitTime, a number',
    'HeartbeatSeconds': 'use WaitTime',
    'HeartbeatSecondsPath': 'use WaitTime, a number',
    'QueryLanguage': 'JSONPath is the only one; remove it, and use `.=` for expressions',
    'Assign': 'write into the payload: ResultPath',
    'Arguments': 'use Parameters',
    'Output': 'use ResultPath',
    'Credentials': 'actions run as the account itself; remove it',
    'Branches': 'there is no Parallel; run one after the other',
    'Iterator': 'there is no Map; loop with a Choice',
    'ItemProcessor': 'there is no Map; loop with a Choice',
    'ItemsPath': 'there is no Map; loop with a Choice',
    'MaxConcurrency': 'there is no Map; loop with a Choice',
    'Version': 'remove it',
}
"""Fields of the Amazon States Language and of old definitions, and what to do instead."""
TOP: Mapping[str, Check] = {'StartAt': _name, 'States': _object, 'Comment': _comment}


def check(kind: str, state: Mapping[str, Json], path: str, faults: Faults) -> None:
    """Note what is wrong with a state's fields, each apart from the others; a type that there is not has been noted."""
    known = FIELDS[kind]
    for key, value in state.items():
        if key in known:
            if fault := known[key](value):
                faults.fault(under(path, key), fault)
        else:
            faults.fault(under(path, key), stray(kind, key, faults))
    for group in ONE_OF[kind]:
        _one_of(group, state, path, faults, needed=True)
    for group in AT_MOST.get(kind, ()):
        _one_of(group, state, path, faults, needed=False)


def stray(kind: str, key: str, faults: Faults) -> str:
    """What to say of a field that this type does not have."""
    if key in NO_FIELD:
        return f'`{key}` is not supported: {NO_FIELD[key]}'
    if key == 'End':
        return f'{a(kind)} has no End; a Pass with it may follow' if kind == 'Wait' else f'{a(kind)} has no End'
    if key == 'Next' and kind == 'Choice':
        return 'a Choice has no Next of its own; its rules have, and `Default`'
    near = faults.near(key, FIELDS[kind])
    return f'{a(kind)} has no such field{near or "; it has " + ", ".join(FIELDS[kind])}'


def a(kind: str) -> str:
    """The type with its article."""
    return f'{"an" if kind[:1] in "AEIOU" else "a"} {kind}'


def _one_of(group: tuple[str, ...], state: Mapping[str, Json], path: str, faults: Faults, *, needed: bool) -> None:
    given = [name for name in group if name in state]
    if len(given) > 1:
        faults.fault(path, f'has {" and ".join(given)}; keep one')
    elif needed and not given:
        faults.fault(path, f'needs {" or ".join(group)}')
