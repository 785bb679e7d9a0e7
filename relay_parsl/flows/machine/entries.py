"""What a run says of itself: entries of its event log, results of actions, errors. Globus's codes, words and fields; times as ISO 8601.

Codes: `FlowStarted`; for each state that is entered `<Type>Started`, and one of `<Type>Completed`, `<Type>Failed` and `<Type>Timeout` (the state
raised an error; `details` has `error` and `cause`); `FlowInactive`, `FlowResumed`; at the end `FlowSucceeded`, `FlowFailed` or `FlowCanceled`.
An action that FAILED and raises nothing has completed: its `output` says so. A Choice's `output` is the `Next` that it chose.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay_parsl.flows.definition import Json, State
from relay_parsl.flows.messages import ActionStatus, Log, RunRecord

DESCRIPTIONS = {
    'FlowStarted': 'The Flow Instance started execution',
    'FlowInactive': 'The Flow Instance is inactive until somebody resumes it',
    'FlowResumed': 'The Flow Instance resumed execution',
    'FlowSucceeded': 'The Flow Instance completed successfully',
    'FlowFailed': 'The Flow Instance failed',
    'FlowCanceled': 'The Flow Instance was canceled by the user',
}
_LONGEST = 8_000
"""Characters of a cause: a traceback's end matters less than that the run goes on."""


def flow(code: str, details: Mapping[str, Json]) -> Log:
    """An entry of the run as a whole."""
    return Log(code, DESCRIPTIONS[code], details)


def state(state: State, what: str, details: Mapping[str, Json]) -> Log:
    """An entry of a state: `what` it did (`Started`), and its input, output or error."""
    code = f'{state.type}{what}'
    word = {'Timeout': 'timed out'}.get(what, what.lower())
    return Log(code, f'State {state.name} of type {state.type} {word}', {'state_name': state.name, 'state_type': state.type, **details})


def result(status: ActionStatus, state: State, run: RunRecord, now: float) -> dict[str, Json]:
    """The document that an action's state writes: a hosted action's, and for web inputs what `details` has also directly in it."""
    ended = status.completion_time if status.completion_time is not None else now
    document = {
        'action_id': status.action_id,
        'completion_time': iso(ended) if status.status in ('SUCCEEDED', 'FAILED') else None,
        'creator_id': run.context.get('user_id'),
        'details': status.details,
        'display_status': status.display_status or status.status,
        'label': run.label or None,
        'manage_by': [],
        'monitor_by': [],
        'release_after': None,
        'start_time': iso(status.start_time),
        'status': status.status,
        'state_name': state.name,
    }
    if state.type != 'Action' and isinstance(status.details, Mapping):
        document = {**status.details, **document}
    return document


def inactive(status: ActionStatus, document: Json) -> dict[str, Json]:
    """Why a run waits for somebody: what the action says, with a `code` and a `description` in any case."""
    said = dict(status.details) if isinstance(status.details, Mapping) else {}
    name = document['state_name']
    return {
        'code': 'ActionInactive',
        'description': f'The action of state {name} cannot go on until somebody mends what it says, and resumes the run',
        **said,
        'state_name': name,
        'action_statuses': [document],
    }


def error(error: str, cause: str, document: Json = None) -> dict[str, Json]:
    """What `Catch` writes: `Error`, `Cause`, and where an action raised it how that stood."""
    found: dict[str, Json] = {'Error': error, 'Cause': cause if len(cause) <= _LONGEST else cause[:_LONGEST] + '…'}
    if document is not None:
        found['action_statuses'] = [document]
    return found


def failed_cause(status: ActionStatus) -> str:
    """Why an action failed, in its own words as far as it has any."""
    said = status.details
    if isinstance(said, Mapping):
        said = next((said[key] for key in ('cause', 'description', 'message', 'error', 'exception', 'code') if isinstance(said.get(key), str)), '')
    told = said if isinstance(said, str) and said else status.display_status
    return f'action {status.action_id} has failed' + (f': {told}' if told and told != status.status else '')


def iso(seconds: float) -> str:
    """Seconds since 1970 as the hosted service writes them: `2023-04-25T18:54:31.341170+00:00`."""
    micros = round(seconds * 1_000_000)
    days, rest = divmod(micros, 86_400_000_000)
    second, micro = divmod(rest, 1_000_000)
    year, month, day = _date(days)
    return f'{year:04}-{month:02}-{day:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{micro:06}+00:00'


def _date(days: int) -> tuple[int, int, int]:
    """The day in the calendar, in years that begin in March: the leap day is then their last."""
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    return year + era * 400 + (month >= 10), month + 3 if month < 10 else month - 9, day
