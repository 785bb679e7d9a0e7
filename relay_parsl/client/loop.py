"""The I/O thread: drain, decide, do. Everything here belongs to that thread, but for `post`."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from relay_parsl.client import reactor as r
from relay_parsl.client.admin import unanswered
from relay_parsl.client.arrivals import Arrivals
from relay_parsl.client.board import Board
from relay_parsl.client.defaults import Target
from relay_parsl.client.futures import TaskFuture
from relay_parsl.client.orders import Order
from relay_parsl.client.pacing import Pace
from relay_parsl.client.questions import Questions
from relay_parsl.client.routes import Routes
from relay_parsl.client.settling import Settler, rejection_error
from relay_parsl.client.trust import own_grant
from relay_parsl.errors import AccessDenied, ProtocolError, RelayError, StoreError
from relay_parsl.home import Following
from relay_parsl.spool import Spool
from relay_parsl.transport import Dealer
from relay_parsl.version import VERSION
from relay_parsl.wire.messages import Body, Goodbye, Id, Message, Ping, Pong, Segment, Welcome
from relay_parsl.wire.payload import PYTHON

log = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two looks at the timers."""
PATIENCE = 10.0
"""Seconds without a connection until people are told; and until a relay that refuses our key, or has another than ours says, is given up."""
FAREWELL = 2.0
"""Seconds, at most, that closing waits until the relay has heard everything."""


