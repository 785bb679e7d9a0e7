"""Paths that read what nothing can have made: no state before, and not the run's body either. Said only where the input schema leaves no doubt."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from relay_parsl.config import closest
from relay_parsl.flows.definition import Action, AwaitWebInput, Choice, Comparison, CreateWebInput, Definition, Json, State
from relay_parsl.flows.language.failures import RESULT_FIELDS
from relay_parsl.flows.language.faults import Fault
from relay_parsl.flows.language.reads import paths, place, steps, writes
from relay_parsl.flows.language.routes import Routes
from relay_parsl.flows.language.rules import comparisons

ALWAYS = frozenset({'_context', '_tokens'})


def unmade(definition: Definition, routes: Routes) -> Iterator[Fault]:
    """Warnings for every such path, with the name that was probably meant."""
    yield from _misspelt(definition, routes)
    given = closed(definition.input_schema)
    makers: dict[str, set[str]] = {}
    for name, state in definition.states.items():
        for written in _made(state):
            makers.setdefault(''.join(written[:1]), set()).add(name)
    if given is None or '' in makers:
        return
    for name, state in definition.states.items():
        asked = _asked(state)
        for where, path in paths(state) if name in routes.reached else ():
            first = steps(path)[:1]
            if not first or first[0] in given or first[0] in ALWAYS or path in asked:
                continue
            if not _before(name, routes, makers.get(first[0], set())):
                said = _near(first[0], [*given, *makers])
                yield Fault(place(state, where), f'`{path}`: neither the input schema nor a state before has `{first[0]}`{said}')


def _near(name: str, candidates: Collection[str]) -> str:
    near = closest(name, candidates) if len(candidates) <= 500 else None
    return f'; did you mean `{near}`?' if near else ''


def closed(schema: Json) -> frozenset[str] | None:
    """The names that a body has at its top, where its schema allows no others; None where it may have others."""
    if not isinstance(schema, dict) or schema.get('additionalProperties') is not False or 'patternProperties' in schema:
        return None
    properties = schema.get('properties', {})
    return frozenset(properties) if isinstance(properties, dict) else None


def _made(state: State) -> list[tuple[str, ...]]:
    """Where a state may write: its result, and errors that it catches."""
    own = writes(state)
    caught = [steps(each.result_path) for each in state.catch] if isinstance(state, Action | CreateWebInput | AwaitWebInput) else []
    if own == () and (getattr(state, 'next', None) is None or (state.type == 'Pass' and _does_nothing(state))):
        own = None  # the payload stays as it is, or nobody reads it any more
    return [*([own] if own is not None else []), *caught]


def _does_nothing(state: State) -> bool:
    return all(getattr(state, name) is None for name in ('parameters', 'input_path', 'result'))


def _before(name: str, routes: Routes, wanted: set[str]) -> bool:
    """Whether one of these states may have run before it; itself only in a loop."""
    found: set[str] = set()
    todo = list(routes.before[name]) if wanted else []
    while todo:
        other = todo.pop()
        if other in wanted:
            return True
        if other not in found:
            found.add(other)
            todo += routes.before[other]
    return False


def _asked(state: State) -> frozenset[str]:
    """Paths of which a Choice asks whether they are there."""
    if not isinstance(state, Choice):
        return frozenset()
    rules: list[Comparison] = [each for rule, _ in state.choices for each in comparisons(rule)]
    return frozenset(each.variable for each in rules if each.operator == 'IsPresent')


def _misspelt(definition: Definition, routes: Routes) -> Iterator[Fault]:
    """Fields of an action's result that no action has, where nothing else writes there."""
    writers: dict[tuple[str, ...], list[State]] = {}
    for state in definition.states.values():
        for written in _made(state):
            writers.setdefault(written, []).append(state)
    results = {at for at, states in writers.items() if len(at) == 1 and all(isinstance(s, Action) and writes(s) == at for s in states)}
    results -= {at[:1] for at in writers if len(at) > 1} | {(name,) for name in _given(definition.input_schema)}
    for name, state in definition.states.items():
        asked = _asked(state)
        for where, path in paths(state) if name in routes.reached else ():
            found = steps(path)
            if found[:1] in results and len(found) > 1 and found[1] not in RESULT_FIELDS and path not in asked:
                said = _near(found[1], RESULT_FIELDS) or '; look in `details`'
                yield Fault(place(state, where), f'`{path}`: the result of an action has no `{found[1]}`{said}')


def _given(schema: Json) -> frozenset[str]:
    properties = schema.get('properties') if isinstance(schema, dict) else None
    return frozenset(properties) if isinstance(properties, dict) else frozenset()
