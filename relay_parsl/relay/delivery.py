"""Results on their way to clients: a cursor for each session and group, so that nothing grows with the backlog. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, takewhile
from typing import Union

from relay_parsl.relay.core import BATCH_TASKS, Core, batches
from relay_parsl.relay.records import Ended, ResultRow, Stage
from relay_parsl.relay.sessions import ClientSession
from relay_parsl.wire.messages import Body, Deliver, Delivered, Follow, Id, Received, Rejected, Rejection, Status, Window

FOLLOWED, ASKED = 100_000, 100_000
"""The most groups and single results that one session waits for; a client asks again for what is beyond."""
MARKS = 1000
"""Received results of which the store is told at a time."""

Outcome = Union[Ended, ResultRow]
"""What has just ended is delivered as it is; what ended before, as the store gives it back."""


class Delivery:
    """Delivers within each client's window, and again until received."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._marks: dict[Id, list[int]] = {}

    # -- What clients say -------------------------------------------------------------------------------------------

    def window(self, session: ClientSession, message: Window, _now: float) -> None:
        """How many results, and bytes, may be on their way."""
        session.window = message.pools.get('', session.window)
        self._look_at(session)

    def follow(self, session: ClientSession, message: Follow, _now: float) -> None:
        """Groups from now on; of single tasks also what is done, and whether they are known at all."""
        for group in message.groups:
            self.follow_group(session, group)
        if not message.ids:
            return
        mine = {info.id: info for info in self._core.store.find(message.ids, session.account)}
        for info in mine.values():
            self.follow_group(session, info.group)
        self.ask(session, [info.id for info in mine.values() if info.stage == Stage.DONE])
        unknown = tuple([Rejection(each, 'unknown', self._core.no_such_task) for each in message.ids if each not in mine])
        if unknown:  # forgotten, never there, or another account's: the same to the asker, and on record
            self._core.unknown(session.account, 'Follow', len(unknown))
            self._core.send(session, Rejected(unknown))

    def follow_group(self, session: ClientSession, group: Id) -> None:
        """What ends in this group from now on goes to this session too."""
        if group in session.cursors:
            session.cursors.move_to_end(group)
            return
        if len(session.cursors) >= FOLLOWED:
            self._unfollow(session, next(iter(session.cursors)))
        session.cursors[group] = self._core.done
        self._core.followers[session.account, group].add(session)

    def _unfollow(self, session: ClientSession, group: Id) -> None:
        """The one that nobody has spoken of for longest; a client that waits for tasks of it still says so again and again (`Follow`)."""
        del session.cursors[group]
        session.behind.pop(group, None)
        followers = self._core.followers[session.account, group]
        followers.discard(session)
        if not followers:
            del self._core.followers[session.account, group]

    def ask(self, session: ClientSession, ids: Iterable[Id]) -> None:
        """Deliver these, which are done and the session's own account's."""
        for task_id in ids:
            if len(session.asked) < ASKED and task_id not in session.sent:
                session.asked[task_id] = None
        self._look_at(session)

    def received(self, session: ClientSession, message: Received, _now: float) -> None:
        """There is room again. Only what was delivered to this session counts."""
        mine = []
        for task_id in message.ids:
            if session.asked:
                session.asked.pop(task_id, None)
            sent = session.sent.pop(task_id, None)
            if sent:
                session.size -= sent[1]
                mine.append(sent[2])
        if mine:
            self._marks.setdefault(session.account, []).extend(mine)
            self._look_at(session)

    def leave(self, session: ClientSession) -> None:
        """The session is over."""
        self._core.behind.pop(session.routing, None)
        for group in list(session.cursors):
            self._unfollow(session, group)

    def _look_at(self, session: ClientSession) -> None:
        if session.asked or session.behind:
            self._core.behind[session.routing] = session

    # -- What clients are sent --------------------------------------------------------------------------------------

    def flush(self, now: float) -> None:
        """Deliver what there is to whoever has room."""
        behind, self._core.behind = self._core.behind, {}
        for session in behind.values():
            self._deliver_asked(session, now)
            self._deliver_groups(session, now)
            session.behind = dict.fromkeys(session.behind, False)
        self._core.ended.clear()
        if sum(map(len, self._marks.values())) >= MARKS:
            self.mark()

    def mark(self) -> None:
        """Store what was received. It only says what may be evicted, so a turn's commit is not spent on it."""
        marks, self._marks = self._marks, {}
        for account, numbers in marks.items():
            self._core.store.received(account, numbers)

    def redeliver(self, session: ClientSession, now: float) -> None:
        """What was not received in time goes out again: not to who has said nothing since, for what it does not read waits in the memory here."""
        before = min(now - self._core.settings.redeliver, session.heard)
        late = [task_id for task_id, _ in takewhile(lambda each: each[1][0] <= before, session.sent.items())]
        if late:
            rows = self._core.store.results(late)
            for task_id in late:
                session.size -= session.sent.pop(task_id)[1]
            fit = self._send(session, rows, now)
            session.asked.update(dict.fromkeys([row.id for row in rows[fit:]]))

    def _room(self, session: ClientSession) -> int:
        """In results. One always fits; a window of 0 lets nothing through."""
        if session.sent and session.size >= session.window[1]:
            return 0
        return session.window[0] - len(session.sent)

    def _deliver_asked(self, session: ClientSession, now: float) -> None:
        while session.asked and (room := min(self._room(session), BATCH_TASKS)) > 0:
            ids = list(islice(session.asked, room))
            rows = [row for row in self._core.store.results(ids) if row.account == session.account and row.id not in session.sent]
            fit = self._send(session, rows, now)
            left = {row.id for row in rows[fit:]}
            for task_id in ids:
                if task_id not in left:
                    session.asked.pop(task_id, None)
            if left:
                return

    def _deliver_groups(self, session: ClientSession, now: float) -> None:
        while session.behind and (room := self._room(session)) > 0:
            group = next(iter(session.behind))
            room = room if session.behind[group] else min(room, BATCH_TASKS)
            rows = self._ended(session, group, room)
            new = [row for row in rows if row.id not in session.sent]
            fit = self._send(session, new, now)
            if fit < len(new):
                session.cursors[group] = new[fit].done - 1
                return
            if rows:
                session.cursors[group] = rows[-1].done
            del session.behind[group]
            if len(rows) == room:
                session.behind[group] = False  # at the end: other groups have their turn

    def _ended(self, session: ClientSession, group: Id, room: int) -> Sequence[Outcome]:
        """What comes next in a group; read from the store only if it did not end just now."""
        cursor = session.cursors[group]
        if not session.behind[group]:
            return self._core.store.ended_after(session.account, group, cursor, room)
        return list(islice((each for each in self._core.ended[session.account, group] if each.done > cursor), room))

    def _send(self, session: ClientSession, rows: Sequence[Outcome], now: float) -> int:
        """As many as the window's bytes allow, one at least if nothing is on its way; how many."""
        fit, sizes = 0, list(map(_size, rows))
        for row, size in zip(rows, sizes):
            if session.sent and session.size + size > session.window[1]:
                break
            task_id = row.id
            if row.damaged:
                self._core.audit('damaged', session.account, result=task_id.hex())
            session.sent[task_id] = (now, size, row.number)
            session.size += size
            if session.asked:
                session.asked.pop(task_id, None)
            fit += 1
        for batch in batches(rows[:fit], sizes):
            self._core.send(session, Deliver(tuple(map(_delivered, batch))))
        return fit


def _size(row: Outcome) -> int:
    return len(row.header) + len(row.payload) + 64


def _delivered(row: Outcome) -> Delivered:
    if row.damaged:
        return Delivered(row.id, Status.FAILED, b'', "lost: the relay's disk has damaged this result", Body(b''))
    return Delivered(row.id, row.status, row.header, row.reason, Body(row.payload))
