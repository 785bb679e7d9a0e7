"""What the relay decides, apart from doing it: `(peer, message, now)` goes in, what to store goes to the store, what to send comes out.

```
 receive ─┬─ sessions: Hello, Goodbye, Ping        (here)
          ├─ intake:   Submit, Objects, Need, Cancel
          ├─ leases:   Window, Held, Returned      ─► Dispatch
          ├─ results:  Results                     ─► Recorded
          ├─ delivery: Follow, Received, Window    ─► Deliver
          ├─ pulls:    Fetch, Segment
          └─ admin, watch: List, Admin, Watch, States, Report
```

A turn: `receive` what came, `tick` when it is time, `flush`, then the commit, and only then what `take` gives. After a StoreError the reactor
is thrown away and made anew from the store; sessions say `Hello` again when they next speak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relay_parsl.relay.accounts import CLIENTS
from relay_parsl.relay.admin import Admin, Enrolment
from relay_parsl.relay.calendar import Calendar
from relay_parsl.relay.core import Core, PeerLike, RelaySettings
from relay_parsl.relay.delivery import Delivery
from relay_parsl.relay.effects import Audit, Effect, Key, Send, SpoolDelete, SpoolSend, SpoolSync, SpoolWrite, Stop
from relay_parsl.relay.intake import Intake
from relay_parsl.relay.leases import Leases
from relay_parsl.relay.pulls import Pull, Pulls
from relay_parsl.relay.records import AccountRow
from relay_parsl.relay.results import Intray
from relay_parsl.relay.sessions import ClientSession, EndpointSession, Pending, Session
from relay_parsl.relay.store import Store
from relay_parsl.relay.watch import Watches
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import NO_ID, Id, Message, Task

__all__ = ['Audit', 'Effect', 'Enrolment', 'RelayReactor', 'RelaySettings', 'Send', 'SpoolDelete', 'SpoolSend', 'SpoolSync', 'SpoolWrite', 'Stop']

CANCEL_AGAIN = 10.0
"""Seconds between repetitions of the cancels that an endpoint has not obeyed yet."""
EPOCHS = range(1 << 53)
VERSIONS = 4096
"""Bytes of `Hello.versions`, at most."""

Handler = Callable[[Any, Any, float], None]


class RelayReactor:
    """One relay. Made inside a turn, for it reads the store."""

    def __init__(self, store: Store, now: float, *, settings: RelaySettings, first_session: int) -> None:
        """`first_session` is higher than every session number before on this store. Raises StoreError."""
        self._core = core = Core(store, settings, first_session)
        self._leases = leases = Leases(core)
        self._delivery = delivery = Delivery(core)
        self._pulls = pulls = Pulls(core)
        self._watches = watches = Watches(core)
        self._intake = intake = Intake(core, delivery, leases, pulls)
        self._results = intray = Intray(core, leases, pulls)
        self._calendar = calendar = Calendar(core, leases)
        self._admin = admin = Admin(core, watches, calendar, self._drop)
        pulls.complete = self._complete
        self._pending: dict[Id, Pending] = {}
        self._lost: list[bytes] = []
        self._strangers: set[bytes] = set()
        self._cancelled = now
        self._handlers: dict[tuple[type, type], Handler] = {
            (ClientSession, m.Submit): intake.submit, (ClientSession, m.Objects): intake.objects, (ClientSession, m.Need): intake.need,
            (ClientSession, m.Cancel): intake.cancel, (ClientSession, m.Window): delivery.window, (ClientSession, m.Follow): delivery.follow,
            (ClientSession, m.Received): delivery.received, (ClientSession, m.Watch): watches.watch,
            (ClientSession, m.Fetch): pulls.fetch, (ClientSession, m.Segment): pulls.segment,
            (ClientSession, m.List): admin.listing, (ClientSession, m.Admin): admin.act,
            (EndpointSession, m.Window): leases.window, (EndpointSession, m.Held): leases.held, (EndpointSession, m.Returned): leases.returned,
            (EndpointSession, m.Results): intray.results, (EndpointSession, m.Need): intake.need, (EndpointSession, m.States): watches.states,
            (EndpointSession, m.Report): admin.report, (EndpointSession, m.Fetch): pulls.fetch, (EndpointSession, m.Segment): pulls.segment,
            (EndpointSession, m.List): admin.listing,
        }  # fmt: skip

    # -- What the loop says -----------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether there is more to do at once: another turn should follow without waiting."""
        return self._core.busy or bool(self._lost)

    @property
    def full(self) -> bool:
        """Whether the disk is: then nothing new is taken in, and results still are."""
        return self._core.full

    @full.setter
    def full(self, full: bool) -> None:
        self._core.full = full

    def admits(self, key: bytes, now: float) -> bool:
        """Whether a CURVE key may connect; reads no store."""
        return self._core.accounts.admits(key, now)

    def receive(self, peer: PeerLike, message: Message, now: float) -> None:
        """A message, from whoever the handshake says. Raises StoreError."""
        self._core.now = now
        account = self._core.accounts.active(peer.key, now)
        if account is None:
            self._dismiss(peer, 'revoked')
        elif isinstance(message, m.Hello):
            self._hello(peer, account, message, now)
        else:
            session = self._core.sessions.get(peer.routing)
            if session is None or session.key != peer.key:
                self._invite(peer)
            else:
                self._hear(session, message, now)

    def junk(self, peer: PeerLike, reason: str) -> None:
        """Bytes that were no message, or one of a type that is not known here: refused, and the session lives."""
        self._core.do(Send(peer.routing, m.Refused('malformed', reason)))

    def enrol(self, peer: PeerLike, enrolment: Enrolment, now: float) -> None:
        """An `Enrol` whose card the loop has opened."""
        self._admin.enrol(peer, enrolment, now)

    def unreachable(self, routing: bytes, _now: float) -> None:
        """A send failed, after the commit: the session is over as soon as the next turn ends."""
        self._lost.append(routing)

    def spooled(self, key: Key, now: float) -> None:
        """A body is complete and on the disk. Raises StoreError."""
        self._core.now = now
        self._pulls.spooled(key, now)

    def spool_failed(self, key: Key) -> None:
        """A body could not be written."""
        self._pulls.failed(key)

    def tick(self, now: float) -> None:
        """Timers; call it about every second, and again at once while `busy`. Raises StoreError."""
        self._core.now = now
        self._core.busy = False
        for session in list(self._core.sessions.values()):
            self._tick_session(session, now)
        self._settle_pending(now)
        self._pulls.tick(now)
        self._calendar.tick(now)
        if now - self._cancelled >= CANCEL_AGAIN:
            self._cancelled = now
            for endpoint in self._core.endpoints.values():
                marked = [m.Attempt(lease.id, lease.attempt) for lease in endpoint.leases.values() if lease.cancel]
                self._leases.cancel_attempts(endpoint, marked)

    def flush(self, now: float) -> None:
        """The end of a turn: dispatch and deliver what there is room for. Raises StoreError."""
        lost, self._lost = self._lost, []
        for session in [self._core.sessions[routing] for routing in lost if routing in self._core.sessions]:
            self._drop(session)
        self._settle_pending(now)
        self._strangers.clear()
        self._leases.flush(now)
        self._delivery.flush(now)
        self._watches.flush()

    def take(self) -> list[Effect]:
        """What to do now that the turn is committed, in order."""
        return self._core.take()

    # -- Sessions ---------------------------------------------------------------------------------------------------

    def _hear(self, session: Session, message: Message, now: float) -> None:
        session.heard = now
        if isinstance(message, m.Ping):
            self._core.send(session, m.Pong(session.number, session.serial) if isinstance(session, EndpointSession) else m.Pong())
        elif isinstance(message, m.Goodbye):
            self._drop(session)
        elif not isinstance(message, m.Pong):
            handler = self._handlers.get((type(session), type(message)))
            if handler is None:
                self._core.send(session, m.Refused('denied', f'{type(message).__name__} is not for this role', getattr(message, 'request', 0)))
            else:
                handler(session, message, now)

    def _dismiss(self, peer: PeerLike, reason: str) -> None:
        """A key that counts for nothing; a live session with it ends."""
        session = self._core.sessions.get(peer.routing)
        if session is not None:
            self._drop(session)
        self._core.do(Send(peer.routing, m.Goodbye(reason)))

    def _invite(self, peer: PeerLike) -> None:
        """Whoever speaks before `Hello` is asked for it, once a turn."""
        if peer.routing not in self._strangers:
            self._strangers.add(peer.routing)
            self._core.do(Send(peer.routing, m.Goodbye('say Hello first', hello=True)))

    def _refuse(self, routing: bytes, code: str, reason: str) -> None:
        self._core.do(Send(routing, m.Refused(code, reason)))

    def _hello(self, peer: PeerLike, account: AccountRow, hello: m.Hello, now: float) -> None:
        session = self._core.sessions.get(peer.routing)
        if session is not None and session.key == peer.key and session.hello == hello:
            session.heard = now
            self._welcome(session, now)  # doubled, or the answer was lost
        elif hello.epoch not in EPOCHS or len(codec.pack(hello.versions)) > VERSIONS:
            self._refuse(peer.routing, 'malformed', 'epoch or versions out of bounds')
        elif hello.role == 'endpoint' and account.role == 'endpoint':
            self._hello_endpoint(peer, account, hello, now)
        elif hello.role == 'client' and account.role in CLIENTS:
            self._end_sessions(lambda each: each.routing == peer.routing or (each.key == peer.key and each.hello.instance == hello.instance))
            self._open(ClientSession(peer.routing, peer.key, account.id, self._core.next_session(), hello, now), now)
        else:
            self._core.audit('refused', account.id, role=hello.role[:32])
            self._refuse(peer.routing, 'denied', f'a {account.role} may not open a session as {hello.role[:32]!r}')

    def _hello_endpoint(self, peer: PeerLike, account: AccountRow, hello: m.Hello, now: float) -> None:
        """One live session an endpoint; an older epoch is fenced for ever, a live session is asked before it is taken for dead."""
        if hello.epoch < account.epoch or (hello.epoch == account.epoch and account.instance not in (NO_ID, hello.instance)):
            self._core.audit('fenced', account.id, epoch=hello.epoch)
            self._refuse(peer.routing, 'fenced', f'a newer process of this endpoint has been here (epoch {account.epoch})')
            return
        pending = Pending(peer.routing, peer.key, hello, now)
        old = self._core.endpoints.get(account.id)
        if old is None or old.hello.instance == hello.instance:
            self._take_over(account, pending, now)
        elif hello.takeover:
            self._core.send(old, m.Goodbye('superseded'))
            self._take_over(account, pending, now)
        else:
            before = self._pending.get(account.id)
            if before is None or before.hello != hello or before.routing != peer.routing:
                self._pending[account.id] = pending
            self._core.send(old, m.Ping(old.number, old.serial))

    def _settle_pending(self, now: float) -> None:
        """A second endpoint process waits until the first has answered or is known to be gone."""
        for endpoint, pending in list(self._pending.items()):
            old = self._core.endpoints.get(endpoint)
            account = self._core.accounts.get(endpoint)
            if old is not None and old.heard > pending.asked:
                del self._pending[endpoint]
                self._core.audit('duplicate', endpoint)
                self._refuse(pending.routing, 'duplicate', 'this endpoint runs already: stop it first, or start with --take-over')
            elif account is not None and (old is None or now - pending.asked >= self._core.settings.probe):
                if old is not None:
                    self._core.send(old, m.Goodbye('superseded'))
                self._take_over(account, pending, now)

    def _take_over(self, account: AccountRow, pending: Pending, now: float) -> None:
        self._pending.pop(account.id, None)
        self._end_sessions(lambda each: each.routing == pending.routing or each.account == account.id)
        hello = pending.hello
        row = replace(account, epoch=hello.epoch, instance=hello.instance, seen=now, versions=dict(hello.versions))
        self._core.put_account(row)
        session = EndpointSession(pending.routing, pending.key, account.id, self._core.next_session(), hello, now, opened=now)
        self._core.endpoints[account.id] = session
        for lease in self._core.store.leases(account.id):
            self._core.hold(session, lease)
        self._open(session, now)

    def _open(self, session: Session, now: float) -> None:
        self._core.sessions[session.routing] = session
        self._core.audit('session', session.account, role=session.hello.role, session=session.number, instance=session.hello.instance.hex())
        self._welcome(session, now)

    def _welcome(self, session: Session, now: float) -> None:
        settings = self._core.settings
        limits = {'payload': settings.payload_limit, 'body': settings.body_limit, 'object': settings.object_limit, 'silence': int(settings.dead)}
        self._core.send(session, m.Welcome(session.number, now, limits))

    def _end_sessions(self, over: Callable[[Session], bool]) -> None:
        for session in [each for each in self._core.sessions.values() if over(each)]:
            self._drop(session)

    def _drop(self, session: Session) -> None:
        """It is over; leases stay, for time ends none."""
        self._core.sessions.pop(session.routing, None)
        if isinstance(session, ClientSession):
            self._delivery.leave(session)
            self._watches.leave(session)
        elif self._core.endpoints.get(session.account) is session:
            del self._core.endpoints[session.account]
            account = self._core.accounts.get(session.account)
            if account is not None:
                self._core.put_account(replace(account, seen=session.heard))

    def _tick_session(self, session: Session, now: float) -> None:
        settings = self._core.settings
        if now - session.heard >= settings.dead or not self._core.accounts.counts(session.account, now):
            self._core.send(session, m.Goodbye('silent', hello=True))
            self._drop(session)
            return
        serial = session.serial if isinstance(session, EndpointSession) else 0
        if now - (session.pinged if serial else max(session.heard, session.pinged)) >= settings.quiet:
            session.pinged = now
            self._core.send(session, m.Ping(session.number, serial))
        if isinstance(session, ClientSession):
            self._delivery.redeliver(session, now)
        elif isinstance(session, EndpointSession):
            self._tick_endpoint(session, now)

    def _tick_endpoint(self, session: EndpointSession, now: float) -> None:
        """An endpoint that has not said what it holds is asked to begin anew: a page was lost, or the `Welcome`."""
        if not session.judged and now - session.opened >= self._core.settings.quiet:
            self._core.send(session, m.Goodbye('nothing was heard of what you hold', hello=True))
            self._drop(session)
        else:
            self._leases.tick_backlog(session, now)

    # -- Large bodies -----------------------------------------------------------------------------------------------

    def _complete(self, pull: Pull, now: float) -> bool:
        if isinstance(pull.item, Task):
            session = self._core.sessions.get(pull.source)
            if isinstance(session, ClientSession):
                self._intake.spooled(session, pull.item, now)
                return True
            return False
        self._results.spooled(pull.account, pull.item)
        return True
