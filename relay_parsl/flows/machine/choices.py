"""`Choice`: which rule is the first true one. Pure.

A comparison of a value of another type than the operator's is false: `NumericEquals` with a string, or with `true`, which is no number. A variable
that is not there is an error (`States.Runtime`, as in Amazon States Language) for every operator but `IsPresent`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias

from relay_parsl.flows.definition import Choice, Comparison, Json, Junction, StateError
from relay_parsl.flows.machine.parameters import Terms

_COMPARISONS: Mapping[str, Callable[[Json, Json], bool]] = {
    'Equals': operator.eq,
    'LessThan': operator.lt,
    'GreaterThan': operator.gt,
    'LessThanEquals': operator.le,
    'GreaterThanEquals': operator.ge,
}
_Test: TypeAlias = Callable[[Json, Terms], bool]


def _is_number(value: Json, _terms: Terms) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: Mapping[str, _Test] = {
    'IsNull': lambda value, _terms: value is None,
    'IsNumeric': _is_number,
    'IsString': lambda value, _terms: isinstance(value, str),
    'IsBoolean': lambda value, _terms: isinstance(value, bool),
    'IsTimestamp': lambda value, terms: terms.instant(value) is not None,
}
_KINDS: Mapping[str, _Test] = {'String': _TYPES['IsString'], 'Numeric': _is_number, 'Timestamp': _TYPES['IsTimestamp']}

ORDERED = {f'{kind}{comparison}': (kind, comparison) for kind in _KINDS for comparison in _COMPARISONS}
"""Operators that compare with a constant: how each is spelled, its type, its comparison."""
OPERATORS = frozenset([*ORDERED, *(f'{name}Path' for name in ORDERED), 'BooleanEquals', 'BooleanEqualsPath', 'StringMatches', 'IsPresent', *_TYPES])
"""Every operator of a comparison, as it is spelled."""


def choose(choice: Choice, payload: Json, context: Mapping[str, Json], terms: Terms) -> str:
    """The state that the first true rule leads to, else the default.

    Raises:
        StateError: `States.NoChoiceMatched`; `States.Runtime` where a variable is not there.
    """
    judge = _Judge(payload, context, terms.measured())
    for rule, following in choice.choices:
        if judge.true(rule):
            return following
    if choice.default is None:
        raise StateError('States.NoChoiceMatched', f'{choice.name}: no rule is true, and there is no Default')
    return choice.default


class _Judge:
    def __init__(self, payload: Json, context: Mapping[str, Json], terms: Terms) -> None:
        self._payload, self._context, self._terms = payload, context, terms

    def true(self, rule: Comparison | Junction) -> bool:
        if isinstance(rule, Comparison):
            return self._compared(rule)
        if rule.operator == 'Not':
            return not self.true(rule.rules[0])
        return (all if rule.operator == 'And' else any)(map(self.true, rule.rules))

    def _compared(self, rule: Comparison) -> bool:
        if rule.operator == 'IsPresent':
            return self._terms.present(rule.variable, self._payload, self._context) is rule.value
        value = self._read(rule.variable)
        if rule.operator in _TYPES:
            return _TYPES[rule.operator](value, self._terms) is rule.value
        if rule.operator == 'StringMatches':
            return isinstance(value, str) and matches(rule.value, value)
        name, by_path = rule.operator.removesuffix('Path'), rule.operator.endswith('Path')
        other = self._read(rule.value) if by_path else rule.value
        if name == 'BooleanEquals':
            return isinstance(value, bool) and value is other
        return self._ordered(name, value, other)

    def _ordered(self, name: str, value: Json, other: Json) -> bool:
        kind, comparison = ORDERED[name]
        if not (_KINDS[kind](value, self._terms) and _KINDS[kind](other, self._terms)):
            return False
        if kind == 'Timestamp':
            value, other = self._terms.instant(value), self._terms.instant(other)
        return bool(_COMPARISONS[comparison](value, other))

    def _read(self, path: str) -> Json:
        try:
            return self._terms.read(path, self._payload, self._context)
        except StateError as error:
            raise StateError('States.Runtime', f'{error.cause} (test it with IsPresent first, in an And)') from None


def matches(pattern: str, text: str) -> bool:
    r"""Whether the text is of the pattern, in which `*` stands for any characters, none too; `\*` is a star, `\\` a backslash.

    Each piece between stars is looked for where the one before it ended: no text makes it go back.
    """
    first, *others = _pieces(pattern)
    if not others:
        return text == first
    *middle, last = others
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _pieces(pattern: str) -> list[str]:
    pieces: list[list[str]] = [[]]
    at = 0
    while at < len(pattern):
        escaped = pattern[at] == '\\' and pattern[at + 1 : at + 2] in ('*', '\\')
        if pattern[at] == '*':
            pieces.append([])
        else:
            pieces[-1].append(pattern[at + escaped])
        at += 1 + escaped
    return [''.join(piece) for piece in pieces]
