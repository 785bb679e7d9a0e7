"""What the reactor wants done, done: send, open, hand to the engine, seal, spool."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from relay_parsl.endpoint import effects as do
from relay_parsl.endpoint.crew import Crew
from relay_parsl.endpoint.gate import Gate, Opened, Refusal
from relay_parsl.endpoint.reactor import EndpointReactor
from relay_parsl.endpoint.refusals import Refusals
from relay_parsl.endpoint.shares import Shares
from relay_parsl.endpoint.syncer import Syncer
from relay_parsl.engines.base import Finished, Lost, Running, SealedBody, Work
from relay_parsl.errors import ManagerLost, ProtocolError, SealError, TaskCancelled, TaskError, TaskRejected, WalltimeExceeded, WorkerLost
from relay_parsl.spool import Spool
from relay_parsl.transport import Dealer
from relay_parsl.wire.messages import Body, Id, Segment, Status, TaskHeader
from relay_parsl.wire.seal import Guest

log = logging.getLogger(__name__)

LOSSES: dict[str, type[TaskError]] = {'worker': WorkerLost, 'manager': ManagerLost, 'walltime': WalltimeExceeded, 'engine': ManagerLost}


@dataclass(frozen=True)
class Tools:
    """What hands work with."""

    dealer: Dealer
    crew: Crew
    gate: Gate
    spool: Spool
    sync: Syncer
    shares: Shares
    audit: Callable[..., None]
    """Called with an event and its fields."""
    record: Callable[[], bool]
    """Writes what `audit` was told; whether it may happen."""


class Hands:
    """Does effects, and brings what engines say to the reactor. `again`: the reactor was told something, another turn is due at once."""

    def __init__(self, reactor: EndpointReactor, tools: Tools, now: Callable[[], float]) -> None:
        """`now` is the loop's clock."""
        self._reactor, self._now = reactor, now
        self._dealer, self._crew, self._gate, self._spool, self._sync = tools.dealer, tools.crew, tools.gate, tools.spool, tools.sync
        self._audit, self._record, self._shares = tools.audit, tools.record, tools.shares
        self._ready: dict[tuple[bytes, int], tuple[Work, do.Start]] = {}
        """Work that is opened, and starts when it is on record."""
        self._started: dict[tuple[bytes, bytes, str], list[bytes]] = {}
        self._pools: set[str] = set()
        """Whose engines were given something in this turn."""
        self._began = 0.0
        self._refusals = Refusals()
        self.again = False
        self.exit: do.Exit | None = None
        self._inside: dict[tuple[bytes, int], TaskHeader] = {}
        self._acts: dict[type, Callable[[Any], None]] = {
            do.Send: self._send,
            do.Start: self._start,
            do.CancelWork: self._cancel,
            do.Withdraw: self._withdraw,
            do.Fail: self._fail,
            do.Declined: lambda effect: self._refuse(effect.info, effect.reason),
            do.Keep: self._keep,
            do.Statement: self._state,
            do.Drop: lambda effect: self._gate.drop(effect.hash),
            do.SpoolWrite: self._write,
            do.SpoolSync: lambda effect: self._sync.sync(effect.key),
            do.SpoolSend: self._read,
            do.SpoolDelete: lambda effect: self._sync.delete(effect.key),
            do.Demand: lambda effect: self._crew.engines[effect.pool].demand(effect.count),
            do.Reconnect: self._reconnect,
            do.Exit: self._end,
        }

    def act(self, effects: Iterable[do.Effect]) -> None:
        """Do them, in order, and put on record what was started: a line for each account and function, not for each task."""
        self._began = self._now()
        self._tell(self._refusals.overdue(self._began))
        for effect in effects:
            self._acts[type(effect)](effect)
        for (account, function, name), tasks in self._started.items():
            ids = [task_id.hex() for task_id in tasks]
            self._audit('start', account=account.hex(), function=function.hex(), name=name[:200], tasks=ids)
        self._started.clear()
        if self._ready and self._record():
            self._begin()

    def _begin(self) -> None:
        """Start what is on record."""
        ready, self._ready = self._ready, {}
        for work, effect in ready.values():
            self._submit(work, effect)
        self._crew.flush(self._pools)
        self._pools.clear()

    def hear(self, event: Running | Finished | Lost, now: float) -> None:
        """An engine says how an attempt fares; of one that is not inside any more, nothing."""
        if isinstance(event, Finished):
            self._finished(event, now)
        elif isinstance(event, Running):
            self._reactor.running(Id(event.task_id), event.attempt, event.detail, now)
        elif self._inside.pop((event.task_id, event.attempt), None) is not None:
            log.info(
                'task %s, attempt %d: lost with its %s: %s', event.task_id.hex(), event.attempt, event.cause, event.evidence, extra=_of(event.task_id)
            )
            self._reactor.lost(Id(event.task_id), event.attempt, event.cause, event.evidence, now, final=event.final)

    def _finished(self, event: Finished, now: float) -> None:
        info = self._inside.pop((event.task_id, event.attempt), None)
        if info is None:
            return
        if event.body:
            key = (info.task_id, event.attempt, 'result')
            self._sync.keep(key)
            try:
                os.replace(event.body, self._spool.path(*key))
            except OSError as error:
                failure = TaskError(f'the result was written, and is not where its worker said: {error.strerror}')
                self._reactor.finished(self._gate.failure(info, event.attempt, failure), now)
                return
        status = Status.SUCCESS if event.ok else Status.CANCELLED if event.cancelled else Status.FAILED
        self._reactor.finished(self._gate.result(info, event.attempt, status, event.outcome, event.size if event.body else 0), now)

    def _send(self, effect: do.Send) -> None:
        try:
            if not self._dealer.send(effect.message):
                log.debug('the socket is full: %s waits for its timer', type(effect.message).__name__)
        except ProtocolError:
            log.exception('%s cannot be sent', type(effect.message).__name__)

    def _start(self, effect: do.Start) -> None:
        opened = self._opened(effect)
        if opened is None:
            return
        info, call, account = effect.info, opened.call, opened.grant.account
        body = None
        if call.body_key:
            body = SealedBody(str(self._spool.path(info.task_id, effect.attempt, 'task')), call.body_key, call.length)
        arguments, spool = None if body else call.arguments, str(self._spool.directory)
        work = Work(
            info.task_id, effect.attempt, account, opened.function.blob, arguments, body, call.options, spool, info.priority, info.at_most_once
        )
        self._ready[info.task_id, effect.attempt] = work, effect
        self._started.setdefault((account, call.function, call.name), []).append(info.task_id)

    def _submit(self, work: Work, effect: do.Start) -> None:
        info = effect.info
        self._inside[info.task_id, effect.attempt] = info
        try:
            self._crew.engines[info.pool].submit(work)
            self._pools.add(info.pool)
        except Exception as error:  # an engine may be anybody's, and options are the sender's: what it stumbles over ends this task, not all of them
            log.exception('the engine of pool %r does not take task %s', info.pool, info.task_id.hex(), extra=_of(info.task_id))
            del self._inside[info.task_id, effect.attempt]
            self._reject(effect, TaskRejected(f'the engine does not take it: {type(error).__name__}: {error}'))

    def _opened(self, effect: do.Start) -> Opened | None:
        """What is in the task, or None: then it has its end."""
        info = effect.info
        try:
            opened = self._gate.open(effect, self._began)
            self._gate.python(opened, self._crew.python(info.pool))
            if opened.call.options and (reason := self._crew.refusal(info.pool, opened.call.options)):
                raise TaskRejected(reason)
        except Refusal as refusal:
            self._refuse(info, str(refusal))
            self._reactor.finished(self._gate.refusal(info, effect.attempt, str(refusal)), self._now())
            self.again = True
        except TaskError as error:
            self._reject(effect, error)
        else:
            return opened
        return None

    def _refuse(self, info: TaskHeader | None, reason: str) -> None:
        about = {'task': info.task_id.hex(), 'grant': info.grant.hex()} if info else {}
        self._refused('a task', reason, about)

    def _refused(self, what: str, reason: str, about: dict[str, str]) -> None:
        """On record and in the log, unless there are too many of them."""
        if self._refusals.line(reason, self._began):
            extra = {'task': about['task']} if 'task' in about else {}
            log.warning('%s is refused: %s (%s)', what, reason, ', '.join(f'{name} {value}' for name, value in about.items()), extra=extra)
            self._audit('refuse', **about, reason=reason)

    def _tell(self, left_out: Iterable[tuple[str, int]]) -> None:
        for kind, count in left_out:
            log.warning('%d more were refused: %s', count, kind)
            self._audit('refuse', reason=kind, left_out=count)

    def _reject(self, effect: do.Start, error: TaskError) -> None:
        info = effect.info
        log.info('task %s may not run here: %s', info.task_id.hex(), error, extra=_of(info.task_id))
        self._audit('reject', task=info.task_id.hex(), grant=info.grant.hex(), reason=str(error))
        self._reactor.finished(self._gate.failure(info, effect.attempt, error), self._now())
        self.again = True

    def _cancel(self, effect: do.CancelWork) -> None:
        waits = self._ready.pop((effect.task_id, effect.attempt), None) is not None
        if waits or self._crew.engines[effect.info.pool].cancel(effect.task_id, effect.attempt):
            self._inside.pop((effect.task_id, effect.attempt), None)
            self._cancelled(effect.info, effect.attempt)

    def _withdraw(self, effect: do.Withdraw) -> None:
        waits = self._ready.pop((effect.task_id, effect.attempt), None) is not None
        if waits or self._crew.engines[effect.pool].withdraw(effect.task_id, effect.attempt):
            self._inside.pop((effect.task_id, effect.attempt), None)
            self._reactor.withdrawn(effect.task_id, effect.attempt, self._now())
            self.again = True

    def _fail(self, effect: do.Fail) -> None:
        if effect.cause == 'cancelled':
            self._cancelled(effect.info, effect.attempt)
            return
        error = LOSSES[effect.cause](effect.evidence)
        self._reactor.finished(self._gate.failure(effect.info, effect.attempt, error), self._now())
        self.again = True

    def _cancelled(self, info: TaskHeader, attempt: int) -> None:
        error = TaskCancelled('cancelled before it ran')
        self._reactor.finished(self._gate.failure(info, attempt, error, Status.CANCELLED), self._now())
        self.again = True

    def _keep(self, effect: do.Keep) -> None:
        reason = self._gate.keep(effect.object, self._now())
        if reason:
            self._refused(f'an object of kind {effect.object.kind!r}', reason, {'object': effect.object.hash.hex()})
            self._reactor.unusable(effect.object.hash, reason, self._now())
        else:
            if effect.object.kind == 'grant':
                self._audit('grant', **self._gate.about(effect.object.hash))
            self._reactor.kept(effect.object.hash, self._now())
        self.again = True

    def _state(self, effect: do.Statement) -> None:
        try:
            new = self._shares.take(effect.data)
        except SealError as error:
            self._refused('a statement about guests', str(error), {'share': effect.data[-8:].hex()})
            return
        share = self._shares.current
        if new and share is not None:
            log.info('this endpoint is shared with %d accounts, by statement %d', len(share.guests), share.serial)
            self._audit('share', serial=share.serial, guests=[_about(each) for each in share.guests])
            self._reactor.shared(share.data)
            self.again = True

    def _write(self, effect: do.SpoolWrite) -> None:
        self._sync.spare(effect.key)
        try:
            self._spool.write(effect.key, effect.offset, effect.data)
        except OSError as error:
            log.error('%s: %s', self._spool.directory, error.strerror)
            self._reactor.unspooled(effect.key, f'full: the arguments could not be written at the endpoint: {error.strerror}', self._now())
            self.again = True

    def _read(self, effect: do.SpoolSend) -> None:
        fetch = effect.fetch
        key = (fetch.task_id, fetch.attempt, fetch.direction)
        try:
            total, data = self._spool.piece(key, fetch.offset, fetch.length)
        except OSError as error:  # the relay asks again
            log.error('%s: %s', self._spool.directory, error.strerror)
            return
        if total != effect.total:
            self._spoiled(key, total, effect.total)
            return
        self._send(do.Send(Segment(fetch.task_id, fetch.attempt, fetch.direction, fetch.offset, total, Body(data))))

    def _spoiled(self, key: do.BodyKey, found: int, total: int) -> None:
        if self._reactor.spoiled(key):
            task, has = key[0].hex(), f'has {found} bytes' if found >= 0 else 'is gone'
            log.error('%s: the body of the result of task %s %s; it had %d', self._spool.directory, task, has, total, extra=_of(key[0]))
            self._audit('damaged', task=task, reason=f'the body of its result {has}; it had {total}')
            self.again = True

    def _reconnect(self, _effect: do.Reconnect) -> None:
        log.info('the relay is silent (%s): connecting anew', self._dealer.failure or 'no reason known')
        self._dealer.reconnect()
        self._reactor.connect(self._now())
        self.again = True

    def _end(self, effect: do.Exit) -> None:
        self._tell(self._refusals.rest())
        self.exit = effect


def _of(task_id: bytes) -> dict[str, str]:
    """For lines of a log that machines read: which task they are about."""
    return {'task': task_id.hex()}


def _about(guest: Guest) -> dict[str, Any]:
    """A guest, for the record."""
    return {'account': guest.id.hex(), 'policy': guest.policy, 'functions': list(guest.functions), 'until': guest.not_after}
