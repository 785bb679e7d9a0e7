"""What a value of an endpoint file must be: rules for single values. Which rule each key has is told in `keys`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from relay_parsl.config import Located, Report, closest
from relay_parsl.engines.words import MOST_WORKERS, brace, fault
from relay_parsl.errors import ConfigError
from relay_parsl.providers import options

YEAR = 366 * 24 * 3600
"""Seconds."""
BLOCKS, NODES, CORES, MEMORY = 10_000, 100_000, 8192, 1_000_000
"""At most: blocks of an engine, nodes of a block, cores of a node, GB of a node."""

Rule = Callable[[Located], Any]
"""Takes a value as it stands, returns it as it is to be used, raises `Invalid`."""


class Invalid(ValueError):
    """A value is not what its rule asks for; the text continues `engine.max_workers: …`."""


def shown(node: Located) -> str:
    """The value, for an error's text, cut to a readable length."""
    text = repr(node.plain)
    return text if len(text) <= 60 else f'{text[:57]}…'


def apply(rule: Rule, node: Located, report: Report) -> Any:
    """The value by its rule, or None where the rule refuses it, which is reported."""
    try:
        return rule(node)
    except Invalid as invalid:
        report.error(node, str(invalid))
        return None


def whole(low: int | None = 0, high: int | None = None) -> Rule:
    """A whole number within bounds."""
    bounds = f', {low} to {high}' if high is not None else '' if low is None else f', at least {low}'

    def rule(node: Located) -> int:
        value = node.value
        fits = isinstance(value, int) and not isinstance(value, bool) and (low is None or value >= low) and (high is None or value <= high)
        if not fits:
            raise Invalid(f'must be a whole number{bounds}; it is {shown(node)}')
        return int(value)

    return rule


def count(low: int, high: int) -> Rule:
    """A whole number, at least `low`, and not more than anybody has."""
    at_least = whole(low)

    def rule(node: Located) -> int:
        value = int(at_least(node))
        if value > high:
            raise Invalid(f'must be {high} at most; it is {shown(node)}')
        return value

    return rule


def number(*, above: float | None = None, low: float = 0.0, high: float = float('inf')) -> Rule:
    """A number, at least `low` or, where it is given, greater than `above`; at most `high`, and never infinite."""
    bounds = f'at least {low:g}' if above is None else f'more than {above:g}'

    def rule(node: Located) -> float:
        value = node.value
        fits = not isinstance(value, bool) and isinstance(value, int | float) and (value >= low if above is None else value > above)
        if not fits or value == float('inf'):
            raise Invalid(f'must be a number, {bounds}; it is {shown(node)}')
        if value > high:
            raise Invalid(f'must be {high:.15g} at most; it is {shown(node)}')
        return value  # type: ignore[no-any-return]  # checked in the lines above

    return rule


def truth(node: Located) -> bool:
    """True or false."""
    if not isinstance(node.value, bool):
        raise Invalid(f'must be true or false; it is {shown(node)}')
    return node.value


def text(node: Located) -> str:
    """Text, of any number of lines; a number is taken as it is written (accounts and queues may look like one)."""
    if isinstance(node.value, bool) or not isinstance(node.value, str | int | float):
        raise Invalid(f'must be text; it is {shown(node)}' + ('; put it into quotes' if isinstance(node.value, bool) else ''))
    return node.value if isinstance(node.value, str) else node.text


def line(node: Located) -> str:
    """Text of one line: it goes into a batch script or a command."""
    value = text(node)
    if not value.strip() or not value.isprintable():
        raise Invalid(f'must be one line of text; it is {shown(node)}')
    return value.strip()


def word(node: Located) -> str:
    """One word that stands unquoted in a command."""
    value = line(node)
    if why := fault(value):
        raise Invalid(f'{why}; it is {shown(node)}')
    return value


CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]')
"""What ends a line for some, or shows as nothing."""


def lines(node: Located) -> str:
    """Lines of a script. A carriage return would end one in some readers' eyes and not in others'."""
    value = text(node)
    if strange := CONTROL.search(value):
        raise Invalid(f'holds {strange[0]!r}, which no line of a script should; end lines with a line feed alone')
    return value


def container_options(node: Located) -> str:
    """Words for the program that starts a container, or its whole command: the owner's own."""
    value = line(node)
    if why := brace(value):
        raise Invalid(why)
    return value


def one_of(*words: str) -> Rule:
    """One of these words."""

    def rule(node: Located) -> str:
        if node.value not in words:
            near = closest(str(node.value), words)
            hint = f'; did you mean `{near}`?' if near else f'; use one of {", ".join(words)}'
            raise Invalid(f'{shown(node)} is not known{hint}')
        return str(node.value)

    return rule


def list_of(item: Rule) -> Rule:
    """A list, each item by its own rule."""

    def rule(node: Located) -> list[Any]:
        if not isinstance(node.value, list):
            raise Invalid(f'must be a list; it is {shown(node)}')
        return [item(child) for child in node.value]

    return rule


def anything(node: Located) -> Any:
    """Whatever stands there, as plain data."""
    return node.plain


def held(check: Callable[[str, Any], Any], first: Rule = line) -> Rule:
    """What a provider's constructor checks by this function, so that its mistakes, too, come with their line and all at once.

    Args:
        check: Takes a name and a value, returns the value as it is to be used, raises `ConfigError`.
        first: Looks at the value before.
    """

    def rule(node: Located) -> Any:
        try:
            return check('', first(node))
        except ConfigError as error:
            raise Invalid(str(error).removeprefix(': ')) from error

    return rule


