"""Who comes in and who is out: `Hello`, one process an endpoint, silence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from relay_parsl.errors import with_article
from relay_parsl.relay.accounts import CLIENTS
from relay_parsl.relay.core import Core, PeerLike
from relay_parsl.relay.delivery import Delivery
from relay_parsl.relay.effects import Send
from relay_parsl.relay.leases import Leases
from relay_parsl.relay.records import AccountRow
from relay_parsl.relay.sessions import ClientSession, EndpointSession, Pending, Session
from relay_parsl.relay.watch import Watches
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import NO_ID, Id

EPOCHS = range(1 << 53)
VERSIONS = 4096
"""Bytes of `Hello.versions`, at most."""
SEEN = 3600.0
"""Seconds after which it is written anew that a client was here."""


class Doors:
    """Begins and ends sessions."""

    def __init__(self, core: Core, leases: Leases, delivery: Delivery, watches: Watches) -> None:
        self._core = core
        self._leases = leases
        self._delivery = delivery
        self._watches = watches
        self._pending: dict[Id, Pending] = {}

    def hello(self, peer: PeerLike, account: AccountRow, hello: m.Hello, now: float) -> None:
        """A session for a role that the account has."""
        session = self._core.sessions.get(peer.routing)
        if session is not None and session.key == peer.key and session.hello == hello:
            session.heard = now
            self._core.welcome(session)  # doubled, or the answer was lost
        elif hello.epoch not in EPOCHS or len(codec.pack(hello.versions)) > VERSIONS:
            self._refuse(peer.routing, 'malformed', 'epoch or versions out of bounds')
        elif hello.role == 'endpoint' and account.role == 'endpoint':
            self._hello_endpoint(peer, account, hello, now)
        elif hello.role == 'client' and account.role in CLIENTS:
            self._end_all(lambda each: each.routing == peer.routing or (each.key == peer.key and each.hello.instance == hello.instance))
            crowd = self._crowd(account)
            if crowd:
                self._core.refused('crowded', account.id, why=crowd)
                self._refuse(peer.routing, 'limit', crowd)
                return
            self._see(account, now)
            self._open(ClientSession(peer.routing, peer.key, account.id, self._core.next_session(), hello, now))
        else:
            self._core.refused('refused', account.id, role=hello.role[:32])
            self._refuse(peer.routing, 'denied', f'{with_article(account.role)} may not open a session as {hello.role[:32]!r}')

    def _see(self, account: AccountRow, now: float) -> None:
        """When somebody was here, on the disk: once an hour will do, for clients come and go."""
        if not account.seen or now - account.seen >= SEEN:
            self._core.put_account(replace(account, seen=now))

    def _crowd(self, account: AccountRow) -> str:
        """Why there is no room for one more session of this account; empty: there is."""
        settings, accounts = self._core.settings, self._core.accounts
        own = max(1, min(settings.sessions, settings.connections // 4))
        open_by = Counter(each.account for each in self._core.sessions.values())
        if open_by[account.id] >= own:
            return f'{own} sessions of this account are open'
        operators = sum(count for each, count in open_by.items() if (row := accounts.get(each)) and row.role == 'operator')
        if account.role != 'operator' and open_by.total() - operators >= settings.connections * 3 // 4:
            return f'{open_by.total()} sessions are open, which is all that this relay has room for'
        return ''

    def _hello_endpoint(self, peer: PeerLike, account: AccountRow, hello: m.Hello, now: float) -> None:
        """One live session an endpoint; an older epoch is fenced for ever, a live session is asked before it is taken for dead.

        A copy of the directory that counts its starts anew may say the very epoch of the process that lives: then that one is asked too, so
        that its user hears of a second start. It never gets in: of an epoch that two processes share nobody could say what was started.
        """
        pending = Pending(peer.routing, peer.key, hello, now)
        old = self._core.endpoints.get(account.id)
        rival = old is not None and old.hello.instance != hello.instance
        if _is_older(account, hello) and not (rival and hello.epoch == account.epoch and not hello.takeover):
            self._fence(account, pending)
        elif old is None or not rival:
            self._take_over(account, pending, now)
        elif hello.takeover:
            self._core.send(old, m.Goodbye('superseded'))
            self._take_over(account, pending, now)
        else:
            before = self._pending.get(account.id)
            if before is None or (hello.epoch >= before.hello.epoch and (before.hello != hello or before.routing != peer.routing)):
                self._pending[account.id] = pending
            self._core.send(old, m.Ping(old.number, old.serial))

    def settle(self, now: float) -> None:
        """A second endpoint process waits until the first has answered or is known to be gone."""
        for endpoint, pending in list(self._pending.items()):
            old = self._core.endpoints.get(endpoint)
            account = self._core.accounts.get(endpoint)
            if old is not None and old.heard > pending.asked:
                del self._pending[endpoint]
                self._core.refused('duplicate', endpoint)
                self._refuse(pending.routing, 'duplicate', 'this endpoint runs already: stop it first, or start with --take-over')
            elif not self._core.accounts.counts(endpoint, now):
                del self._pending[endpoint]
            elif account is not None and (old is None or now - pending.asked >= self._core.settings.probe):
                if _is_older(account, pending.hello):
                    del self._pending[endpoint]
                    self._fence(account, pending)
                    continue
                if old is not None:
                    self._core.send(old, m.Goodbye('superseded'))
                self._take_over(account, pending, now)

    def _fence(self, account: AccountRow, pending: Pending) -> None:
        """It may not be this endpoint, also when nobody else is."""
        epoch, how = pending.hello.epoch, ' with --take-over' if pending.hello.takeover else ''
        self._core.refused('fenced', account.id, epoch=epoch)
        why = f'another process of this endpoint has been here with start number {account.epoch}, and this is number {epoch} of its directory'
        again = f'start it again{how}' if epoch == account.epoch else 'go on in the directory of that one, or invite and join this one anew'
        self._refuse(pending.routing, 'fenced', f'{why}: {again}')

    def _take_over(self, account: AccountRow, pending: Pending, now: float) -> None:
        self._pending.pop(account.id, None)
        self._end_all(lambda each: each.routing == pending.routing or each.account == account.id)
        hello = pending.hello
        row = replace(account, epoch=hello.epoch, instance=hello.instance, seen=now, versions=dict(hello.versions))
        self._core.put_account(row)
        session = EndpointSession(pending.routing, pending.key, account.id, self._core.next_session(), hello, now, opened=now)
        self._core.endpoints[account.id] = session
        self._core.hold(session, self._core.store.leases(account.id))
        said = self._core.said.pop(account.id, {})
        session.details = {task_id: state for task_id, state in said.items() if task_id in session.leases}
        self._open(session)

    def _open(self, session: Session) -> None:
        self._core.sessions[session.routing] = session
        self._core.audit('session', session.account, role=session.hello.role, session=session.number, instance=session.hello.instance.hex())
        self._core.welcome(session)

    def _end_all(self, over: Callable[[Session], bool]) -> None:
        for session in [each for each in self._core.sessions.values() if over(each)]:
            self.end(session)

    def end(self, session: Session) -> None:
        """It is over; leases stay, for time ends none."""
        self._core.sessions.pop(session.routing, None)
        if isinstance(session, ClientSession):
            self._delivery.leave(session)
            self._watches.leave(session)
            if account := self._core.accounts.get(session.account):
                self._see(account, session.heard)
        elif self._core.endpoints.get(session.account) is session:
            del self._core.endpoints[session.account]
            self._core.heads.leave(session.account)
            if session.details:
                self._core.said[session.account] = session.details
            for task_id in session.leases:
                self._core.changed(task_id)
            account = self._core.accounts.get(session.account)
            if account is not None:
                self._core.put_account(replace(account, seen=session.heard))

    def tick(self, session: Session, now: float) -> None:
        """Silence and timers."""
        settings = self._core.settings
        if now - session.heard >= settings.dead or self._core.accounts.active(session.key, now) is None:
            self._core.send(session, m.Goodbye('silent', hello=True))
            self.end(session)
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
            self.end(session)
        else:
            self._leases.tick_backlog(session, now)
            row = self._core.accounts.get(session.account)
            if row and row.report.get('share', 0) != row.share_serial and now - session.welcomed >= self._core.settings.quiet:
                self._core.welcome(session)  # what was said of its guests is lost, or was refused

    def _refuse(self, routing: bytes, code: str, reason: str) -> None:
        self._core.do(Send(routing, m.Refused(code, reason)))


def _is_older(account: AccountRow, hello: m.Hello) -> bool:
    """Whether this process comes after one that was newer, or has the epoch of another one."""
    return hello.epoch < account.epoch or (hello.epoch == account.epoch and account.instance not in (NO_ID, hello.instance))
