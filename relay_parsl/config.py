"""YAML files as data that knows where it stands, so that every mistake can be named by file, line and path.

```
read_yaml(path) ──► Located tree ──► settle(): keys that stand in the wrong place ──► the room's own rules ──► Report: all mistakes at once
```
Nothing here knows what an endpoint is: rooms above bring the keys that they know (`Level`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from relay_parsl.errors import ConfigError

MAX_BYTES = 1 << 20  # no file that a person writes is larger
MAX_NODES = 20_000  # a few aliases of aliases can stand for billions of nodes
MAX_DEPTH = 40  # an alias may hold itself
MAX_PROBLEMS = 100  # nobody reads more, and to find each takes time


@dataclass(frozen=True)
class Located:
    """A value of a YAML file and where it stands.

    Attributes:
        value: A scalar, a list of `Located`, or a dictionary from words to `Located`.
        path: From the top of the file: `engine.provider.launcher`, `pools.gpu.provider`, `names[2]`; '' for the whole file.
        line: Counted from 1.
        text: A scalar as it is written, without its quotes: `0.10` is a tile's name to us and the number 0.1 to YAML.
    """

    value: Any
    path: str
    line: int
    text: str = ''

    @property
    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: child.plain for key, child in self.value.items()}
        return [child.plain for child in self.value] if isinstance(self.value, list) else self.value

    @property
    def is_mapping(self) -> bool:
        """Whether the value is `key: value` pairs."""
        return isinstance(self.value, dict)

    def get(self, key: str) -> Located | None:
        """The child of this name, where there is one that is not null."""
        child = self.value.get(key) if isinstance(self.value, dict) else None
        return child if isinstance(child, Located) and child.value is not None else None

    def children(self) -> Iterator[tuple[str, Located]]:
        """The children of a mapping that are not null: a null stands for the default."""
        return ((key, child) for key, child in list(self.value.items()) if child.value is not None)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or (not fatal) worth a word."""

    file: str
    line: int
    path: str
    message: str
    fatal: bool = True

    def __str__(self) -> str:
        where = f'{self.file}:{self.line}: ' + (f'{self.path}: ' if self.path else '')
        return where + ('' if self.fatal else 'warning: ') + self.message


@dataclass
class Report:
    """All that is wrong with one file; nothing is raised before all of it was looked at."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def error(self, node: Located, message: str) -> None:
        """Note a mistake at this node; the same mistake counts once."""
        self._add(Problem(self.file, node.line, node.path, message))

    def warn(self, node: Located, message: str) -> None:
        """Note something that is worth a word and stops nobody."""
        self._add(Problem(self.file, node.line, node.path, message, fatal=False))

    def _add(self, problem: Problem) -> None:
        """Raises ConfigError when there are so many that looking on helps nobody; warnings are then dropped."""
        same = [known for known in self.problems if known.fatal == problem.fatal]
        if problem in same or (not problem.fatal and len(same) >= MAX_PROBLEMS):
            return
        self.problems.append(problem)
        if problem.fatal and len(same) + 1 >= MAX_PROBLEMS:
            self.verdict()

    @property
    def errors(self) -> list[Problem]:
        """The mistakes, in the order of the file's lines."""
        return sorted((problem for problem in self.problems if problem.fatal), key=lambda problem: problem.line)

    @property
    def warnings(self) -> list[Problem]:
        """The words of warning, in the order of the file's lines."""
        return sorted((problem for problem in self.problems if not problem.fatal), key=lambda problem: problem.line)

    def verdict(self) -> None:
        """End the check.

        Raises:
            ConfigError: With every mistake, a line each, and the warnings among them.
        """
        if self.errors:
            raise ConfigError('\n'.join(map(str, sorted(self.problems, key=lambda problem: problem.line))))


