"""What each type of state does when a run enters it: the name of the state after it, or None where the run waits or has ended.

A state raises StateError; `Turn.raised` then looks for its `Catch`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from relay_parsl.flows.definition import Action, AwaitWebInput, Choice, CreateWebInput, ExpressionEval, Fail, Json, Pass, State, StateError, Wait
from relay_parsl.flows.machine import choices, entries, weight
from relay_parsl.flows.machine.parameters import EVERYTHING, NOTHING, Private, build, hide, private, tells, within
from relay_parsl.flows.machine.turn import Turn
from relay_parsl.flows.machine.weight import Weight
from relay_parsl.flows.messages import RunAction

LONGEST_WAIT = 31_536_000.0
"""Seconds: a year, which is the language's own bound."""
WAIT_TIME = 300.0
"""Seconds: the language's default."""
WEB_INPUT, WEB_INPUT_RESPONSE = 'web_input', 'web_input_response'
"""The actions behind CreateWebInput and AwaitWebInput."""


def action(turn: Turn, state: Action) -> None:
    """Call a provider, and wait."""
    body, *_ = _input(turn, state.parameters, state.input_path)
    _call(turn, state.action, body, state.run_as)


def create_web_input(turn: Turn, state: CreateWebInput) -> None:
    """Ask; the provider answers at once."""
    body, *_ = _input(turn, state.parameters, None)
    _call(turn, WEB_INPUT, body)


def await_web_input(turn: Turn, state: AwaitWebInput) -> None:
    """Wait for people, for as long as the run lasts."""
    body, *_ = _input(turn, state.parameters, None)
    _call(turn, WEB_INPUT_RESPONSE, body)


def wait_time(state: State) -> float:
    """Seconds that its action may take; people may take as long as the run lasts."""
    if isinstance(state, AwaitWebInput):
        return math.inf
    return state.wait_time if isinstance(state, Action) else WAIT_TIME


def _call(turn: Turn, name: str, body: Json, run_as: str = 'User') -> None:
    deadline = min(turn.now + wait_time(turn.at), turn.end)
    turn.commands.append(RunAction(turn.visit, name, body, turn.run.label, deadline, run_as))
    turn.sleep(deadline, turn.visit)  # after the call: what answers at once is never too late


def plain(turn: Turn, state: Pass) -> str | None:
    """Write constants and parts of the payload elsewhere in it; with neither, a Pass passes its payload on."""
    if state.parameters is None and state.input_path is None and state.result is None and state.result_path == '$':
        turn.started({})
        turn.completed({})
        return turn.following()
    value, weight, hidden = _input(turn, state.parameters, state.input_path, state.result)
    return _made(turn, state, value, weight, hidden)


def expression_eval(turn: Turn, state: ExpressionEval) -> str | None:
    """A Pass whose parameters were expressions."""
    value, weight, hidden = _input(turn, state.parameters, None)
    return _made(turn, state, value, weight, hidden)


def _input(turn: Turn, template: Json, path: str | None, constant: Json = None) -> tuple[Json, Weight, Private]:
    """What the state is given, which the log shows as its input; how much it is, and what of it is private."""
    copies, hidden = 1, NOTHING
    if template is not None:
        value = build(template, turn.payload, turn.run.context, turn.terms)
        copies, hidden = _copies(template), private(template)
    elif constant is not None:
        value = constant
    else:
        value = turn.payload if path in (None, '$') else turn.read(path or '$')
        hidden = _hidden_at(turn, path or '$')
        copies = _copies({'.$': path or '$'})
    weight = turn.weigh(value, copies)
    turn.started(turn.shown(value, weight, hidden))
    return value, weight, hidden


def discreet(turn: Turn, cause: str) -> str:
    """Why a provider took no such body; not in its words, where they quote what is private in it."""
    template, path = getattr(turn.at, 'parameters', None), getattr(turn.at, 'input_path', None) or '$'
    try:
        value = turn.read(path) if template is None else build(template, turn.payload, turn.run.context, turn.terms)
        hidden = _hidden_at(turn, path) if template is None else private(template)
        told = tells(cause, value, hidden)
    except StateError:
        told = True
    return 'the provider takes no such body, for reasons that quote private parameters and so are not shown' if told else cause


