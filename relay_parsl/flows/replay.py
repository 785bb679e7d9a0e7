"""What one event makes of a run, with what the engine must remember beside it: the engine, and who replays a run, both take this step."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from relay_parsl.flows import machine
from relay_parsl.flows.definition import Definition
from relay_parsl.flows.machine.parameters import Terms
from relay_parsl.flows.messages import ACTIVE, FAILED, INACTIVE, Command, Continue, Continued, Event, Log, RunRecord, SetTimer, TimerFired, Waiting

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A run between two events, as snapshots keep it.

    Attributes:
        timer: The one that is set; None where there is none.
        more: Whether the run asked to go on by itself: `Continued` is its next event.
    """

    record: RunRecord
    timer: SetTimer | None = None
    more: bool = False


def step(definition: Definition, mark: Bookmark, event: Event, now: float, terms: Terms) -> tuple[Bookmark, list[Command]]:
    """One event. A fault of the machine itself ends this run as FAILED, and no other run."""
    try:
        record, commands = machine.advance(definition, mark.record, event, now, terms)
    except Exception as error:
        log.exception('run %s', mark.record.run_id)
        record, commands = broken(mark.record, f'{type(error).__name__}: {error}', now)
    return _marked(mark, record, event, commands), commands


def broken(record: RunRecord, cause: str, now: float) -> tuple[RunRecord, list[Command]]:
    """A run that cannot go on for a reason that is not of its language."""
    details = {'code': 'InternalError', 'description': f'The Flow Instance cannot go on: {cause}', 'state_name': record.state}
    over = replace(record, status=FAILED, state='', waiting=Waiting(), details=details, completion_time=now)
    return over, [Log('FlowFailed', 'The Flow Instance failed', details)]


def _marked(mark: Bookmark, record: RunRecord, event: Event, commands: list[Command]) -> Bookmark:
    if record.status not in (ACTIVE, INACTIVE):
        return Bookmark(record)
    timer, more = mark.timer, mark.more and not isinstance(event, Continued)
    if timer is not None and isinstance(event, TimerFired) and event.timer == timer.timer:
        timer = None
    for command in commands:
        if isinstance(command, SetTimer):
            timer = command
        more = more or isinstance(command, Continue)
    return Bookmark(record, timer, more)


def replay(definition: Definition, mark: Bookmark, events: Iterable[tuple[float, Event]], terms: Terms) -> Bookmark:
    """The run after these events, each with its time; what they asked for was asked for when they happened."""
    for now, event in events:
        mark, _ = step(definition, mark, event, now, terms)
    return mark
