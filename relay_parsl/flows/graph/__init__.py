"""A flow as a graph: its states, the ways between them in words, and, with the log of a run, the way that was taken. Pure.

`picture.svg` draws it. A definition is taken as it was written, so that one which does not validate can be drawn, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from relay_parsl.flows.definition import Json

DEEP = 12
"""Levels of `And`, `Or` and `Not` that are written out."""
SIGNS = {'Equals': '=', 'LessThan': '<', 'GreaterThan': '>', 'LessThanEquals': '≤', 'GreaterThanEquals': '≥', 'Matches': 'matches'}
KINDS = ('String', 'Numeric', 'Boolean', 'Timestamp')
TESTS = {
    'IsNull': 'null',
    'IsPresent': 'present',
    'IsNumeric': 'a number',
    'IsString': 'a string',
    'IsBoolean': 'a boolean',
    'IsTimestamp': 'a timestamp',
}


@dataclass(frozen=True)
class Edge:
    """A way from a state to the next: `kind` is next, choice, default or catch; `words` are the rule's, or the errors' names."""

    source: str
    target: str
    kind: str = 'next'
    words: str = ''
    taken: int = 0


@dataclass(frozen=True)
class Node:
    """A state. With a run: how often it was entered, for how many seconds in all, and how it stands.

    `standing`: done, now, failed, caught (it failed, and the flow went on), '' where the run never was.
    """

    name: str
    type: str
    does: str = ''
    ends: bool = False
    visits: int = 0
    seconds: float | None = None
    standing: str = ''


@dataclass(frozen=True)
class Graph:
    """A flow, the first state first. `path`: the states of a run in the order in which they were entered."""

    title: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    path: Sequence[str] = field(default=())
    status: str = ''


def graph(document: Mapping[str, Json], *, title: str = '', run: Mapping[str, Json] | None = None, log: Sequence[Mapping[str, Json]] = ()) -> Graph:
    """The graph of a definition.

    Args:
        document: Bare; what is no state or names none is left out.
        title: For people.
        run: As the journal tells of it: its `status` and `state` are used.
        log: The entries of its event log, oldest first.
    """
    states = document.get('States')
    states = {str(name): state for name, state in states.items() if isinstance(state, dict)} if isinstance(states, dict) else {}
    start = document.get('StartAt')
    names = sorted(states, key=lambda name: name != start)
    nodes = [
        Node(name, str(states[name].get('Type', '')), does(states[name]), ends=not any(True for _ in ways(name, states[name]))) for name in names
    ]
    edges = [edge for name in names for edge in ways(name, states[name]) if edge.target in states]
    drawn = Graph(title or str(document.get('Comment') or 'Flow'), nodes, merged(edges))
    return travelled(drawn, run or {}, log) if run or log else drawn


def does(state: Mapping[str, Json]) -> str:
    """What a state does, beside its type: the action's name out of its URL, how long it waits."""
    handler = state.get('Handler')
    url = state.get('ActionUrl') or (handler.get('Url') if isinstance(handler, dict) else handler)
    if isinstance(url, str):
        return short(url)
    for key in ('Seconds', 'SecondsPath', 'Timestamp', 'TimestampPath', 'Error'):
        if key in state:
            return f'{state[key]} s' if key == 'Seconds' else str(state[key])
    return ''


def short(url: str) -> str:
    """`transfer` of `https://transfer.actions.globus.org/transfer/`, `compute v3` of the host that says it; the last word of another."""
    if url.startswith('urn:'):
        return url.rsplit(':', 1)[-1]
    bare = url.split('://', 1)[-1].rstrip('/')
    host, _, path = bare.partition('/')
    word = path.rsplit('/', 1)[-1]
    if word in ('', 'v2', 'v3', 'fxap') and host.count('.'):
        return f'{host.split(".")[0]} {word}'.strip()
    return word or bare


def ways(name: str, state: Mapping[str, Json]) -> Iterator[Edge]:
    """Every way out of a state, in the order of the definition."""
    if isinstance(state.get('Next'), str):
        yield Edge(name, state['Next'])
    for rule in _dicts(state.get('Choices')):
        if isinstance(rule.get('Next'), str):
            yield Edge(name, rule['Next'], 'choice', words(rule))
    if isinstance(state.get('Default'), str):
        yield Edge(name, state['Default'], 'default', 'otherwise')
    for item in _dicts(state.get('Catch')):
        if isinstance(item.get('Next'), str):
            errors = item.get('ErrorEquals')
            names = [str(error) for error in errors] if isinstance(errors, list) else []
            yield Edge(name, item['Next'], 'catch', '' if names in (['States.ALL'], []) else ', '.join(names))


