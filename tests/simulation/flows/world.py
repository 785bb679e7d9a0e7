"""An engine in small, over what survives it: events, an inbox, providers. It can be killed at any step, and started again."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from relay_parsl.flows import machine
from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.journal import coding
from relay_parsl.flows.messages import (
    ACTIVE,
    INACTIVE,
    ActionRefused,
    ActionReported,
    ActionStatus,
    CancelAction,
    CancelRequested,
    Command,
    Continue,
    Continued,
    Event,
    Limits,
    Log,
    ReleaseAction,
    ResumeAction,
    ResumeRequested,
    RunAction,
    RunRecord,
    SetTimer,
    Started,
    TimerFired,
)
from relay_parsl.flows.terms import TERMS
from tests.simulation.flows.providers import Providers, Refused

LIMITS = Limits(steps=60, state_bytes=20_000, duration=1_000_000.0)
NOON = 1_795_608_000.0
PATIENCE = 5_000
"""Steps that a world may take: none is that long."""


class Killed(BaseException):
    """The engine's process dies here."""


@dataclass
class Disk:
    """What is durable: the events as text, and what people asked for."""

    events: list[tuple[str, float]] = field(default_factory=list)
    inbox: list[tuple[float, Event]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What came of a run, as far as a crash may not change it."""

    status: str
    payload: Json
    log: tuple[tuple[str, str, Any], ...]
    done: frozenset[str]
    requests: tuple[str, ...]
    released: frozenset[str]


class World:
    """One run. `kills` are the steps at which the engine dies; `down` the seconds until the next one starts; `cancel` when somebody ends the run."""

    def __init__(
        self,
        definition: Definition,
        body: Json,
        seed: int,
        *,
        kills: Iterable[int] = (),
        down: float = 0.0,
        cancel: float | None = None,
        calm: bool = False,
    ) -> None:
        self.definition, self.kills, self.down, self.cancel = definition, set(kills), down, cancel
        self.disk, self.providers = Disk(), Providers(seed, calm=calm)
        self.now, self.steps, self.lives = NOON, 0, 0
        self._write(Started(body))

    def play(self) -> Outcome:
        """To the end of the run, over as many lives of the engine as it takes."""
        before: RunRecord | None = None
        while True:
            self.lives += 1
            engine = Engine(self)
            try:
                engine.serve(before)
            except Killed:
                before = engine.run
                self.now += self.down
                continue
            return self._outcome(engine.run)

    def step(self) -> None:
        """Between two steps of the engine: it may die here."""
        self.steps += 1
        assert self.steps < PATIENCE, 'it does not end'
        if self.steps in self.kills:
            raise Killed

    def _write(self, event: Event) -> None:
        self.disk.events.append((coding.dump(event), self.now))

    def _outcome(self, run: RunRecord) -> Outcome:
        fresh, commands, _ = replay(self)
        assert fresh == run, 'what is read again is what was known'
        assert coding.load(RunRecord, coding.dump(run)) == run
        log = tuple((each.code, each.description, _timeless(each.details, self.down)) for each in commands if isinstance(each, Log))
        requests = tuple(each.request_id for each in commands if isinstance(each, RunAction))
        released = {each.request_id for each in commands if isinstance(each, ReleaseAction)}
        assert released <= self.providers.released
        assert set(self.providers.asked) == set(requests), 'nothing is asked for under an id that is not written down'
        assert max(self.providers.asked.values(), default=0) <= self.lives, 'once in each life'
        return Outcome(run.status, _timeless(run.payload, self.down), log, self.providers.done(), requests, frozenset(released))


def replay(world: World) -> tuple[RunRecord, list[Command], dict[int, float]]:
    """The run as its events say, all that was to be done, and since when."""
    times: dict[int, float] = {}
    run, said = machine.begin('run', label='a label', context={'user_id': 'urn:me', 'run_id': 'run'}, limits=LIMITS), []
    for text, time in world.disk.events:
        run, commands = machine.advance(world.definition, run, coding.load_any(text), time, TERMS)
        said += commands
        times |= {id(command): time for command in commands}
    return run, said, times


def _timeless(value: Json, down: float) -> Json:
    """Without what shows how long the engine was away."""
    if isinstance(value, dict):
        hidden = ('start_time', 'completion_time', 'Timestamp', 'details') if down else ()
        return {key: _timeless(each, down) for key, each in value.items() if key not in hidden}
    return [_timeless(each, down) for each in value] if isinstance(value, list) else value


class Engine:
    """One life of one."""

    def __init__(self, world: World) -> None:
        self.world, self.disk, self.providers = world, world.disk, world.providers
        self._order = itertools.count()
        self._due: list[tuple[float, int, Event]] = []
        self.run: RunRecord = machine.begin('run')

    def serve(self, before: RunRecord | None) -> None:
        """Go on with the run until it ends."""
        self.run, said, times = replay(self.world)
        assert before in (None, self.run), 'what is read again is what was known'
        for command in outstanding(self.run, said):
            self._do(command, times.get(id(command), self.world.now))
        for time, event in self.disk.inbox:
            self._at(time, event)
        if self.world.cancel is not None:
            self._at(NOON + self.world.cancel, CancelRequested('me'))
        while self.run.status in (ACTIVE, INACTIVE):
            self._people()
            due, _, event = heapq.heappop(self._due)
            self.world.now = max(self.world.now, due)
            self._turn(event)

    def _turn(self, event: Event) -> None:
        """The event is written down, then its commands are carried out."""
        self.world.step()
        run, commands = machine.advance(self.world.definition, self.run, event, self.world.now, TERMS)
        if isinstance(event, ResumeRequested) and self.disk.inbox and self.disk.inbox[0][0] <= self.world.now:
            self.disk.inbox.clear()
        if not commands and run is self.run:
            return
        self.disk.events.append((coding.dump(event), self.world.now))
        self.run = run
        for command in commands:
            self.world.step()
            self._do(command, self.world.now)
        self.world.step()

    def _do(self, command: Command, intent: float) -> None:
        if isinstance(command, RunAction):
            self._call(command, intent)
        elif isinstance(command, SetTimer):
            self._at(command.at, TimerFired(command.timer))
        elif isinstance(command, Continue):
            self._at(self.world.now, Continued())
        elif isinstance(command, ResumeAction):
            scope = self._last_scope(command.request_id)
            self._report(self.world.now, command.request_id, self.providers.resume(command.request_id, intent, self.world.now, self._report, scope))
        elif isinstance(command, CancelAction):
            self.providers.cancel(command.request_id)
        elif isinstance(command, ReleaseAction):
            self.providers.release(command.request_id)

    def _call(self, command: RunAction, intent: float) -> None:
        try:
            status = self.providers.run(command, intent, self.world.now, self._report)
        except Refused as refusal:
            self._at(self.world.now, ActionRefused(command.request_id, str(refusal)))
        else:
            self.world.step()
            self._report(self.world.now, command.request_id, status)

    def _report(self, time: float, request_id: str, status: ActionStatus) -> None:
        self._at(time, ActionReported(request_id, status))

    def _last_scope(self, request_id: str) -> str:
        """What the action was INACTIVE for when it was resumed: so much an engine knows of each action."""
        found = ''
        for text, _ in self.disk.events:
            event = coding.load_any(text)
            if isinstance(event, ActionReported) and event.request_id == request_id and event.status.status == INACTIVE:
                found = event.status.details['required_scope']
        return found

    def _people(self) -> None:
        """Whoever sees the run INACTIVE mends it, two seconds later, once."""
        if self.run.status == INACTIVE and not self.disk.inbox:
            self.disk.inbox.append((self.world.now + 2, ResumeRequested('me')))
            self._at(*self.disk.inbox[0])

    def _at(self, time: float, event: Event) -> None:
        """What is due comes in the order in which it was heard of."""
        heapq.heappush(self._due, (max(time, self.world.now), next(self._order), event))


def outstanding(run: RunRecord, said: list[Command]) -> list[Command]:
    """What an engine that starts has to do of what was said: all that may not have been done, in an order that lets reports go before timers.

    An action that was to be resumed is resumed, and not asked how it stands before: it would say that it is INACTIVE.
    """
    waiting = run.waiting
    called = [each for each in said if isinstance(each, (RunAction, ResumeAction)) and each.request_id == waiting.request_id]
    if run.status == INACTIVE:
        called = [each for each in called if isinstance(each, RunAction)]
    told = [each for each in said if isinstance(each, (CancelAction, ReleaseAction))]
    timers = [each for each in said if isinstance(each, SetTimer) and each.timer == waiting.timer]
    more: list[Command] = [Continue()] if not waiting.timer and run.state and run.status == ACTIVE else []
    return [*called[-1:], *told, *more, *timers[-1:]]
