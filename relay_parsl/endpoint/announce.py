"""What an endpoint says of itself: what it holds, how much it wants, what runs, how it is."""

from __future__ import annotations

from collections import Counter
from typing import Any

from relay_parsl.endpoint.books import Books
from relay_parsl.endpoint.effects import Demand
from relay_parsl.endpoint.intake import Intake
from relay_parsl.wire.messages import Backlog, Held, HeldTask, Id, Phase, Ping, Report, State, States, TaskState, Window

DECLARE_EVERY = 30.0
"""Seconds between declarations in a session in which nothing else asks for one."""
REPORT_EVERY = 60.0
BACKLOG_LASTS = 60.0
"""Seconds for which the last backlog is believed once the session is lost."""
STATES_AT_ONCE = 500


class Announcer:
    """State, not deltas: everything here may be lost, doubled and said again."""

    def __init__(self, books: Books, intake: Intake) -> None:
        """Shares the reactor's books."""
        self._books = books
        self._intake = intake
        self._declared_at = 0.0
        self._round = 0
        self._window: dict[str, tuple[int, int]] | None = None
        self._status: dict[str, Any] = {}
        self._reported: tuple[dict[str, Any], float] | None = None
        self._states: dict[Id, TaskState] = {}
        self._states_due = False
        self._backlog: dict[str, int] = {}
        self._demands: dict[str, int] = {}

    def open_session(self, now: float, *, fresh: bool) -> None:
        """Everything is said anew, and the declarations of a `fresh` session are counted from 0."""
        if fresh:
            self._round = 0
        self.declare(now)
        self._reported = None
        for holding in self._books.holdings.values():
            if holding.detail is not None:
                self.running(holding.info.task_id, holding.detail)

    def declare(self, now: float) -> None:
        """All that is held, in pages, and the window with it."""
        self._declared_at = now
        self._window = None
        up_to, session = self._intake.declare(), self._books.link.session
        held = [HeldTask(each.info.task_id, each.lease, Phase.FINISHED) for each in self._books.outbox.values()]
        held += [HeldTask(each.info.task_id, each.lease, each.phase) for each in self._books.holdings.values()]
        size = self._books.settings.held_page
        pages = [tuple(held[start : start + size]) for start in range(0, len(held), size)] or [()]
        for number, page in enumerate(pages):
            self._books.link.send(Held(session, up_to, number == len(pages) - 1, page, number, self._round))
        self._round += 1

    def asked(self, session: int, serial: int, now: float) -> bool:
        """The relay names its last dispatch: one that did not come is declared as not held. Returns whether there was such a one."""
        link = self._books.link
        if not link.live or session != link.session or serial <= self._intake.seen:
            return False
        self._intake.seen = serial
        self.declare(now)
        return True

    def backlog(self, message: Backlog) -> None:
        """How much waits at the relay."""
        counts: Counter[str] = Counter()
        for named, (count, _age) in message.pools.items():
            counts[self._books.pool(named)] += count
        self._backlog = dict(counts)

    def running(self, task_id: Id, detail: dict[str, Any]) -> None:
        """A task runs, and where."""
        self._states[task_id] = TaskState(task_id, State.RUNNING, detail)

    def report(self, status: dict[str, Any]) -> None:
        """How the endpoint is."""
        self._status = status

    def tick(self, now: float) -> None:
        """Declare again, with a `Ping` whose answer tells of dispatches that were lost."""
        link = self._books.link
        self._states_due = True
        if link.live and now - self._declared_at >= DECLARE_EVERY:
            self.declare(now)
            link.send(Ping())
        if not link.live and link.lost_at is not None and now - link.lost_at >= BACKLOG_LASTS:
            self._backlog.clear()

    def speak(self, now: float) -> None:
        """What has changed: window, states, report."""
        pools = self._books.holdings.pools
        named = ['', *pools] if self._books.pool('') in pools else list(pools)  # the relay knows pools by what tasks say
        window = {name: (0, 0) if self._books.draining or self._books.paused else pools[self._books.pool(name)].window for name in named}
        if window != self._window:
            self._window = window
            self._books.link.send(Window(window))
        if self._states_due:
            self._say_states()
        if self._status and (self._reported is None or self._reported[0] != self._status or now - self._reported[1] >= REPORT_EVERY):
            self._reported = self._status, now
            self._books.link.send(Report(self._status))

    def _say_states(self) -> None:
        """At each tick only: of a task that has ended since, nobody needs to know that it ran."""
        states = tuple([state for task_id, state in self._states.items() if task_id in self._books.holdings])
        self._states.clear()
        self._states_due = False
        for start in range(0, len(states), STATES_AT_ONCE):
            self._books.link.send(States(states[start : start + STATES_AT_ONCE]))

    def demand(self) -> None:
        """Tell the engines what there is to do."""
        for name, pool in self._books.holdings.pools.items():
            count = pool.held + (0 if self._books.draining else self._backlog.get(name, 0))
            if count != self._demands.get(name, 0):
                self._demands[name] = count
                self._books.out.append(Demand(name, count))
