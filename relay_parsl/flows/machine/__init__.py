"""What a run does next: `(definition, run, event, now) -> (run, commands)`. No clock, file, thread or randomness; the engine does what it says.

```
 Started ───────────────┐                                        ┌─► RunAction, CancelAction, ResumeAction, ReleaseAction
 ActionReported/Refused ┼─► states, one after another, until one ├─► SetTimer (a run has one)
 TimerFired, Continued ─┤   waits, or STATES_A_TURN were passed  ├─► Log
 Cancel/ResumeRequested ┘                                        └─► Continue
```

The same events at the same times give the same run and the same commands: to go on after a crash is to read them again. Only what a run waits for
moves it: events that come twice, late, or for nobody change nothing.

Decided here, where Globus's documentation leaves it open:
- While a run is INACTIVE its `WaitTime` does not run; it begins anew when the run is resumed. The limit of the run's duration holds throughout.
- A cancelled run is ENDED, with the code FlowCanceled; its action is told to end, and what it reports then changes nothing.
- Limits (steps, size of the state, duration) end a run as FAILED, with the codes StepsExceeded, StateSizeExceeded and DurationExceeded. `Catch` does
  not see them: what goes on for ever would catch its own end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relay_parsl.flows.definition import AwaitWebInput, CreateWebInput, Definition, Json, StateError
from relay_parsl.flows.machine import entries
from relay_parsl.flows.machine.parameters import Terms
from relay_parsl.flows.machine.states import ENTER, discreet, slept, wait_time
from relay_parsl.flows.machine.turn import Turn, last_words
from relay_parsl.flows.machine.weight import Exceeded
from relay_parsl.flows.messages import (
    ACTIVE,
    ENDED,
    FAILED,
    INACTIVE,
    SUCCEEDED,
    ActionRefused,
    ActionReported,
    ActionStatus,
    CancelAction,
    CancelRequested,
    Command,
    Continued,
    Event,
    Limits,
    ReleaseAction,
    ResumeAction,
    ResumeRequested,
    RunRecord,
    SetTimer,
    Started,
    TimerFired,
    Waiting,
)

STATES_A_TURN = 50
"""States that a run passes before others have their turn."""
LIVE = (ACTIVE, INACTIVE)


def begin(run_id: str, *, label: str = '', context: Mapping[str, Json] | None = None, limits: Limits | None = None) -> RunRecord:
    """A run that has not started: its first event is `Started`."""
    return RunRecord(run_id, label, dict(context or {}), limits or Limits())


def advance(definition: Definition, run: RunRecord, event: Event, now: float, terms: Terms) -> tuple[RunRecord, list[Command]]:
    """What the run is after the event, and what is to be done, in this order; all of it is written down before any is.

    Args:
        definition: That with which the run started.
        run: As the last call returned it, or `begin`.
        event: Was written down with `now`, and both are the same at each replay.
        now: Seconds since 1970.
        terms: Paths and expressions.
    """
    if run.status not in LIVE or not _concerns(run, event):
        return run, []
    turn = Turn(definition, run, now, terms)
    try:
        if not isinstance(event, (Started, CancelRequested)) and now >= turn.end:
            raise _too_long(turn)
        _go(turn, _tried(turn, _HEARD[type(event)], event))
    except Exceeded as limit:
        turn.fail(limit.code, limit.code, limit.cause)
    return (turn.record(), turn.commands) if turn.commands else (run, [])


def _concerns(run: RunRecord, event: Event) -> bool:
    """Whether the run waits for it."""
    if isinstance(event, (ActionReported, ActionRefused)):
        return bool(run.waiting.request_id) and event.request_id == run.waiting.request_id
    if isinstance(event, TimerFired):
        return bool(run.waiting.timer) and event.timer == run.waiting.timer
    if isinstance(event, ResumeRequested):
        return run.status == INACTIVE
    if isinstance(event, Continued):
        return bool(run.state) and run.waiting == Waiting()
    return isinstance(event, CancelRequested) or not run.state


def _go(turn: Turn, name: str | None) -> None:
    """From state to state."""
    for _ in range(STATES_A_TURN):
        if name is None:
            return
        state = turn.enter(name)
        name = _tried(turn, ENTER[type(state)], state)
    if name is not None:
        turn.pause(name)


def _tried(turn: Turn, step: Callable[[Turn, Any], str | None], given: object) -> str | None:
    try:
        return step(turn, given)
    except StateError as error:
        return turn.raised(error)


def _too_long(turn: Turn) -> Exceeded:
    return Exceeded('DurationExceeded', f'the run has lasted for {turn.limits.duration:,.0f} s, which is limits.duration')


# -- What was heard --------------------------------------------------------------------------------------------------


def _started(turn: Turn, event: Started) -> str:
    turn.start_time = turn.now
    turn.payload = event.body
    weight = turn.weigh(event.body)
    turn.bytes = weight.size
    turn.commands.append(entries.flow('FlowStarted', {'input': turn.shown(event.body, weight)}))
    return turn.definition.start_at


def _continued(turn: Turn, _event: Continued) -> str:
    return turn.at.name


def _canceled(turn: Turn, event: CancelRequested) -> None:
    description = entries.DESCRIPTIONS['FlowCanceled']
    details = {'code': 'FlowCanceled', 'description': description, 'state_name': turn.run.state, **({'by': event.by} if event.by else {})}
    turn.abandon(ENDED, details, entries.flow('FlowCanceled', details))


def _resumed(turn: Turn, event: ResumeRequested) -> None:
    _active(turn, event.by)
    turn.commands.append(ResumeAction(turn.waiting.request_id))


def _active(turn: Turn, by: str = '') -> None:
    """The run goes on, and its action has its whole WaitTime again."""
    turn.status, turn.details = ACTIVE, None
    details = {'state_name': turn.at.name, **({'by': by} if by else {})}
    turn.commands.append(entries.flow('FlowResumed', details))
    turn.sleep(turn.now + wait_time(turn.at), turn.waiting.request_id)


def _fired(turn: Turn, event: TimerFired) -> str | None:
    request, deadline = turn.waiting.request_id, turn.waiting.deadline
    if turn.now < deadline:  # the one that was set before, or a clock that was put back
        turn.commands.append(SetTimer(event.timer, deadline))
        return None
    if deadline >= turn.end:
        raise _too_long(turn)
    turn.waiting = Waiting()
    if not request:
        return slept(turn)
    turn.commands.append(CancelAction(request))
    said = last_words(turn, event.status)
    how = f'; it was last {event.status.status}: {event.status.display_status or event.status.status}' if event.status else ''
    cause = f'action {request} did not end within {wait_time(turn.at):,g} s, the WaitTime of state {turn.at.name}{how}'
    return turn.raised(StateError('ActionTimeout', cause), said)


def _refused(turn: Turn, event: ActionRefused) -> None:
    turn.waiting = Waiting()
    raise StateError('ActionUnableToRun', discreet(turn, event.cause))


def _reported(turn: Turn, event: ActionReported) -> str | None:
    status = event.status
    if status.status == INACTIVE:
        _inactive(turn, status)
    elif turn.status == INACTIVE and status.status in (ACTIVE, SUCCEEDED, FAILED):
        _active(turn)
    if status.status not in (SUCCEEDED, FAILED):
        return None
    request, turn.waiting = turn.waiting.request_id, Waiting()
    document = entries.result(status, turn.at, turn.run, turn.now)
    try:
        return _written(turn, status, document)
    except StateError as error:
        return turn.raised(error, document if status.status == FAILED else None)
    finally:
        turn.commands.append(ReleaseAction(request))


def _inactive(turn: Turn, status: ActionStatus) -> None:
    document = entries.result(status, turn.at, turn.run, turn.now)
    turn.weigh(document)
    known, turn.details = turn.details, entries.inactive(status, document)
    if turn.status == INACTIVE and known == turn.details:
        return
    if turn.status != INACTIVE:
        turn.sleep(turn.end, turn.waiting.request_id)
    turn.status = INACTIVE
    turn.commands.append(entries.flow('FlowInactive', turn.details))


def _written(turn: Turn, status: ActionStatus, document: dict[str, Json]) -> str | None:
    """The result goes into the run, unless it is an exception."""
    state: Any = turn.at
    weight = turn.weigh(document)
    if status.status == FAILED:
        _judge(state, status)
    turn.write(state.result_path, document, weight)
    turn.completed(turn.shown(document, weight))
    return turn.following()


def _judge(state: Any, status: ActionStatus) -> None:
    """Raise what a failure is. Web inputs have no ExceptionOnActionFailure: without an answer there is no way on."""
    if isinstance(state, AwaitWebInput) and isinstance(status.details, Mapping) and status.details.get('code') == 'Flows.WebInputExpired':
        raise StateError('Flows.WebInputExpired', entries.failed_cause(status))
    if isinstance(state, (AwaitWebInput, CreateWebInput)) or state.exception_on_action_failure:
        raise StateError('ActionFailedException', entries.failed_cause(status))


_HEARD: dict[type, Callable[[Turn, Any], str | None]] = {
    Started: _started,
    Continued: _continued,
    ActionReported: _reported,
    ActionRefused: _refused,
    TimerFired: _fired,
    CancelRequested: _canceled,
    ResumeRequested: _resumed,
}
