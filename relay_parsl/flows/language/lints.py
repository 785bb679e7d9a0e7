"""What is legal but dangerous in a definition, or has no effect: a warning each, with its place and what to do.

A lint that speaks of what is well is worse than none: each says only what it can know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay_parsl.flows.catalogue import Catalogue, retired
from relay_parsl.flows.definition import Action, AwaitWebInput, Choice, Comparison, CreateWebInput, Definition, Fail, Json, Junction, Pass, State
from relay_parsl.flows.language.failures import unnoticed, unread_results
from relay_parsl.flows.language.faults import Fault, under
from relay_parsl.flows.language.fitting import misfits
from relay_parsl.flows.language.origins import unmade
from relay_parsl.flows.language.reads import parameter_leaves, place
from relay_parsl.flows.language.routes import Routes
from relay_parsl.flows.language.schema import draft
from relay_parsl.flows.language.templates import EXPRESSION, PATH

PAIRWISE = 1_000
"""States up to which pairs of them are looked at."""
ERRORS = frozenset(
    {'ActionUnableToRun', 'ActionFailedException', 'ActionTimeout', 'NoTokenException', 'Flows.WebInputExpired'}
    | {f'States.{name}' for name in ('ALL', 'ParameterPathFailure', 'ResultPathMatchFailure', 'IntrinsicFailure')}
)
"""The errors that a state with Catch may raise."""
YEAR = 366 * 86_400


@dataclass(frozen=True)
class Looked:
    """What the lints look at: a definition, its graph, and what its actions are."""

    definition: Definition
    routes: Routes
    catalogue: Catalogue

    @property
    def states(self) -> Mapping[str, State]:
        """The states, by name."""
        return self.definition.states

    def written(self, state: State) -> Mapping[str, Json]:
        """The state as its author wrote it."""
        found: Mapping[str, Json] = self.definition.document['States'][state.name]
        return found


def lint(definition: Definition, routes: Routes, catalogue: Catalogue) -> Iterator[Fault]:
    """Every warning, those about the whole first, the others in the order of the states."""
    looked = Looked(definition, routes, catalogue)
    yield from _unreachable(looked)
    yield from _no_way_out(looked)
    if len(definition.states) <= PAIRWISE:
        yield from unnoticed(definition.states, routes, catalogue)
        yield from unread_results(definition.states, routes)
        yield from unmade(definition, routes)
    else:
        yield Fault(
            '$.States',
            f'more than {PAIRWISE} states: they are not held against one another (deletes after failures, results, paths that nothing made)',
        )
    for state in definition.states.values():
        for each in OF_STATES:
            yield from each(state, looked)
    if isinstance(definition.input_schema, dict):
        yield from _schema(definition.input_schema)


def _unreachable(looked: Looked) -> Iterator[Fault]:
    for name, state in looked.states.items():
        if name not in looked.routes.reached:
            yield Fault(place(state), 'no state leads to it; remove it, or go to it')


def _no_way_out(looked: Looked) -> Iterator[Fault]:
    """Those that are reached and cannot end; a Choice that may match nothing fails the run, which is no way out."""
    stuck = [name for name in looked.states if name in looked.routes.reached and name not in looked.routes.saved]
    if stuck:
        names = ', '.join(f'`{name}`' for name in stuck[:5]) + (f' and {len(stuck) - 5} more' if len(stuck) > 5 else '')
        yield Fault(place(looked.states[stuck[0]]), f'no way out: from {names} no end can be reached; add a Choice that leaves the loop')


def _default(state: State, looked: Looked) -> Iterator[Fault]:
    if isinstance(state, Choice) and state.default is None and not _exhaustive([rule for rule, _ in state.choices]):
        yield Fault(place(state), 'has no Default: where no rule is true, the run fails with States.NoChoiceMatched')


def _exhaustive(given: list[Comparison | Junction]) -> bool:
    """Whether one rule is true where another is not."""
    known = set(given)
    return any(_opposite(rule) in known for rule in given)


def _opposite(rule: Comparison | Junction) -> Comparison | Junction | None:
    if isinstance(rule, Junction):
        return rule.rules[0] if rule.operator == 'Not' else None
    return Comparison(rule.variable, rule.operator, not rule.value) if isinstance(rule.value, bool) else None


def _replaces(state: State, looked: Looked) -> Iterator[Fault]:
    """Results that go where the payload was. At an end nobody reads on."""
    does_nothing = isinstance(state, Pass) and state.parameters is None and state.input_path is None and state.result is None
    goes_on = isinstance(state, Action | Pass | CreateWebInput | AwaitWebInput) and state.next is not None and not does_nothing
    if goes_on and 'ResultPath' not in looked.written(state):
        yield Fault(place(state), f'has no ResultPath: its result replaces the whole payload; `"ResultPath": "$.{state.name}"` keeps it')


def _caught(state: State, looked: Looked) -> Iterator[Fault]:
    if not isinstance(state, Action | CreateWebInput | AwaitWebInput):
        return
    for index, catcher in enumerate(state.catch):
        where = place(state, f'.Catch[{index}]')
        target = looked.states[catcher.next]
        if catcher.result_path == '$' and 'ResultPath' not in looked.written(state)['Catch'][index] and not _just_fails(target):
            yield Fault(where, 'has no ResultPath: the error replaces the whole payload; `"ResultPath": "$.error"` keeps it')
        for name in catcher.error_equals:
            if name not in ERRORS:
                yield Fault(where, f'no state raises `{name}`; there are {", ".join(sorted(ERRORS))}')
        if isinstance(state, Action) and 'ActionFailedException' in catcher.error_equals and not state.exception_on_action_failure:
            yield Fault(where, 'ActionFailedException is raised only where the state has `"ExceptionOnActionFailure": true`')


def _just_fails(state: State) -> bool:
    return isinstance(state, Fail) and not state.error_path and not state.cause_path


def _wait_time(state: State, looked: Looked) -> Iterator[Fault]:
    if not isinstance(state, Action):
        return
    if state.action == 'transfer' and 'WaitTime' not in looked.written(state):
        yield Fault(place(state), f'has no WaitTime: a transfer that takes longer than {state.wait_time:g} s is cancelled')
    if state.wait_time > YEAR:
        yield Fault(place(state, '.WaitTime'), 'is longer than a run may last')


def _hosted(state: State, looked: Looked) -> Iterator[Fault]:
    if not isinstance(state, Action):
        return
    if remedy := retired(state.url):
        where = place(state, '.ActionUrl' if 'ActionUrl' in looked.written(state) else '.Handler')
        yield Fault(where, f'was retired by Globus; it works here; {remedy}')
    if state.run_as != 'User':
        yield Fault(place(state, '.RunAs'), f'`{state.run_as}` has no effect here: every action runs as the account itself')


def _forgotten(state: State, looked: Looked) -> Iterator[Fault]:
    """A constant that looks like a path: the suffix was forgotten."""
    for where, key, value in parameter_leaves(state):
        looks = isinstance(value, str) and re.match(r'\$\.\w\S*\Z', value) is not None
        if looks and not key.endswith((PATH, EXPRESSION)):
            spelling = f': `{key}.$`' if key else ''
            yield Fault(place(state, where), f'a constant that looks like a JSONPath; to have it read, end the key in `.$`{spelling}')


def _misfits(state: State, looked: Looked) -> Iterator[Fault]:
    if isinstance(state, Action):
        yield from misfits(state, looked.catalogue)


OF_STATES = (_default, _replaces, _caught, _wait_time, _hosted, _misfits, _forgotten)


def _schema(schema: Mapping[str, Json], path: str = '$.input_schema') -> Iterator[Fault]:
    """`additionalProperties` among the properties: the author meant the object, and declared a property of this name. A draft that nobody knows."""
    if draft(schema) is None:
        yield Fault(under(path, '$schema'), 'is no draft of JSON Schema; it is read as draft-07, http://json-schema.org/draft-07/schema#')
    todo: list[tuple[Json, str]] = [(schema, path)]
    while todo:
        item, where = todo.pop()
        if isinstance(item, dict):
            properties = item.get('properties')
            for name in ('additionalProperties', 'unevaluatedProperties') if isinstance(properties, dict) else ():
                if isinstance(properties, dict) and isinstance(properties.get(name), bool):
                    yield Fault(under(under(where, 'properties'), name), 'is a property of this name here; it belongs beside `properties`')
            todo += [(child, under(where, key)) for key, child in reversed(item.items()) if isinstance(child, dict | list)]
        elif isinstance(item, list):
            todo += [(child, under(where, index)) for index, child in enumerate(item) if isinstance(child, dict | list)]
