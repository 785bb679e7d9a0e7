"""What a state reads, and where the results of actions go: paths as tuples of their steps, for lints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from relay_parsl.flows.definition import Action, AwaitWebInput, Choice, CreateWebInput, ExpressionEval, Fail, Json, Pass, State, Wait
from relay_parsl.flows.language import rules
from relay_parsl.flows.language.faults import under
from relay_parsl.flows.language.templates import EXPRESSION, PATH, leaves

STEP = re.compile(r"""\.?([A-Za-z_][\w-]*)|\['([^']*)'\]|\["([^"]*)"\]|\[(-?\d+)\]""")
QUOTED = re.compile(r'`([^`]*)`')
TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
ASKED = re.compile(r"""\b(?:is_present|getattr)\(\s*['"]([^'"]+)['"]""")
CHAIN = re.compile(r'(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d+\])*')
Steps = tuple[str, ...]


@lru_cache(maxsize=16_384)
def steps(path: str) -> Steps:
    """`$.a.b[0]['c']` as `('a', 'b', '0', 'c')`; what follows a slice or a wildcard is left out."""
    found, at = [], 1
    while (match := STEP.match(path, at)) is not None:
        found.append(next(group for group in match.groups() if group is not None))
        at = match.end()
    return tuple(found)


def expression_reads(text: str) -> Iterator[Steps]:
    """What an expression may read: back-quoted paths, chains of names, paths in `is_present` and `getattr`; and names of functions and of loops."""
    yield from (steps(path) for path in QUOTED.findall(text))
    yield from (steps(f'$.{path}') for path in ASKED.findall(text))
    yield from (steps(f'$.{chain}') for chain in CHAIN.findall(TEXT.sub("''", QUOTED.sub('0', text))))


def paths(state: State) -> Iterator[tuple[str, str]]:
    """Every JSONPath by which a state reads, after the place where it stands in the state."""
    if isinstance(state, Choice):
        for index, (rule, _) in enumerate(state.choices):
            for each in rules.comparisons(rule):
                yield f'.Choices[{index}]', each.variable
                if each.operator in rules.PATHS:
                    yield f'.Choices[{index}]', each.value
    elif isinstance(state, Wait | Fail):
        names = {'seconds_path': '.SecondsPath', 'timestamp_path': '.TimestampPath', 'error_path': '.Error', 'cause_path': '.Cause'}
        yield from ((place, getattr(state, name)) for name, place in names.items() if getattr(state, name, None))
    else:
        if isinstance(state, Action | Pass) and state.input_path is not None:
            yield '.InputPath', state.input_path
        yield from ((place, value) for place, key, value in parameter_leaves(state) if key.endswith(PATH))


def parameter_leaves(state: State) -> Iterator[tuple[str, str, Json]]:
    """Place, key and value of everything in the Parameters of a state."""
    template = getattr(state, 'parameters', None)
    yield from leaves(template, '.Parameters') if template is not None else ()


def reads(state: State) -> Iterator[Steps]:
    """Everything that a state may read."""
    yield from (steps(path) for _, path in paths(state))
    for _, key, value in parameter_leaves(state):
        if key.endswith(EXPRESSION):
            yield from expression_reads(value)


def writes(state: State) -> Steps | None:
    """Where its result goes, () for all of the payload; None for a state that has no result."""
    if isinstance(state, Action | Pass | ExpressionEval | CreateWebInput | AwaitWebInput):
        return steps(state.result_path)
    return None


def place(state: State, within: str = '') -> str:
    """The JSON path of a state, or of something in it."""
    return under('$.States', state.name) + within