def _dicts(value: Json) -> list[Mapping[str, Json]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def words(rule: Mapping[str, Json], deep: int = DEEP) -> str:
    """A rule of a Choice for people: `$.input.n < 3 and $.done is false`."""
    if not deep:
        return '…'
    for key, word in (('And', ' and '), ('Or', ' or ')):
        if key in rule:
            return word.join(_bracketed(each, deep) for each in _dicts(rule[key]))
    if isinstance(rule.get('Not'), dict):
        return f'not {_bracketed(rule["Not"], deep)}'
    operator = next((key for key in rule if key not in ('Variable', 'Next', 'Comment')), '')
    return f'{rule.get("Variable", "?")} {compared(operator, rule.get(operator))}'


def _bracketed(rule: Mapping[str, Json], deep: int) -> str:
    text = words(rule, deep - 1)
    return f'({text})' if {'And', 'Or'} & set(rule) else text


def compared(operator: str, value: Json) -> str:
    """An operator and its operand for people: `< 3`, `is present`, `= $.other`."""
    if operator in TESTS:
        return f'is {"" if value is True else "not "}{TESTS[operator]}'
    if operator == 'BooleanEquals':
        return f'is {json.dumps(value)}'
    bare = operator.removesuffix('Path')
    kind = next((kind for kind in KINDS if bare.startswith(kind)), '')
    said = str(value) if bare != operator or kind == 'Timestamp' else json.dumps(value, ensure_ascii=False)
    return f'{SIGNS.get(bare.removeprefix(kind), operator)} {said}'


def merged(edges: Sequence[Edge]) -> list[Edge]:
    """Rules of one Choice that lead to the same state become one way, and so do the errors that one state catches."""
    found: dict[tuple[str, str, str], Edge] = {}
    for edge in edges:
        key = (edge.source, edge.target, 'choice' if edge.kind == 'default' else edge.kind)
        known = found.get(key)
        if known is None:
            found[key] = edge
        elif not known.words or not edge.words:  # every error, and named ones
            found[key] = replace(known, words='')
        else:
            found[key] = replace(known, words=f'{known.words}{", " if edge.kind == "catch" else " or "}{edge.words}')
    return list(found.values())


# -- A run -------------------------------------------------------------------------------------------------------------


@dataclass
class Stay:
    """One visit of a state: seconds since 1970; None while it lasts."""

    name: str
    entered: float
    left: float | None = None
    completed: bool = False


def stays(log: Sequence[Mapping[str, Json]]) -> list[Stay]:
    """The visits that a log tells of, in their order. What comes after an entry of the next state or of the run's end has been left."""
    found: list[Stay] = []
    for entry in log:
        details = entry.get('details')
        name = details.get('state_name') if isinstance(details, dict) else None
        code, when = str(entry.get('code', '')), seconds(entry.get('time'))
        if isinstance(name, str) and code.endswith('Started'):
            if found and found[-1].left is None:
                found[-1].left = when
            found.append(Stay(name, when))
        elif found and found[-1].left is None and code.endswith('Completed') and found[-1].name == name:
            found[-1].left, found[-1].completed = when, True
        elif found and found[-1].left is None and (code in ('FlowFailed', 'FlowCanceled', 'FlowSucceeded') or code.endswith(('Failed', 'Timeout'))):
            found[-1].left = when
    return found


def seconds(time: Any) -> float:
    """Seconds since 1970 of a time as the log has it, 0 for none."""
    if isinstance(time, int | float):
        return float(time)
    try:
        return datetime.fromisoformat(str(time).replace('Z', '+00:00')).timestamp()
    except ValueError:
        return 0.0


def travelled(drawn: Graph, run: Mapping[str, Json], log: Sequence[Mapping[str, Json]]) -> Graph:
    """The same graph with the way of a run."""
    way = stays(log)
    status, now = str(run.get('status', '')), str(run.get('state') or '')
    lasting = status in ('ACTIVE', 'INACTIVE', '')
    broken = way[-1].name if way and status == 'FAILED' and (not way[-1].completed or drawn_type(drawn, way[-1].name) == 'Fail') else ''
    visits: dict[str, list[Stay]] = {}
    for stay in way:
        visits.setdefault(stay.name, []).append(stay)
    nodes = []
    for node in drawn.nodes:
        own = visits.get(node.name, [])
        current = lasting and bool(way) and way[-1].left is None and (now or way[-1].name) == node.name
        left = bool(own) and not own[-1].completed and own[-1] is not way[-1]
        standing = 'now' if current and own else 'failed' if node.name == broken else 'caught' if left else 'done' if own else ''
        over = [stay.left - stay.entered for stay in own if stay.left is not None]
        nodes.append(replace(node, visits=len(own), seconds=sum(over) if over else None, standing=standing))
    return replace(drawn, nodes=nodes, edges=walked(drawn.edges, way), path=[stay.name for stay in way], status=status)


def drawn_type(drawn: Graph, name: str) -> str:
    """The type of a state."""
    return next((node.type for node in drawn.nodes if node.name == name), '')


def walked(edges: Sequence[Edge], way: Sequence[Stay]) -> list[Edge]:
    """The edges with how often each was taken: from a state that completed by its ordinary ways, else by `Catch`."""
    taken = [0] * len(edges)
    between: dict[tuple[str, str], list[int]] = {}
    for number, edge in enumerate(edges):
        between.setdefault((edge.source, edge.target), []).append(number)
    for before, after in pairwise(way):
        fits = between.get((before.name, after.name), [])
        if fits:
            taken[min(fits, key=lambda number: (edges[number].kind == 'catch') == before.completed)] += 1
    return [replace(edge, taken=count) for edge, count in zip(edges, taken, strict=True)]
