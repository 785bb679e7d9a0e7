"""Whether a path or an expression of a definition is one: what `paths` and `expressions` say, and the words for what other languages have there."""

from __future__ import annotations

import re
from collections.abc import Callable

from relay_parsl.flows.definition import Json
from relay_parsl.flows.faults import shown

INTRINSIC = re.compile(r'States\.\w+\(')
MOST = 10_000
"""Characters of a path or an expression."""
_STEP = r"(?:\.[A-Za-z_À-￿][\w-]*|\[(?:-?\d+|'[^']*'|\"[^\"]*\")\])"
REFERENCE = re.compile(rf'\${_STEP}*\Z')
PATH = re.compile(rf'\$(?:{_STEP}|\.\.?\*|\.\.\w+|\[[^\[\]]+\])*\Z')


def path_fault(value: Json) -> str:
    """What is wrong with a JSONPath that a state reads; '' for nothing."""
    return _foreign(value) or _checked(value, lambda text: None if PATH.match(text) else 'no JSONPath')


def reference_fault(value: Json) -> str:
    """What is wrong with a reference path, which leads to one place: where a state writes. '' for nothing."""
    fault = _foreign(value) or _checked(value, lambda text: None if REFERENCE.match(text) else 'no reference path')
    if not fault and re.match(r"\$(?:\._context|\[['\"]_context['\"]\])(?![\w-])", str(value)):
        return '`_context` is read-only; write elsewhere'
    return fault


def expression_fault(value: Json) -> str:
    """What is wrong with the value of a `.=`; '' for nothing."""
    if not isinstance(value, str):
        return f'must be an expression, as a text, not {shown(value)}; a constant needs no `.=`'
    if INTRINSIC.match(value):
        return 'intrinsic functions of the Amazon States Language are not supported; expressions have `+`, `pathsplit`, `getattr`, `is_present`, …'
    return _checked(value, lambda text: None if text.strip() else 'is empty')


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


def _checked(value: str, check: Callable[[str], str | None]) -> str:
    if len(value) > MOST:
        return f'has more than {MOST} characters'
    return check(value) or ''
