"""From what a user calls an endpoint to a key that only this endpoint can use.

```
 name ── pin, or an invitation of ours whose MAC proves the joiner ──► identity ─┐
      └─ or a voucher that our account has signed; of a service, its owner ──────┤
 UUID ── certifies itself ───────────────────────────────────────────► identity ─┴─► card from the relay, signed by it ──► grant
```

The relay is asked for cards and believed nothing: a card is what the identity signed, and a name is what *we* confirmed, here or elsewhere.
"""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from relay_parsl.client.defaults import Target
from relay_parsl.client.orders import Function, Order
from relay_parsl.errors import AccessDenied, ConfigError, HomeError, NotFound, RelayError, SealError
from relay_parsl.home import Credentials, Home, PendingInvite, Pin
from relay_parsl.wire import payload
from relay_parsl.wire.codec import encode_header
from relay_parsl.wire.messages import Body, Hash, Id, Object, Task, TaskHeader
from relay_parsl.wire.seal import Card, Grant, Voucher, mac_holds, make_grant, read_card, read_voucher, reopen_grant, sealed_size, uuid_of

GRANT_LIFE, GRANT_USE = 30 * 86400.0, 14 * 86400.0
"""Seconds that a grant holds, and for which new tasks are sealed under it: the last of them may run for as long again."""
KEPT = 64 << 20
"""Bytes of sealed functions that a route keeps for coming tasks."""


@dataclass(frozen=True)
class Found:
    """An endpoint whose card holds. `trusted`: it is pinned here, so what it sends may be unpickled. `joined`: by this invitation, just confirmed."""

    card: Card
    trusted: bool
    joined: PendingInvite | None = None


@dataclass
class Route:
    """The way to one endpoint: its grant, and the functions that are sealed under it. Used by the I/O thread alone."""

    card: Card
    trusted: bool
    grant: Grant
    python: str = ''
    made: float = field(default_factory=time.time)
    sequence: int = 0
    functions: OrderedDict[bytes, Object] = field(default_factory=OrderedDict)
    size: int = 0

    def __post_init__(self) -> None:
        """The id is a hash: made once."""
        self.endpoint = self.card.id

    def function(self, function: Function) -> Object:
        """The function, sealed for this endpoint once."""
        known = self.functions.get(function.digest)
        if known is None:
            data = self.grant.seal('function', b'', function.blob)
            known = self.functions[function.digest] = Object(Hash(sha256(data).digest()), 'function', Body(data))
            self.size += len(data)
        else:
            self.functions.move_to_end(function.digest)
        return known

    def spare(self) -> list[Hash]:
        """Sealed functions that are not kept any longer, the longest unused first."""
        dropped = []
        while self.size > KEPT and len(self.functions) > 1:
            _, each = self.functions.popitem(last=False)
            self.size -= len(each.data)
            dropped.append(each.hash)
        return dropped

    def seal(self, order: Order, function: Object) -> tuple[Task, TaskHeader]:
        """The task as it travels.

        Raises:
            VersionMismatch: the endpoint's workers run another Python than the function's bytecode is for.
            SealError, ProtocolError: the grant is used up; an option is no plain value.
        """
        info = order.function.info
        if self.python:
            payload.check_python(info.name, info.python, self.python)
        self.sequence += 1
        options = order.options
        body = sealed_size(order.length) if order.body_key else 0
        header = TaskHeader(  # by position: it is made for each task, and takes twice as long by name
            self.grant.hash, self.sequence, order.task_id, order.group, self.endpoint, function.hash, order.expires,
            options.priority, options.pool, options.at_most_once, order.serializer, body,
        )  # fmt: skip
        sealed = order.sealed_options
        if not self.trusted and 'result_serializers' not in sealed:
            sealed = {**sealed, 'result_serializers': ['json']}
        call = payload.Call(order.function.digest, info.name, info.python, order.arguments, order.body_key, order.length, sealed)
        data = encode_header(header)
        return Task(data, Body(self.grant.seal('task', data, payload.encode_call(call)))), header


