"""Large bodies: fetched from whoever has them, a few segments at a time, and handed to whoever may have them. Pure.

What is half here is remembered in memory only: after a restart it begins anew when its task or result is offered again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Union

from relay_parsl.relay.core import Core
from relay_parsl.relay.effects import Key, SpoolDelete, SpoolSend, SpoolSync, SpoolWrite
from relay_parsl.relay.records import Stage
from relay_parsl.relay.sessions import ClientSession, EndpointSession
from relay_parsl.wire.messages import SEGMENT, Body, Fetch, Id, Rejected, Rejection, Result, Segment, Task
from relay_parsl.wire.turns import turns

AT_ONCE = 16
"""Segments of all bodies of a session that are asked for at a time; see `turns`."""
ASK_AGAIN, GIVE_UP = 10.0, 600.0
"""Seconds without an answer, and without any progress."""

Either = Union[ClientSession, EndpointSession]


@dataclass(eq=False)
class Pull:
    """A body on its way in. `item` is what is stored when all of it is on the disk."""

    key: Key
    total: int
    account: Id
    source: bytes
    item: Task | Result
    touched: float
    todo: deque[int]
    asked: dict[int, float] = field(default_factory=dict)
    synced: bool = False


class Pulls:
    """Bodies that come in, and bodies that go out."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pulls: dict[Key, Pull] = {}
        self.complete: Callable[[Pull, float], bool] = lambda _pull, _now: True
        """Store the item; False: nobody is there to be told, keep it for a while."""

    # -- In ---------------------------------------------------------------------------------------------------------

    def start(self, session: Either, key: Key, total: int, item: Task | Result, now: float) -> None:
        """Fetch a body, or go on with the same one from a new session of its account. What is passed over will be offered again.

        Another process that submits the same task has sealed it anew: its body is another one, of which no piece goes with what is here.
        """
        pull = self._pulls.get(key)
        if pull is not None and pull.item != item and self._keeps(pull, session):
            return
        if pull is None or pull.account != session.account or pull.item != item:
            if sum(each.source == session.routing for each in self._pulls.values()) >= self._core.settings.pulls:
                return
            pull = Pull(key, total, session.account, session.routing, item, now, deque(range(0, total, SEGMENT)))
            self._pulls[key] = pull
        if pull.source != session.routing:
            pull.source = session.routing
            pull.todo.extendleft(pull.asked)
            pull.asked.clear()
        pull.touched = now
        if pull.synced:
            self.spooled(key, now)
        else:
            self._ask(session, now)

    def _keeps(self, pull: Pull, session: Either) -> bool:
        """Whether a body that is coming stands against another one: the newest of an account's sessions has it its way, no other account has."""
        source = self._core.sessions.get(pull.source)
        return source is not None and (pull.account != session.account or session.number < source.number)

    def segment(self, session: Either, message: Segment, now: float) -> None:
        """A piece of a body that was asked of this session."""
        pull = self._pulls.get((message.task_id, message.attempt, message.direction))
        if pull is None or pull.source != session.routing or message.offset not in pull.asked:
            return
        if message.total != pull.total or len(message.data) != min(SEGMENT, pull.total - message.offset):
            self._give_up(pull)
            if isinstance(session, ClientSession):  # or it would offer for ever what it does not have
                why = 'the client has the large arguments no more: its temporary directory was emptied, or its disk has changed them'
                self._core.send(session, Rejected((Rejection(message.task_id, 'body-gone', why),)))
            return
        del pull.asked[message.offset]
        pull.touched = now
        self._core.do(SpoolWrite(pull.key, message.offset, message.data))
        if not pull.todo and not pull.asked:
            self._core.do(SpoolSync(pull.key))
        self._ask(session, now)

    def spooled(self, key: Key, now: float) -> None:
        """The whole body is on the disk."""
        pull = self._pulls.get(key)
        if pull is None or pull.todo or pull.asked:  # it was another body that was written there before
            return
        pull.synced = True
        if self.complete(pull, now):
            self._pulls.pop(key, None)

    def failed(self, key: Key) -> None:
        """The spool could not write it; it is offered again, and refused while the disk is full."""
        pull = self._pulls.get(key)
        if pull is not None:
            self._give_up(pull)

    def drop(self, key: Key, account: Id) -> None:
        """Its account does not want it any more."""
        pull = self._pulls.get(key)
        if pull is not None and pull.account == account:
            self._give_up(pull)

    def tick(self, now: float) -> None:
        """Ask again for what did not come; give up what nobody offers any more."""
        for pull in list(self._pulls.values()):
            if now - pull.touched >= GIVE_UP:
                self._give_up(pull)
            late = [offset for offset, asked in pull.asked.items() if now - asked >= ASK_AGAIN]
            for offset in late:
                del pull.asked[offset]
            pull.todo.extendleft(late)
            session = self._core.sessions.get(pull.source)
            if late and isinstance(session, (ClientSession, EndpointSession)):
                self._ask(session, now)

    def coming(self, accounts: set[Id]) -> int:
        """Bytes of arguments that are on their way in from these accounts."""
        return sum(pull.total for pull in self._pulls.values() if pull.account in accounts and pull.key[2] == 'task')

    def _ask(self, session: Either, now: float) -> None:
        for pull in turns([each for each in self._pulls.values() if each.source == session.routing], AT_ONCE):
            task_id, attempt, direction = pull.key
            offset = pull.todo.popleft()
            pull.asked[offset] = now
            self._core.send(session, Fetch(task_id, attempt, direction, offset, min(SEGMENT, pull.total - offset)))

    def _give_up(self, pull: Pull) -> None:
        self._pulls.pop(pull.key, None)
        self._core.do(SpoolDelete(pull.key))

    # -- Out --------------------------------------------------------------------------------------------------------

    def fetch(self, session: Either, message: Fetch, _now: float) -> None:
        """A piece of a stored body, for the endpoint that holds the task or the client whose result it is."""
        key = self._readable(session, message)
        if key is None or not 0 < message.length <= SEGMENT or message.offset < 0:
            self._core.send(session, Segment(message.task_id, message.attempt, message.direction, message.offset, -1, Body(b'')))
        else:
            self._core.do(SpoolSend(session.routing, message, key))

    def _readable(self, session: Either, message: Fetch) -> Key | None:
        if isinstance(session, EndpointSession) and (lease := session.leases.get(message.task_id)):
            return (message.task_id, 0, 'task') if message.direction == 'task' and lease.body else None
        own = isinstance(session, ClientSession)
        found = self._core.store.find([message.task_id], session.account if own else None)
        if not found or not (own or found[0].endpoint == session.account):
            self._core.unknown(session.account, 'Fetch', 1)
            return None
        if not own or message.direction != 'result' or found[0].stage != Stage.DONE:
            return None
        [row] = self._core.store.results([message.task_id])
        return (row.id, row.attempt, 'result') if row.body else None
