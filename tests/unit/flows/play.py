"""A run in a test's hands: states in, events in, and what the machine said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from relay_parsl.flows import machine
from relay_parsl.flows.definition import Action, Catcher, Definition, Json, Pass, State
from relay_parsl.flows.messages import (
    FAILED,
    INACTIVE,
    SUCCEEDED,
    ActionReported,
    ActionStatus,
    Command,
    Continue,
    Continued,
    Event,
    Limits,
    Log,
    RunAction,
    RunRecord,
    SetTimer,
    Started,
    TimerFired,
)
from relay_parsl.flows.terms import TERMS

NOON = 1_795_608_000.0
"""When runs begin here: 2026-11-25T12:00:00Z."""
C = TypeVar('C')


class Play:
    """One run, whose first state is the first of `states`. Turns that are to be continued are."""

    def __init__(self, *states: State, body: Json = None, limits: Limits | None = None, context: Mapping[str, Json] | None = None) -> None:
        self.definition = Definition(states[0].name, {state.name: state for state in states}, {})
        self.run: RunRecord = machine.begin('run-1', context=context or {'flow_id': 'f', 'run_id': 'run-1', 'user_id': 'urn:me'}, limits=limits)
        self.now = NOON
        self.said: list[Command] = []
        self.hear(Started({} if body is None else body))

    def hear(self, event: Event, after: float = 0.0) -> list[Command]:
        """What the machine says to it, `after` seconds later."""
        self.now += after
        self.run, commands = machine.advance(self.definition, self.run, event, self.now, TERMS)
        self.said += commands
        while commands and isinstance(commands[-1], Continue):
            self.run, more = machine.advance(self.definition, self.run, Continued(), self.now, TERMS)
            commands = [*commands[:-1], *more]
            self.said += more
        return commands

    def report(self, status: str, details: Json = None, after: float = 1.0, **fields: Any) -> list[Command]:
        """The action that is awaited says this."""
        return self.report_of(self.run.waiting.request_id, status, details, after, **fields)

    def report_of(self, request_id: str, status: str, details: Json = None, after: float = 1.0, **fields: Any) -> list[Command]:
        """The action of this request says this."""
        return self.hear(ActionReported(request_id, ActionStatus(f'id-{request_id}', status, details, **fields)), after)

    def succeed(self, details: Json = None) -> list[Command]:
        """The action ends well."""
        return self.report(SUCCEEDED, details)

    def lose(self, details: Json = None) -> list[Command]:
        """The action fails."""
        return self.report(FAILED, details)

    def rest(self, details: Json = None) -> list[Command]:
        """The action waits for somebody."""
        return self.report(INACTIVE, details)

    def ring(self) -> list[Command]:
        """The timer that was set last fires, in time."""
        timer = self.all(SetTimer)[-1]
        self.now = max(self.now, timer.at)
        return self.hear(TimerFired(timer.timer))

    def all(self, kind: type[C]) -> list[C]:
        """Every command of a kind so far."""
        return [each for each in self.said if isinstance(each, kind)]

    @property
    def codes(self) -> list[str]:
        """Of the log."""
        return [entry.code for entry in self.all(Log)]

    def entry(self, code: str, which: int = -1) -> Log:
        """One of the log."""
        return [entry for entry in self.all(Log) if entry.code == code][which]

    @property
    def asked(self) -> RunAction:
        """The last request."""
        return self.all(RunAction)[-1]


CATCH_ALL = (Catcher(('States.ALL',), 'Mend', '$.Error'),)
MEND = Pass('Mend', result_path='$.Mended', parameters={'by': 'Catch'})


def act(name: str = 'Act', **fields: Any) -> Action:
    """An action with a result of its own."""
    given: dict[str, Any] = {'parameters': {}, 'result_path': f'$.{name}'}
    return Action(name, 'https://actions.globus.org/hello_world', 'hello_world', **(given | fields))
