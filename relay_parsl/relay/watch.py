"""Telling clients how watched tasks stand. Pure."""

from __future__ import annotations

from collections.abc import Collection

from relay_parsl.relay.core import BATCH_TASKS, Core
from relay_parsl.relay.records import Stage, TaskInfo
from relay_parsl.relay.sessions import ClientSession, EndpointSession
from relay_parsl.wire.messages import Id, State, States, TaskState, Watch

WATCHED = 10_000
"""The most tasks that one session watches."""


class Watches:
    """Who watches what."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def watch(self, session: ClientSession, message: Watch, _now: float) -> None:
        """These from now on, and no others; how they stand now."""
        self.leave(session)
        mine = [info for info in self._core.store.find(message.ids[:WATCHED]) if info.account == session.account]
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
        detail = {'attempt': info.attempt}
        if info.status is not None:
            return TaskState(info.id, State(info.status.value), detail)
        session = self._core.endpoints.get(info.endpoint)
        if info.stage == Stage.QUEUED:
            why = 'its turn has not come' if session else 'the endpoint is not connected'
            return TaskState(info.id, State.WAITING_FOR_EP, {**detail, 'why': why})
        said = session.details.get(info.id) if session else None
        if said is not None:
            return TaskState(info.id, said.state, {**detail, **said.detail})
        return TaskState(info.id, State.WAITING_FOR_NODES, detail)

    def _tell(self, session: ClientSession, states: Collection[TaskState]) -> None:
        rest = list(states)
        for start in range(0, len(rest), BATCH_TASKS):
            self._core.send(session, States(tuple(rest[start : start + BATCH_TASKS])))


def states_of(watches: Watches, infos: Collection[TaskInfo]) -> dict[Id, str]:
    """The words for lists."""
    return {info.id: watches.state(info).state.value for info in infos}
