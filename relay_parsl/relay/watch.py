"""Telling clients how watched tasks stand. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from relay_parsl.relay.core import BATCH_TASKS, Core
from relay_parsl.relay.records import Stage, TaskInfo
from relay_parsl.relay.sessions import ClientSession, EndpointSession
from relay_parsl.wire.messages import NO_ID, Id, State, States, TaskState, Watch

WATCHED = 10_000
"""The most tasks that one session watches."""
OF_ENDPOINT, OF_ENDPOINT_BYTES = 1000, 4 << 20
"""The most tasks that watching an endpoint means, and bytes of them that are read to find out which."""
WORDS = 1000
"""Characters of a reason that a task's state holds."""
AHEAD = 1000
"""Tasks before one that are counted, at most."""
SILENT = 2400.0
"""Seconds without its endpoint until a leased task counts as one that waits for it. Nothing else changes then: time ends no lease."""


class Watches:
    """Who watches what."""

    def __init__(self, core: Core, now: float) -> None:
        self._core = core
        self._began = now

    def watch(self, session: ClientSession, message: Watch, _now: float) -> None:
        """These from now on, and no others; how they stand now."""
        self.leave(session)
        named = set(message.ids[:WATCHED])
        ids = dict.fromkeys([*message.ids[:WATCHED], *self._tasks_of(message.endpoint, session.account)])
        mine = self._core.store.find(ids, session.account)
        if unknown := len(named.difference([info.id for info in mine])):
            self._core.unknown(session.account, 'Watch', unknown)
        session.watched = tuple([info.id for info in mine])
        for task_id in session.watched:
            self._core.watchers[task_id].add(session)
        self._tell(session, [self.state(info) for info in mine])

    def states(self, session: EndpointSession, message: States, _now: float) -> None:
        """What an endpoint says of its leases."""
        for each in message.tasks:
            if each.task_id in session.leases:
                session.details[each.task_id] = each
                self._core.changed(each.task_id)

    def leave(self, session: ClientSession) -> None:
        """It watches nothing any more."""
        for task_id in session.watched:
            watchers = self._core.watchers[task_id]
            watchers.discard(session)
            if not watchers:
                del self._core.watchers[task_id]
        session.watched = ()

    def flush(self) -> None:
        """Tell who watches what has changed."""
        changes, self._core.changes = self._core.changes, {}
        if changes:
            states = {info.id: self.state(info) for info in self._core.store.find(changes)}
            for session in {each for task_id in changes for each in self._core.watchers.get(task_id, ())}:
                self._tell(session, [states[task_id] for task_id in session.watched if task_id in states])

    def state(self, info: TaskInfo) -> TaskState:
        """As its user sees it."""
        detail: dict[str, Any] = {'attempt': info.attempt}
        if info.status is not None:
            return TaskState(info.id, State(info.status.value), detail)
        session = self._core.endpoints.get(info.endpoint)
        if info.stage == Stage.QUEUED:
            why = (self._trouble(info) or 'its turn has not come') if session else self._absence(info.endpoint)
            return TaskState(info.id, State.WAITING_FOR_EP, {**detail, 'why': why})
        said = (session.details if session else self._core.said.get(info.endpoint, {})).get(info.id)
        state = said.state if said else State.WAITING_FOR_NODES
        detail = {**detail, **(said.detail if said else {})}
        if session is not None and said is None and (trouble := self._trouble(info)):
            detail['why'] = trouble
        if session is None:
            detail['why'] = self._absence(info.endpoint)
            if self._core.now - max(self._seen(info.endpoint), self._began) >= SILENT:
                state = State.WAITING_FOR_EP
        return TaskState(info.id, state, detail)

    def ahead(self, info: TaskInfo) -> int:
        """How many tasks of the same account are to be leased before a queued one; `AHEAD` stands for as many or more."""
        rows = self._core.store.waiting(info.endpoint, info.pool, info.account, AHEAD, OF_ENDPOINT_BYTES)
        return next((place for place, row in enumerate(rows) if row.id == info.id), AHEAD)

    def _trouble(self, info: TaskInfo) -> str:
        account = self._core.accounts.get(info.endpoint)
        return trouble(account.report if account else {}, info.pool)

    def _seen(self, endpoint: Id) -> float:
        account = self._core.accounts.get(endpoint)
        return account.seen if account else 0.0

    def _absence(self, endpoint: Id) -> str:
        seen = self._seen(endpoint)
        return f'the endpoint has not been connected since {utc(seen)}' if seen else 'the endpoint has not been connected yet'

    def _tasks_of(self, endpoint: Id, account: Id) -> list[Id]:
        """An account's tasks on an endpoint, those that are leased first."""
        if endpoint == NO_ID or self._core.accounts.get(endpoint) is None:
            return []
        found = [lease.id for lease in self._core.store.leases(endpoint) if lease.account == account]
        for pool, accounts in self._core.waiting.get(endpoint, {}).items():
            if account in accounts and len(found) < OF_ENDPOINT:
                rows = self._core.store.waiting(endpoint, pool, account, OF_ENDPOINT - len(found), OF_ENDPOINT_BYTES)
                found += [row.id for row in rows]
        return found[:OF_ENDPOINT]

    def _tell(self, session: ClientSession, states: Collection[TaskState]) -> None:
        rest = list(states)
        for start in range(0, len(rest), BATCH_TASKS):
            self._core.send(session, States(tuple(rest[start : start + BATCH_TASKS])))


def trouble(report: Mapping[str, Any], pool: str) -> str:
    """Why a pool of an endpoint has no worker, in the words of its engine or of its scheduler; '' where it has some, or nobody says."""
    pools = report.get('pools')
    status = pools.get(pool) if isinstance(pools, dict) else None
    if not isinstance(status, dict) or status.get('workers'):
        return ''
    if status.get('reason'):
        return str(status['reason'])[:WORDS]
    detail = status.get('detail')
    blocks = detail.get('blocks') if isinstance(detail, dict) else None
    rows = [row for row in blocks if isinstance(row, dict)] if isinstance(blocks, list) else []
    waiting = next((row for row in rows if row.get('state') == 'PENDING' and row.get('reason')), None)
    return f'block {waiting.get("block")} (job {waiting.get("job")}) waits: {waiting["reason"]}'[:WORDS] if waiting else ''


def utc(when: float) -> str:
    """Seconds since 1970 as `2026-01-31 23:59:59 UTC`: by the calendar alone, for what is pure reads no clock and knows no zone.

    Days are counted in years that begin in March (the method of C. Neri and L. Schneider, 2023).
    """
    days, second = divmod(int(when), 86400)
    century, rest = divmod(4 * (days + 719468) + 3, 146097)
    year, day = divmod(rest // 4 * 4 + 3, 1461)
    month, last = divmod(5 * (day // 4) + 461, 153)
    year, month = (100 * century + year, month) if month < 13 else (100 * century + year + 1, month - 12)
    return f'{year:04}-{month:02}-{last // 5 + 1:02} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} UTC'