def new_route(credentials: Credentials, found: Found, python: str, voucher: bytes = b'') -> Route:
    """A fresh grant to this endpoint; of a service, with its voucher. Raises SealError."""
    label = f'{platform.node()} {os.getpid()}'
    grant = make_grant(credentials.keys, credentials.role, found.card, now=time.time(), lifetime=GRANT_LIFE, label=label, voucher=voucher)
    return Route(found.card, found.trusted, grant, python)


def question(home: Home, reference: str) -> dict[str, Any]:
    """What to ask the relay's list of cards for.

    Args:
        home: whose pins say which names are known.
        reference: an endpoint's name or UUID.

    Raises:
        NotFound: that name stands for something else here.
        HomeError: the pins cannot be read.
    """
    try:
        return {'id': uuid.UUID(reference).bytes}
    except ValueError:
        pass
    pins = home.pins()
    pin = pins.get(reference)
    if pin is None:
        return {'name': reference}
    if pin.kind not in ('endpoint', 'shared'):
        raise _unknown(pins, reference)
    return {'id': uuid_of(pin.identity)}


def judge(home: Home, me: Credentials, reference: str, rows: Sequence[dict[str, Any]]) -> Found:
    """As `_judged`; and of a party that is pinned no card of a lower serial is taken than it had before: that one's keys may be lost."""
    found = _judged(home, me, reference, rows)
    for pin in home.pins().values():
        if pin.identity == found.card.identity and found.card.serial < pin.serial:
            raise SealError(f'the relay shows an old card of endpoint {reference!r}, from before its keys were changed')
        if pin.identity == found.card.identity and found.card.serial > max(1, pin.serial):
            with suppress(HomeError):  # then it is not remembered, and the card is good all the same
                home.pin(pin.at(found.card.serial))
    return found


def _judged(home: Home, me: Credentials, reference: str, rows: Sequence[dict[str, Any]]) -> Found:
    """The endpoint among the cards that the relay has shown. One that is proved by now is pinned.

    Args:
        home: whose pins and invitations say which names are known.
        me: as whom the relay was asked: whose word counts follows from it.
        reference: an endpoint's name or UUID.
        rows: what came for `question`.

    Raises:
        NotFound: it is not among them, or nobody whose word counts has confirmed that name.
        SealError: what the relay shows under this name or id is not what we know under it.
        HomeError: the pins cannot be written.
    """
    pins = home.pins()
    pending = [each for each in home.invites() if each.name == reference and each.role == 'endpoint' and each.is_of(me)]
    wanted = _wanted(pins, reference)
    cards, broken = _cards(rows)
    for card, row in cards:
        if wanted is not None:
            found = Found(card, _trusted(home, me, card, row)) if card.id == wanted else None
        else:
            found = _joined(home, card, row, pending) or _vouched_as(home, me, reference, card, row)
        if found is not None:
            return found
    if broken is not None:
        raise broken
    if wanted is None:
        raise _unconfirmed(pins, me, reference, rows, bool(pending))
    if cards:
        raise _other(reference)
    raise NotFound(f'the relay knows no endpoint {reference!r} that this account may use')


def own_voucher(me: Credentials, rows: Sequence[dict[str, Any]]) -> bytes:
    """What its owner has signed about the service `me`, among the cards that the relay has shown. Raises AccessDenied."""
    for row in rows:
        voucher = vouched(me, me.card, row)
        if voucher is not None:
            return voucher.data
    raise AccessDenied(
        f'nobody has vouched for service {me.name!r} yet, so no endpoint would take its tasks: let the account that invited it run any command once, '
        'e.g. `relay-parsl account list` (`relay-parsl invite --wait` does it at once)'
    )


def vouched(me: Credentials, card: Card, row: dict[str, Any]) -> Voucher | None:
    """The voucher in a row, if it holds, is about the party of `card`, and signed by whose word counts: ourselves, for a service its owner."""
    data = row.get('voucher')
    try:
        voucher = read_voucher(data if type(data) is bytes else b'', now=time.time())
    except SealError:
        return None
    right = (voucher.signer, voucher.identity, voucher.role) == (_authority(me), card.identity, card.kind)
    return voucher if right else None


def _authority(me: Credentials) -> bytes:
    return me.inviter if me.role == 'service' else me.card.identity


