"""How errors name a place in a document and what is there: kinds and keys, never values, which may be secret and may be endless."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import TypeAlias

from relay_parsl.flows.definition import Json

Step: TypeAlias = str | int
"""A key of an object or an index of a list."""

_PLAIN = re.compile(r"""[^\s.\[\]'"*?(),`\x00-\x1f]+""")


def shown(text: str, length: int = 120) -> str:
    """No more than so many characters of it, in one line, which can be written to any file: halves of surrogate pairs are spelled out."""
    text = ' '.join(text[: 8 * length].split()).encode(errors='backslashreplace').decode()
    return text if len(text) <= length else f'{text[: length - 1]}…'


def kind(value: Json) -> str:
    """What JSON calls a value, with its article."""
    kinds = {dict: 'an object', list: 'a list', str: 'a string', bool: 'true or false', int: 'a number', float: 'a number', type(None): 'null'}
    return kinds.get(type(value), 'an object' if isinstance(value, Mapping) else 'no JSON')


def spell(steps: tuple[Step, ...]) -> str:
    """A path of these steps, as people write it."""
    return '$' + ''.join(f'.{shown(step)}' if isinstance(step, str) and _PLAIN.fullmatch(step) else f'[{step!r}]' for step in steps)


def missing(where: str, node: Json, step: Step) -> str:
    """Why `step` leads nowhere from `node`, with what is there."""
    if isinstance(node, Mapping) and isinstance(step, str):
        names = ', '.join(shown(str(name), 40) for name in islice(node, 12))
        return f'{where} has no {step[:80]!r}; it has {names or "nothing"}{", …" if len(node) > 12 else ""}'
    if isinstance(node, list) and isinstance(step, int):
        return f'{where} has {len(node)} elements, so there is no [{step}]'
    wanted = f'no {step[:80]!r}' if isinstance(step, str) else f'no element [{step}]'
    return f'{where} is {kind(node)}, which has {wanted}'
