"""What a client decides, apart from doing it: messages and the time go in, effects come out.

A task is in the *outbox* until the relay has accepted or rejected it, then *open* until it is settled. Everything that a lost message could
leave undone is said again: at once in a new session, and by timers within one. Each task settles once, and every `Deliver` is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from relay_parsl.client.effects import Accept, Answer, Changed, Effect, Got, Hold, ReadBody, Reconnect, Refuse, Reject, Send, Settle, WriteBody
from relay_parsl.client.link import Link
from relay_parsl.client.opened import PAGE, Opened
from relay_parsl.client.outbox import Objects, Outbox, Request, Requests, Wanted, batches
from relay_parsl.client.pulls import Pulls
from relay_parsl.client.receipts import Receipts
from relay_parsl.errors import ProtocolError
from relay_parsl.wire import messages as m
from relay_parsl.wire.codec import result_header, task_header
from relay_parsl.wire.messages import NO_ID, Attempt, Body, Delivered, Id, Message, Object, Rejection, ResultHeader, Status, Task, TaskHeader

RESEND = 10.0
"""Seconds until an unanswered message is sent again."""
REFRESH = 30.0
"""Seconds between repetitions of what has no answer of its own: `Window`, `Follow`."""
REJECTS = 10_000
"""The latest rejected tasks that are remembered."""
GONE, CUT = 'lost: the relay no longer has the result', "lost: the relay's disk has damaged this result"
T = TypeVar('T')

# fmt: off
__all__ = [
    'Accept', 'Answer', 'Changed', 'ClientReactor', 'Effect', 'Got', 'Hold', 'ReadBody', 'Reconnect', 'Refuse', 'Reject', 'Send', 'Settle',
    'WriteBody',
]
# fmt: on


class ClientReactor:
    """One client process towards one relay."""

    def __init__(self, instance: Id, *, versions: dict[str, str] | None = None, window: tuple[int, int] = (1000, 64 << 20)) -> None:
        """`instance` names the process; `window` is how many results [count, B] may be on their way to it."""
        self._effects: list[Effect] = []
        self._link = Link(m.Hello('client', instance, versions=dict(versions or {})), self._effects)
        self._window = m.Window({'': window})
        self.limits: dict[str, int] = {}
        self.outbox = Outbox()
        self.open = Opened()
        self._followed: set[Id] = set()
        self._objects = Objects()
        self._pulls = Pulls()
        self._cancels: dict[Id, float] = {}
        self._rejects: dict[Id, None] = {}
        self._requests = Requests()
        self._wanted = Wanted()
        self._watched: tuple[Id, ...] = ()
        self._receipts = Receipts()
        self._refreshed = self._watching = 0.0
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            m.Welcome: self._welcome, m.Refused: self._refused, m.Goodbye: self._goodbye, m.Ping: self._ping,
            m.Accepted: self._accepted, m.Rejected: self._rejected, m.Need: self._need, m.Objects: self._objects_came, m.Deliver: self._deliver,
            m.States: self._states, m.Fetch: self._fetch, m.Segment: self._segment, m.Listing: self._answer, m.Done: self._answer,
        }  # fmt: skip

    # -- What the loop says -----------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the relay has welcomed this session."""
        return self._link.open

    def take(self, *, hold: bool = False) -> list[Effect]:
        """What to do now, in order. With `hold` a few results are acknowledged later: call it without now and then."""
        self._link.say_all(m.Received(tuple(page)) for page in _pages(self._receipts.take(hold=hold)))
        effects = self._effects[:]
        self._effects.clear()
        return effects

    def connect(self, now: float) -> None:
        """There is a (new) socket: say `Hello`. What is unanswered is sent again after `Welcome`."""
        self._link.connect(now)

    def receive(self, message: Message, now: float) -> None:
        """A message from the relay; types that are not for a client are passed over."""
        self._link.heard(now)
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message, now)

    def tick(self, now: float) -> None:
        """Timers; call it at least every second or so."""
        if not self._link.tick(now):
            return
        self.outbox.late(now - RESEND)
        self._pulls.tick(now)
        self._pump(now)
        self._say_cancels([each for each, asked in self._cancels.items() if asked <= now - RESEND and each in self.open], now)
        self._link.say_all(self._requests.late(now - RESEND, now))
        self._say_need(self._wanted.late(now - RESEND, now))
        if self._watched and now - self._watching >= RESEND:
            self.watch(self._watched, now)
        if now - self._refreshed >= REFRESH:
            self._refresh(now, self.open.next_page())

    def submit(self, tasks: Sequence[Task], now: float, headers: Sequence[TaskHeader] | None = None) -> None:
        """Keep these until they are accepted or rejected. `headers`: those of the tasks, if at hand. Raises ProtocolError for a bad one."""
        fresh = []
        for task, header in zip(tasks, headers or [task_header(each.header) for each in tasks]):
            if header.task_id not in self.outbox and header.task_id not in self.open:
                fresh.append(header)
                self.outbox.add(task, header)
        self._objects.use(fresh)
        self._pump(now)

    def provide(self, objects: Iterable[Object]) -> None:
        """Functions and grants that coming tasks refer to."""
        for each in objects:
            self._objects.provide(each)

    def withdraw(self, hashes: Iterable[m.Hash]) -> None:
        """No further task will refer to these."""
        for digest in hashes:
            self._objects.withdraw(digest)

    def cancel(self, ids: Iterable[Id], now: float) -> None:
        """End these tasks; asked for again until they are terminal. One that never left ends at once."""
        ready = []
        for task_id in ids:
            entry = self.outbox.entries.get(task_id)
            if entry is not None and (entry.held or not entry.sent):
                self._drop(task_id)
                continue
            self._cancels[task_id] = now
            if entry is None:
                self.open.add(task_id)
                ready.append(task_id)
        self._say_cancels(ready)

    def _drop(self, task_id: Id) -> None:
        """Cancelled while it waits here."""
        self._cancels.pop(task_id, None)
        if self.outbox.entries[task_id].sent:
            self._remember(task_id)  # if it was sent twice, the relay may still take the other copy
        self._answered(task_id)
        self._effects.append(Settle(Delivered(task_id, Status.CANCELLED, b'', 'cancelled before it was sent', Body(b''))))

    def follow(self, ids: Iterable[Id], groups: Iterable[Id], _now: float) -> None:
        """Settle these tasks too (an unknown one is rejected), and hear of what ends in these groups."""
        ids, groups = [each for each in ids if each not in self.outbox], tuple(groups)
        self._link.say_all(
            m.Received(tuple(page)) for page in _pages(self._receipts.take(hold=False))
        )  # else what came just now would not come again
        for task_id in ids:
            self.open.add(task_id)
        self._followed.update(groups)
        self._say_follow(groups, ids)

    def watch(self, ids: Iterable[Id], now: float) -> None:
        """Tell the states of these tasks from now on, and of no others."""
        self._watched = tuple(ids)
        self._watching = now
        self._link.say(m.Watch(self._watched))

    def request(self, message: Request, now: float) -> None:
        """Ask; `Answer` brings the answer."""
        self._requests.add(message, now)
        self._link.say(message)

    def need(self, hashes: Iterable[m.Hash], now: float) -> None:
        """Ask for objects that another process of this account left at the relay; `Got` brings them."""
        self._say_need(self._wanted.add(hashes, now))

    def forget(self, request: int) -> None:
        """Nobody waits for this answer any more."""
        self._requests.answered(request)

    def abandon(self, task_id: Id) -> None:
        """Its result cannot be kept here: the loop has failed the task, and the relay need not deliver it again."""
        if self._answered(task_id) or task_id in self.open:
            self._close(task_id)
            self._receipts.add(task_id, 0)

    # -- Sessions ---------------------------------------------------------------------------------------------------

    def _welcome(self, message: m.Welcome, now: float) -> None:
        if not self._link.welcome(message, now):
            return
        self.limits = message.limits
        self.outbox.restart()
        self._objects.restart()
        self._pulls.restart()
        self._refresh(now, list(self.open))
        self._pump(now)
        self._say_cancels([each for each in self._cancels if each in self.open], now)
        if self._watched:
            self.watch(self._watched, now)
        self._link.say_all(self._requests.late(float('inf'), now))
        self._say_need(self._wanted.late(float('inf'), now))

    def _refused(self, message: m.Refused, now: float) -> None:
        if message.request:
            self._answer(message, now)
        else:
            self._link.refused(message.code, message.reason)

    def _goodbye(self, message: m.Goodbye, now: float) -> None:
        self._link.goodbye(message, now)

    def _ping(self, _message: m.Ping, _now: float) -> None:
        self._link.pong()

    # -- Tasks ------------------------------------------------------------------------------------------------------

    def _accepted(self, message: m.Accepted, now: float) -> None:
        headers = self._answered(*message.ids)
        self.open.accept(headers)
        accepted = tuple([each.task_id for each in headers])
        if accepted:
            self.outbox.took(len(accepted))
            self._effects.append(Accept(accepted))
        self._say_cancels([each for each in accepted if each in self._cancels], now)
        self._say_cancels([each for each in message.ids if each in self._rejects])  # its user has been told that it was not taken
        self._pump(now)

    def _rejected(self, message: m.Rejected, now: float) -> None:
        held = [each for each in message.tasks if each.retry_after > 0]
        if held:
            self._hold(held, now)
        for each in message.tasks if len(held) < len(message.tasks) else ():
            if each.retry_after > 0:
                continue
            if self._answered(each.task_id):
                self._cancels.pop(each.task_id, None)
                self._remember(each.task_id)
                self._effects.append(Reject(each))
            elif each.code == 'unknown' and each.task_id in self.open:
                self._unknown(each)
        self._pump(now)

    def _hold(self, held: Sequence[Rejection], now: float) -> None:
        """No room for these now: they wait here, and nobody is told that they failed."""
        code, reason, seconds = held[0].code, held[0].reason, max(each.retry_after for each in held)
        back = self.outbox.hold([each.task_id for each in held], now, seconds, for_ends=code == 'quota')
        for task_id in [each for each in back if each in self._cancels]:
            self._drop(task_id)
        if back:
            self._effects.append(Hold(tuple(back), code, reason))

    def _remember(self, task_id: Id) -> None:
        """It was rejected; one that had been sent again may still be accepted."""
        self._rejects[task_id] = None
        if len(self._rejects) > REJECTS:
            del self._rejects[next(iter(self._rejects))]

    def _unknown(self, rejection: Rejection) -> None:
        """What was accepted from here is lost; what is merely followed does not exist."""
        if self.open.accepted_here(rejection.task_id):
            why = f'lost: the relay no longer knows this task ({rejection.reason})'
            self._finish(Delivered(rejection.task_id, Status.FAILED, b'', why, Body(b'')))
        else:
            self._close(rejection.task_id)
            self._effects.append(Reject(rejection))

    def _need(self, message: m.Need, now: float) -> None:
        found = self._objects.find(message.hashes)
        if found:
            self._link.say_all(map(m.Objects, batches(found)))
            self.outbox.needing(each.hash for each in found)
            self._pump(now)

    def _objects_came(self, message: m.Objects, _now: float) -> None:
        self._effects += [Got(each) for each in message.objects if self._wanted.answered(each.hash)]

    def _deliver(self, message: m.Deliver, now: float) -> None:
        for each in message.results:
            header = _header_of(each)
            if header is not None and 0 < header.body <= m.LONGEST and self._knows(each.task_id):
                self._pulls.start(each, header)
            else:
                self._finish(each, header)
                self._receipts.add(each.task_id, len(each.payload))
        self.outbox.ended(len(message.results))
        self._pump(now)

    def _states(self, message: m.States, now: float) -> None:
        self._watching = now
        self._effects += [Changed(each) for each in message.tasks]

    def _fetch(self, message: m.Fetch, now: float) -> None:
        if message.direction == 'task':
            self.outbox.alive(message.task_id, now)
            self._effects.append(ReadBody(message))

    def _segment(self, message: m.Segment, now: float) -> None:
        pull = self._pulls.take(message)
        if pull is None:
            return
        if message.total != pull.header.body:
            self._settle_pulled(Delivered(message.task_id, Status.FAILED, b'', GONE if message.total == -1 else CUT, Body(b'')), None)
        else:
            self._effects.append(WriteBody(message))
            if not pull.todo and not pull.asked:
                self._settle_pulled(pull.delivered, pull.header)
        self._pump(now)

    def _answer(self, message: m.Listing | m.Done | m.Refused, _now: float) -> None:
        if self._requests.answered(message.request):
            self._effects.append(Answer(message.request, message))

    # -- Where tasks stand ------------------------------------------------------------------------------------------

    def _knows(self, task_id: Id) -> bool:
        return task_id in self.open or task_id in self.outbox

    def _answered(self, *ids: Id) -> list[TaskHeader]:
        """Out of the outbox: the headers of those that were in it."""
        headers = self.outbox.remove(ids)
        self._objects.release(headers)
        return headers

    def _close(self, task_id: Id) -> None:
        self._cancels.pop(task_id, None)
        self._pulls.drop(task_id)
        self.open.remove(task_id)

    def _finish(self, delivered: Delivered, header: ResultHeader | None = None) -> None:
        """Settle, once; a result implies that the task was accepted."""
        task_id = delivered.task_id
        if not self._knows(task_id):
            return
        if task_id in self.outbox:
            self._answered(task_id)
            self._effects.append(Accept((task_id,)))
        self._close(task_id)
        self._effects.append(Settle(delivered, header))

    def _settle_pulled(self, delivered: Delivered, header: ResultHeader | None) -> None:
        self._finish(delivered, header)
        self._receipts.add(delivered.task_id, header.body if header is not None else 0)

    # -- What is said -----------------------------------------------------------------------------------------------

    def _say_cancels(self, ids: Sequence[Id], now: float | None = None) -> None:
        if now is not None:
            self._cancels.update(dict.fromkeys(ids, now))
        self._link.say_all(m.Cancel(tuple([Attempt(each) for each in page])) for page in _pages(ids))

    def _say_follow(self, groups: tuple[Id, ...], ids: Sequence[Id]) -> None:
        if groups:
            self._link.say(m.Follow(groups))
        self._link.say_all(m.Follow((), tuple(page)) for page in _pages(ids))

    def _say_need(self, hashes: Sequence[m.Hash]) -> None:
        self._link.say_all(m.Need(tuple(page)) for page in _pages(hashes))

    def _pump(self, now: float) -> None:
        """Send what there is room for."""
        if not self._link.open:
            return
        while batch := self.outbox.batch(now):
            self._link.say_all(map(m.Objects, batches(self._objects.fresh(batch))))
            self._link.say(m.Submit(tuple([entry.task for entry in batch])))
        self._link.say_all(self._pulls.due(now))

    def _refresh(self, now: float, ids: Sequence[Id]) -> None:
        """Say again what no answer confirms: a lost one would leave results where they are."""
        self._refreshed = now
        self._link.say(self._window)
        self._say_follow(tuple((self.open.groups | self._followed) - {NO_ID}), ids)


def _header_of(delivered: Delivered) -> ResultHeader | None:
    """None for the relay's own word, and for a header that is none: that fails where the seal is opened."""
    try:
        return result_header(delivered.header) if delivered.header else None
    except ProtocolError:
        return None


def _pages(ids: Sequence[T]) -> list[Sequence[T]]:
    return [ids[start : start + PAGE] for start in range(0, len(ids), PAGE)]
