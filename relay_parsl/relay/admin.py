"""Lists, invitations, enrolment, revocation: who may ask for what is decided by role and ownership. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from relay_parsl.errors import with_article
from relay_parsl.relay.accounts import MAY_INVITE, Denied
from relay_parsl.relay.calendar import Calendar
from relay_parsl.relay.core import Core, PeerLike
from relay_parsl.relay.effects import Send, Snapshot, Stop
from relay_parsl.relay.functions import Functions
from relay_parsl.relay.guesses import Guesses
from relay_parsl.relay.quotas import NAMES, UNLIMITED
from relay_parsl.relay.records import AccountRow, InviteRow, Progress, Stage, Standing, TaskInfo
from relay_parsl.relay.sessions import ClientSession, EndpointSession, Session
from relay_parsl.relay.sharing import Sharing
from relay_parsl.relay.watch import Watches
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Id

PAGE = 500
"""Rows in one `Listing`."""
INVITE_LIFE = 86400.0
"""Seconds that an invitation may be open at most."""
INVITES, OWN_INVITES = 1000, 250
"""That may be open, in all and of one account: nobody can keep others from inviting."""
OVERLAP = 90 * 86400.0
"""Seconds for which the key before a rotation is admitted, at most."""
REPORT = 16 * 1024
"""Bytes of an endpoint's report, at most."""
MOST = 1 << 62
"""What a quota may be at most."""
VOUCHER = 1024
"""Bytes of a voucher, at most."""
_NAME = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@')

Row = dict[str, Any]


@dataclass(frozen=True)
class Enrolment:
    """An `Enrol` after its card was opened and its signature held: `token` is hashed, `curve` is the joiner's own public key."""

    token: bytes
    id: Id
    kind: str
    curve: bytes
    not_after: float
    card: bytes
    mac: bytes
    serial: int = 0
    overlap: float = 0.0
    address: str = ''
    """Of the joiner's host, or its network."""