def _copies(template: Json) -> int:
    """How many parts of the payload may be in what is made of it."""
    if isinstance(template, dict):
        return sum(_repeats(each) if key[-2:] in ('.$', '.=') else _copies(each) for key, each in template.items())
    return sum(map(_copies, template)) if isinstance(template, list) else 0


def _repeats(text: Json) -> int:
    """How often one path or expression may give the same part: `$['a','a']` does so twice, `$..*` once for each level."""
    several = isinstance(text, str) and text.startswith('$') and ('..' in text or any(mark in text for mark in '*?,:'))
    return 1_000_000 if several else 1


def _made(turn: Turn, state: Pass | ExpressionEval, value: Json, weight: Weight, hidden: Private) -> str | None:
    turn.write(state.result_path, value, weight)
    turn.completed(turn.shown(value, weight, hidden))
    return turn.following()


def choice(turn: Turn, state: Choice) -> str:
    """Go where the first true rule says."""
    turn.started({})
    name = choices.choose(state, turn.payload, turn.run.context, turn.terms)
    turn.completed({'Next': name})
    return name


def fail(turn: Turn, state: Fail) -> None:
    """End the run. What cannot be read of the texts is no reason to end it otherwise than with them."""
    error, cause = _told(turn, state.error, state.error_path), _told(turn, state.cause, state.cause_path)
    told = {'Error': error, 'Cause': cause}
    turn.started(told)
    turn.completed(told)
    turn.fail('FlowFailed', error, cause)


def _told(turn: Turn, given: str | None, path: str | None) -> str:
    where = path or (given if given and given.startswith('$.') else None)
    if where is None:
        return given or ''
    try:
        hidden, found = _hidden_at(turn, where), turn.read(where)
    except StateError:
        return where
    if hidden is EVERYTHING:
        return where
    return found if isinstance(found, str) else weight.text(hide(found, hidden))


def _hidden_at(turn: Turn, path: str) -> Private:
    """What may not be shown of what a path leads to."""
    return within(turn.kept, turn.terms.steps(path))


# -- Waiting ---------------------------------------------------------------------------------------------------------


def wait(turn: Turn, state: Wait) -> str | None:
    """Sleep until a time, which does not move when the engine is away; one that has passed is no reason to wait."""
    until = _until(turn, state)
    turn.started({'Timestamp': entries.iso(until)})
    if until > turn.now:
        turn.sleep(until)
        return None
    return slept(turn)


def slept(turn: Turn) -> str | None:
    """The time has come."""
    turn.completed({})
    return turn.following()


def _until(turn: Turn, state: Wait) -> float:
    if state.timestamp is not None or state.timestamp_path is not None:
        value = state.timestamp if state.timestamp is not None else turn.read(state.timestamp_path or '$')
        instant = turn.terms.instant(value) if isinstance(value, str) else None
        if instant is None:
            raise _useless(turn, state.timestamp_path, value, 'a timestamp of RFC 3339, as 2026-11-25T09:00:00Z')
        return instant
    seconds = state.seconds if state.seconds is not None else turn.read(state.seconds_path or '$')
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= LONGEST_WAIT:
        raise _useless(turn, state.seconds_path, seconds, f'seconds between 0 and {LONGEST_WAIT:,.0f}')
    return turn.now + seconds


def _useless(turn: Turn, path: str | None, value: Json, wanted: str) -> StateError:
    secret = isinstance(value, (dict, list)) or (path is not None and _hidden_at(turn, path) is EVERYTHING)
    shown = 'no such time' if secret else repr(value)
    return StateError('States.ParameterPathFailure', f'{path or turn.at.name} is {shown[:80]}{"…" * (len(shown) > 80)}; a Wait needs {wanted}')


ENTER: dict[type, Callable[[Turn, Any], str | None]] = {
    Action: action,
    Pass: plain,
    ExpressionEval: expression_eval,
    Choice: choice,
    Wait: wait,
    Fail: fail,
    CreateWebInput: create_web_input,
    AwaitWebInput: await_web_input,
}
"""By the class of the state."""
