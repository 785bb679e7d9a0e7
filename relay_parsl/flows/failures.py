"""Failures that nobody notices: what a flow does after an action that failed as if it had not.

An action that fails raises an error only with `"ExceptionOnActionFailure": true`. Without, the flow goes on, and whoever cares must look at the
result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relay_parsl.flows.catalogue import Catalogue
from relay_parsl.flows.definition import Action, Choice, ExpressionEval, State
from relay_parsl.flows.faults import Fault
from relay_parsl.flows.reads import Steps, place, reads, steps
from relay_parsl.flows.routes import Routes

States = Mapping[str, State]
RESULT = ('action_id', 'status', 'display_status', 'details', 'start_time', 'completion_time', 'creator_id', 'label')
RESULT_FIELDS = frozenset({*RESULT, 'manage_by', 'monitor_by', 'release_after', 'state_name'})
"""The fields of an action's result."""
STATUS = frozenset({'status', 'display_status'})


def notices(state: State, action: Action) -> bool:
    """Whether this state asks how the action ended: a Choice that reads of its result, an expression that reads its status."""
    at = steps(action.result_path)
    for each in reads(state) if isinstance(state, Choice | ExpressionEval) else ():
        rest = each[len(at) :]
        if each[: len(at)] == at and (rest[:1] == () or rest[0] in (STATUS if isinstance(state, ExpressionEval) or not at else RESULT_FIELDS)):
            return True
    return False


def after_failure(action: Action, states: States, routes: Routes) -> frozenset[str]:
    """The states that are entered, one after the other, if this action fails and nobody has noticed."""
    if action.exception_on_action_failure or action.next is None:
        return frozenset()
    return routes.reach([action.next], stop=lambda name: notices(states[name], action))


def destructive(state: State, catalogue: Catalogue) -> bool:
    """Whether a state removes things: what the provider says of itself, and bodies that say so."""
    if not isinstance(state, Action):
        return False
    known = catalogue.descriptions.get(state.action)
    body = state.parameters if isinstance(state.parameters, dict) else {}
    return (known is not None and known.destructive) or body.get('operation') == 'DELETE' or body.get('delete_destination_extra') is True


def unnoticed(states: States, routes: Routes, catalogue: Catalogue) -> Iterator[Fault]:
    """Destructive actions that are run though an action before them has failed."""
    dangerous = {name: state for name, state in states.items() if destructive(state, catalogue) and name in routes.reached}
    before: dict[str, list[Action]] = {name: [] for name in dangerous}
    for name, state in states.items() if dangerous else ():
        if isinstance(state, Action) and name in routes.reached and name not in dangerous:
            for each in after_failure(state, states, routes) & dangerous.keys():
                before[each].append(state)
    for name, actions in before.items():
        if actions:
            names = ' or '.join(f'`{action.name}`' for action in actions[:5])
            yield Fault(
                place(dangerous[name]),
                f'removes things even if {names} failed; give {"it" if len(actions) == 1 else "each"} `"ExceptionOnActionFailure": true`, '
                f'or look at `{actions[0].result_path}.status` in a Choice first',
            )


def unread_results(states: States, routes: Routes, catalogue: Catalogue) -> Iterator[Fault]:
    """Compute actions whose results are read without asking whether there are any."""
    for name, state in states.items():
        if isinstance(state, Action) and state.action.startswith('compute') and name in routes.reached:
            reader = next((other for other in sorted(after_failure(state, states, routes)) if reads_results(states[other], state)), None)
            if reader is not None:
                yield Fault(
                    place(state),
                    f'`{reader}` reads its results, which a failed action does not have; give it `"ExceptionOnActionFailure": true`, '
                    f'or look at `{state.result_path}.status` in a Choice first',
                )


def reads_results(state: State, action: Action) -> bool:
    """Whether a state reads what the functions of an action returned."""
    at: Steps = (*steps(action.result_path), 'details')
    return any(each[: len(at)] == at and each[len(at) : len(at) + 1] in (('result',), ('results',)) for each in reads(state))