class Admin:
    """Answers `List` and `Admin`, and takes joiners in."""

    def __init__(self, core: Core, watches: Watches, calendar: Calendar, drop: Callable[[Session], None]) -> None:
        self._core = core
        self._watches = watches
        self._calendar = calendar
        self._drop = drop
        self._joined: dict[bytes, tuple[Id, bytes]] = {}
        self._guesses = Guesses()
        functions = Functions(core)
        self._sharing = sharing = Sharing(core, self._find)
        self._lists: dict[str, Callable[[AccountRow, m.List], tuple[list[Row], str]]] = {
            'accounts': self._accounts, 'endpoints': self._endpoints, 'cards': self._cards, 'invites': self._invites, 'tasks': self._tasks,
            'functions': functions.rows,
        }  # fmt: skip
        self._verbs: dict[str, Callable[[AccountRow, Row, float], Row]] = {
            'invite': self._invite, 'vouch': self._vouch, 'revoke': self._revoke, 'delete-endpoint': self._delete,
            'share': sharing.share, 'unshare': sharing.unshare, 'register': functions.register, 'unregister': functions.drop,
            'status': self._status, 'stop': self._stop, 'quota': self._quota, 'drain': self._drain, 'backup': self._backup,
        }  # fmt: skip

    # -- What sessions ask ------------------------------------------------------------------------------------------

    def listing(self, session: Session, message: m.List, _now: float) -> None:
        """What the asker may see, a page at a time."""
        try:
            if message.what not in self._lists:
                raise Denied('unsupported', f'this relay has no list of {message.what[:64]!r}')
            rows, page = self._lists[message.what](self._account(session), message)
            self._core.send(session, m.Listing(message.request, tuple(rows), page))
        except Denied as error:
            self._core.send(session, m.Refused(error.code, error.reason, message.request))

    def act(self, session: Session, message: m.Admin, now: float) -> None:
        """Do it, if the role allows; every verb and every refusal is audited."""
        try:
            if message.verb not in self._verbs:
                raise Denied('unsupported', f'this relay does not know how to {message.verb[:64]!r}')
            if self._core.unrecorded and message.verb != 'status':
                raise Denied('full', f'{self._core.closed}: try again later')
            result = self._verbs[message.verb](self._account(session), message.args, now)
        except Denied as error:
            self._core.refused('denied', session.account, verb=message.verb[:64], why=error.code)
            self._core.send(session, m.Refused(error.code, error.reason, message.request))
        else:
            self._core.audit(message.verb, session.account, **{key: _plain(value) for key, value in result.items() if message.verb != 'status'})
            self._core.send(session, m.Done(message.request, result))

    def report(self, session: EndpointSession, message: m.Report, now: float) -> None:
        """What an endpoint says of itself, for those who may list it."""
        row = self._account(session)
        if message.status != row.report and len(codec.pack(message.status)) <= REPORT:
            self._core.put_account(replace(row, report=message.status, seen=now))

    def _account(self, session: Session) -> AccountRow:
        row = self._core.accounts.get(session.account)
        assert row is not None  # noqa: S101  the reactor has looked
        return row

    # -- Lists ------------------------------------------------------------------------------------------------------

    def _visible(self, asker: AccountRow, wanted: Row) -> list[AccountRow]:
        rows = [row for row in self._core.accounts if self._core.accounts.visible(asker, row) and row.standing != Standing.DELETED]
        return [row for row in rows if wanted.get('id', row.id) == row.id and wanted.get('name', row.name) == row.name]

    def _accounts(self, asker: AccountRow, message: m.List) -> tuple[list[Row], str]:
        heard = {each.account: each.heard for each in sorted(self._core.sessions.values(), key=lambda each: each.heard)}
        return _page(message, (
            {'id': row.id, 'name': row.name, 'role': row.role, 'owner': row.owner, 'standing': row.standing.name.lower(),
             'not_after': row.not_after, 'seen': heard.get(row.id, row.seen)}
            for row in self._visible(asker, message.filter)
        ))  # fmt: skip

    def _cards(self, asker: AccountRow, message: m.List) -> tuple[list[Row], str]:
        rows = [row for row in self._visible(asker, message.filter) if row.standing == Standing.ACTIVE]
        if not rows and (other := self._sharing.by_id(asker, message.filter)):
            return [other], ''
        return _page(message, (
            {'id': row.id, 'name': row.name, 'role': row.role, 'card': row.card, 'mac': row.mac, 'owner': row.owner,
             'voucher': row.voucher} for row in rows
        ))  # fmt: skip

    def _endpoints(self, asker: AccountRow, message: m.List) -> tuple[list[Row], str]:
        found = [row for row in self._visible(asker, message.filter) if row.role == 'endpoint' and row.standing == Standing.ACTIVE]
        return _page(message, (self._endpoint(row, asker, message) for row in found))

    def _endpoint(self, row: AccountRow, asker: AccountRow, message: m.List) -> Row:
        session = self._core.endpoints.get(row.id)
        waiting = self._core.waiting.get(row.id, {})
        return {
            'id': row.id, 'name': row.name, 'online': session is not None, 'owner': row.owner, 'versions': row.versions, 'report': row.report,
            'backlog': sum(sum(accounts.values()) for accounts in waiting.values()), 'leases': len(session.leases) if session else 0,
            'last_seen': session.heard if session else row.seen, **self._sharing.about(row, asker, whole='id' in message.filter),
        }  # fmt: skip

    def _invites(self, asker: AccountRow, message: m.List) -> tuple[list[Row], str]:
        mine = [each for each in self._core.accounts.invites.values() if each.owner == asker.id]
        return _page(message, ({'name': each.name, 'role': each.role, 'expires': each.expires} for each in mine))

    def _tasks(self, asker: AccountRow, message: m.List) -> tuple[list[Row], str]:
        where = {key: Id(value) for key, value in message.filter.items() if key in ('group', 'endpoint', 'id') and isinstance(value, bytes)}
        found, after = self._core.store.tasks(_number(message.page), PAGE, account=asker.id, **where)
        states = {info.id: self._watches.state(info) for info, _ in found}
        rows = [
            {'id': info.id, 'group': info.group, 'endpoint': info.endpoint, 'state': states[info.id].state.value, 'detail': states[info.id].detail,
             'attempt': info.attempt, 'header': header, 'submitted': info.submitted, 'priority': info.priority, 'pool': info.pool,
             'expires': info.expires, 'cancel': info.cancel}
            for info, header in found
        ]  # fmt: skip
        if 'id' in where:
            if not found:
                self._core.unknown(asker.id, 'List', 1)
            rows = [{**row, **self._more(info)} for row, (info, _) in zip(rows, found)]
        return rows, str(after) if after else ''

    def _more(self, info: TaskInfo) -> Row:
        """What is told of a task that was asked for by its id: how many are before it, or how it ended."""
        if info.stage == Stage.QUEUED:
            return {'ahead': self._watches.ahead(info)}
        ends = self._core.store.results([info.id]) if info.stage == Stage.DONE else []
        return {'result': {'attempt': ends[0].attempt, 'bytes': len(ends[0].payload) + ends[0].body, 'reason': ends[0].reason}} if ends else {}

    # -- Verbs ------------------------------------------------------------------------------------------------------

    def _invite(self, asker: AccountRow, args: Row, now: float) -> Row:
        invite = _invitation(args, asker.id)
        if invite.role not in MAY_INVITE.get(asker.role, ()):
            raise Denied('denied', f'{with_article(asker.role)} may not invite {with_article(invite.role)}')
        if not now < invite.expires <= now + INVITE_LIFE:
            raise Denied('malformed', f'an invitation lasts at most {INVITE_LIFE:.0f} s')
        mine = self._core.accounts.invites.get(invite.curve)
        if mine != invite:  # else the answer was lost and the request has come again
            self._free(invite)
            self._core.store.put_invite(invite)
            self._core.accounts.invites[invite.curve] = invite
        return {'name': invite.name, 'role': invite.role, 'expires': invite.expires, **({'until': invite.until} if invite.until else {})}

    def _revoke(self, asker: AccountRow, args: Row, _now: float) -> Row:
        row = self._find(asker, args)
        if row.id == asker.id:  # for ever, and the last operator would leave nobody to invite another
            raise Denied('denied', f'this is your own account: {"another" if asker.role == "operator" else "the"} operator can revoke it')
        if row.standing == Standing.ACTIVE:
            self._end(row, Standing.REVOKED)
        return {'id': row.id, 'name': row.name}

    def _delete(self, asker: AccountRow, args: Row, _now: float) -> Row:
        row = self._find(asker, args)
        if row.role != 'endpoint':
            raise Denied('not-found', 'no such endpoint')
        self._end(row, Standing.DELETED)
        self._calendar.delete(row.id)
        return {'id': row.id, 'name': row.name}

    def _vouch(self, asker: AccountRow, args: Row, _now: float) -> Row:
        """Keep what an owner has signed about an account. Whether it holds is for those who read it."""
        row, voucher = self._find(asker, {'id': args.get('id')}), args.get('voucher')
        if row.owner != asker.id or row.standing != Standing.ACTIVE:
            raise Denied('not-found', 'no such account of yours')
        if not (isinstance(voucher, bytes) and 0 < len(voucher) <= VOUCHER):
            raise Denied('malformed', f'a voucher has 1 to {VOUCHER} bytes')
        if voucher != row.voucher:
            self._core.put_account(replace(row, voucher=voucher))
        return {'id': row.id, 'name': row.name}

    def _status(self, asker: AccountRow, _args: Row, now: float) -> Row:
        """Counts, for operators of everything, for others of what is theirs."""
        mine = {'account': asker.name, 'role': asker.role, 'time': now, 'waiting': self._core.load[asker.id], 'version': self._core.settings.versions,
                'full': self._core.full, 'audit': 'cannot be written: nothing new is taken' if self._core.unrecorded else 'written'}  # fmt: skip
        if asker.role != 'operator':
            return mine
        clients = sum(isinstance(each, ClientSession) for each in self._core.sessions.values())
        leases = sum(len(each.leases) for each in self._core.endpoints.values())
        return {
            **mine, 'waiting': sum(self._core.load.values()), 'clients': clients, 'endpoints': len(self._core.endpoints), 'leases': leases,
            'bytes': self._core.store.size(),
        }  # fmt: skip

    def _quota(self, asker: AccountRow, args: Row, _now: float) -> Row:
        """What an account may have and has; operators set it, in place of what the relay gives to everybody."""
        row = self._find(asker, args) if 'id' in args or 'name' in args else asker
        given = {name: args[name] for name in NAMES if name in args}
        if given or args.get('default'):
            row = self._set_quota(asker, row, given, keep=not args.get('default'))
        quotas = self._core.quotas
        used = quotas.used(row)
        return {'id': row.id, 'name': row.name, 'quota': quotas.of(row).plain(), 'own': row.quota, 'payer': quotas.payer(row).name,
                'tasks': used.tasks, 'bytes': used.bytes}  # fmt: skip

    def _set_quota(self, asker: AccountRow, row: AccountRow, given: Row, *, keep: bool) -> AccountRow:
        payer = self._core.quotas.payer(row)
        if asker.role != 'operator':
            raise Denied('denied', 'only an operator may set a quota')
        if payer is not row:
            raise Denied('malformed', f'{row.name!r} counts for {payer.name!r}, who invited it: set the quota of that account')
        if not all(type(each) in (int, float) and (each == UNLIMITED or 0 <= each < MOST) for each in given.values()):
            raise Denied('malformed', f'a quota is a number from 0, or {UNLIMITED} for no limit')
        row = replace(row, quota={**(row.quota if keep else {}), **given})
        self._core.put_account(row)
        return row

    def _backup(self, asker: AccountRow, args: Row, _now: float) -> Row:
        """Have a snapshot taken on the relay's own disk, or say how the one of this name stands. Whoever is on that machine makes a backup of it."""
        name = args.get('name')
        if asker.role != 'operator':
            raise Denied('denied', 'only an operator may back the relay up')
        if not (isinstance(name, str) and 0 < len(name) <= 64 and name.isascii() and name.isalnum()):
            raise Denied('malformed', 'a snapshot has a name of letters and digits')
        at = self._core.snapshot
        if at.name != name:
            if at.state == 'running' and at.name:
                raise Denied('limit', 'another backup is being made: wait for its end')
            at = self._core.snapshot = Progress(name)
            self._core.do(Snapshot(name))
        return {'name': name, 'state': at.state, 'left': at.left, 'total': at.total, 'why': at.why}

    def _drain(self, asker: AccountRow, args: Row, _now: float) -> Row:
        """Before a stop: no new tasks come in, none goes out, and results still pass; `off` takes it back."""
        if asker.role != 'operator':
            raise Denied('denied', 'only an operator may drain the relay')
        self._core.drain(on=not args.get('off'))
        return {'leases': sum(len(each.leases) for each in self._core.endpoints.values()), 'draining': self._core.draining}

    def _stop(self, asker: AccountRow, _args: Row, _now: float) -> Row:
        if asker.role != 'operator':
            raise Denied('denied', 'only an operator may stop the relay')
        self._core.do(Stop())
        return {}

    def _find(self, asker: AccountRow, args: Row) -> AccountRow:
        """The account that `id` or `name` names, if the asker rules it: operators all, others what they invited and themselves."""
        wanted, name = args.get('id'), args.get('name')
        ruled = [row for row in self._core.accounts if asker.role == 'operator' or asker.id in (row.id, row.owner)]
        if isinstance(wanted, bytes):
            found = [row for row in ruled if row.id == wanted]
        else:
            found = [row for row in ruled if row.name == name and row.standing == Standing.ACTIVE]
        if not found:
            raise Denied('not-found', 'no such account')
        if len(found) > 1:
            raise Denied('ambiguous', f'{len(found)} accounts are named {name!r}: give the id of the one that is meant, `account list` shows it')
        return found[0]

    def _end(self, row: AccountRow, standing: Standing) -> None:
        """At once, also for the sessions that are live."""
        self._core.put_account(replace(row, standing=standing))
        over = self._core.accounts.ending_with(row)
        for invite in [each for each in self._core.accounts.invites.values() if each.owner in over]:
            self._core.store.drop_invite(invite.curve)
            del self._core.accounts.invites[invite.curve]
        for session in [each for each in self._core.sessions.values() if each.account in over]:
            self._core.send(session, m.Goodbye('revoked'))
            self._drop(session)

    def _free(self, new: InviteRow) -> None:
        accounts, owners = self._core.accounts, Counter([each.owner for each in self._core.accounts.invites.values()])
        if owners.total() >= INVITES or owners[new.owner] >= OWN_INVITES:
            raise Denied('limit', f'{owners.total()} invitations are open, {owners[new.owner]} of them yours: they close when they are used or over')
        if accounts.taken(new.name, new.role, new.owner) or accounts.promised(new.name, new.role, new.owner):
            raise Denied('limit', f'there is an account or an invitation named {new.name!r} already')

    # -- Joiners ----------------------------------------------------------------------------------------------------

    def enrol(self, peer: PeerLike, enrolment: Enrolment, now: float) -> None:
        """One joiner for each invitation. Said twice by the same joiner, it is answered twice."""
        invite, row = self._core.accounts.invited(peer.key, now), self._core.accounts.active(peer.key, now)
        answer: m.Message
        if self._core.unrecorded:
            answer = m.Refused('full', f'{self._core.closed}: try again later')
        elif row is not None:
            answer = self._renew(row, enrolment, now)
        elif invite is None and self._joined.get(peer.key) == (enrolment.id, enrolment.card):
            row = self._core.accounts.get(enrolment.id)
            answer = m.Enrolled(enrolment.id, row.name if row else '', enrolment.kind)
        elif wait := self._guesses.wait(enrolment.address, peer.key, now):
            answer = m.Refused('rate', f'too many wrong tries to join came from your address: try again in {ceil(wait)} s')
        elif invite is None or invite.token != enrolment.token or invite.role != enrolment.kind:
            self._core.audit('enrol-denied', enrolment.id, **self._guesses.wrong(enrolment.address, peer.key, now))
            answer = m.Refused('denied', 'this invitation is used, over, or for another role')
        elif self._core.accounts.knows(enrolment.id, enrolment.curve) or self._core.accounts.taken(invite.name, invite.role, invite.owner):
            answer = m.Refused('denied', f'there is an account with this key or named {invite.name!r} already')
        else:
            self._take_in(peer.key, invite, enrolment)
            answer = m.Enrolled(enrolment.id, invite.name, invite.role)
        self._core.do(Send(peer.routing, answer))

    def _renew(self, row: AccountRow, new: Enrolment, now: float) -> m.Message:
        """The next card of an account that is here, brought over its own key: the same identity has signed it."""
        if new.card != row.card:
            if (new.id, new.kind) != (row.id, row.role) or new.serial <= max(row.serial, 1) or self._core.accounts.is_taken(new.curve):
                self._core.refused('enrol-denied', row.id)
                return m.Refused('denied', 'this is not the next card of this account: its serial must be higher, and its CURVE key new')
            until = now + min(max(new.overlap, 0.0), OVERLAP)
            old = row.curve if until > now else b''
            row = replace(row, card=new.card, curve=new.curve, serial=new.serial, old_curve=old, old_until=until)
            self._core.put_account(replace(row, not_after=min(row.not_after, new.not_after)))
            self._core.audit('rotated', row.id, serial=new.serial, old_until=until)
        return m.Enrolled(row.id, row.name, row.role)

    def _take_in(self, key: bytes, invite: InviteRow, new: Enrolment) -> None:
        self._core.store.drop_invite(key)
        del self._core.accounts.invites[key]
        over = min(new.not_after, invite.until) if invite.until else new.not_after
        self._core.put_account(AccountRow(new.id, invite.name, invite.role, new.card, new.curve, over, owner=invite.owner, mac=new.mac))
        if len(self._joined) >= INVITES:
            self._joined.clear()
        self._joined[key] = (new.id, new.card)
        self._core.audit('enrolled', new.id, name=invite.name, role=invite.role, owner=invite.owner.hex())


