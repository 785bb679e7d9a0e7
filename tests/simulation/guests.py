"""A process of an endpoint that has guests: the product's own gate, shares and look at rights in it, and the judgement of what it makes of them.

The judge holds them against what the owner has said and this very process has heard, by the clock that the process goes by.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from relay_parsl.endpoint import effects as do
from relay_parsl.endpoint.endpoint import IDLE, Endpoint
from relay_parsl.endpoint.gate import Gate, Refusal
from relay_parsl.endpoint.hands import Hands
from relay_parsl.endpoint.holdings import Holding
from relay_parsl.endpoint.policy import FunctionPolicy
from relay_parsl.endpoint.shares import Shares
from relay_parsl.wire.messages import Id, Object, Phase, Report
from tests.simulation.sharing import OWNER, Sharing, Statement

if TYPE_CHECKING:
    from tests.simulation.endpoint_process import EndpointProcess

NOTHING = Statement(0, 0.0, False, b'')
Key = tuple[Id, int]


def trusted() -> frozenset[bytes]:
    """Whom the endpoint trusts besides."""
    return frozenset([OWNER.identity_public])


class Rights:
    """Who may use an endpoint, in one life of a process of it."""

    def __init__(self, process: EndpointProcess, sharing: Sharing) -> None:
        """Reads the journal. Raises StoreError."""
        self.process, self.sharing, self.clock = process, sharing, process.clock
        data = process.disk.journal.share()
        self.known = sharing.said[data] if data else NOTHING
        """The highest that this process has heard."""
        self._check(self.known.serial >= process.disk.reported, 'a statement about guests is forgotten')
        self._shares = Shares(process.account.id, trusted, data)
        self._gate = Gate(OWNER, process.epoch, FunctionPolicy(), trusted, self._shares)
        self._gate._endpoint = process.account.id
        self._reactor = process.reactor
        self._renewal = SimpleNamespace(look=lambda: False)
        self.again = False
        self._looked = 0.0
        self._due = False
        """Whether it has looked in this turn."""
        self._out = False
        """Whether there was no guest then."""
        self._closed = False
        """Whether what was done about that is done."""
        self._to_end = False
        """Whether also what runs of the guest is to end."""
        self._ending = False
        """Whether that was known when it looked."""
        self._asked: set[Key] = set()
        """What the engines were asked for, since there is no guest."""
        self._ended: set[Key] = set()
        self._stayed: set[Id] = set()
        """What they did not give back, for it ran."""
        self._inside: set[Id] = set()
        self._report()

    def _check(self, holds: object, text: str, *args: object) -> None:
        self.process.world.invariants.check(holds, text, *args)

    def _mine(self, task_id: Id) -> bool:
        return self.sharing.of_guest(self.process.world.specs[task_id])

    def admits(self, now: float) -> bool:
        """Whether there is a guest, by what this process has heard."""
        return now <= self.known.until

    # -- in the place of the loop and its hands -------------------------------

    def _report(self) -> None:
        self._reported_share = self._shares.serial
        shares = {'share': self._reported_share} if self._reported_share else {}
        self._reactor.report({'host': self.process.name, 'life': self.process.life, **shares})

    def _note(self, event: str, **_fields: Any) -> None:
        self.clock.tally.faults[f'guest {event}'] += 1

    _audit = _note

    def _refused(self, what: str, reason: str, _about: dict[str, str]) -> None:
        self.clock.tally.faults[f'{what} refused'] += 1

    def welcome(self) -> None:
        """What a loop does at every `Welcome`: it reports."""
        self._report()

    def look(self, now: float) -> None:
        """The loop's own, as often as it does it."""
        if now - self._looked >= IDLE:
            self._looked, self._due, self._out, self._ending = now, True, not self.admits(now), self._to_end
            if not self._out:
                self._closed = self._to_end = self._ending = False
                self._asked.clear()
                self._stayed.clear()
            Endpoint._look_at_rights(self, now)  # type: ignore[arg-type]

    def state(self, effect: do.Statement) -> None:
        """A statement came: the product takes it or not."""
        Hands._state(self, effect)  # type: ignore[arg-type]
        said = self.sharing.said.get(effect.data, NOTHING)
        if said.serial > self.known.serial:
            if said.until:
                self._to_end = False
            elif self.known.until:
                self._to_end = said.cancel
            self.known = said
        current = self._shares.current
        self._check((current.data if current else b'') == self.known.data, 'not the highest statement of the owner holds')
        self._closed &= not self.admits(self.process.now)
        if self.again:
            self.again = False
            self.process.wake()

    def keep(self, found: Object) -> bool:
        """An object came: whether it is of use."""
        now = self.process.now
        reason = self._gate.keep(found, now)
        if reason:
            self._refuse([each for each in self._reactor._books.holdings.values() if found.hash in each.lacks], now)
            self._reactor.unusable(found.hash, reason, now)
            self.process.wake()
        return not reason

    def drop(self, effect: do.Drop) -> None:
        """An object is not needed."""
        self._gate.drop(effect.hash)

    def opens(self, effect: do.Start) -> bool:
        """Whether the gate lets a task pass; else it has its end."""
        info, now = effect.info, self.process.now
        try:
            self._gate._grant(info, now)
        except Refusal as refusal:
            self._check('is not shared with it' in str(refusal), 'refused as %s', refusal)
            held = self._reactor._books.holdings.get(info.task_id)
            self._refuse([held] if held else [], now)
            self._reactor.finished(self._gate.refusal(info, effect.attempt, str(refusal)), now)
            self.process.wake()
            return False
        if self._mine(info.task_id):
            self._check(self.admits(now), 'a task of a guest begins after its share is over')
            self._inside.add(info.task_id)
            self.sharing.at_work(crowded=bool(self.process.engines[info.pool].waiting))
        return True

    def report_leaves(self, report: Report) -> None:
        """What was reported is never forgotten on this disk."""
        self.process.disk.reported = max(self.process.disk.reported, int(report.status.get('share', 0)))

    # -- judged ---------------------------------------------------------------

    def _refuse(self, holdings: list[Holding], now: float) -> None:
        for each in holdings:
            name = each.info.task_id
            self._check(self._mine(name), 'a task of the owner is refused')
            self._check(not self.admits(now), 'a task of a guest is refused while its share lasts')
            self.sharing.refused.add(name)

    def withdrawn(self, effect: do.Withdraw, given: bool) -> None:
        """An engine was asked for what waits in it."""
        if not self._mine(effect.task_id):
            self._check(self._reactor._books.draining, 'a task of the owner is taken back')
            return
        self._asked.add((effect.task_id, effect.attempt))
        if given:
            self._inside.discard(effect.task_id)
            self.clock.tally.faults['guest withdrawn'] += not self._reactor._books.draining
        else:
            self._stayed.add(effect.task_id)
            self.clock.tally.faults['guest runs on'] += not self._reactor._books.draining

    def cancelled(self, effect: do.CancelWork, gone: bool) -> None:
        """An engine was told to end what runs."""
        name = effect.task_id
        own = name in self.process.world.cancelled or self.process.world.relay.is_over(name)
        self._check(own or (self._mine(name) and self._ending), 'a task is cancelled that nobody cancelled')
        self.clock.tally.faults['guest cancelled'] += not own
        self._ended.add((name, effect.attempt))
        self._stayed.add(name)
        if gone:
            self._inside.discard(name)

    def began(self, task_id: Id) -> None:
        """A worker begins with a task."""
        if self._mine(task_id):
            self._check(task_id in self._inside, 'a task runs that was given back')
            once = self.process.world.specs[task_id].header.at_most_once
            self._check(not self._closed or once or task_id in self._stayed, 'a task of a guest runs after its share is over')

    def after_turn(self) -> None:
        """Everything that a look has led to is done: nothing of the guest waits in an engine that was not asked for it."""
        if not self._due:
            return
        self._due = False
        if not self._out or self.admits(self.process.now):
            return
        for each in self._reactor._books.holdings.values():
            if each.phase is Phase.STARTED and self._mine(each.info.task_id):
                key = each.info.task_id, each.attempt
                asked = key in self._asked or each.info.at_most_once or each.result is not None
                self._check(asked or key in self._ended, 'what waits of a guest is not taken back from its engine')
                self._check(not self._ending or key in self._ended or each.result is not None, 'what runs of a guest is not ended')
        self._closed, self._to_end = True, self._to_end and not self._ending


class Watched:
    """Those who are told what becomes of tasks; and of what begins, the judge of guests too."""

    def __init__(self, rights: Rights) -> None:
        """Of one process."""
        self._rights, self._users = rights, rights.process.world.invariants

    def __getattr__(self, name: str) -> Any:
        return getattr(self._users, name)

    def began(self, task_id: bytes) -> None:
        """A worker has begun a task."""
        self._rights.began(Id(task_id))
        self._users.began(task_id)
