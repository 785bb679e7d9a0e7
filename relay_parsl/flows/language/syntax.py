"""Whether a path or an expression of a definition is one: what `paths` and `expressions` say, and the words for what other languages have there."""

from __future__ import annotations

import re

from relay_parsl.flows.definition import Json
from relay_parsl.flows.language.faults import shown
from relay_parsl.flows.terms import expressions, instant, paths

INTRINSIC = re.compile(r'States\.\w+\(')


def path_fault(value: Json) -> str:
    """What is wrong with a JSONPath that a state reads; '' for nothing."""
    return _foreign(value) or paths.check(value) or ''


def reference_fault(value: Json) -> str:
    """What is wrong with a reference path, which leads to one place: where a state writes. '' for nothing."""
    return _foreign(value) or paths.check_reference(value) or ''


def expression_fault(value: Json) -> str:
    """What is wrong with the value of a `.=`; '' for nothing."""
    if not isinstance(value, str):
        return f'must be an expression, as a text, not {shown(value)}; a constant needs no `.=`'
    if INTRINSIC.match(value):
        return 'intrinsic functions of the Amazon States Language are not supported; expressions have `+`, `pathsplit`, `getattr`, `is_present`, …'
    return expressions.check(value) or ''


def is_moment(value: Json) -> bool:
    """Whether a value is a time as RFC 3339 has it: `2026-11-25T08:00:00Z`."""
    return isinstance(value, str) and instant(value) is not None


def _foreign(value: Json) -> str:
    if not isinstance(value, str):
        return f'must be a JSONPath, as a text, not {shown(value)}'
    if value.startswith('$$'):
        return 'the context object `$$` is not supported; `$._context` has flow_id, run_id, username, email and user_id'
    if INTRINSIC.match(value):
        return 'intrinsic functions of the Amazon States Language are not supported; use an expression: a key that ends in `.=`'
    if not value.startswith('$'):
        near = f'; did you mean `$.{value}`?' if re.fullmatch(r'\w+(?:\.\w+|\[\d+\])*', value) else ''
        return f'must be a JSONPath, which begins with `$.`, not {shown(value)}{near}'
    return ''