# --- values of batch systems ---


def walltime(node: Located) -> str:
    """`HH:MM:SS`, whatever way it was written: `1:00:00`, `1-02:00:00` (days), or a number of seconds."""
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return _clock(value)
    match = re.fullmatch(r'(?:(\d{1,9})-)?(\d{1,9}):([0-5]?\d):([0-5]?\d)', text(node))
    if match is None:
        short = isinstance(value, str) and re.fullmatch(r'[0-9]{1,5}:[0-9]{2}', value)
        hint = f"; `{value}` is minutes and seconds to a scheduler: write '{value}:00' or '00:{value:0>5}'" if short else ''
        raise Invalid(f'must be a walltime like 01:30:00 (hours, minutes, seconds); it is {shown(node)}{hint}')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total == 0:
        raise Invalid('a walltime of nothing: no job would ever run')
    return _clock(total)


def _clock(seconds: int) -> str:
    if seconds > YEAR:
        raise Invalid('must be a walltime of a year at most, like 24:00:00 (hours, minutes, seconds)')
    return f'{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}'


def filesystems(node: Located) -> str:
    """`home:eagle`, or a list of the names."""
    value = ':'.join(line(child) for child in node.value) if isinstance(node.value, list) else line(node)
    if not options.FILESYSTEMS.fullmatch(value):
        raise Invalid(f'must be names of filesystems, like home:eagle; it is {shown(node)}')
    return value


def place(node: Located) -> str:
    """How PBS places chunks."""
    value = line(node)
    if not options.PLACE.fullmatch(value):
        raise Invalid(f'must be as PBS has it, like scatter, scatter:excl or pack:shared; it is {shown(node)}')
    return value


def keep(node: Located) -> str:
    """Letters of PBS's `-k`."""
    value = line(node)
    if not options.KEEP.fullmatch(value):
        raise Invalid(f'must be letters of `doe` (d: write to their places while it runs, o: stdout, e: stderr) or `n`; it is {shown(node)}')
    return value


def ports(node: Located) -> tuple[int, int]:
    """A range of ports as a list of two: the first, and the one after the last."""
    pair = list_of(whole(1, 65_536))(node)
    if len(pair) != 2 or pair[0] >= pair[1]:
        raise Invalid(f'must be two ports, the smaller first, like [54000, 55000]; it is {shown(node)}')
    return pair[0], pair[1]


def accelerators(node: Located) -> int | list[str]:
    """How many accelerators a node has, or their names; numbers in a list become names."""
    if isinstance(node.value, list):
        names = [word(child) for child in node.value[: MOST_WORKERS + 1]]
        if len(names) > MOST_WORKERS:
            raise Invalid(f'names more than {MOST_WORKERS}; no node has as many')
        if not names:
            raise Invalid('an empty list: no worker would start; leave the key out for workers without accelerators')
        return names
    if isinstance(node.value, str):
        digits = node.value.isdigit()
        raise Invalid(f'must be a number or a list of names; {shown(node)} is text: ' + ('take the quotes away' if digits else 'write a list'))
    return int(count(0, MOST_WORKERS)(node))


AFFINITIES = ('none', 'block', 'block-reverse', 'alternating')


def affinity(node: Located) -> str:
    """How workers are bound to CPUs: a word, or `list:` with the CPUs of each worker (a YAML list of them serves, too)."""
    value = 'list:' + ':'.join(line(child) for child in node.value) if isinstance(node.value, list) else node.value
    if not isinstance(value, str) or not value.startswith('list:'):
        if value not in AFFINITIES:
            one_of(*AFFINITIES, 'list:0-7:8-15')(node)
        return str(value)
    value = re.sub(r'\s', '', value)
    if len(affinity_groups(value)) > MOST_WORKERS:
        raise Invalid(f'names CPUs for more than {MOST_WORKERS} workers')
    for group in affinity_groups(value):
        if cpus(group) is None:
            raise Invalid(f'`{group}` is no list of CPUs; each worker has numbers and ranges, like 24-31,56-63')
    return value


def affinity_groups(value: str) -> list[str]:
    """The CPUs of each worker as `list:` names them; none where the value is a word."""
    return value.removeprefix('list:').split(':') if value.startswith('list:') else []


def cpus(group: str) -> list[int] | None:
    """`0-3,8` → [0, 1, 2, 3, 8]; None where it is no such list, or one of more CPUs than a node has."""
    found: list[int] = []
    for part in group.split(','):
        match = re.fullmatch(r'([0-9]{1,6})(?:-([0-9]{1,6}))?', part)
        if match is None or not int(match[1]) <= int(match[2] or match[1]) < int(match[1]) + CORES or len(found) > CORES:
            return None
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def ip(node: Located) -> str:
    """An IP address: HTEX builds its URLs from nothing else."""
    value = line(node)
    try:
        return str(ipaddress.ip_address(value if not fault(value) else ''))  # the zone of an IPv6 address may be anything
    except ValueError:
        raise Invalid(
            f'must be an IP address, or `type: address_by_interface` with `ifname:`; {shown(node)} is a host name '
            '(`type: address_by_hostname` looks up this host)'
        ) from None
