"""How tasks end: finished, lost and tried again, cancelled, refused, recorded."""

from __future__ import annotations

from relay_parsl.endpoint.books import Books
from relay_parsl.endpoint.effects import WORDS, BodyKey, CancelWork, Declined, Ended, Fail, SpoolDelete, SpoolSend, SpoolSync
from relay_parsl.endpoint.holdings import Holding
from relay_parsl.endpoint.outbox import Waiting
from relay_parsl.wire import codec
from relay_parsl.wire.messages import NO_ID, SEGMENT, Body, Cancel, Fetch, Id, Phase, Recorded, Result, ResultHeader, Segment, Status, TaskHeader

LONGEST = 60.0
"""Seconds between two tries, at most."""
SLACK = 65_536
"""Bytes by which a `Fetch` may exceed a segment: its seals."""
SPOILED = "lost: the endpoint's disk has damaged this result"


def back_off(cause: str, tries: int) -> float:
    """Seconds before the next try of an attempt that was lost, the `tries`th of its task: a node that is ill loses no three in one second.

    A walltime is no illness, and its task waits for another job anyway.
    """
    return 0.0 if cause == 'walltime' else min(LONGEST, 2.0 ** (tries - 1))


class Outcomes:
    """Brings each held task to exactly one result in the outbox."""

    def __init__(self, books: Books) -> None:
        """Shares the reactor's books."""
        self._books = books

    def finished(self, ended: Ended, now: float) -> None:
        """The loop has sealed an end. Of a task that is not held, or is over, it is dropped."""
        info = ended.info
        holding = self._books.holdings.get(info.task_id)
        if holding is None or holding.attempt != info.attempt or holding.result is not None:
            return
        if info.body:
            self._books.holdings.finish(holding)
            holding.result = ended
            self._books.out.append(SpoolSync((info.task_id, info.attempt, 'result')))
        else:
            self._settle(holding, ended, now)

    def spooled(self, key: BodyKey, now: float) -> None:
        """A result's body is durable: now the result may be spoken of."""
        holding = self._books.holdings.get(key[0])
        if holding is not None and holding.attempt == key[1] and holding.result is not None:
            self._settle(holding, holding.result, now)

    def lost(self, task_id: Id, attempt: int, cause: str, evidence: str, now: float, *, final: bool = False) -> None:
        """The engine has lost an attempt: once more after a while, unless it may run only once or has had its tries."""
        holding = self._books.holdings.get(task_id)
        if holding is None or holding.attempt != attempt or holding.phase is not Phase.STARTED:
            return
        holding.tries += 1
        holding.evidence += (f'{cause}: {evidence}',)
        if holding.cancelled:
            self._fail(holding, 'cancelled')
        elif final or holding.info.at_most_once or holding.tries > self._books.retries(holding.info.pool):
            self._fail(holding, cause)
        else:
            self._books.holdings.requeue(holding, now + back_off(cause, holding.tries))

    def cancel(self, message: Cancel, now: float) -> None:
        """End what has not started; ask the engine about what has."""
        for attempt in message.tasks:
            holding = self._books.holdings.get(attempt.task_id)
            if holding is None or attempt.attempt not in (0, holding.lease):
                continue  # an older lease may be unwanted while a newer one of the same task is not
            if holding.phase is Phase.STARTED:
                holding.cancelled = True
                self._books.out.append(CancelWork(attempt.task_id, holding.attempt, holding.info))
            elif holding.phase is Phase.QUEUED and self._books.stock.has(holding.info.grant):
                self._fail(holding, 'cancelled')
            elif holding.phase is Phase.QUEUED:
                self.refuse(holding, 'cancelled: before it started', now, Status.CANCELLED)

    def refuse(self, holding: Holding, reason: str, now: float, status: Status = Status.FAILED) -> None:
        """End a held task that cannot even be opened: the result carries no seal, only a reason."""
        self._settle(holding, self._unsealed(holding.info, holding.attempt, status, reason), now)

    def decline(self, task: TaskHeader, attempt: int, reason: str, now: float, status: Status = Status.FAILED) -> None:
        """Refuse a dispatched task without ever holding it."""
        ended = self._unsealed(task, attempt, status, reason)
        self._books.outbox.add(Waiting(ended.result, ended.info, attempt, now), save=False)
        self._books.out.append(Declined(task, reason))

    def recorded(self, message: Recorded) -> None:
        """The relay has these results, or has no use for them."""
        for attempt in message.tasks:
            waiting = self._books.outbox.recorded(attempt.task_id, attempt.attempt)
            if waiting is not None and waiting.info.body:
                self._books.out.append(SpoolDelete((attempt.task_id, waiting.info.attempt, 'result')))

    def fetch(self, message: Fetch) -> None:
        """The relay pulls the body of a result."""
        waiting = self._books.outbox.get(message.task_id)
        if message.direction != 'result' or message.offset < 0 or message.length < 0:
            return
        if waiting is None or not waiting.info.body or waiting.info.attempt != message.attempt:
            self._books.link.send(Segment(message.task_id, message.attempt, 'result', message.offset, -1, Body(b'')))
        else:
            length = min(message.length, SEGMENT + SLACK)
            self._books.out.append(SpoolSend(Fetch(message.task_id, message.attempt, 'result', message.offset, length), waiting.info.body))

    def spoiled(self, key: BodyKey) -> bool:
        """The disk has not kept the body of a result: the task ends with that, or the relay would ask, and the result be sent, for ever.

        Whether that is news.
        """
        waiting = self._books.outbox.get(key[0])
        if waiting is None or not waiting.info.body or waiting.info.attempt != key[1]:
            return False
        info = waiting.info._replace(status=Status.FAILED, reason=SPOILED, body=0)
        self._books.outbox.replace(Result(codec.encode_header(info), Body(b'')), info)
        self._books.out.append(SpoolDelete(key))
        return True

    def leave(self, holding: Holding) -> None:
        """Hold a task no more; what was there for it alone goes with it."""
        books, info = self._books, holding.info
        books.holdings.remove(holding)
        books.stock.release((info.grant, info.function))
        if info.body:
            books.pulls.drop(info.task_id)
            books.out.append(SpoolDelete((info.task_id, holding.attempt, 'task')))

    def _settle(self, holding: Holding, ended: Ended, now: float) -> None:
        self.leave(holding)
        spends = holding.info if ended.result.payload else None
        self._books.outbox.add(Waiting(ended.result, ended.info, holding.lease, now, spends), save=holding.info.at_most_once)

    def _fail(self, holding: Holding, cause: str) -> None:
        self._books.holdings.finish(holding)
        self._books.out.append(Fail(holding.info.task_id, holding.attempt, cause, '\n'.join(holding.evidence), holding.info))

    def _unsealed(self, task: TaskHeader, attempt: int, status: Status, reason: str) -> Ended:
        here, words = self._books.settings.endpoint, reason[:WORDS]
        where = task.endpoint if here == NO_ID else here
        info = ResultHeader(task.grant, task.sequence, task.task_id, where, self._books.epoch, attempt, status, reason=words)
        return Ended(info, Result(codec.encode_header(info), Body(b'')))
