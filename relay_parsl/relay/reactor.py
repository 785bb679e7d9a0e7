"""What the relay decides, apart from doing it: `(peer, message, now)` goes in, what to store goes to the store, what to send comes out.

```
 receive ─┬─ doors:    Hello, and who is out
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
from typing import Any

from relay_parsl.relay.admin import Admin, Enrolment
from relay_parsl.relay.calendar import Calendar
from relay_parsl.relay.census import Census, census
from relay_parsl.relay.core import Core, PeerLike, RelaySettings
from relay_parsl.relay.delivery import Delivery
from relay_parsl.relay.doors import Doors
from relay_parsl.relay.effects import Audit, Effect, Key, Send, SpoolDelete, SpoolSend, SpoolSync, SpoolWrite, Stop
from relay_parsl.relay.intake import Intake
from relay_parsl.relay.leases import Leases
from relay_parsl.relay.pulls import Pull, Pulls
from relay_parsl.relay.records import Progress
from relay_parsl.relay.results import Intray
from relay_parsl.relay.sessions import ClientSession, EndpointSession, Session
from relay_parsl.relay.store import Store
from relay_parsl.relay.watch import Watches
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Message, Task

__all__ = ['Audit', 'Effect', 'Enrolment', 'RelayReactor', 'RelaySettings', 'Send', 'SpoolDelete', 'SpoolSend', 'SpoolSync', 'SpoolWrite', 'Stop']

CANCEL_AGAIN = 10.0
"""Seconds between repetitions of the cancels that an endpoint has not obeyed yet."""

Handler = Callable[[Any, Any, float], None]


class RelayReactor:
    """One relay. Made inside a turn, for it reads the store."""

    def __init__(self, store: Store, now: float, *, settings: RelaySettings, first_session: int) -> None:
        """`first_session` is higher than every session number before on this store. Raises StoreError."""
        self._core = core = Core(store, settings, first_session)
        self._leases = leases = Leases(core)
        self._delivery = delivery = Delivery(core)
        self._pulls = pulls = Pulls(core)
        self._watches = watches = Watches(core, now)
        self._doors = doors = Doors(core, leases, delivery, watches)
        self._intake = intake = Intake(core, delivery, leases, pulls)
        self._results = intray = Intray(core, leases, pulls)
        self._calendar = calendar = Calendar(core, leases)
        self._admin = admin = Admin(core, watches, calendar, doors.end)
        pulls.complete = self._complete
        core.quotas.coming = pulls.coming
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

    def announce(self, succession: bytes) -> None:
        """What the relay says of its own keys: to whoever comes, and to whoever is there when it changes."""
        self._core.succession = succession
        for session in self._core.sessions.values():
            self._core.welcome(session)

    @property
    def tight(self) -> bool:
        """Whether the disk was measured to be full: then what was received loses its body."""
        return self._core.tight

    @tight.setter
    def tight(self, tight: bool) -> None:
        self._core.tight = tight

    @property
    def unrecorded(self) -> bool:
        """Whether the audit log cannot be written: then nothing new is taken in either."""
        return self._core.unrecorded

    @unrecorded.setter
    def unrecorded(self, unrecorded: bool) -> None:
        self._core.unrecorded = unrecorded

    def admits(self, key: bytes, now: float) -> bool:
        """Whether a CURVE key may connect; reads no store."""
        return self._core.accounts.admits(key, now)

    def inside(self, routing: bytes) -> bool:
        """Whether a connection has a session."""
        return routing in self._core.sessions

    def receive(self, peer: PeerLike, message: Message, now: float) -> None:
        """A message, from whoever the handshake says. Raises StoreError."""
        self._core.now = now
        account = self._core.accounts.active(peer.key, now)
        if account is None:
            self._dismiss(peer, 'revoked')
        elif isinstance(message, m.Hello):
            self._doors.hello(peer, account, message, now)
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

    def snapshot(self, progress: Progress) -> None:
        """How the copy of the store stands."""
        self._core.snapshot = progress

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
            self._doors.tick(session, now)
        self._doors.settle(now)
        self._delivery.mark()
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
            self._doors.end(session)
        self._doors.settle(now)
        self._strangers.clear()
        self._leases.flush(now)
        self._delivery.flush(now)
        self._watches.flush()
        self._core.quotas.flush()

    def census(self, now: float) -> Census:
        """How much there is."""
        return census(self._core, now)

    def records(self) -> list[Audit]:
        """What this turn puts on record, once: `take` gives no line that was given here. For a loop that writes them before it commits."""
        return self._core.records()

    def take(self) -> list[Effect]:
        """What to do now that the turn is committed, in order."""
        return self._core.take()

    # -- Sessions ---------------------------------------------------------------------------------------------------

    def _hear(self, session: Session, message: Message, now: float) -> None:
        session.heard = now
        if isinstance(message, m.Ping):
            self._core.send(session, m.Pong(session.number, session.serial) if isinstance(session, EndpointSession) else m.Pong())
        elif isinstance(message, m.Goodbye):
            self._doors.end(session)
        elif not isinstance(message, m.Pong):
            handler = self._handlers.get((type(session), type(message)))
            if handler is None:
                self._core.refused('denied', session.account, verb=type(message).__name__, why='role')
                self._core.send(session, m.Refused('denied', f'{type(message).__name__} is not for this role', getattr(message, 'request', 0)))
            else:
                handler(session, message, now)

    def _dismiss(self, peer: PeerLike, reason: str) -> None:
        """A key that counts for nothing; a live session with it ends."""
        session = self._core.sessions.get(peer.routing)
        if session is not None:
            self._doors.end(session)
        self._core.do(Send(peer.routing, m.Goodbye(reason)))

    def _invite(self, peer: PeerLike) -> None:
        """Whoever speaks before `Hello` is asked for it, once a turn."""
        if peer.routing not in self._strangers:
            self._strangers.add(peer.routing)
            self._core.do(Send(peer.routing, m.Goodbye('say Hello first', hello=True)))

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
