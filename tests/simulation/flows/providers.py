"""Action providers as they may be: late, refusing, failing, inactive, saying things twice and out of order. They outlive the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from relay_parsl.flows.definition import Json
from relay_parsl.flows.messages import ACTIVE, FAILED, INACTIVE, SUCCEEDED, ActionStatus, RunAction
from relay_parsl.testing.answers import usual

Push = Callable[[float, str, ActionStatus], None]
"""Tell the engine at a time, if it is there then."""


class Refused(Exception):
    """`run` takes no such body."""


@dataclass
class Doing:
    """One action: what it is going to do was clear from its request on."""

    command: RunAction
    began: float
    ends: float
    end: str
    rests: int
    details: Json
    resumed: float = 0.0
    cancelled: bool = False
    noise: list[float] = field(default_factory=list)

    def status(self, now: float) -> ActionStatus:
        """How it stands."""
        since = self.resumed or self.began
        if now < since + self.ends:
            return self._said(ACTIVE, {'progress': 1})
        if self.rests:
            return self._said(INACTIVE, {'code': 'ConsentRequired', 'required_scope': f'scope-{self.rests}'})
        return self._said(self.end, self.details, since + self.ends)

    def _said(self, status: str, details: Json, completion: float | None = None) -> ActionStatus:
        return ActionStatus(f'id-{self.command.request_id}', status, details, start_time=self.began, completion_time=completion)


class Providers:
    """All of them. What an action does follows from the seed and its request alone."""

    def __init__(self, seed: int, *, calm: bool = False) -> None:
        self.seed, self.calm = seed, calm
        self.asked: Counter[str] = Counter()
        """How often each request was made: so often a provider that knows no ids would do the thing."""
        self.bodies: dict[str, Json] = {}
        self.doing: dict[str, Doing] = {}
        self.released: set[str] = set()

    def run(self, command: RunAction, intent: float, now: float, push: Push) -> ActionStatus:
        """As a provider's: the same request is done once. It was written down at `intent`, and the thing does not take longer for being told late."""
        assert command.request_id not in self.released, 'a provider has forgotten it, and would do it again'
        self.asked[command.request_id] += 1
        known = self.doing.get(command.request_id)
        if known is None:
            random = Random(f'{self.seed} {command.request_id}')
            if not self.calm and random.random() < 0.1:
                raise Refused(f'no such body: {command.action}')
            known = self.doing[command.request_id] = self._begun(command, random, intent)
            self.bodies[command.request_id] = command.body
        assert self.bodies[command.request_id] == command.body, 'the same request has the same body'
        return self._watched(known, now, push)

    def _begun(self, command: RunAction, random: Random, now: float) -> Doing:
        span = min(command.deadline - now, 10_000.0)
        ends = 0.0 if random.random() < 0.3 else span * random.uniform(0.01, 0.5)
        dice = random.random()
        if self.calm or dice < 0.6:
            end, rests = SUCCEEDED, 0
        elif dice < 0.75:
            end, rests = FAILED, 0
        elif dice < 0.85:
            end, rests = SUCCEEDED, random.choice((1, 2))
        else:
            end, rests, ends = SUCCEEDED, 0, float('inf')
        details = usual(command.action, command.body, command.request_id)
        if command.action == 'web_input_response' and random.random() < 0.3:
            end, details = FAILED, {'code': 'Flows.WebInputExpired'}
        noise = [random.uniform(0, span) for _ in range(random.randrange(3))]
        if not isinstance(details, dict):
            details = {'n': random.randrange(5), 'ok': random.random() < 0.5, 'request': command.request_id}
        return Doing(command, now, ends, end, rests, {**details, 'n': random.randrange(5)}, noise=noise)

    def _watched(self, doing: Doing, now: float, push: Push) -> ActionStatus:
        """Tell when it changes; twice, and then once more something old, as the seed wants it."""
        through = (doing.resumed or doing.began) + doing.ends
        request = doing.command.request_id
        if now < through < float('inf'):
            for _ in range(1 + len(doing.noise) % 2):
                push(through, request, doing.status(through))
        if not doing.rests:
            for late in doing.noise:
                push(max(now, doing.began + late), request, doing._said(ACTIVE, {'progress': late}))
        return doing.status(now)

    def resume(self, request_id: str, intent: float, now: float, push: Push, scope: str) -> ActionStatus:
        """Try again; `scope` is what the engine knew of it, so that a repetition is seen as one."""
        doing = self.doing[request_id]
        status = doing.status(now)
        if status.status == INACTIVE and status.details['required_scope'] == scope:
            doing.rests -= 1
            doing.resumed, doing.ends = intent, 1.5
        return self._watched(doing, now, push)

    def cancel(self, request_id: str) -> None:
        """It is no longer wanted."""
        if request_id in self.doing:
            self.doing[request_id].cancelled = True

    def release(self, request_id: str) -> None:
        """It may be forgotten."""
        self.released.add(request_id)

    def done(self) -> frozenset[str]:
        """The requests that took effect: what is asked for under another id is another."""
        return frozenset(self.bodies)
