"""JSONPath, behind a fence: what a definition may read of a payload, and where it may write.

A path that leads to one place (`$.input.files[0]`) gives the value there; any other (`[1:]`, `[*]`, `..name`, `[?@.ok]`) gives a list. RFC 9535,
read by python-jsonpath, is what is meant; walking is done here, since a walk over a hostile document needs a budget, and a path that is simply not
there needs an error that says how far it got. Regular expressions in filters are refused: they can take longer than the universe has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.filter import FilterExpression, FilterQuery, RootFilterQuery
from jsonpath.filter import walk as walk_filter
from jsonpath.segments import JSONPathRecursiveDescentSegment, JSONPathSegment
from jsonpath.selectors import Filter, FilterContext, IndexSelector, JSONPathSelector, NameSelector, SliceSelector, WildcardSelector

from relay_parsl.flows.definition import Json, StateError
from relay_parsl.flows.terms.places import Step, kind, missing, shown, spell

LONGEST = 2_000
"""Characters of a path."""
STEPS = 100
"""Names and indexes that a path may have: deeper documents are nobody's."""
CACHED = 200
"""Characters of a path that is kept once it was read."""
LEVELS = 20
"""Brackets in brackets, in a filter."""
PARTS = 100
"""Comparisons, paths, values and their junctions in a filter."""
VISITS = 500_000
"""Places that one path may look at: some tenths of a second."""

_NAME = re.compile(r"""[^\s.\[\]'"*?(),`\x00-\x1f]+""")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_INDEX = re.compile(r'0|-?[1-9][0-9]{0,14}')
_REGULAR_EXPRESSION = re.compile(r'\b(?:match|search)\s*\(')
_CONTEXT = '_context'


class PathFault(ValueError):
    """A path that is none, or that the fence does not let through."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path that was read.

    Attributes:
        steps: The names and indexes that it begins with.
        rest: What follows the first part that may lead to several places; nothing, where the path leads to one.
    """

    text: str
    steps: tuple[Step, ...]
    rest: tuple[JSONPathSegment, ...] = ()


def _environment() -> JSONPathEnvironment:
    environment = JSONPathEnvironment(strict=True)
    for name in ('match', 'search'):
        environment.function_extensions.pop(name, None)
    return environment


_ENVIRONMENT = _environment()


def _name(text: str, at: int, end: int) -> str:
    """The name that a quoted string stands for."""
    raw = text[at + 1 : end - 1]
    if text[at] == "'":
        raw = re.sub(r'\\(.)|\"', lambda found: "'" if found[0] == "\\'" else '\\"' if found[0] == '"' else found[0], raw, flags=re.DOTALL)
    try:
        return str(json.loads(f'"{raw}"'))
    except ValueError as error:
        raise PathFault(f'{text[at:end]} is no name: {error}') from None


def _bracket_end(text: str, at: int) -> int:
    """Where the bracket that opens at `at` is closed, past it."""
    depth, here = 0, at
    while here < len(text) and depth <= LEVELS:
        if text[here] in '\'"':
            found = _QUOTED.match(text, here)
            if not found:
                break
            here = found.end()
            continue
        depth += {'[': 1, ']': -1}.get(text[here], 0)
        here += 1
        if depth == 0:
            return here
    raise PathFault(f'the bracket that opens at {text[at : at + 20]!r} is not closed')


def _bracket(inside: str) -> Step | None:
    """The one name or index that stands in a bracket; None where it holds anything else."""
    if _INDEX.fullmatch(inside):
        return int(inside)
    return _name(inside, 0, len(inside)) if _QUOTED.fullmatch(inside) else None