# --- reading -----------------------------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its traps: `1:00:00` is no number (3600) and `2024-12-11` no date; both stay as written. Bounded in depth and size."""

    depth = count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """YAML's own calls itself for each level."""
        self.depth, self.count = self.depth + 1, self.count + 1
        if self.depth > MAX_DEPTH or self.count > MAX_NODES:
            raise yaml.composer.ComposerError(None, None, TOO_MUCH, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: Any) -> None:
        """Merges of merges grow like aliases of aliases, and PyYAML before 6.0.4 writes all of it down."""
        super().flatten_mapping(node)
        self.count += len(node.value)
        if self.count > 2 * MAX_NODES:
            raise yaml.constructor.ConstructorError(None, None, TOO_MUCH, node.start_mark)


TOO_MUCH = 'too deep or too many values'


# The pattern of YAML 1.1's numbers, less those in base 60.
_TRAPS = {'tag:yaml.org,2002:int', 'tag:yaml.org,2002:float', 'tag:yaml.org,2002:timestamp'}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in _TRAPS] for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT = r'^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)$'
_FLOAT = r'^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$'
for _tag, _pattern in (('int', _INT), ('float', _FLOAT)):
    _Loader.add_implicit_resolver(f'tag:yaml.org,2002:{_tag}', re.compile(_pattern), list('-+0123456789.'))


class _Walk:
    """From YAML's own nodes to ours; complains of duplicate keys, keys that are no words, unknown tags."""

    def __init__(self, loader: _Loader, report: Report) -> None:
        self.loader, self.report, self.count = loader, report, 0

    def node(self, node: Any, path: str, depth: int = 0, line: int = 0) -> Located:
        self.count += 1
        here = Located(None, path, line or node.start_mark.line + 1)
        if self.count > MAX_NODES or depth > MAX_DEPTH:
            self.report.error(here, f'{TOO_MUCH}: aliases (`*name`) that hold themselves or one another?')
            self.report.verdict()
        if isinstance(node, yaml.MappingNode):
            return Located(self.mapping(node, here, depth), path, here.line)
        if isinstance(node, yaml.SequenceNode):
            return Located([self.node(child, f'{path}[{i}]', depth + 1) for i, child in enumerate(node.value)], path, here.line)
        return self.scalar(node, here)

    def scalar(self, node: Any, here: Located) -> Located:
        try:
            value = self.loader.construct_object(node)
            if isinstance(value, int) and abs(value) >= 1 << 63:
                raise ValueError('a number of more than 19 digits')
            return Located(value, here.path, here.line, str(node.value))
        except (yaml.YAMLError, ValueError) as error:
            self.report.error(here, f'no value that YAML knows: {_reason(error)}; put it into quotes')
            return here

    def mapping(self, node: Any, here: Located, depth: int) -> dict[str, Located]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            self.key(key, here, lines)
        self.loader.flatten_mapping(node)  # `<<: *base` brings its pairs in front, so that the mapping's own ones win
        return {
            str(key.value): self.node(child, f'{here.path}.{key.value}'.lstrip('.'), depth + 1, key.start_mark.line + 1) for key, child in node.value
        }

    def key(self, key: Any, here: Located, lines: dict[str, int]) -> None:
        name, line = str(key.value), key.start_mark.line + 1
        place = Located(None, f'{here.path}.{name}'.lstrip('.') if isinstance(key, yaml.ScalarNode) else here.path, line)
        if not isinstance(key, yaml.ScalarNode):
            self.report.error(place, 'a key must be a word')
        elif name in lines:
            self.report.error(place, f'this key stands twice, in line {lines[name]} and here; keep one')
        lines.setdefault(name, line)


def _reason(error: Exception) -> str:
    """What YAML says, without its own account of the place."""
    return str(getattr(error, 'problem', None) or error).splitlines()[0]


