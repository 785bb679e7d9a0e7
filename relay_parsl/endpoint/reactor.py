"""What an endpoint decides: pure, driven by messages, engine events and the clock.

```
 relay ── Dispatch ──► Intake ── Start ──► engine ── finished / lost ──► Outcomes ──► Outbox ── Results ──► relay
            Need ◄── Stock (functions, grants)  Pulls (large arguments)       Ledger (journal) ◄── Recorded
```

A turn of the loop is `journal.begin()`, any calls here, `flush`, `journal.commit()`, and only then `take`: nothing leaves before what it
asserts is on disk. After a StoreError the loop rolls back and simply goes on: effects and writes wait for the next commit that succeeds.
(A loop that gives up instead ends its engines, takes a new epoch from the journal and makes a new reactor.)
`now` is in seconds, near to wall-clock time (`expires` is compared with it), and never jumps backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from relay_parsl.endpoint.announce import Announcer
from relay_parsl.endpoint.books import Books, EndpointSettings
from relay_parsl.endpoint.census import Census
from relay_parsl.endpoint.effects import BodyKey, Effect, Ended, Exit, Start, Statement
from relay_parsl.endpoint.idleness import Idleness
from relay_parsl.endpoint.intake import Intake
from relay_parsl.endpoint.ledger import Journal
from relay_parsl.endpoint.outcomes import Outcomes
from relay_parsl.wire.messages import (
    Backlog,
    Cancel,
    Dispatch,
    Fetch,
    Goodbye,
    Hash,
    Id,
    Message,
    Objects,
    Phase,
    Ping,
    Pong,
    Recorded,
    Refused,
    Segment,
    Welcome,
)

__all__ = ['EndpointReactor', 'EndpointSettings']

LEAVE_WAIT = 5.0
"""Seconds for which a drained endpoint waits until the relay has heard what was returned."""
Handler = Callable[[Any, float], None]


class EndpointReactor:
    """Joins one relay session to its engines. Every method takes effect at the next `flush`, commit and `take`."""

    def __init__(self, journal: Journal, instance: Id, epoch: int, now: float, *, settings: EndpointSettings) -> None:
        """`epoch` comes from `journal.advance()`, once a process; `instance` is random. Raises StoreError."""
        self._books = books = Books(journal, instance, epoch, now, settings)
        self._outcomes = Outcomes(books)
        self._intake = Intake(books, self._outcomes)
        self._announcer = Announcer(books, self._intake)
        self._idleness = Idleness(settings.idle_soft, settings.idle_hard, now)
        self._why = ''
        self._drained_at: float | None = None
        self._left_at: float | None = None
        self._grace = settings.grace
        self._exited = False
        self._handlers: dict[type, Handler] = {
            Welcome: self._welcome,
            Refused: books.link.refused,
            Goodbye: books.link.goodbye,
            Ping: self._ping,
            Pong: self._pong,
            Dispatch: self._intake.dispatch,
            Objects: lambda message, _now: self._intake.objects(message),
            Segment: self._intake.segment,
            Fetch: lambda message, _now: self._outcomes.fetch(message),
            Cancel: self._outcomes.cancel,
            Recorded: self._recorded,
            Backlog: lambda message, _now: self._announcer.backlog(message),
        }

    # -- The wire ----------------------------------------------------------------------------------------------------

    def connect(self, now: float) -> None:
        """There is a (fresh) socket: say Hello."""
        self._books.link.connect(now)

    def receive(self, message: Message, now: float) -> None:
        """A message from the relay; what has no place here is dropped."""
        self._books.link.heard(now)
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message, now)

    # -- The loop ----------------------------------------------------------------------------------------------------

    def kept(self, each: Hash, now: float) -> None:
        """The object of a `Keep` is usable."""
        self._intake.kept(each)

    def unusable(self, each: Hash, reason: str, now: float) -> None:
        """The object of a `Keep` is not; `reason` reaches the user of every task that waited for it."""
        self._intake.unusable(each, reason, now)

    def shared(self, data: bytes) -> None:
        """The statement of a `Statement` holds from now on, also after a restart."""
        self._books.ledger.share(data)

    def revoked(self, grants: Collection[Hash], *, cancel: bool) -> None:
        """These grants count no more: what has not begun comes back, to be refused; what runs goes on, or with `cancel` is ended."""
        self._intake.revoked(grants, cancel=cancel)

    def finished(self, ended: Ended, now: float) -> None:
        """A task has ended, and the loop has sealed how (or refused it, unsealed)."""
        self._outcomes.finished(ended, now)

    def spooled(self, key: BodyKey, now: float) -> None:
        """The body of a `SpoolSync` is durable."""
        self._outcomes.spooled(key, now)

    def unspooled(self, key: BodyKey, reason: str, now: float) -> None:
        """A `SpoolWrite` failed: the task cannot have its arguments."""
        holding = self._books.holdings.get(key[0])
        if holding is not None and holding.attempt == key[1] and key[2] == 'task':
            self._outcomes.refuse(holding, reason, now)

    def spoiled(self, key: BodyKey) -> bool:
        """A `SpoolSend` found another number of bytes than were written, or none; whether that is news."""
        return self._outcomes.spoiled(key)

    def report(self, status: dict[str, Any]) -> None:
        """Versions, workers, blocks: sent at the start of each session, on change, and every minute."""
        self._announcer.report(status)

    # -- The engines -------------------------------------------------------------------------------------------------

    def running(self, task_id: Id, attempt: int, detail: dict[str, Any], now: float) -> None:
        """An attempt runs; `detail` says where. With it goes since when, in seconds since 1970, and how many tries were lost before it."""
        holding = self._books.holdings.get(task_id)
        if holding is not None and holding.attempt == attempt and (detail or not holding.detail):  # a guess takes no word back
            tries = {'lost': holding.tries} if holding.tries else {}
            holding.detail = {**detail, 'since': (holding.detail or {}).get('since', now), **tries}
            self._announcer.running(task_id, holding.detail)

    def lost(self, task_id: Id, attempt: int, cause: str, evidence: str, now: float, *, final: bool = False) -> None:
        """An attempt died with what ran it: it is started again, or a `Fail` says that it has had its tries."""
        self._outcomes.lost(task_id, attempt, cause, evidence, now, final=final)
        holding = self._books.holdings.get(task_id)
        if self._books.draining and holding is not None and holding.phase is Phase.QUEUED:
            self._intake.give_back(holding)

    def withdrawn(self, task_id: Id, attempt: int, now: float) -> None:
        """The engine has given an attempt back that never began: so does a drain."""
        holding = self._books.holdings.get(task_id)
        if holding is not None and holding.attempt == attempt and holding.phase is Phase.STARTED:
            self._intake.give_back(holding)

    def capacity(self, pool: str, count: int, now: float) -> None:
        """How many tasks an engine can run at once."""
        self._books.holdings.pools[pool].capacity = count

    def pause(self, *, paused: bool) -> None:
        """Ask for no more tasks, or ask again; what is here goes on."""
        self._books.paused = paused

    def census(self) -> Census:
        """How much there is."""
        books, pools = self._books, self._books.holdings.pools
        started = sum(each.started for each in pools.values())
        held = {name: each.held for name, each in pools.items()}
        return Census(len(books.holdings), started, len(books.outbox), books.link.live, books.paused, books.draining, held)

    @property
    def live(self) -> bool:
        """Whether there is a session."""
        return self._books.link.live

    def held(self) -> list[tuple[Id, int]]:
        """Tasks and attempts that are with the engines or wait for them."""
        return [(each.info.task_id, each.attempt) for each in self._books.holdings.values()]

    # -- The turn ----------------------------------------------------------------------------------------------------

    def drain(self, now: float, grace: float | None = None) -> None:
        """Take nothing more, give back what has not started, end when the rest is recorded or `grace` seconds are over (default: the settings').

        Called again, it has `grace` seconds from then on.
        """
        self._grace = self._books.settings.grace if grace is None else grace
        self._drained_at = now
        if not self._books.draining:
            self._books.draining = True
            self._intake.hand_back()

    def tick(self, now: float) -> None:
        """Timers; call it at least once a second."""
        self._books.link.tick(now)
        self._books.outbox.tick(now, self._books.link.last_heard)
        self._books.ledger.tick(now)
        self._announcer.tick(now)
        self._rest(now)

    def _rest(self, now: float) -> None:
        """End by ourselves when there is nothing to do; what is held goes back to the relay."""
        holdings = self._books.holdings
        busy = bool(holdings or self._books.outbox) or not self._books.link.live
        reason, at_once = self._idleness.verdict(now, moved=holdings.moved, busy=busy)
        if reason and not self._books.draining:
            self._why = reason
            self.drain(now, 0.0 if at_once else None)

    def flush(self, now: float) -> None:
        """End of a turn: start what may start, say what there is to say, write the journal. Raises StoreError."""
        self._start(now)
        if self._books.link.live:
            self._intake.speak(now)
            self._announcer.speak(now)
            for batch in self._books.outbox.batches(now):
                self._books.link.send(batch)
        self._announcer.demand()
        self._intake.tidy()
        if self._books.draining:
            self._leave(now)
        self._books.ledger.write()

    def committed(self) -> None:
        """The journal's turn is durable. `take` says so too, for it comes after the commit only."""
        self._books.ledger.committed()

    def take(self) -> list[Effect]:
        """What to do now, in order: only after the commit."""
        self.committed()
        effects = list(self._books.out)
        self._books.out.clear()
        return effects

    def _start(self, now: float) -> None:
        for holding in self._books.holdings.start(self._books.settings.margin, now):
            if holding.info.at_most_once:
                self._books.ledger.spend(holding.info, urgent=True)
            self._books.out.append(Start(holding.attempt, holding.header, holding.payload, holding.tries, holding.info))

    def _welcome(self, message: Welcome, now: float) -> None:
        if message.share:
            self._books.out.append(Statement(message.share))
        fresh = message.session != self._books.link.session
        if self._books.link.welcome(message):
            self._intake.open_session(fresh=fresh)
            self._books.outbox.resend_all()
            self._announcer.open_session(now, fresh=fresh)
            self._left_at = None

    def _ping(self, message: Ping, now: float) -> None:
        self._books.link.send(Pong())
        self._announcer.asked(message.session, message.serial, now)

    def _pong(self, message: Pong, now: float) -> None:
        missed = self._announcer.asked(message.session, message.serial, now)
        if self._left_at is None or not self._books.link.live:
            return
        if missed or self._intake.returning:
            self._left_at = None
        else:
            self._exit(self._why or 'drained')

    def _recorded(self, message: Recorded, _now: float) -> None:
        self._outcomes.recorded(message)
        self._intake.recorded(message)

    def _leave(self, now: float) -> None:
        """The last steps of a drain: results recorded, what was returned heard by the relay, goodbye."""
        waited = now - (self._drained_at or now)
        if waited >= self._grace:
            self._exit(f'{self._why or f"the grace of {self._grace:g} s is over"}; {len(self._books.holdings)} tasks go back unfinished')
        elif self._books.holdings or self._books.outbox or (self._intake.returning and self._books.link.live):
            self._left_at = None
        elif self._books.link.live and (self._left_at is None or now - self._left_at >= LEAVE_WAIT):
            self._left_at = now
            self._announcer.declare(now)
            self._books.link.send(Ping())
        elif not self._books.link.live and waited >= LEAVE_WAIT:
            self._exit(self._why or 'drained')

    def _exit(self, reason: str) -> None:
        if self._exited:
            return
        self._exited = True
        self._books.outbox.save_all()
        self._books.ledger.hurry()
        if self._books.link.live:
            self._books.link.send(Goodbye(reason))
        self._books.out.append(Exit(0, reason))