def _parts(text: str) -> Iterator[tuple[Step | None, str]]:
    """Each part of a path: the step that it is, if it is one, and how RFC 9535 spells it."""
    at = 1
    while at < len(text):
        dots = '..' if text.startswith('..', at) else '.' if text[at] == '.' else ''
        begin, at = at, at + len(dots)
        if text.startswith('[', at):
            end = _bracket_end(text, at)
            step, spelled = _bracket(text[at + 1 : end - 1].strip()), text[at:end]
        elif dots and text.startswith('*', at):
            end, step, spelled = at + 1, None, '[*]'
        elif dots and (quoted := _QUOTED.match(text, at)):
            end, step, spelled = quoted.end(), _name(text, at, quoted.end()), f'[{quoted[0]}]'
        elif dots and (bare := _NAME.match(text, at)):
            end, step, spelled = bare.end(), bare[0], f'[{json.dumps(bare[0])}]'
        else:
            raise PathFault(f"at {text[begin : begin + 20]!r}: a part of a path is .name, ['name'], [0], [1:2], [*] or ..name")
        at = end
        yield (None if dots == '..' else step), (f'..{spelled}' if dots == '..' else spelled)


def _parse(text: object) -> Path:
    if not isinstance(text, str):
        raise PathFault(f'a path is a string, not {kind(text)}')
    if not text.startswith('$'):
        raise PathFault('a path begins with $, which is the whole payload')
    if len(text) > LONGEST:
        raise PathFault(f'it has {len(text)} characters; {LONGEST} are the most')
    if text.startswith('$$'):
        raise PathFault('$$ is of Amazon States Language; what it says there is in $._context here')
    steps: list[Step] = []
    rest = ''
    for count, (step, spelled) in enumerate(_parts(text)):
        if count >= STEPS:
            raise PathFault(f'it has more than {STEPS} parts')
        if rest or step is None:
            rest += spelled
        else:
            steps.append(step)
    return Path(text, tuple(steps), _compiled(rest) if rest else ())


def _compiled(rest: str) -> tuple[JSONPathSegment, ...]:
    bare = _QUOTED.sub('', rest)
    if max(bare.count('('), bare.count('!')) > LEVELS:
        raise PathFault(f'it has more than {LEVELS} parentheses or exclamation marks')
    if _REGULAR_EXPRESSION.search(bare):
        raise PathFault('match() and search() are refused: a regular expression may take forever')
    try:
        compiled = _ENVIRONMENT.compile(f'${rest}')
    except JSONPathError as error:
        raise PathFault(str(error).split('\n', maxsplit=1)[0]) from None
    if not isinstance(compiled, JSONPath):
        raise PathFault('it is several paths')
    for segment in compiled.segments:
        for selector in segment.selectors:
            if isinstance(selector, Filter):
                _fence(selector.expression)
    return compiled.segments


def _fence(expression: FilterExpression) -> None:
    """Refuse what makes a filter take longer than the things that it filters are large."""
    for count, node in enumerate(walk_filter(expression)):
        if count >= PARTS:
            raise PathFault(f'a filter of it has more than {PARTS} parts')
        if not isinstance(node, FilterQuery):
            continue
        if isinstance(node, RootFilterQuery) and not node.path.singular_query():
            raise PathFault(f'{node}: in a filter, what begins with $ leads to one place')
        for segment in node.path.segments:
            lone = len(segment.selectors) == 1 and not isinstance(segment.selectors[0], Filter)
            if isinstance(segment, JSONPathRecursiveDescentSegment) or not lone:
                raise PathFault(f'{node}: in a filter a path has names, indexes, slices and [*], no .., no lists of them and no filter')


_parsed = lru_cache(maxsize=1_024)(_parse)


def _cached(path: object) -> Path:
    """What documents hold where a path should be is not always a string, nor always hashable; long ones are read anew, lest many of them stay."""
    return _parsed(path) if isinstance(path, str) and len(path) <= CACHED else _parse(path)


def check(path: object) -> str | None:
    """What is wrong with a path that is read, as a sentence; None where nothing is."""
    try:
        _cached(path)
    except PathFault as fault:
        return f'{shown(str(path), 80)!r} is no path: {fault}'
    return None


