"""Flows in tests: a definition is run by the real machine, with fake actions, on a clock of its own that nobody waits for.

```python
def test_my_flow():
    transfers = [Answer.failed({'code': 'EndpointError'}), {}]  # the first call fails, the second goes well
    ran = testing.run_flow('flow.json', {'input': {...}}, actions={'Correlate': {'result': [0.9]}, 'transfer': transfers})
    assert ran.status == 'SUCCEEDED'
    assert ran.states == ['Fetch', 'FetchAgain', 'Correlate', 'Publish']
    assert ran.body_of('Publish')['index'] == 'mine'
```
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay_parsl.flows import machine
from relay_parsl.flows.actions.base import ActionUnableToRun
from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.machine import entries
from relay_parsl.flows.messages import (
    ACTIVE,
    FAILED,
    INACTIVE,
    SUCCEEDED,
    ActionRefused,
    ActionReported,
    ActionStatus,
    Command,
    Continue,
    Continued,
    Event,
    Limits,
    Log,
    ResumeAction,
    ResumeRequested,
    RunAction,
    SetTimer,
    Started,
    TimerFired,
)
from relay_parsl.flows.terms import TERMS
from relay_parsl.testing.answers import Answer, Given, usual

START = 1_767_225_600.0
"""When every run of a test begins: 2026-01-01T00:00:00Z."""
CONTEXT = {
    'flow_id': 'flow-under-test',
    'run_id': 'test',
    'username': 'tester@example.org',
    'email': 'tester@example.org',
    'user_id': 'urn:globus:auth:identity:00000000-0000-4000-8000-000000000000',
    'identities': [],
    'token_info': {},
}
"""What a run of a test finds in `_context`, unless it is said otherwise."""


@dataclass(frozen=True)
class FakeCall:
    """One call of a fake action: which state made it, and with what."""

    state: str
    action: str
    body: Json
    request_id: str


class FakeActions:
    """Stands in for every action provider.

    Args:
        answers: By the name of a state, else by that of an action (`transfer`): what it answers. What is not named goes well, with details in the
            shape of the real action's.
    """

    def __init__(self, answers: Mapping[str, Given] | None = None) -> None:
        self._answers = dict(answers or {})
        self._resting: dict[str, Answer] = {}
        self._asked: dict[str, str] = {}
        self.calls: list[FakeCall] = []

    def run(self, command: RunAction) -> Answer:
        """How this call goes."""
        state = command.request_id.split(':', 1)[1].rpartition(':')[0]
        self.calls.append(FakeCall(state, command.action, command.body, command.request_id))
        key = next((key for key in (state, command.action) if key in self._answers), None)
        given = self._usual(command) if key is None else self._next(key)
        answer = self._made(given, command.body)
        if answer.status == INACTIVE:
            self._resting[command.request_id] = answer.then or Answer()
        return answer

    def resume(self, request_id: str) -> Answer:
        """How it goes on."""
        return self._resting.pop(request_id, Answer())

    def _usual(self, command: RunAction) -> Json:
        """As the real one would about answer; a question is answered with its first option."""
        given, body = usual(command.action, command.body, command.request_id), command.body
        if command.action == 'web_input':
            self._asked[command.request_id] = body['Options'][0]['Value']
        elif command.action == 'web_input_response':
            given = {**given, 'response': self._asked.get(body['web_input_id'], 'first')}
        return given

    def _next(self, key: str) -> Json:
        given = self._answers[key]
        if not isinstance(given, list):
            return given
        if len(given) > 1:
            self._answers[key] = given[1:]
        return given[0] if given else {}

    @staticmethod
    def _made(given: Json, body: Json) -> Answer:
        try:
            made = given(body) if callable(given) else given
        except ActionUnableToRun as refusal:
            return Answer.refused(str(refusal))
        return made if isinstance(made, Answer) else Answer(made)


@dataclass(frozen=True)
class FlowRun:
    """What came of a run.

    Attributes:
        status: SUCCEEDED, FAILED, or INACTIVE where nobody resumed it.
        payload: At its end, whole.
        log: The event log, as `relay-parsl flow log --json` has it.
        details: Why it FAILED or is INACTIVE: `code`, `description`, `state_name`, `error`, `cause`.
        calls: Every call of an action, in order.
        seconds: That it took, on its own clock.
    """

    status: str
    payload: Json
    log: list[dict[str, Json]]
    details: Json
    calls: list[FakeCall]
    seconds: float

    @property
    def codes(self) -> list[str]:
        """Those of the log."""
        return [entry['code'] for entry in self.log]

    @property
    def states(self) -> list[str]:
        """The states that were entered, in order."""
        return [entry['details']['state_name'] for entry in self.log if entry['code'].endswith('Started') and entry['code'] != 'FlowStarted']

    def body_of(self, state: str) -> Json:
        """What a state gave its action, the last time.

        Raises:
            KeyError: it called none.
        """
        for call in reversed(self.calls):
            if call.state == state:
                return call.body
        raise KeyError(f'state {state} called no action; those that did: {", ".join(dict.fromkeys(call.state for call in self.calls)) or "none"}')


def run_flow(
    flow: Definition | Mapping[str, Any] | str | Path,
    body: Json = None,
    *,
    actions: Mapping[str, Given] | FakeActions | None = None,
    resumes: int = 0,
    limits: Limits | None = None,
    context: Mapping[str, Json] | None = None,
) -> FlowRun:
    """Run a flow to its end, at once.

    Args:
        flow: A definition, as an object or the path of its file; bare or wrapped.
        body: Its input. It is not held to the input schema: a test may give less.
        actions: What its actions answer; see FakeActions.
        resumes: How often somebody resumes it when it is INACTIVE.
        limits: Of its steps, size and duration.
        context: Stands over `CONTEXT`.

    Raises:
        DefinitionInvalid: it is not of the language.
    """
    fakes = actions if isinstance(actions, FakeActions) else FakeActions(actions)
    stage = _Stage(_definition(flow), fakes, {**CONTEXT, **(context or {})}, limits, resumes)
    stage.hear(Started({} if body is None else body))
    return stage.played()


def _definition(flow: Definition | Mapping[str, Any] | str | Path) -> Definition:
    if isinstance(flow, Definition):
        return flow
    return (Flow.from_dict(flow) if isinstance(flow, Mapping) else Flow.from_file(flow)).definition


@dataclass
class _Stage:
    """One run, its clock, and what is going to happen."""

    definition: Definition
    fakes: FakeActions
    context: Mapping[str, Json]
    limits: Limits | None
    resumes: int
    now: float = START
    log: list[dict[str, Json]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run = machine.begin(str(self.context['run_id']), context=self.context, limits=self.limits)
        self._order = itertools.count()
        self._due: list[tuple[float, int, Event]] = []

    def played(self) -> FlowRun:
        """To the end."""
        while self._due and self.run.status in (ACTIVE, INACTIVE):
            if self.run.status == INACTIVE:
                if not self.resumes:
                    break
                self.resumes -= 1
                self.hear(ResumeRequested('tester'))
                continue
            self.now, _, event = heapq.heappop(self._due)
            self.hear(event)
        run = self.run
        return FlowRun(run.status, run.payload, self.log, run.details, self.fakes.calls, self.now - START)

    def hear(self, event: Event) -> None:
        """One turn."""
        self.run, commands = machine.advance(self.definition, self.run, event, self.now, TERMS)
        for command in commands:
            self._do(command)

    def _do(self, command: Command) -> None:
        if isinstance(command, Log):
            self.log.append({'time': entries.iso(self.now), 'code': command.code, 'description': command.description, 'details': command.details})
        elif isinstance(command, RunAction):
            self._answer(command.request_id, self.fakes.run(command))
        elif isinstance(command, ResumeAction):
            self._answer(command.request_id, self.fakes.resume(command.request_id))
        elif isinstance(command, SetTimer):
            self._at(command.at, TimerFired(command.timer))
        elif isinstance(command, Continue):
            self._at(self.now, Continued())

    def _answer(self, request_id: str, answer: Answer) -> None:
        if answer.refusal:
            self._at(self.now, ActionRefused(request_id, answer.refusal))
            return
        through = self.now + answer.after
        if through < math.inf:
            ended = through if answer.status in (SUCCEEDED, FAILED) else None
            status = ActionStatus(request_id, answer.status, answer.details, start_time=self.now, completion_time=ended)
            self._at(through, ActionReported(request_id, status))

    def _at(self, time: float, event: Event) -> None:
        heapq.heappush(self._due, (time, next(self._order), event))
