"""What the options of a provider may be. They go into directives of a batch script, where a space or a line's end would begin another one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from relay_parsl.errors import ConfigError


def word(name: str, value: Any) -> str | None:
    """One word without blanks, or None.

    Raises:
        ConfigError: It is something else.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value or not value.isprintable() or ' ' in value:
        raise ConfigError(f'{name}: must be one word, without blanks or line ends; it is {value!r}')
    return value


def like(name: str, value: Any, form: re.Pattern[str], example: str) -> str | None:
    """A word of this form, or None.

    Raises:
        ConfigError: It is something else.
    """
    if value is not None and (not isinstance(value, str) or not value or not form.fullmatch(value)):
        raise ConfigError(f'{name}: must be like {example}; it is {value!r}')
    return value


def line(name: str, value: Any) -> str | None:
    """Text on one line, or None.

    Raises:
        ConfigError: It is something else.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ConfigError(f'{name}: must be text on one line; it is {value!r}')
    return value.strip()


def lines(name: str, value: Any) -> str:
    """Text of any number of lines.

    Raises:
        ConfigError: It is no text, or holds a character that no shell script can.
    """
    if not isinstance(value, str) or '\0' in value or '\r' in value:
        raise ConfigError(f'{name}: must be text with line ends as on Unix; it is {value!r}')
    return value


def expression(name: str, value: Any, group: str) -> str:
    """A regular expression with a group of this name.

    Raises:
        ConfigError: It is something else.
    """
    try:
        groups = re.compile(value).groupindex
    except (re.error, TypeError) as error:
        raise ConfigError(f'{name}: {value!r} is no regular expression: {error}') from error
    if group not in groups:
        raise ConfigError(f'{name}: {value!r} has no group `(?P<{group}>…)`')
    return str(value)


def whole(name: str, value: Any, low: int = 1) -> int:
    """A whole number, at least `low`.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ConfigError(f'{name}: must be a whole number, at least {low}; it is {value!r}')
    return value


def maybe_whole(name: str, value: Any, low: int = 1) -> int | None:
    """The same, or None."""
    return None if value is None else whole(name, value, low)


def number(name: str, value: Any, low: float = 0) -> float:
    """A number, at least `low`.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value < float('inf'):
        raise ConfigError(f'{name}: must be a number, at least {low:g}; it is {value!r}')
    return value


def truth(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f'{name}: must be True or False; it is {value!r}')
    return value


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """One of these words.

    Raises:
        ConfigError: It is none of them.
    """
    if value not in (known := list(choices)):
        raise ConfigError(f'{name}: {value!r} is not known; use one of {", ".join(known)}')
    return str(value)


FILESYSTEMS = re.compile(r'[\w.-]+(?::[\w.-]+)*')
"""PBS, as ALCF has it: names, with colons between them."""

PLACE = re.compile(r'(free|pack|scatter|vscatter)?((^|:)(excl|exclhost|shared))?((^|:)group=\w+)?')
"""PBS's `-l place`: an arrangement, a way of sharing, a grouping, in this order; not empty."""

KEEP = re.compile(r'n|[doe]+')
"""PBS's `-k`: d: write to their places while it runs, o: stdout, e: stderr; n: none of it."""

CLOCK = re.compile(r'(?:(\d+)-)?(\d+):([0-5]?\d):([0-5]?\d)')


def walltime(name: str, value: Any) -> str:
    """A walltime as `HH:MM:SS`, from that, from `D-HH:MM:SS`, or from a number of seconds.

    Raises:
        ConfigError: It is something else, or nothing.
    """
    match = CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None and (not isinstance(value, int) or isinstance(value, bool)):
        raise ConfigError(f'{name}: must be HH:MM:SS, D-HH:MM:SS or a number of seconds; it is {value!r}')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, value)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total <= 0:
        raise ConfigError(f'{name}: {value!r} is no time at all: no job would ever run')
    return f'{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}'