def worker_python(rows: Sequence[dict[str, Any]], endpoint: Id) -> str:
    """The Python version of the endpoint's workers as it last reported, '' when it has not."""
    for row in rows:
        report = row.get('report')
        if row.get('id') == endpoint and isinstance(report, dict):
            return str(report.get('python') or '')
    return ''


def _wanted(pins: dict[str, Pin], reference: str) -> Id | None:
    """The id that the reference stands for; None when only an invitation knows it."""
    try:
        return Id(uuid.UUID(reference).bytes)
    except ValueError:
        return uuid_of(pins[reference].identity) if reference in pins else None


def _cards(rows: Sequence[dict[str, Any]]) -> tuple[list[tuple[Card, dict[str, Any]]], SealError | None]:
    """The cards of endpoints in these rows, and what is wrong with one that does not hold: it may be another's, and not the one that is wanted."""
    cards, broken = [], None
    for row in rows:
        data = row.get('card')
        try:
            card = read_card(data, now=time.time()) if type(data) is bytes else None
        except SealError as error:
            broken = error
        else:
            cards += [(card, row)] if card is not None and card.kind == 'endpoint' else []
    return cards, broken


def _trusted(home: Home, me: Credentials, card: Card, row: dict[str, Any]) -> bool:
    if any(each.identity == card.identity and each.kind == 'endpoint' for each in home.pins().values()):
        return True
    voucher = vouched(me, card, row)
    if voucher is not None:
        with suppress(ConfigError, HomeError):  # the name stands for another one here; by its id it is meant all the same
            home.pin(Pin(voucher.name, card.identity, card.kind))
    return voucher is not None


def _joined(home: Home, card: Card, row: dict[str, Any], pending: Sequence[PendingInvite]) -> Found | None:
    """Whether this is whom we invited: the MAC proves it, and then the name is pinned. The invitation stays until a voucher is at the relay."""
    mac = row.get('mac')
    for invite in pending:
        if type(mac) is bytes and mac_holds(invite.secret, card.data, invite.name, invite.role, mac):
            home.pin(Pin(invite.name, card.identity, card.kind))
            return Found(card, trusted=True, joined=invite)
    return None


def _vouched_as(home: Home, me: Credentials, name: str, card: Card, row: dict[str, Any]) -> Found | None:
    voucher = vouched(me, card, row)
    if voucher is None or voucher.name != name:
        return None
    home.pin(Pin(name, card.identity, card.kind))
    return Found(card, trusted=True)


def _unconfirmed(pins: dict[str, Pin], me: Credentials, name: str, rows: Sequence[dict[str, Any]], invited: bool) -> RelayError:
    """Why a name means nothing yet. Whose an endpoint is, the relay says: good enough for a hint."""
    ours = any((row.get('name'), row.get('owner')) == (name, uuid_of(_authority(me))) for row in rows)
    if invited and ours:
        return _other(name)
    if invited:
        return NotFound(f'endpoint {name!r} was invited and has not joined yet: run `relay-parsl join URL` there')
    if ours:
        return NotFound(
            f'endpoint {name!r} has joined, and nobody has vouched for it yet: run any command where it was invited, '
            'e.g. `relay-parsl account list`, or give its UUID'
        )
    return _unknown(pins, name)


def _unknown(pins: dict[str, Pin], reference: str) -> NotFound:
    known = sorted(name for name, each in pins.items() if each.kind == 'endpoint')
    return NotFound(
        f'no endpoint {reference!r} is known here (known: {", ".join(known) or "none"}): '
        f'invite it (`relay-parsl invite {reference} --role endpoint`), or give the UUID that `relay-parsl endpoint list` shows on its side'
    )


def _other(reference: str) -> SealError:
    return SealError(f'the relay shows another identity under {reference!r} than the one that was invited or pinned here')


def own_grant(target: Target, digest: Hash, data: bytes) -> tuple[Grant, bool]:
    """A grant that another process of this account made, and whether its endpoint is trusted here. Raises SealError."""
    if sha256(data).digest() != digest:
        raise SealError('the relay sent other bytes than the grant that was asked for')
    grant = reopen_grant(data, target.credentials.keys)
    return grant, any(uuid_of(pin.identity) == grant.endpoint and pin.kind == 'endpoint' for pin in target.home.pins().values())