def parse_yaml(text: str | bytes, report: Report) -> Located:
    """The text's one document, which must be a mapping.

    Raises:
        ConfigError: The text is no YAML, or no mapping; names the line.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        root = _Walk(loader, report).node(node, '') if node is not None else Located({}, '', 1)
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        report.error(Located(None, '', mark.line + 1 if mark else 1), f'not YAML: {_reason(error)}{_hint(error)}')
        root = Located({}, '', 1)
    finally:
        if loader is not None:
            loader.dispose()
    if not root.is_mapping:
        report.error(root, 'must be `key: value` lines')
    if not root.is_mapping or (report.errors and not root.value):
        report.verdict()
    return root


def _hint(error: yaml.YAMLError) -> str:
    reason = _reason(error)
    if 'tab' in reason or '\\t' in reason:
        return '; indent with spaces'
    return '; a value with `: `, `{`, `[`, `*`, `&`, `%` or `@` needs quotes' if 'mapping values' in reason or 'expected' in reason else ''


def read_yaml(path: str | Path, report: Report) -> Located:
    """The file's one document.

    Raises:
        ConfigError: The file cannot be read, is larger than 1 MiB, or is no YAML mapping.
    """
    try:
        with open(path, 'rb') as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read: {error.strerror}') from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f'{path}: larger than 1 MiB: no configuration file')
    return parse_yaml(text, report)


# --- keys --------------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """One mapping of a file and the keys that it may have.

    Attributes:
        path: The right place, as in `Located.path`.
        node: The mapping; None where the file has none: its keys still serve for suggestions.
        keys: What may stand there.
        advice: Keys that must not stand there, and why, and what to write.
        open: Other keys are somebody else's business.
    """

    path: str
    node: Located | None
    keys: Collection[str]
    advice: Mapping[str, str] = field(default_factory=dict)
    open: bool = False

    @property
    def pairs(self) -> dict[str, Located]:
        """What stands there; empty where there is no mapping. Taking a pair out changes the tree."""
        return self.node.value if self.node is not None and isinstance(self.node.value, dict) else {}


def closest(word: str, candidates: Collection[str]) -> str | None:
    """The candidate that was probably meant, if any: same letters first (`max_idle_time`, `max_idletime`), then few slips."""
    letters = {_letters(candidate): candidate for candidate in candidates}
    near = letters.get(_letters(word))
    close = difflib.get_close_matches(word, sorted(candidates), n=1, cutoff=0.8)
    return near or (close[0] if close else None)


def _letters(word: str) -> str:
    return word.lower().replace('_', '').replace('-', '').rstrip('s')


def settle(levels_of: Callable[[], Sequence[Level]], report: Report) -> None:
    """Report each key that is unknown or in the wrong place, and put it where it belongs, so that its value is checked there, too.

    Args:
        levels_of: Says the levels as the tree now stands: to move a `provider` brings its `type` into view.
        report: Takes a mistake for each such key, at the place where it stands in the file.
    """
    while (found := _stray(levels_of())) is not None:
        level, key, levels = found
        child = level.pairs.pop(key)
        if key in level.advice:
            report.error(child, level.advice[key])
        else:
            _move(child, key, level, levels, report)


def _stray(levels: Sequence[Level]) -> tuple[Level, str, Sequence[Level]] | None:
    for level in levels:
        for key in level.pairs:
            if key in level.advice or (key not in level.keys and not level.open):
                return level, key, levels
    return None


def _move(child: Located, key: str, level: Level, levels: Sequence[Level], report: Report) -> None:
    target, name = _home(key, level, levels)
    if target is None:
        known = ', '.join(sorted(level.keys))
        report.error(child, f'unknown key; `{level.path}` takes {known}' if level.path else f'unknown key; the top of the file takes {known}')
        return
    report.error(child, _placement(key, name, level, target))
    if target.node is not None and target.node.is_mapping and name not in target.node.value:
        target.node.value[name] = child


def _home(key: str, level: Level, levels: Sequence[Level]) -> tuple[Level | None, str]:
    """Where the key belongs: elsewhere under its own name, here under a like one, elsewhere under a like one."""
    others = [other for other in levels if other is not level]
    for other in others:
        if key in other.keys:
            return other, key
    for other in [level, *others]:
        if (name := closest(key, other.keys)) is not None:
            return other, name
    return None, key


def _placement(key: str, name: str, level: Level, target: Level) -> str:
    where = f'under `{target.path}`' if target.path else 'at the top of the file'
    if key == name:
        return f'belongs {where}'
    return f'unknown key; did you mean `{name}`?' if target is level else f'unknown key; did you mean `{name}`, {where}?'