def check_reference(path: object) -> str | None:
    """The same for a path that is written: names and indexes from 0 alone, and not into `_context`."""
    try:
        _reference(path)
    except PathFault as fault:
        return f'{shown(str(path), 80)!r} is no reference path: {fault}'
    return None


def _reference(path: object) -> Path:
    parsed = _cached(path)
    if parsed.rest:
        raise PathFault('it may lead to several places; a result is written to one, $.name.name or $.list[0]')
    if any(isinstance(step, int) and step < 0 for step in parsed.steps):
        raise PathFault('an index counts from the beginning, from 0')
    if parsed.steps[:1] == (_CONTEXT,):
        raise PathFault('_context can be read only')
    return parsed


def parse(path: str) -> Path:
    """Read a path.

    Raises:
        StateError: `States.ParameterPathFailure`, it is none.
    """
    try:
        return _cached(path)
    except PathFault as fault:
        raise StateError('States.ParameterPathFailure', f'{shown(str(path), 80)!r} is no path: {fault}') from None


def steps(path: str) -> tuple[Step, ...]:
    """The names and indexes that a path begins with; all of a path to one place. Raises StateError."""
    return parse(path).steps


def read(path: str, payload: Json, context: Mapping[str, Json] | None = None, pay: Callable[[int], None] | None = None) -> Json:
    """What a path leads to: the value, or a list of values where it may lead to several.

    Args:
        path: JSONPath.
        payload: What it begins in.
        context: The run's `_context`, which is read as if it were in the payload.
        pay: Called with the number of places before they are looked at; it may raise.

    Raises:
        StateError: `States.ParameterPathFailure`: nothing is there, or the path looks at more than `VISITS` places.
    """
    parsed = parse(path)
    root = _root(parsed, payload, context)
    node, done = _walk(parsed.steps, root)
    if done < len(parsed.steps):
        where = missing(spell(parsed.steps[:done]), node, parsed.steps[done])
        raise StateError('States.ParameterPathFailure', f'{shown(path)}: {where}')
    return _select(parsed, node, root, _Visits(parsed, pay)) if parsed.rest else node


def present(path: str, payload: Json, context: Mapping[str, Json] | None = None, pay: Callable[[int], None] | None = None) -> bool:
    """Whether the path leads anywhere. A path with a mistake leads nowhere.

    Raises:
        StateError: it looks at more than `VISITS` places.
    """
    if check(path):
        return False
    parsed = parse(path)
    root = _root(parsed, payload, context)
    node, done = _walk(parsed.steps, root)
    if done < len(parsed.steps) or not parsed.rest:
        return done == len(parsed.steps)
    return isinstance(node, (dict, list, Mapping)) and bool(_select(parsed, node, root, _Visits(parsed, pay)))


def _root(path: Path, payload: Json, context: Mapping[str, Json] | None) -> Json:
    return {_CONTEXT: context} if context is not None and path.steps[:1] == (_CONTEXT,) else payload


def _walk(steps: tuple[Step, ...], node: Json) -> tuple[Json, int]:
    """The node that the steps lead to, or the last one there is, and how many of them were taken."""
    for done, step in enumerate(steps):
        if isinstance(step, str):
            if not isinstance(node, (dict, Mapping)) or step not in node:
                return node, done
        elif not isinstance(node, list) or not -len(node) <= step < len(node):
            return node, done
        node = node[step]
    return node, len(steps)


class _Visits:
    """How many places may still be looked at."""

    def __init__(self, path: Path, pay: Callable[[int], None] | None) -> None:
        self.path, self.left, self._pay = path, VISITS, pay

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise StateError('States.ParameterPathFailure', f'{shown(self.path.text)}: it looks at more than {VISITS} places')
        if self._pay:
            self._pay(count)


def _select(path: Path, node: Json, root: Json, visits: _Visits) -> list[Json]:
    """Every value that the rest of a path leads to from `node`."""
    if not isinstance(node, (dict, list, Mapping)):
        raise StateError('States.ParameterPathFailure', f'{shown(path.text)}: {spell(path.steps)} is {kind(node)}, which has no parts')
    nodes = [node]
    for segment in path.rest:
        starts = _descendants(nodes, visits) if isinstance(segment, JSONPathRecursiveDescentSegment) else nodes
        nodes = [found for start in starts for selector in segment.selectors for found in _selected(selector, start, root, visits)]
    return nodes


