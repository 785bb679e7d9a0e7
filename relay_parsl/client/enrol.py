"""How an account comes to be: one party invites, the other joins, and both keep the identity of the other.

```
 inviter                      relay                        joiner
 invite() ── name, role, hash of the token, one-use key ─►
          ── the URL, by hand ───────────────────────────► join(): makes its keys
                              ◄── token, card, MAC ───────
 confirm() ◄─ card, MAC ─────                              keeps the inviter's identity
           ── voucher ───────►  keeps it, for ────────►    a service, the inviter's other machines
```

The relay sees neither the second secret nor the MAC's key: it can refuse a joiner, and cannot put another in its place.
Once the MAC has proved the joiner, the inviter signs a voucher of it: what that says holds wherever the inviter's identity is known.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from relay_parsl.client.admin import Desk, enrol
from relay_parsl.errors import AccessDenied, ConfigError, with_article
from relay_parsl.home import Credentials, Home, Invitation, Pin
from relay_parsl.wire.messages import Enrol
from relay_parsl.wire.seal import enrolment_mac, issue_voucher, mac_holds, read_card, uuid_of

MAY_INVITE = {'user': ('operator',), 'operator': ('operator',), 'service': ('user', 'operator'), 'endpoint': ('user',)}
"""Whom it takes to invite each role."""
VALID = 600.0
"""Seconds that an invitation holds."""
LIFETIME = 10 * 365.25 * 86400
"""Seconds that a new card holds."""


def invite(home: Home, desk: Desk, name: str, role: str, until: float = 0.0) -> Invitation:
    """Announce a joiner to the relay, and remember what will prove that it was the one invited.

    `until`: when its account ends, in seconds since 1970; 0: with its card, in ten years.

    Raises:
        AccessDenied: one's own role may not invite this one.
        ConfigError: the name is none, or is taken.
    """
    if desk.credentials.role not in MAY_INVITE[role]:
        needed = ' or '.join(map(with_article, MAY_INVITE[role]))
        own = f'{desk.credentials.name!r} is {with_article(desk.credentials.role)}'
        raise AccessDenied(f'{own}, and it takes {needed} to invite {with_article(role)}: give --credentials')
    invitation = Invitation.create(desk.entry, desk.credentials, name, role, time.time() + VALID, until)
    arguments = {'curve': invitation.curve_public, 'token': invitation.token_hash, 'expires': invitation.expires}
    arguments |= {'until': until} if until else {}
    done = desk.order('invite', name=name, role=role, **arguments)
    if done.get('until', 0.0) != until:
        raise ConfigError('this relay does not know how to end an account by itself: its operator must update it')
    home.add_invite(invitation.pending(desk.entry.name))
    return invitation


def join(invitation: Invitation, *, keep: Callable[[Credentials], None], drop: Callable[[Credentials], None]) -> Credentials:
    """Make keys and enrol them. Keys are kept before the relay knows of them: a crash in between costs the invitation, never the account.

    Args:
        invitation: What the URL says.
        keep: Saves the keys.
        drop: Removes them again, when the relay would not have them.

    Raises:
        ConfigError: the invitation has expired.
        RelayUnavailable, AccessDenied: the relay does not answer, or refuses.
    """
    if invitation.expires < time.time():
        raise ConfigError(f'this invitation of {invitation.name!r} has expired: ask for a new one, it holds for {VALID / 60:g} minutes')
    now = time.time()
    lifetime = min(LIFETIME, invitation.until - now) if invitation.until else LIFETIME
    credentials = Credentials.create(invitation.name, invitation.role, now=now, lifetime=lifetime, inviter=invitation.inviter_identity)
    mac = enrolment_mac(invitation.secret, credentials.card.data, invitation.name, invitation.role)
    keep(credentials)
    try:
        enrol(invitation.url, invitation.relay_key, invitation.curve, Enrol(invitation.token, credentials.card.data, mac))
    except BaseException:
        drop(credentials)
        raise
    return credentials


def confirm(home: Home, desk: Desk) -> list[Pin]:
    """Pin everyone who joined by an invitation of ours since, and vouch for them: those whose MAC proves it. Invitations long expired are dropped.

    Raises:
        HomeError: a name is pinned to another identity here.
        RelayUnavailable, AccessDenied, NotFound: the relay does not answer, or refuses.
        SealError: the relay shows a card that is none.
    """
    pinned = []
    for pending in home.invites():
        if pending.relay != desk.entry.name:
            continue
        for row in desk.rows('cards', name=pending.name) if pending.is_of(desk.credentials) else ():
            if not mac_holds(pending.secret, row['card'], pending.name, pending.role, row['mac']):
                continue  # somebody else's of this name, whatever that card is: others may show us endpoints of theirs
            card = read_card(row['card'], now=time.time())
            if card.kind == pending.role:
                pinned.append(Pin(pending.name, card.identity, card.kind))
                home.pin(pinned[-1])
                desk.order('vouch', id=card.id, voucher=issue_voucher(desk.credentials.keys, pending.name, card, pending.until).data)
                home.drop_invite(pending)
        if pending.expires + VALID < time.time():
            home.drop_invite(pending)
    return pinned


def inviter_pin(invitation: Invitation) -> Pin:
    """Who invited us, under the id that follows from the identity: its name would be the relay's word."""
    return Pin(
        str(uuid.UUID(bytes=uuid_of(invitation.inviter_identity))),
        invitation.inviter_identity,
        'operator' if invitation.role in ('user', 'operator') else 'user',
    )
