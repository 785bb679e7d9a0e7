"""How tasks come in: leases, the objects that they refer to, their large arguments."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from relay_parsl.endpoint.books import Books
from relay_parsl.endpoint.effects import CancelWork, Declined, Drop, Keep, SpoolWrite, Withdraw
from relay_parsl.endpoint.holdings import Holding
from relay_parsl.endpoint.outcomes import Outcomes
from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec
from relay_parsl.wire.messages import (
    LONGEST,
    Attempt,
    Dispatch,
    Hash,
    Id,
    Leased,
    Need,
    Objects,
    Phase,
    Recorded,
    Returned,
    Segment,
    Status,
    TaskHeader,
)

SKEW = 300.0
"""Seconds by which clocks may differ before a task counts as expired."""
NEED_AT_ONCE = 200
"""Hashes in one `Need`."""
RETURN_AGAIN = 5.0
"""Seconds after which an unanswered `Returned` is repeated."""
RETURN_AT_ONCE = 500


@dataclass
class _Return:
    attempt: int
    up_to: int
    said: float | None = None


class Intake:
    """Takes leases of the present session and makes them ready to start."""

    def __init__(self, books: Books, outcomes: Outcomes) -> None:
        """Shares the reactor's books."""
        self._books = books
        self._outcomes = outcomes
        self.seen = 0
        self.declared = 0
        self._serials: set[int] = set()
        self._returned: dict[Id, _Return] = {}

    def open_session(self, *, fresh: bool) -> None:
        """Questions are asked again; serials begin anew, unless it is the session that we were in (`Goodbye` and `Hello` had crossed)."""
        if fresh:
            self.seen = self.declared = 0
            self._serials.clear()
        self._returned.clear()  # `Held` says it now
        self._books.stock.ask_again()
        self._books.pulls.restart()

    def declare(self) -> int:
        """What is about to be said of the dispatches up to now holds for ever: later copies of them are dropped."""
        self.declared = self.seen
        self._serials.clear()
        return self.declared

    def dispatch(self, message: Dispatch, now: float) -> None:
        """Leases. Those of another session, doubled ones, and those declared as not held, are dropped."""
        link = self._books.link
        if not link.live or message.session != link.session:
            link.astray(now)
            return
        if message.serial <= self.declared or message.serial in self._serials:
            return
        self._serials.add(message.serial)
        self.seen = max(self.seen, message.serial)
        for leased in message.tasks:
            self._lease(leased, now)

    def objects(self, message: Objects) -> None:
        """Functions and grants: the loop checks and keeps those that somebody waits for."""
        for each in message.objects:
            if self._books.stock.arrived(each.hash, len(each.data)):
                self._books.out.append(Keep(each))

    def kept(self, each: Hash) -> None:
        """An object is usable."""
        holdings = self._books.holdings
        for task_id in self._books.stock.kept(each):
            holding = holdings.get(task_id)
            if holding is not None and each in holding.lacks:
                holding.lacks.discard(each)
                holdings.ready(holding)

    def unusable(self, each: Hash, reason: str, now: float) -> None:
        """An object is not: what waited for it ends."""
        for task_id in self._books.stock.refused(each):
            holding = self._books.holdings.get(task_id)
            if holding is not None and each in holding.lacks:
                self._outcomes.refuse(holding, reason, now)

    def segment(self, message: Segment, now: float) -> None:
        """A piece of large arguments."""
        holding = self._books.holdings.get(message.task_id)
        if holding is None or message.direction != 'task' or message.task_id not in self._books.pulls:
            return
        if message.total == -1 or self._books.pulls.cut(message):
            has = f'{message.total} bytes of the arguments, not {holding.info.body}' if message.total >= 0 else 'the arguments no more'
            reason = f'body-gone: the relay has {has}'
            self._books.out.append(Declined(holding.info, reason))
            self._outcomes.refuse(holding, reason, now)
        elif self._books.pulls.take(message):
            self._books.out.append(SpoolWrite((message.task_id, holding.attempt, 'task'), message.offset, message.data))
            if self._books.pulls.done(message.task_id):
                holding.pulling = False
                self._books.holdings.ready(holding)

    def hand_back(self) -> None:
        """Give back everything that no engine has, and ask the engines for what waits in them. What may run only once stays where it is."""
        for holding in self._books.holdings.values():
            if holding.phase is Phase.QUEUED:
                self.give_back(holding)
            elif holding.phase is Phase.STARTED and not holding.info.at_most_once:
                self._books.out.append(Withdraw(holding.info.task_id, holding.attempt, holding.info.pool))

    def revoked(self, grants: Collection[Hash], *, cancel: bool) -> None:
        """Have the engines give back what came under these grants and waits in them, or with `cancel` end it. What waits here meets the gate."""
        for holding in self._books.holdings.values():
            if holding.info.grant not in grants or holding.phase is not Phase.STARTED:
                continue
            if cancel:
                holding.cancelled = True
                self._books.out.append(CancelWork(holding.info.task_id, holding.attempt, holding.info))
            elif not holding.info.at_most_once:
                self._books.out.append(Withdraw(holding.info.task_id, holding.attempt, holding.info.pool))

    def give_back(self, holding: Holding) -> None:
        """It will not run here. What was tried is declared no more, and comes again as the next attempt: `Returned` says not begun."""
        if not holding.tries:
            self._return(holding.info.task_id, holding.lease)
        self._outcomes.leave(holding)

    def recorded(self, message: Recorded) -> None:
        """The relay has taken these back."""
        for each in message.tasks:
            returned = self._returned.get(each.task_id)
            if returned is not None and returned.attempt == each.attempt:
                del self._returned[each.task_id]

    @property
    def returning(self) -> bool:
        """Whether the relay has still to hear of tasks that were given back."""
        return bool(self._returned)

    def speak(self, now: float) -> None:
        """Ask for what is missing, return what is not wanted."""
        books = self._books
        wanted = books.stock.wanted(now)
        for start in range(0, len(wanted), NEED_AT_ONCE):
            books.link.send(Need(tuple(wanted[start : start + NEED_AT_ONCE])))
        for fetch in books.pulls.asks(now):
            books.link.send(fetch)
        self._say_returned(now)

    def _return(self, task_id: Id, attempt: int) -> None:
        self._returned[task_id] = _Return(attempt, self.seen)

    def _say_returned(self, now: float) -> None:
        """By the serial up to which it holds, so that a late copy does not give back a newer lease."""
        due: dict[int, list[Attempt]] = {}
        for task_id, each in self._returned.items():
            if each.said is None or now - each.said >= RETURN_AGAIN:
                each.said = now
                due.setdefault(each.up_to, []).append(Attempt(task_id, each.attempt))
        for up_to, attempts in due.items():
            for start in range(0, len(attempts), RETURN_AT_ONCE):
                self._books.link.send(Returned(tuple(attempts[start : start + RETURN_AT_ONCE]), self._books.link.session, up_to))

    def tidy(self) -> None:
        """Drop objects that nobody needs when there are too many."""
        self._books.out += [Drop(each) for each in self._books.stock.surplus()]

    def _lease(self, leased: Leased, now: float) -> None:
        try:
            info = codec.task_header(leased.header)
        except ProtocolError as error:  # the relay reads each header that it takes: this one was damaged on purpose, and there is no id to answer to
            self._books.out.append(Declined(None, f'malformed: {str(error)[:200]}'))
            return
        if not info.pool and (pool := self._books.pool('')):
            info = info._replace(pool=pool)
        holding, waiting = self._books.holdings.get(info.task_id), self._books.outbox.get(info.task_id)
        if holding is not None:
            holding.lease = max(holding.lease, leased.attempt)
        elif waiting is not None:
            waiting.lease = max(waiting.lease, leased.attempt)
            self._books.outbox.resend(info.task_id)
        elif self._books.draining:
            self._return(info.task_id, leased.attempt)
        else:
            self._take(leased, info, now)

    def _take(self, leased: Leased, info: TaskHeader, now: float) -> None:
        if self._books.ledger.is_spent(info):
            reason = 'replayed: the task has finished here before, or may run only once and has started'
            self._outcomes.decline(info, leased.attempt, reason, now)
        elif info.expires + SKEW < now:
            self._outcomes.decline(info, leased.attempt, 'expired: before it started', now, Status.EXPIRED)
        elif not 0 <= info.body <= LONGEST:
            self._outcomes.decline(info, leased.attempt, 'malformed: its arguments are longer than any can be', now)
        elif info.pool not in self._books.holdings.pools:
            self._outcomes.decline(info, leased.attempt, f'no-pool: this endpoint has no pool {info.pool!r}', now)
        else:
            lacks = self._books.stock.use((info.grant, info.function), info.task_id)
            holding = self._books.holdings.add(leased.header, info, leased.payload, leased.attempt, lacks)
            if info.body:
                self._books.pulls.add(info.task_id, leased.attempt, info.body)
            self._books.holdings.ready(holding)
