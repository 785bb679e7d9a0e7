"""From a file, a text or an object to plain JSON of bounded size and depth, whoever wrote it.

Every way in goes through `plain`: what comes out is JSON and nothing else, a copy of its own, no deeper than `MAX_DEPTH`, so that those who read it
may call themselves. A bomb, a loop or a number that is none is a fault, never a RecursionError or a full memory.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeAlias

from relay_parsl import config
from relay_parsl.errors import ConfigError, DefinitionInvalid, with_article
from relay_parsl.flows.definition import Json
from relay_parsl.flows.language.faults import Faults, under

MAX_BYTES = 16 << 20
"""Of a file. A flow of 100,000 states has 10 MB."""
MAX_NODES = 1_500_000
"""Values in it."""
MAX_DEPTH = 100
"""Objects and lists within one another."""
DIGITS = 19
"""Of a whole number: what 64 bits hold."""
YAML_BYTES = config.MAX_BYTES
"""YAML is read more slowly and may stand for more than it says: `config` has its bounds."""
NOTHING: Any = object()
"""There is no document: why stands among the faults."""
Place: TypeAlias = 'str | tuple[Place, str | int]'
"""A path: that of the root, or the place of what a value is in, and its key there."""


class _Odd(str):
    """A word that stands where a value should, and is none of JSON: `NaN`, a number of a thousand digits."""

    __slots__ = ()


class _Pairs(dict[str, Any]):
    """An object of a text; remembers keys that stand twice, of which JSON would drop one without a word."""

    __slots__ = ('doubled',)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.doubled: list[str] = []
        if len(self) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.doubled.append(key)
                seen.add(key)


def load(path: str | Path, faults: Faults) -> Json:
    """The document in a file: YAML where its name ends so, JSON where it ends so, else what its first letter says.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, 'rb') as file:
        text = file.read(MAX_BYTES + 1)
    return parse(text, faults, {'.json': 'json', '.yaml': 'yaml', '.yml': 'yaml'}.get(Path(path).suffix.lower(), ''))


def parse(text: str | bytes, faults: Faults, kind: str = '') -> Json:
    """The document in a text, as plain JSON; NOTHING where it is none. It may have faults, and then something stands in for what is wrong.

    Args:
        text: UTF-8 where it is bytes.
        faults: Takes what is wrong with it.
        kind: `json` or `yaml`; '' has JSON begin with `{`, `[` or `"`.
    """
    if len(text) > MAX_BYTES:
        faults.fault('$', f'larger than {MAX_BYTES >> 20} MiB: no flow definition')
        return NOTHING
    try:
        words = text.decode('utf-8-sig') if isinstance(text, bytes) else text.removeprefix('\ufeff')
    except UnicodeDecodeError as error:
        faults.fault('$', f'not UTF-8 at byte {error.start}')
        return NOTHING
    if kind == 'yaml' or (not kind and words.lstrip()[:1] not in ('{', '[', '"')):
        return _yaml(words, faults)
    return _json(words, faults)


def _json(text: str, faults: Faults) -> Json:
    try:
        found = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_Odd, parse_int=_whole)
    except RecursionError:
        faults.fault('$', f'more than {MAX_DEPTH} objects and lists within one another')
    except json.JSONDecodeError as error:
        faults.fault('$', f'not JSON: {error.msg} in line {error.lineno}, column {error.colno}')
    except ValueError as error:
        faults.fault('$', f'not JSON: {error}')
    else:
        return plain(found, faults)
    return NOTHING


def _whole(text: str) -> int | str:
    return int(text) if len(text.lstrip('-')) <= DIGITS else _Odd(text)


def _yaml(text: str, faults: Faults) -> Json:
    if len(text) > YAML_BYTES:
        faults.fault('$', f'larger than {YAML_BYTES >> 20} MiB of YAML: write it as JSON')
        return NOTHING
    report = config.Report('')
    try:
        found = config.parse_yaml(text, report).plain
    except ConfigError:
        found = NOTHING
    for problem in report.errors:
        faults.fault(f'$.{problem.path}'.removesuffix('.'), f'{problem.message} (line {problem.line})')
    return found if found is NOTHING else plain(found, faults)


def plain(value: Any, faults: Faults, root: str = '$') -> Json:
    """A copy of the value that is plain JSON; NOTHING where it is too large or too deep, with a fault.

    Tuples are lists. Everything that is not JSON is noted: keys that are no texts or stand twice, NaN, numbers beyond 64 bits, texts that UTF-8
    cannot have. Something plain stands in for it in the copy, so that the rest is checked, too.
    """
    top: list[Any] = [None]
    todo: list[tuple[Any, Place, int, Any, Any]] = [(value, root, 0, top, 0)]
    count = 0
    while todo:
        item, path, depth, holder, key = todo.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            what = f'more than {MAX_NODES} values' if count > MAX_NODES else f'more than {MAX_DEPTH} objects and lists within one another'
            faults.fault(_spelled(path) if depth <= MAX_DEPTH else root, what)
            return NOTHING
        if isinstance(item, dict):
            new: dict[str, Any] = {}
            holder[key] = new
            todo += [(child, (path, name), depth + 1, new, name) for name, child in _pairs(item, path, faults, new)]
        elif isinstance(item, list | tuple):
            holder[key] = many = [None] * len(item)
            todo += [(child, (path, i), depth + 1, many, i) for i, child in reversed(list(enumerate(item)))]
        else:
            holder[key] = _scalar(item, path, faults)
    return top[0]


def _spelled(place: Place) -> str:
    """The path: it is written down only where there is something to say."""
    keys = []
    while not isinstance(place, str):
        place, key = place
        keys.append(key)
    for key in reversed(keys):
        place = under(place, key)
    return place


def _pairs(item: dict[Any, Any], path: Place, faults: Faults, new: dict[str, Any]) -> list[tuple[str, Any]]:
    """The pairs in reverse, since the last is taken first; the new object gets its keys in their order."""
    for key in getattr(item, 'doubled', ()):
        faults.fault(under(_spelled(path), key), 'this key stands twice; keep one')
    for key in item:
        if not isinstance(key, str) or not _writable(key):
            faults.fault(_spelled(path), f'the key {key!r:.60} is no text that JSON can have')
        else:
            new[key] = None
    return [(key, item[key]) for key in reversed(list(new))]


def _scalar(item: Any, path: Place, faults: Faults) -> Json:
    fault, stand_in = _odd(item)
    if fault:
        faults.fault(_spelled(path), fault)
        return stand_in
    return item


def _odd(item: Any) -> tuple[str, Json]:
    """Why a value is not of JSON, '' where it is, and what may stand in for it."""
    if isinstance(item, _Odd):
        return (f'{item[:30]!s}: no number that JSON has' if 'N' in item or 'I' in item else TOO_LONG), 0
    if isinstance(item, str):
        return '' if _writable(item) else 'half of a surrogate pair: no text that UTF-8 can have', ''
    if isinstance(item, bool) or item is None:
        return '', None
    if isinstance(item, int):
        return TOO_LONG if abs(item) >= 10**DIGITS else '', 0
    if isinstance(item, float):
        return '' if math.isfinite(item) else f'{item}: no number that JSON has', 0
    return f'{with_article(type(item).__name__)}, which JSON does not have', None


TOO_LONG = f'a whole number of more than {DIGITS} digits'


def _writable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def need(faults: Faults) -> None:
    """Raises DefinitionInvalid where anything is wrong."""
    if faults.faults:
        raise DefinitionInvalid(faults.text)
