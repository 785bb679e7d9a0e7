"""The rules of a Choice: which operators there are, whether a rule is one, and what it is once it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from relay_parsl.flows.definition import Comparison, Json, Junction
from relay_parsl.flows.language.faults import Faults, shown, under
from relay_parsl.flows.language.syntax import is_moment, path_fault

Rule = Comparison | Junction
JUNCTIONS = ('And', 'Or', 'Not')
_ORDER = ('Equals', 'LessThan', 'GreaterThan', 'LessThanEquals', 'GreaterThanEquals')


def _number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    'String': (lambda value: isinstance(value, str), 'a text'),
    'Numeric': (_number, 'a number'),
    'Boolean': (lambda value: isinstance(value, bool), 'true or false'),
    'Timestamp': (is_moment, 'a time as RFC 3339 has it, `2026-11-25T08:00:00Z`'),
}
OPERATORS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **{f'{kind}{order}': _KINDS[kind] for kind in ('String', 'Numeric', 'Timestamp') for order in _ORDER},
    'BooleanEquals': _KINDS['Boolean'],
    'StringMatches': _KINDS['String'],
    **{f'Is{kind}': _KINDS['Boolean'] for kind in ('Null', 'Present', 'Numeric', 'String', 'Boolean', 'Timestamp')},
}
"""Each operator that compares with a constant: what the constant must be, and the words for it."""
PATHS = frozenset(f'{name}Path' for name in OPERATORS if not name.startswith('Is') and name != 'StringMatches')
"""Those that compare with what a path leads to."""
BESIDE = frozenset({'Variable', 'Comment', 'Next'})
REMEDIES: Mapping[str, str] = {
    'Condition': 'is JSONata, which is not supported; use `Variable` and an operator',
    'Assign': 'variables are not supported; write into the payload with a Pass',
    'Output': 'is not supported; write into the payload with a Pass',
}


def check(rule: Json, path: str, faults: Faults, *, top: bool = True) -> None:
    """Note every fault of a rule; `top`: it stands in `Choices` itself, where `Next` belongs."""
    if not isinstance(rule, dict):
        faults.fault(path, f'must be a rule, an object, not {shown(rule)}')
        return
    if top:
        _next(rule, path, faults)
    elif 'Next' in rule:
        faults.fault(under(path, 'Next'), 'only a rule in `Choices` itself has a Next; move it there')
    known = [key for key in rule if key in OPERATORS or key in PATHS or key in JUNCTIONS]
    for key in rule:
        if key not in known and key not in BESIDE:
            faults.fault(under(path, key), REMEDIES.get(key) or f'no operator{faults.near(key, [*OPERATORS, *PATHS, *JUNCTIONS, *BESIDE])}')
    if len(known) != 1 and (known or not rule.keys() - BESIDE):
        faults.fault(path, f'needs one operator, and has {", ".join(known) or "none"}')
    _variable(rule, known, path, faults)
    for key in known:
        _operand(key, rule[key], under(path, key), faults)


def _next(rule: Mapping[str, Json], path: str, faults: Faults) -> None:
    if 'Next' not in rule:
        faults.fault(path, 'needs a Next: the state to go to')
    elif not isinstance(rule['Next'], str):
        faults.fault(under(path, 'Next'), f'must be the name of a state, not {shown(rule["Next"])}')


def _variable(rule: Mapping[str, Json], known: list[str], path: str, faults: Faults) -> None:
    joined = bool(known) and known[0] in JUNCTIONS
    if 'Variable' in rule:
        fault = f'does not belong beside {known[0]}' if joined else faults.affords(rule['Variable']) and path_fault(rule['Variable'])
        if fault:
            faults.fault(under(path, 'Variable'), fault)
    elif known and not joined:
        faults.fault(path, f'{known[0]} needs a Variable: the JSONPath of what to look at')


def _operand(key: str, value: Json, path: str, faults: Faults) -> None:
    if key == 'Not':
        check(value, path, faults, top=False)
    elif key in JUNCTIONS:
        if not isinstance(value, list) or not value:
            faults.fault(path, f'must be a list of rules, not {shown(value)}')
            return
        for index, rule in enumerate(value):
            check(rule, under(path, index), faults, top=False)
    elif key in PATHS:
        if fault := path_fault(value):
            faults.fault(path, fault)
    elif not OPERATORS[key][0](value):
        near = f'; did you mean `{key}Path`?' if f'{key}Path' in PATHS and isinstance(value, str) and value.startswith('$.') else ''
        faults.fault(path, f'must be {OPERATORS[key][1]}, not {shown(value)}{near}')


def build(rule: Mapping[str, Json]) -> Rule:
    """The rule that was found to be right."""
    for word in JUNCTIONS:
        if word in rule:
            return Junction(word, tuple(build(each) for each in ([rule[word]] if word == 'Not' else rule[word])))
    operator = next(key for key in rule if key not in BESIDE)
    return Comparison(rule['Variable'], operator, rule[operator])


def comparisons(rule: Rule) -> Iterator[Comparison]:
    """Every comparison in it."""
    if isinstance(rule, Comparison):
        yield rule
    else:
        for each in rule.rules:
            yield from comparisons(each)
