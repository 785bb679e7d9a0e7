"""Tasks on their way to endpoints: windows, dispatches, and what an endpoint says it holds. Pure.

Time ends no lease. Only a result, a complete `Held` that lacks it, a `Returned`, or the deletion of the endpoint does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from heapq import heapify, heapreplace
from itertools import islice

from relay_parsl.relay.core import BATCH_TASKS, Core, batches, held_bytes, held_tasks
from relay_parsl.relay.records import Stage, TaskInfo, TaskRow
from relay_parsl.relay.sessions import EndpointSession
from relay_parsl.wire.messages import (
    Attempt,
    Backlog,
    Body,
    Cancel,
    Dispatch,
    Held,
    Id,
    Leased,
    Phase,
    Recorded,
    Returned,
    Status,
    Window,
)

TURN_TASKS = 1000
"""The most that one endpoint is sent in one turn; the rest follows in the next, so that others have theirs."""
PAGES = 10_000
"""The most pages of one declaration."""
POOLS = 64
"""The most pools of an endpoint."""
SLICE, SLICE_BYTES = 500, 4 << 20
"""Tasks that one turn ends because their pool does not exist, and bytes of them that it reads; the rest follows in the next."""
BACKLOG_EVERY, BACKLOG_AGAIN = 1.0, 20.0
"""Seconds between two words about a changed backlog, and between repetitions of the same."""


class Leases:
    """Gives leases, and ends them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # -- What endpoints say -----------------------------------------------------------------------------------------

    def window(self, session: EndpointSession, message: Window, _now: float) -> None:
        """How much it wants to hold, pool by pool."""
        session.windows = dict(list(message.pools.items())[:POOLS])
        self._core.ready[session.account] = None

    def held(self, session: EndpointSession, message: Held, _now: float) -> None:
        """One page of what it holds; the last one is judged when none is missing."""
        if message.session != session.number or not 0 <= message.page < PAGES or message.round < session.pages_of:
            return
        if message.round > session.pages_of:
            session.pages, session.pages_of = {}, message.round
        session.pages[message.page] = {(each.task_id, each.attempt): each.phase for each in message.tasks}
        if message.complete and set(session.pages) == set(range(message.page + 1)):
            held = {key: phase for page in session.pages.values() for key, phase in page.items()}
            session.pages = {}
            self._judge(session, held, message.up_to)
            session.judged = True
            self._core.ready[session.account] = None

    def returned(self, session: EndpointSession, message: Returned, _now: float) -> None:
        """Leases that never reached the engine. A word from before a lease is not about it, and every word is answered."""
        up_to = message.up_to if message.session else session.serial
        back = []
        for each in message.tasks if message.session in (0, session.number) else ():
            lease = session.leases.get(each.task_id)
            if lease and lease.attempt == each.attempt and (lease.session < session.number or lease.serial <= up_to):
                back.append(lease)
        marked = [lease for lease in back if lease.cancel]
        self._core.end(marked, Status.CANCELLED, 'cancelled before it started')
        self._requeue([(lease, lease.attempt) for lease in back if not lease.cancel])
        self._core.send(session, Recorded(message.tasks))

    def _judge(self, session: EndpointSession, held: dict[tuple[Id, int], Phase], up_to: int) -> None:
        """What it should hold and does not is lost; what it holds and should not is cancelled."""
        absent = [
            lease
            for lease in session.leases.values()
            if (lease.session < session.number or lease.serial <= up_to) and (lease.id, lease.attempt) not in held
        ]
        adopted = self._adopt(session, held) if self._core.settings.restored and not session.judged else set()
        absent = [lease for lease in absent if lease.id not in adopted]
        extra = [
            Attempt(task_id, attempt)
            for (task_id, attempt), phase in held.items()
            if phase != Phase.FINISHED and not (task_id in session.leases and session.leases[task_id].attempt == attempt)
        ]
        self._lose(session, absent)
        marked = [Attempt(lease.id, lease.attempt) for lease in session.leases.values() if lease.cancel]
        self.cancel_attempts(session, extra + marked)

    def _adopt(self, session: EndpointSession, held: dict[tuple[Id, int], Phase]) -> set[Id]:
        """A store that was restored knows less than its endpoints: what they hold of its open tasks, in that attempt or a later one, is leased.

        Else it would be cancelled there and sent out once more: what runs would run again, and a result that is on its way be refused.
        """
        newest = dict(sorted(held, key=lambda each: each[1]))
        known = self._core.store.find(list(newest))
        mine = [info for info in known if info.endpoint == session.account and info.stage != Stage.DONE]
        mine = [info for info in mine if newest[info.id] >= info.attempt + (info.stage == Stage.LEASED)]
        self._give(session, [info for info in mine if info.stage == Stage.QUEUED and info.attempt < newest[info.id]])
        self._requeue([(info, newest[info.id]) for info in mine if info.stage == Stage.LEASED])
        for info in mine:
            info.attempt = newest[info.id]
        self._give(session, mine)
        return {info.id for info in mine}

    def _give(self, session: EndpointSession, tasks: Sequence[TaskInfo]) -> None:
        """Leases of this moment, without a dispatch."""
        if not tasks:
            return
        session.serial += 1
        for info in tasks:
            self._core.wait(info, -1)
            info.stage, info.session, info.serial, info.epoch = Stage.LEASED, session.number, session.serial, session.hello.epoch
        self._core.store.lease(tasks)
        self._core.hold(session, tasks)

    def _lose(self, session: EndpointSession, lost: Sequence[TaskInfo]) -> None:
        """In the same epoch it was never started, for the endpoint would know. With an older epoch it may have been."""
        marked = [lease for lease in lost if lease.cancel]
        risky = [lease for lease in lost if not lease.cancel and lease.at_most_once and lease.epoch != session.hello.epoch]
        self._core.end(marked, Status.CANCELLED, 'cancelled')
        self._core.end(risky, Status.FAILED, 'lost: it may have started in a process of the endpoint that is gone, and may not start twice')
        again = [lease for lease in lost if not lease.cancel and not (lease.at_most_once and lease.epoch != session.hello.epoch)]
        self._requeue([(lease, lease.attempt + (not lease.at_most_once)) for lease in again])

    def _requeue(self, tasks: Sequence[tuple[TaskInfo, int]]) -> None:
        if not tasks:
            return
        self._core.store.requeue([(lease.number, attempt) for lease, attempt in tasks])
        for lease, _ in tasks:
            self._core.release(lease)
            self._core.wait(lease, 1)
            self._core.changed(lease.id)

    # -- What endpoints are told ------------------------------------------------------------------------------------

    def cancel_attempts(self, session: EndpointSession, attempts: Sequence[Attempt]) -> None:
        """These attempts are not wanted."""
        for start in range(0, len(attempts), BATCH_TASKS):
            self._core.send(session, Cancel(tuple(attempts[start : start + BATCH_TASKS])))

    def flush(self, now: float) -> None:
        """Give leases wherever there are tasks and room."""
        ready, self._core.ready = self._core.ready, {}
        for endpoint in ready:
            session = self._core.endpoints.get(endpoint)
            if session and session.judged and not self._core.draining:
                for pool, window in session.windows.items():
                    self._fill(session, pool, window, now)
                self._end_strays(session)
                if self._flipped(session):
                    self.say_backlog(session, now)

    def _fill(self, session: EndpointSession, pool: str, window: tuple[int, int], now: float) -> None:
        """Of one pool. One task always fits, however large it is."""
        counts = session.held[pool]
        room = min(window[0] - held_tasks(counts), TURN_TASKS)
        waiting: Counter[Id] = self._core.waiting[session.account].get(pool, Counter())
        takers = Counter({account: count for account, count in waiting.items() if self._core.accounts.counts(account, now)})
        if room <= 0 or not takers:
            return
        space = window[1] - held_bytes(counts)
        rows: list[TaskRow] = []
        cut = False
        for account, share in shares(takers, counts, room).items():
            head = self._core.head(session.account, pool, account, share)
            cut |= len(head) < share
            for row in head:
                if row.size > space and (rows or held_tasks(counts)):
                    break
                space -= row.size
                rows.append(row)
        if len(rows) >= TURN_TASKS or (cut and rows):
            self._core.ready[session.account] = None
            self._core.busy = True
        self._dispatch(session, rows)

    def _dispatch(self, session: EndpointSession, rows: list[TaskRow]) -> None:
        """Rows of one pool. Their bytes leave the memory with the message; they go on as leases."""
        self._fail_damaged([row for row in rows if row.damaged])
        whole = [row for row in rows if not row.damaged]
        leased, epoch = Stage.LEASED, session.hello.epoch
        for batch in batches(whole, [row.size for row in whole]):
            session.serial += 1
            tasks = tuple([Leased(row.attempt, row.header, Body(row.payload)) for row in batch])
            self._core.send(session, Dispatch(session.number, session.serial, tasks))
            for row in batch:
                row.stage, row.session, row.serial, row.epoch = leased, session.number, session.serial, epoch
                row.header = row.payload = b''
        if whole:
            self._core.store.lease(whole)
            self._core.hold(session, whole)
            self._core.dequeue(session.account, whole[0].pool, whole)

    def _fail_damaged(self, rows: Sequence[TaskRow]) -> None:
        """Never executed: the seal would not open, and nobody would learn why."""
        for row in rows:
            self._core.audit('damaged', row.account, task=row.id.hex())
        self._core.end(rows, Status.FAILED, "lost: the relay's disk has damaged this task")

    def _end_strays(self, session: EndpointSession) -> None:
        """What waits for a pool that there is not would wait until it expires. Who has named no pool yet is not judged, nor who has too many."""
        if not 0 < len(session.windows) < POOLS:
            return
        waiting = self._core.waiting[session.account]
        strays = [(pool, account) for pool, accounts in waiting.items() if pool not in session.windows for account in accounts]
        room = SLICE
        for pool, account in strays:
            rows = self._core.store.waiting(session.account, pool, account, room, SLICE_BYTES)
            self._core.end(rows, Status.FAILED, _no_pool(pool, session.windows))
            self._core.busy |= pool in waiting and bool(rows)
            room -= len(rows)
            if room <= 0:
                self._core.busy = True
                return

    # -- Backlog ----------------------------------------------------------------------------------------------------

    def tick_backlog(self, session: EndpointSession, now: float) -> None:
        """On change, and now and then, for a lost word is said again."""
        if not session.judged:
            return
        since = now - session.backlog_said
        counts = {pool: sum(accounts.values()) for pool, accounts in self._core.waiting[session.account].items()}
        changed = {pool: count for pool, count in counts.items() if count} != {pool: count for pool, (count, _) in session.backlog.items() if count}
        if (changed and since >= BACKLOG_EVERY) or since >= BACKLOG_AGAIN:
            self.say_backlog(session, now)

    def say_backlog(self, session: EndpointSession, now: float) -> None:
        """How many wait for each pool, and the age of the oldest."""
        names = islice({**session.windows, **self._core.waiting[session.account]}, 2 * POOLS)
        pools = {pool: self._demand(session.account, pool, now) for pool in names}
        session.backlog, session.backlog_said = pools, now
        self._core.send(session, Backlog(pools))

    def _flipped(self, session: EndpointSession) -> bool:
        """Whether a pool has come to have a backlog, or to have none: news that do not wait."""
        waiting = {pool for pool, accounts in self._core.waiting[session.account].items() if accounts}
        return waiting != {pool for pool, (count, _) in session.backlog.items() if count}

    def _demand(self, endpoint: Id, pool: str, now: float) -> tuple[int, float]:
        accounts = self._core.waiting[endpoint].get(pool, Counter())
        heads = [row for account in list(accounts)[:16] for row in self._core.head(endpoint, pool, account, 1)]
        return sum(accounts.values()), max([now - row.submitted for row in heads], default=0.0)


def shares(waiting: Counter[Id], held: Counter[Id], room: int) -> dict[Id, int]:
    """How many tasks of each account to take next: always of the one that holds the fewest, so that nobody starves."""
    if len(waiting) == 1:
        return {account: min(room, count) for account, count in waiting.items()}
    heap = [(held[account], account) for account in waiting]
    heapify(heap)
    taken: Counter[Id] = Counter()
    for _ in range(min(room, sum(waiting.values()))):
        count, account = heap[0]
        taken[account] += 1
        heapreplace(heap, (count + 1 if taken[account] < waiting[account] else _NEVER, account))
    return dict(taken)


_NEVER = 1 << 62


def _no_pool(pool: str, known: Collection[str]) -> str:
    named = sorted(filter(None, known))
    has = ', '.join(map(repr, named)) or 'one, without a name'
    lacks = f'no pool {pool[:100]!r}' if pool else 'no pool without a name, say which one'
    return f'no-pool: the endpoint has {lacks} (it has: {has})'
