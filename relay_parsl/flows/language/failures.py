"""Failures that nobody notices: what a flow does after an action that failed as if it had not.

An action that fails raises an error only with `"ExceptionOnActionFailure": true`. Without, the flow goes on, and whoever cares must look at the
result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relay_parsl.flows.catalogue import Catalogue
from relay_parsl.flows.definition import Action, Choice, ExpressionEval, State
from relay_parsl.flows.language.faults import Fault
from relay_parsl.flows.language.reads import Steps, place, reads, steps
from relay_parsl.flows.language.routes import Routes

States = Mapping[str, State]
RESULT = ('action_id', 'status', 'display_status', 'details', 'start_time', 'completion_time', 'creator_id', 'label')
RESULT_FIELDS = frozenset({*RESULT, 'manage_by', 'monitor_by', 'release_after', 'state_name'})
"""The fields of an action's result."""
WHOLE = ''
"""Behind the steps of a path that is read as a whole."""
DEEPEST = 8
"""Steps of paths that are looked at; of results that are written deeper nothing is said."""
STATUS = frozenset({'status', 'display_status'})


class Asked:
    """What the states of a flow ask of results: read once, since every action is held against every state after it."""

    def __init__(self, states: States) -> None:
        self._read = {name: beginnings(state) for name, state in states.items() if isinstance(state, Choice | ExpressionEval)}
        self._strict = {name for name, state in states.items() if isinstance(state, ExpressionEval)}

    def notices(self, name: str, at: Steps) -> bool:
        """Whether this state asks how the action ended whose result is `at`: a Choice that reads of it, an expression that reads its status."""
        if name not in self._read:
            return False
        fields = STATUS if name in self._strict or not at else RESULT_FIELDS
        read = self._read[name]
        return len(at) >= DEEPEST or any((*at, part) in read for part in (WHOLE, *fields))


def beginnings(state: State) -> frozenset[Steps]:
    """All that a state reads, as sets can find it: the beginnings of each path, and each path with `WHOLE` behind it."""
    found: set[Steps] = set()
    for each in reads(state):
        found |= {each[: end + 1] for end in range(min(len(each), DEEPEST))}
        found.add((*each[:DEEPEST], WHOLE))
    return frozenset(found)


def after_failure(action: Action, asked: Asked, routes: Routes) -> frozenset[str]:
    """The states that are entered, one after the other, if this action fails and nobody has noticed."""
    if action.exception_on_action_failure or action.next is None:
        return frozenset()
    at = steps(action.result_path)
    return routes.reach([action.next], stop=lambda name: asked.notices(name, at))


def destructive(state: State, catalogue: Catalogue) -> bool:
    """Whether a state removes things: what the provider says of itself, and bodies that say so."""
    if not isinstance(state, Action):
        return False
    known = catalogue.descriptions.get(state.action)
    body = state.parameters if isinstance(state.parameters, dict) else {}
    return (known is not None and known.destructive) or body.get('operation') == 'DELETE' or body.get('delete_destination_extra') is True


def unnoticed(states: States, routes: Routes, catalogue: Catalogue) -> Iterator[Fault]:
    """Destructive actions that are run though an action before them has failed."""
    asked = Asked(states)
    dangerous = {name: state for name, state in states.items() if destructive(state, catalogue) and name in routes.reached}
    before: dict[str, list[Action]] = {name: [] for name in dangerous}
    for name, state in states.items() if dangerous else ():
        if isinstance(state, Action) and name in routes.reached and name not in dangerous:
            for each in after_failure(state, asked, routes) & dangerous.keys():
                before[each].append(state)
    for name, actions in before.items():
        if actions:
            names = ' or '.join(f'`{action.name}`' for action in actions[:5])
            yield Fault(
                place(dangerous[name]),
                f'removes things even if {names} failed; give {"it" if len(actions) == 1 else "each"} `"ExceptionOnActionFailure": true`, '
                f'or look at `{actions[0].result_path}.status` in a Choice first',
            )


def unread_results(states: States, routes: Routes) -> Iterator[Fault]:
    """Compute actions whose results are read without asking whether there are any."""
    asked = Asked(states)
    readers = {name: beginnings(state) for name, state in states.items()}
    for name, state in states.items():
        if isinstance(state, Action) and state.action.startswith('compute') and name in routes.reached:
            at = (*steps(state.result_path), 'details')
            wanted = {(*at, 'result'), (*at, 'results')}
            reader = next((other for other in sorted(after_failure(state, asked, routes)) if wanted & readers[other]), None)
            if reader is not None:
                yield Fault(
                    place(state),
                    f'`{reader}` reads its results, which a failed action does not have; give it `"ExceptionOnActionFailure": true`, '
                    f'or look at `{state.result_path}.status` in a Choice first',
                )
