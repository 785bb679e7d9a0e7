"""An owner says who else may use an endpoint: a statement, signed here, which the relay brings to the endpoint and cannot write.

```
 owner                              relay                      endpoint
 share(): the statement that holds
   and one more guest, signed ────► keeps it, and lets the ──► checks signer, endpoint and serial,
                                    guest submit               and each task against it
```

Each statement is whole, and follows the last one: of two machines that write at once, the relay has the second one do it again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from relay_parsl.client.admin import Desk
from relay_parsl.client.trust import judge, question, vouched
from relay_parsl.errors import AccessDenied, ConfigError, NotFound, RelayError, SealError, with_article
from relay_parsl.home import Home, Pin
from relay_parsl.wire.messages import Id
from relay_parsl.wire.seal import ALWAYS, Card, Guest, Share, issue_share, read_card, read_share

__all__ = ['Guest', 'Standing', 'confirm_endpoint', 'end_of', 'identity_of', 'new_guest', 'share', 'standing', 'unshare']

SHARED = 'shared'
"""The kind of a pin that names an endpoint of somebody else: the name means it, and what it sends is still read as JSON."""


@dataclass(frozen=True)
class Standing:
    """Who may use an endpoint: the newest statement that is known (None: nobody was ever named), and the serial of the one at the relay."""

    endpoint: Id
    share: Share | None
    at_relay: int
    in_force: int
    """The serial that the endpoint says it goes by; 0 for none."""

    @property
    def guests(self) -> tuple[Guest, ...]:
        """All that it names, also those whose time is over."""
        return self.share.guests if self.share else ()


def standing(home: Home, desk: Desk, name: str) -> Standing:
    """Who may use the endpoint `name` (or UUID) of this account.

    Raises:
        NotFound: it is not known here, or is not this account's.
        SealError: the relay shows a statement that this account has not signed.
        RelayUnavailable, AccessDenied: the relay does not answer, or refuses.
    """
    found = judge(home, desk.credentials, name, desk.rows('cards', **question(home, name)))
    endpoint = found.card.id
    rows = [row for row in desk.rows('endpoints', id=endpoint) if row['id'] == endpoint]
    if not rows or rows[0].get('owner') != desk.credentials.id:
        raise NotFound(f'endpoint {name!r} is not one of {desk.credentials.name!r}: only its owner says who may use it')
    shown, kept = rows[0].get('share') or b'', home.share(endpoint)
    known = [each for each in (_own(desk, endpoint, data) for data in (shown, kept) if data) if each is not None]
    newest = max(known, key=lambda each: each.serial, default=None)
    if newest is not None and newest.data != kept:
        home.keep_share(endpoint, newest.data)
    return Standing(endpoint, newest, int(rows[0].get('share_serial') or 0), int((rows[0].get('report') or {}).get('share') or 0))


def new_guest(identity: bytes, policy: str, functions: Iterable[str], until: float | None) -> Guest:
    """A guest for `share`; `until` in seconds since 1970, None for no end."""
    return Guest(identity, policy, tuple(sorted(functions)), until or ALWAYS)


def end_of(guest: Guest) -> float:
    """Seconds since 1970; 0 for no end."""
    return 0.0 if guest.not_after >= ALWAYS else guest.not_after


def share(home: Home, desk: Desk, before: Standing, guest: Guest) -> Standing:
    """Add a guest, or replace what was said of it. Guests whose time is over are left out. Raises what `standing` raises, ConfigError."""
    return _publish(home, desk, before, 'share', guest.id, [*_others(before, guest.id), guest])


def unshare(home: Home, desk: Desk, before: Standing, account: Id, *, cancel: bool = False) -> Standing:
    """Take a guest off; with `cancel` what runs of it is ended. Raises NotFound when it is none, and what `standing` raises."""
    if all(each.id != account for each in before.guests):
        raise NotFound(f'the endpoint is not shared with account {uuid.UUID(bytes=account)}')
    return _publish(home, desk, before, 'unshare', account, _others(before, account), cancel=cancel)


def identity_of(home: Home, desk: Desk, account: str) -> tuple[bytes, bool]:
    """The identity key of an account, and whether it is known here already; else its id is to be compared with what its owner says.

    Args:
        home: whose pins say which names are known.
        desk: the way to the relay, as the account whose vouchers count.
        account: a name that this account has pinned or vouched for, or a UUID.

    Raises:
        NotFound: nobody is known by that name, or the relay shows no account of that id.
        SealError: the relay shows a card that is none.
    """
    pins = home.pins()
    if account in pins:
        return _person(pins[account]), True
    try:
        wanted = uuid.UUID(account).bytes
    except ValueError:
        return _vouched(desk, account), True
    known = next((pin for pin in pins.values() if pin.id == wanted), None)
    if known is not None:
        return _person(known), True
    card = _card(desk, Id(wanted))
    if card.kind not in ('user', 'service'):
        raise ConfigError(f'{account} is {with_article(card.kind)}: an endpoint is shared with a user or a service')
    return card.identity, False


def confirm_endpoint(home: Home, desk: Desk, name: str, endpoint: Id, *, trust: bool) -> Pin:
    """Give an endpoint of somebody else a name here. Its id is what was compared; the card that the relay shows must be of that id.

    Args:
        home: where the name is kept.
        desk: the way to the relay.
        name: what to call it.
        endpoint: its id.
        trust: unpickle what it sends; else its results are JSON.

    Raises:
        NotFound: the relay shows no endpoint of this id to this account.
        ConfigError, HomeError: the name is none, or stands for another one.
    """
    card = _card(desk, endpoint)
    if card.kind != 'endpoint':
        raise ConfigError(f'{uuid.UUID(bytes=endpoint)} is {with_article(card.kind)}, no endpoint')
    pin = Pin(name, card.identity, 'endpoint' if trust else SHARED)
    home.pin(pin)
    return pin


def _person(pin: Pin) -> bytes:
    if pin.kind not in ('user', 'service'):
        raise ConfigError(f'{pin.name!r} is a pinned {pin.kind}: an endpoint is shared with a user or a service')
    return pin.identity


def _vouched(desk: Desk, name: str) -> bytes:
    for row in desk.rows('cards', name=name):
        card = read_card(row['card'], now=time.time())
        voucher = vouched(desk.credentials, card, row)
        if voucher is not None and voucher.name == name and card.kind in ('user', 'service'):
            return card.identity
    raise NotFound(f'no account {name!r} is known here: give its UUID, which `relay-parsl account list` shows on its side; compare the two')


def _card(desk: Desk, wanted: Id) -> Card:
    for row in desk.rows('cards', id=wanted):
        card = read_card(row['card'], now=time.time())
        if card.id == wanted:
            return card
    raise NotFound(f'the relay shows nobody of the id {uuid.UUID(bytes=wanted)} to this account: is it the right one, and of this relay?')


def _own(desk: Desk, endpoint: Id, data: bytes) -> Share | None:
    found = read_share(data)
    if (found.signer, found.endpoint) != (desk.credentials.card.identity, endpoint):
        raise SealError('the relay shows shares of this endpoint that this account has not signed')
    return found


def _others(before: Standing, account: Id) -> list[Guest]:
    now = time.time()
    return [each for each in before.guests if each.id != account and now <= each.not_after]


def _publish(home: Home, desk: Desk, before: Standing, verb: str, account: Id, guests: Sequence[Guest], *, cancel: bool = False) -> Standing:
    """Sign, have the relay keep it, and remember it. The serial is a time in milliseconds, or one more than the last: machines share no counter."""
    last = max(before.at_relay, before.share.serial if before.share else 0)
    made = issue_share(desk.credentials.keys, before.endpoint, max(last + 1, int(time.time() * 1000)), guests, cancel=cancel)
    terms: dict[str, Any] = {each.id.hex(): {'policy': each.policy, 'until': each.not_after} for each in guests}
    try:
        done = desk.order(verb, id=before.endpoint, account=account, statement=made.data, serial=made.serial, after=before.at_relay, terms=terms)
    except AccessDenied as error:
        raise RelayError(str(error)) from None
    if done.get('serial') != made.serial:
        raise RelayError('this relay does not know how to keep shares: its operator must update it')
    home.keep_share(before.endpoint, made.data)
    return Standing(before.endpoint, made, made.serial, before.in_force)
