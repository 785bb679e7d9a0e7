"""What a section of the settings may hold, and what is wrong with one: for `Action.settings_faults`. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

from relay_parsl.config import closest

Place = tuple[str | int, ...]
"""The keys, and indexes of lists, that lead from the section to a value."""
Fault = tuple[Place, str]
"""Where, and what is wrong there."""
Check = Callable[[Any], str]
"""What is wrong with a value; '' for nothing."""
Keys: TypeAlias = 'Mapping[str, Check] | None'
"""What a section may hold; None: whatever its provider likes."""


def faults(settings: Mapping[str, Any], keys: Mapping[str, Check]) -> Iterator[Fault]:
    """Keys that are none of these, and values that are wrong. A null stands for the default."""
    for key, value in settings.items():
        if key not in keys:
            yield (key,), unknown(key, keys)
        elif isinstance(value, Mapping) and isinstance(keys[key], Table):
            yield from (((key, str(each)), problem) for each, given in value.items() if (problem := keys[key](given)))
        elif value is not None and (problem := _said(keys[key], value)):
            yield (key,), problem


def _said(check: Check, value: Any) -> str:
    return 'must be `key: value` pairs' if isinstance(check, Table) else check(value)


def unknown(key: str, keys: Collection[str], what: str = 'this section') -> str:
    """Of a key that nobody reads."""
    meant = closest(str(key), list(keys))
    return f'unknown key; did you mean `{meant}`?' if meant else f'unknown key; {what} takes {", ".join(sorted(keys))}'


class Table:
    """Pairs whose values are held to one check, whatever their keys."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def __call__(self, value: Any) -> str:
        """What is wrong with one value."""
        return self._check(value)


def text(value: Any) -> str:
    """Words."""
    return '' if isinstance(value, str) and value.strip() else 'must be a text'


def flag(value: Any) -> str:
    """Yes or no."""
    return '' if isinstance(value, bool) else 'must be true or false'


def port(value: Any) -> str:
    """Of TCP."""
    return '' if type(value) is int and 1 <= value <= 65_535 else 'must be a number from 1 to 65535'


def seconds(value: Any) -> str:
    """Some time."""
    return '' if type(value) in (int, float) and 0 < value < 1e10 else 'must be a number of seconds greater than 0'


def address(value: Any) -> str:
    """Of mail."""
    return '' if isinstance(value, str) and re.fullmatch(r'[^@\s]+@[^@\s]+|.*<[^@\s]+@[^@\s]+>', value) else 'must be an address: name@host'


def function(value: Any) -> str:
    """Of ours: what an endpoint can import, or what `register_function` gave."""
    words = str(value) if isinstance(value, str) else ''
    if re.fullmatch(r'[A-Za-z_][\w.]*:[A-Za-z_][\w.]*', words):
        return ''
    try:
        uuid.UUID(words)
    except ValueError:
        return 'must be package.module:function, or the UUID of a registered function'
    return ''