class Loop:
    """One relay, one socket, one reactor."""

    def __init__(self, target: Target, board: Board, settler: Settler, spool: Callable[[], Spool], idle: Callable[[], bool]) -> None:
        """`idle` says whether nobody needs this loop any more. Raises ConfigError for a relay's address that is none."""
        self._target = target
        self._board = board
        self._settler = settler
        self._spool = spool
        self._idle = idle
        self._following = Following(target.relay, target.home.follow_relay)
        self._dealer = Dealer(target.relay.url, self._following.key, target.credentials.keys.curve)
        self.reactor = r.ClientReactor(Id(os.urandom(16)), versions={'relay-parsl': VERSION, 'python': PYTHON})
        self.questions = Questions(self.reactor)
        self._routes = Routes(target, self.reactor, self.questions.ask, self.questions.order, self._fail)
        self._arrivals = Arrivals(board, settler, self._routes.grants, spool)
        self._inbox: deque[tuple[Order, TaskFuture] | Callable[[], None]] = deque()
        self._pace = Pace()
        self._awake = False
        self._handshakes = 0
        self._unsent: deque[Message] = deque()
        self._bodies: set[Id] = set()
        self._watched: dict[Id, None] = {}
        self._asked: dict[Id, None] = {}
        self._told = 0
        self._told_at = 0.0
        self._started = self._ticked = time.monotonic()
        self._welcomed = self._warned = False
        self._held = ''
        self._closing = False
        self._acts: dict[type, Callable[[Any], None]] = {
            r.Send: self._send, r.Accept: self._accept, r.Reject: self._reject, r.Hold: self._hold, r.Settle: self._settle, r.Changed: self._changed,
            r.Answer: lambda effect: self.questions.answer(effect.request, effect.message), r.Got: self._got,
            r.ReadBody: self._read_body, r.WriteBody: self._write_body, r.Reconnect: lambda _effect: self._reconnect(), r.Refuse: self._refuse,
        }  # fmt: skip

    def post(self, item: tuple[Order, TaskFuture] | Callable[[], None]) -> None:
        """From any thread: a task to send, or something to do in this thread."""
        self._inbox.append(item)
        if not self._awake:
            self._awake = True
            self._dealer.wake()

    def run(self) -> None:
        """The thread."""
        try:
            self.reactor.connect(time.monotonic())
            while not (self._closing or self._board.refusal or self._idle()):
                self._turn()
            self._farewell()
        except Exception as error:  # the loop's edge: whoever waits must hear of it
            log.exception('the session with relay %s failed', self._target.relay.name)
            self._give_up(RelayError(f'the session with relay {self._target.relay.name!r} failed: {type(error).__name__}: {error}'))
        finally:
            self._dealer.close(last_words=self.reactor.connected)
            self._give_up(self._board.refusal or RelayError(f'the session with relay {self._target.relay.name!r} was closed'))

    def close(self) -> None:
        """End after what was posted before; call it by `post`."""
        self._closing = True

    # -- A turn -----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._act(hold=True)
        arrived = self._rest()
        now = time.monotonic()
        self._greet_again(now)
        for message in self._dealer.receive() if arrived else ():
            self.reactor.receive(message, now)
            if isinstance(message, Welcome):
                self._following.told(message.succession)
        if not self._pace.pause(now):
            self._take_inbox(now)
        if self._asked and now - self._told_at >= WATCH_PAUSE:
            self._watch_more(now)
        if now - self._ticked >= TICK:
            self._ticked = now
            self.reactor.tick(now)
            self._act()
            self._look_around(now)

    def _rest(self) -> bool:
        """Wait for something to do; whether it is a message. Nobody needs to wake us while more of a burst is expected, or while we are at work."""
        pause = self._pace.pause(time.monotonic())
        if pause:
            return self._dealer.wait(pause)
        self._awake = False  # before the inbox is looked at: who posts after that look wakes us
        arrived = self._dealer.wait(0.0 if self._inbox else 0.05 if self._unsent else TICK)
        self._awake = True
        return arrived

    def _greet_again(self, now: float) -> None:
        """The wire has connected anew by itself: the relay may be another process now. Without this, silence would tell, later."""
        if self._dealer.handshakes != self._handshakes:
            if self._handshakes:
                self.reactor.connect(now)
            self._handshakes = self._dealer.handshakes

    def _take_inbox(self, now: float) -> None:
        orders: list[tuple[Order, TaskFuture]] = []
        for _ in range(self._pace.take(len(self._inbox), len(self.reactor.open) + len(self.reactor.outbox), now)):
            item = self._inbox.popleft()
            if isinstance(item, tuple):
                orders.append(item)
            else:
                self._submit(orders)
                orders = []
                item()
        self._submit(orders)

    def _submit(self, orders: list[tuple[Order, TaskFuture]]) -> None:
        self._bodies.update([order.task_id for order, _ in orders if order.body_key])
        self._routes.send(orders)

    def _act(self, *, hold: bool = False) -> None:
        while self._unsent and self._dealer.send(self._unsent[0]):
            self._unsent.popleft()
        while effects := self.reactor.take(hold=hold):  # what is done may give more to do
            for effect in effects:
                self._acts[type(effect)](effect)
            self._arrivals.hand_over()

    def _look_around(self, now: float) -> None:
        """What nobody tells us: no connection, a grant that does not come, states that nobody asks for any more."""
        self._welcomed = self._welcomed or self.reactor.connected
        if len(self._watched) < self._told // 2 or (self._told and not self._watched):
            self._watch(now)
        self._arrivals.look_around(now)
        key = self._following.turn(self._dealer.failure)
        if key:
            self._reconnect(key)
        elif not self._welcomed and not self._warned and now - self._started > PATIENCE:
            self._warn()

    def trouble(self, seconds: float) -> str:
        """Why the relay has said nothing for so long; '' while there is a session with it. From any thread."""
        return '' if self.reactor.connected else str(unanswered(self._target.relay.url, seconds, self._dealer.failure))

    def _warn(self) -> None:
        self._warned = True
        failure = self._dealer.failure
        text = str(unanswered(self._target.relay.url, PATIENCE, failure))
        if failure in ('unknown-key', 'handshake'):
            self._give_up(AccessDenied(text))
        else:
            log.warning('%s; trying on', text)

    def _farewell(self) -> None:
        """What was said before the answer to this ping has arrived: then nothing is lost by leaving."""
        self._act()
        end = time.monotonic() + FAREWELL
        if not self.reactor.connected or not self._dealer.send(Ping()):
            return
        while time.monotonic() < end:
            self._dealer.wait(end - time.monotonic())
            messages = self._dealer.receive()
            for message in messages:
                self.reactor.receive(message, time.monotonic())
            self._act()
            if any(isinstance(message, Pong) for message in messages):
                self._dealer.send(Goodbye('done'))
                return

    # -- Effects ----------------------------------------------------------------------------------------------------

    def _send(self, effect: r.Send) -> None:
        self._arrivals.hand_over()  # that they are settled does not wait until the relay has been told that they are here
        try:
            if self._unsent or not self._dealer.send(effect.message):
                self._unsent.append(effect.message)
        except ProtocolError as error:
            log.error('%s could not be sent: %s', type(effect.message).__name__, error)

    def _accept(self, effect: r.Accept) -> None:
        for task_id in effect.ids:
            future = self._board.futures.get(task_id)
            if future is not None:
                future.is_accepted = True
                if future.detail:
                    future.detail = {}
            if self._bodies:
                self._drop_body(task_id)
        self._board.changed()

    def _reject(self, effect: r.Reject) -> None:
        future = self._board.futures.get(effect.rejection.task_id)
        if future is not None:
            self._fail(future, rejection_error(effect.rejection))

    def _hold(self, effect: r.Hold) -> None:
        """Who asks about one of these reads why it waits; a log needs that once."""
        if effect.code != self._held:
            self._held = effect.code
            log.warning('relay %r takes no more tasks for now (%s): %s; they wait here', self._target.relay.name, effect.code, effect.reason)
        for task_id in effect.ids:
            future = self._board.futures.get(task_id)
            if future is not None:
                future.detail = {'why': f'the relay has no room for it yet ({effect.code}): {effect.reason}'}

    def _settle(self, effect: r.Settle) -> None:
        strange = self._arrivals.add(effect)
        if strange is not None:
            self.reactor.need([strange], time.monotonic())
        self._forget(effect.delivered.task_id)

    def _got(self, effect: r.Got) -> None:
        self._arrivals.got(effect.object, lambda each: own_grant(self._target, each.hash, each.data))

    def _changed(self, effect: r.Changed) -> None:
        future = self._board.futures.get(effect.state.task_id)
        if future is not None:
            future.seen, future.detail = effect.state.state, effect.state.detail
            self._board.changed()

    def _read_body(self, effect: r.ReadBody) -> None:
        fetch = effect.fetch
        key = (fetch.task_id, 0, 'task')
        total, data = -1, b''
        if fetch.task_id in self._bodies:
            try:
                total, data = self._spool().piece(key, fetch.offset, fetch.length)
            except OSError as error:
                total, data = -1, b''
                log.error('large arguments of a task cannot be read: %s', error)
        self._send(r.Send(Segment(fetch.task_id, fetch.attempt, fetch.direction, fetch.offset, total, Body(data))))

    def _write_body(self, effect: r.WriteBody) -> None:
        segment = effect.segment
        directory: Path | str = 'a temporary directory'
        try:
            spool = self._spool()
            directory = spool.directory
            spool.write((segment.task_id, segment.attempt, 'result'), segment.offset, segment.data)
        except OSError as error:
            remedy = 'make room there, or set TMPDIR to a directory with more, and submit again'
            self._abandon(segment, StoreError(f'the large result could not be written to {directory}: {error}; {remedy}'))

    def _abandon(self, segment: Segment, error: StoreError) -> None:
        """This task's alone; a full disk is nothing to the others."""
        log.error('task %s: %s', segment.task_id.hex(), error)
        self.reactor.abandon(segment.task_id)
        future = self._board.futures.get(segment.task_id)
        if future is not None:
            self._fail(future, error)
        key = (segment.task_id, segment.attempt, 'result')
        self.post(partial(self._arrivals.delete_later, key))  # in a later turn: more of it may be among these effects

    def _reconnect(self, key: bytes = b'') -> None:
        """A fresh connection; with `key`, the relay's, where that has changed."""
        self._unsent.clear()
        self._dealer.reconnect(server_key=key)
        self.reactor.connect(time.monotonic())

    def _refuse(self, effect: r.Refuse) -> None:
        self._give_up(AccessDenied(f'relay {self._target.relay.name!r} refused the session ({effect.code}): {effect.reason}'))

    # -- Futures ----------------------------------------------------------------------------------------------------

    def _fail(self, future: TaskFuture, error: RelayError | None) -> None:
        """It ends here; None: it has ended already, by `cancel`."""
        self._forget(future.id)
        self._arrivals.fail(future, error)

    def _forget(self, task_id: Id) -> None:
        """It has ended: nobody fetches its arguments any more, nor asks how it stands."""
        self._watched.pop(task_id, None)
        if self._bodies:
            self._drop_body(task_id)

    def _give_up(self, error: RelayError) -> None:
        """No session: now, and for whatever comes later."""
        self._board.refusal = error
        self.questions.give_up(error)
        for future in list(self._board.futures.values()):  # those in the inbox are on the board too
            self._fail(future, error)

    def _drop_body(self, task_id: Id) -> None:
        if task_id in self._bodies:
            self._bodies.discard(task_id)
            self._arrivals.delete_later((task_id, 0, 'task'))

    def cancel(self, task_id: Id) -> None:
        """Ask for the end of a task; one that is not sealed yet is dropped there."""
        if task_id in self.reactor.outbox or task_id in self.reactor.open:
            self.reactor.cancel([task_id], time.monotonic())

    def observe(self, task_id: Id) -> None:
        """Watch one more task."""
        if task_id in self.reactor.open and task_id not in self._watched:
            self._asked[task_id] = None

    def _watch_more(self, now: float) -> None:
        """What was asked for, and the tasks of which nothing is known yet: who asks for one state will ask for the next."""
        asked, self._asked = self._asked, {}
        unknown = (each.id for each in list(self._board.futures.values()) if each.seen is None and not each.done())
        fresh = (task_id for task_id in unknown if task_id in self.reactor.open and task_id not in self._watched)
        for task_id in (*islice(fresh, WATCHED), *asked):
            if task_id in self.reactor.open:  # what the settler has not come to yet is on the board still
                self._watched.pop(task_id, None)  # the latest stand last
                self._watched[task_id] = None
        for task_id in list(islice(self._watched, max(0, len(self._watched) - WATCHED))):
            del self._watched[task_id]
        self._watch(now)

    def _watch(self, now: float) -> None:
        self._told, self._told_at = len(self._watched), now
        self.reactor.watch(tuple(self._watched), now)


WATCHED = 10_000
"""Tasks whose states are told at a time, the latest asked for."""
WATCH_PAUSE = 0.2
"""Seconds, at least, between two tellings of which these are: each names them all."""