def _descendants(nodes: list[Json], visits: _Visits) -> Iterator[Json]:
    """Each node and what is in it, parents first, in the order of the document."""
    stack = nodes[::-1]
    while stack:
        node = stack.pop()
        if isinstance(node, (dict, list)):
            visits.take(1 + len(node))
            yield node
            stack += [child for child in (node.values() if isinstance(node, dict) else node) if isinstance(child, (dict, list))][::-1]


def _selected(selector: JSONPathSelector, node: Json, root: Json, visits: _Visits) -> Iterator[Json]:
    visits.take(1)
    if isinstance(selector, NameSelector):
        if isinstance(node, dict) and selector.name in node:
            yield node[selector.name]
    elif isinstance(selector, IndexSelector):
        if isinstance(node, list) and -len(node) <= selector.index < len(node):
            yield node[selector.index]
    elif isinstance(selector, SliceSelector):
        if isinstance(node, list) and selector.slice.step != 0:
            visits.take(len(range(*selector.slice.indices(len(node)))))
            yield from node[selector.slice]
    elif isinstance(node, (dict, list)):
        children = node.values() if isinstance(node, dict) else node
        visits.take(len(children))
        if isinstance(selector, WildcardSelector):
            yield from children
        elif isinstance(selector, Filter):
            yield from _filtered(selector, node, root, visits)


def _filtered(selector: Filter, node: Any, root: Json, visits: _Visits) -> Iterator[Json]:
    parts = list(walk_filter(selector.expression))
    visits.take(3 * len(parts) * len(node))
    for query in parts:
        if isinstance(query, RootFilterQuery) and any(isinstance(value, (dict, list)) for value in query.path.findall(root)):
            raise StateError(
                'States.ParameterPathFailure', f'{shown(visits.path.text)}: {query} is an object or a list; a filter compares plain values'
            )
    expression = selector.expression.cache_tree() if selector.cacheable_nodes else selector.expression
    for key, child in node.items() if isinstance(node, dict) else enumerate(node):
        context = FilterContext(env=_ENVIRONMENT, current=child, root=root, extra_context={}, current_key=key)
        try:
            kept = expression.evaluate(context)
        except JSONPathError as error:
            raise StateError('States.ParameterPathFailure', f'{shown(visits.path.text)}: {error}') from None
        if kept:
            yield child


def write(path: str, payload: Json, value: Json) -> Json:
    """The payload with `value` at a reference path: a new document, which shares with the old one whatever lies beside the path.

    Objects on the way that are missing are made; an element of a list must be there. `$` replaces everything.

    Raises:
        StateError: `States.ResultPathMatchFailure`: the path leads through something that has no parts, or is no reference path.
    """
    try:
        steps = _reference(path).steps
    except PathFault as fault:
        raise StateError('States.ResultPathMatchFailure', f'{shown(str(path), 80)!r} is no reference path: {fault}') from None
    return _written(payload, steps, 0, value)


def _written(node: Json, steps: tuple[Step, ...], done: int, value: Json) -> Json:
    if done == len(steps):
        return value
    step = steps[done]
    if isinstance(step, str) and isinstance(node, (dict, Mapping)):
        child = node.get(step, _NOTHING)
        return {**node, step: _written({} if child is _NOTHING and done + 1 < len(steps) else child, steps, done + 1, value)}
    if isinstance(step, int) and isinstance(node, list) and step < len(node):
        return [*node[:step], _written(node[step], steps, done + 1, value), *node[step + 1 :]]
    raise StateError('States.ResultPathMatchFailure', f'cannot write {spell(steps)}: {missing(spell(steps[:done]), node, step)}')


_NOTHING = object()
