"""A run while one event moves it: what `machine` and `states` change, before it is frozen again as a RunRecord."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from relay_parsl.flows.definition import Catcher, Definition, Json, State, StateError
from relay_parsl.flows.machine import entries
from relay_parsl.flows.machine.parameters import NOTHING, Private, Terms, hide, kept
from relay_parsl.flows.machine.weight import Exceeded, Weight, weigh
from relay_parsl.flows.messages import (
    FAILED,
    SUCCEEDED,
    ActionStatus,
    CancelAction,
    Command,
    Continue,
    Log,
    RunRecord,
    SetTimer,
    Waiting,
)

ALL = ('States.ALL', 'States.All')
"""What catches every error. The second spelling is gladier's."""


class Turn:
    """One event's worth of a run.

    Attributes:
        commands: So far, in order.
        state: The current one; None before the start.
        visit: `run:state:visit` of the current one: the id of its request, and its timer's name.
    """

    def __init__(self, definition: Definition, run: RunRecord, now: float, terms: Terms) -> None:
        self.definition, self.run, self.now, self.terms = definition, run, now, terms
        self.limits = run.limits
        self.status, self.details, self.waiting = run.status, run.details, run.waiting
        self.payload, self.bytes, self.logged = run.payload, run.payload_bytes, run.logged_bytes
        self.steps, self.visits = run.steps, dict(run.visits)
        self.start_time, self.completion_time = run.start_time, run.completion_time
        self.state: State | None = definition.states.get(run.state)
        self.commands: list[Command] = []
        self._said = True

    @property
    def end(self) -> float:
        """When the run may not go on any longer."""
        return self.start_time + self.limits.duration

    @property
    def visit(self) -> str:
        """The name of this visit of this state: the same at each replay, and never that of another."""
        name = self.at.name
        return f'{self.run.run_id}:{name}:{self.visits[name]}'

    @property
    def at(self) -> State:
        """The current state, where there is one for certain."""
        if self.state is None:
            raise KeyError(f'run {self.run.run_id} is in state {self.run.state!r}, which its definition does not have')
        return self.state

    def read(self, path: str) -> Json:
        """What a path of the definition leads to. Raises StateError."""
        return self.terms.read(path, self.payload, self.run.context)

    @property
    def kept(self) -> Private:
        """What of the payload logs must not show, since states wrote it there as private parameters of theirs."""
        return kept(self.definition.discreet, self.terms)

    def record(self) -> RunRecord:
        """The run as it is now."""
        over = self.completion_time is not None
        return replace(
            self.run,
            status=self.status,
            payload=self.payload,
            state='' if over or self.state is None else self.state.name,
            visits=self.visits,
            steps=self.steps,
            waiting=self.waiting,
            details=self.details,
            start_time=self.start_time,
            completion_time=self.completion_time,
            payload_bytes=self.bytes,
            logged_bytes=self.logged,
        )

    # -- From state to state -----------------------------------------------------------------------------------------

    def enter(self, name: str) -> State:
        """The run is in this state now.

        Raises:
            Exceeded: it was in enough.
        """
        if self.steps >= self.limits.steps:
            raise Exceeded('StepsExceeded', f'the run has entered {self.steps:,} states; does it loop for ever? The limit is limits.steps')
        self.steps += 1
        self.visits[name] = self.visits.get(name, 0) + 1
        self.state = state = self.definition.states[name]
        self._said = False
        return state

    def pause(self, name: str) -> None:
        """Others have their turn before this state is entered."""
        self.state = self.definition.states[name]
        self.commands.append(Continue())

    def sleep(self, until: float, request_id: str = '') -> None:
        """Wait for a time, and where `request_id` says so for an action before it."""
        until = min(until, self.end)
        self.waiting = Waiting(request_id, self.visit, until)
        self.commands.append(SetTimer(self.visit, until))

    def succeed(self) -> None:
        """The last state is over."""
        weight = self.weigh(self.payload)
        self.logged = min(self.logged, self.limits.log_bytes - weight.size)  # the output of a run is always shown
        self._over(SUCCEEDED, {'code': 'FlowSucceeded', 'description': entries.DESCRIPTIONS['FlowSucceeded']})
        self.commands.append(entries.flow('FlowSucceeded', {'output': self.shown(self.payload, weight, self.kept)}))

    def fail(self, code: str, error: str, cause: str, document: Json = None) -> None:
        """The run ends here, and has not reached its end."""
        name = self.state.name if self.state is not None else ''
        told = entries.error(error, cause, document)
        details = {'code': code, 'description': f'The Flow Instance failed in state {name}: {error}', 'state_name': name}
        details |= {'error': told.pop('Error'), 'cause': told.pop('Cause'), **told}
        self.abandon(FAILED, details, entries.flow('FlowFailed', details))

    def abandon(self, status: str, details: Mapping[str, Json], entry: Log) -> None:
        """The run ends; whoever works for it is told."""
        if self.waiting.request_id:
            self.commands.append(CancelAction(self.waiting.request_id))
        self._over(status, details)
        self.commands.append(entry)

    def _over(self, status: str, details: Mapping[str, Json]) -> None:
        self.status, self.details, self.completion_time = status, details, self.now
        self.waiting = Waiting()

    # -- What is written ---------------------------------------------------------------------------------------------

    def weigh(self, value: Json, copies: int = 1) -> Weight:
        """How much it is. Raises Exceeded; so many `copies` of the payload may be in it."""
        return weigh(value, self.limits.state_bytes, about=copies * self.bytes)

    def write(self, path: str, value: Json, weight: Weight) -> None:
        """A result goes to where `ResultPath` says.

        Raises:
            StateError: it cannot be there.
            Exceeded: the payload is too large with it.
        """
        if path == '$':
            if isinstance(value, dict) and '_context' in value:
                raise StateError('States.ResultPathMatchFailure', '`_context` is the run itself: a result with this key may not replace the payload')
            self.payload, self.bytes = value, weight.size
            return
        self.payload = self.terms.write(path, self.payload, value)
        self.bytes += weight.size + 12 * len(path)  # the path's new keys as JSON, at the very most
        if self.bytes > self.limits.state_bytes:
            self.bytes = self.weigh(self.payload).size

    def shown(self, value: Json, weight: Weight, hidden: Private = NOTHING) -> Json:
        """What the log may show of a value; `hidden`: what its template keeps private. Tokens of roles never are."""
        self.logged += weight.size
        if self.logged > self.limits.log_bytes:
            return {'omitted': f'{weight.size} bytes: the log of this run holds {self.limits.log_bytes:,} already (limits.log_bytes)'}
        if weight.private or hidden is not NOTHING:
            value = hide(value, hidden)
        return {key: each for key, each in value.items() if key != '_tokens'} if isinstance(value, dict) and '_tokens' in value else value

    # -- What is said ------------------------------------------------------------------------------------------------

    def started(self, shown: Json) -> None:
        """The current state begins, with this input."""
        self._said = True
        self.commands.append(entries.state(self.at, 'Started', {'input': shown}))

    def completed(self, shown: Json) -> None:
        """The current state is through."""
        self.commands.append(entries.state(self.at, 'Completed', {'output': shown}))

    def following(self) -> str | None:
        """Where the run goes on; where it does not, it has succeeded."""
        name = getattr(self.at, 'next', None)
        if name is None:
            self.succeed()
        return name

    def raised(self, error: StateError, document: Json = None) -> str | None:
        """The current state ended in an error: where the run goes on, if anything catches it."""
        if not self._said:
            self.started(None)
        told = entries.error(error.error, error.cause, document)
        what = 'Timeout' if error.error == 'ActionTimeout' else 'Failed'
        self.commands.append(entries.state(self.at, what, {'error': told['Error'], 'cause': told['Cause']}))
        catcher = _catcher(self.at, error.error)
        if catcher is None:
            self.fail('FlowFailed', error.error, error.cause, document)
            return None
        try:
            self.write(catcher.result_path, told, self.weigh(told))
        except StateError as worse:
            self.fail('FlowFailed', worse.error, f'{worse.cause}; this was to be caught: {error}')
            return None
        return catcher.next


def _catcher(state: State, error: str) -> Catcher | None:
    """The first that takes it."""
    catchers: tuple[Catcher, ...] = getattr(state, 'catch', ())
    return next((each for each in catchers if any(name == error or name in ALL for name in each.error_equals)), None)


def last_words(turn: Turn, status: ActionStatus | None) -> Json:
    """The document of an action that is given up, if it has said anything of a reasonable size."""
    if status is None:
        return None
    document = entries.result(status, turn.at, turn.run, turn.now)
    try:
        turn.weigh(document)
    except Exceeded:
        return None
    return document