def _invitation(args: Row, owner: Id) -> InviteRow:
    """Raises Denied when the arguments are none."""
    name, role, curve, token, expires = (args.get(key) for key in ('name', 'role', 'curve', 'token', 'expires'))
    if not (isinstance(name, str) and 0 < len(name) <= 64 and name[0].isalnum() and _NAME.issuperset(name)):
        raise Denied('malformed', 'a name has 1 to 64 letters, digits, and . _ - @, the first a letter or digit')
    keys = [each for each in (curve, token) if isinstance(each, bytes) and len(each) == 32]
    if not (isinstance(role, str) and len(keys) == 2 and isinstance(expires, (int, float))):
        raise Denied('malformed', 'an invitation needs role, curve (32 bytes), token (32 bytes), expires')
    until = args.get('until', 0.0)
    if not isinstance(until, (int, float)) or until < 0:
        raise Denied('malformed', 'until is a time in seconds since 1970')
    return InviteRow(keys[0], keys[1], name, role, owner, float(expires), float(until))


def _page(message: m.List, rows: Iterable[Row]) -> tuple[list[Row], str]:
    """Rows by name from where the last page ended."""
    start = _number(message.page)
    ordered = sorted(rows, key=lambda row: str(row['name']))
    return ordered[start : start + PAGE], str(start + PAGE) if len(ordered) > start + PAGE else ''


def _number(page: str) -> int:
    return int(page) if page.isascii() and page.isdigit() and len(page) < 18 else 0


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
