"""What is kept in a home: credentials, relays, pins, invitations."""

from __future__ import annotations

import os
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from relay_parsl.errors import ConfigError, HomeError, ProtocolError, SealError
from relay_parsl.home.files import check_name, damaged, from_json, read_private, to_bytes, to_json, to_text, write_private
from relay_parsl.wire.codec import pack, unpack
from relay_parsl.wire.messages import Id
from relay_parsl.wire.seal import Card, Keys, curve_public, issue_card, new_curve, read_card, read_succession, uuid_of

SCHEME = 'relay-parsl'
ENDS_SOON = 14 * 86400.0
"""Seconds before the end of an account from which on one is told."""
CLOCKS = 300.0
"""Seconds by which the clocks of two hosts may differ."""


def ending(name: str, role: str, not_after: float, now: float) -> str:
    """What to say of an account that is over or ends soon, with the remedy; '' for others. `not_after`, `now`: seconds since 1970."""
    left = not_after - now
    if left > ENDS_SOON:
        return ''
    how = f'{role} {name!r} ' + ('is over' if left <= 0 else f'ends in {left / 86400:.0f} days' if left >= 86400 else 'ends today')
    return f'{how}: whoever invited it must invite it anew (`relay-parsl account revoke {name}`, then `relay-parsl invite {name} --role {role}`)'


@dataclass(frozen=True)
class Retired:
    """A sealing key from before a rotation, and the end of its overlap [s since 1970]."""

    sealing: bytes = field(repr=False)
    until: float


@dataclass(frozen=True)
class Credentials:
    """The private side of an account, an endpoint or a relay. `inviter` is the identity key of whoever invited it, where somebody did."""

    name: str
    role: str
    keys: Keys
    card: Card
    inviter: bytes = b''
    retired: tuple[Retired, ...] = ()
    before: bytes = field(default=b'', repr=False)
    """The CURVE key before the last rotation: all that a relay knows which was restored from an older backup."""

    @property
    def id(self) -> Id:
        """The id that follows from the identity key."""
        return self.card.id

    @classmethod
    def create(cls, name: str, role: str, *, now: float, lifetime: float, inviter: bytes = b'') -> Credentials:
        """Fresh keys, and a card that is valid for `lifetime` seconds from `now` [s since 1970]. `role` is one of `wire.seal.KINDS`."""
        keys = Keys.generate()
        return cls(check_name(name), role, keys, issue_card(keys, role, serial=1, not_after=now + lifetime), inviter)

    def rotated(self, *, now: float, overlap: float) -> Credentials:
        """New sealing and CURVE keys under the next serial. The old sealing key opens things for `overlap` seconds more, an account's for ever."""
        retired = _counting((*self.retired, Retired(self.keys.sealing, now + overlap)), self.role, now)
        keys = Keys(self.keys.identity, new_curve(), new_curve(), tuple(each.sealing for each in retired))
        card = issue_card(keys, self.role, serial=self.card.serial + 1, not_after=self.card.not_after)
        return replace(self, keys=keys, card=card, retired=retired, before=self.keys.curve)

    def save(self, path: Path | str, *, replace: bool = False) -> None:
        """Write them to `path`. Raises HomeError when keys are there already, unless `replace`: lost keys are lost for ever."""
        if not replace and os.path.lexists(path):
            raise HomeError(f'{path} exists: move it away first, or choose another name')
        write_private(path, to_json(self.plain()))

    @classmethod
    def load(cls, path: Path | str) -> Credentials:
        """Read them. Raises HomeError for a mode that lets others in, and for anything that is not what `save` wrote."""
        return cls.from_plain(from_json(path, read_private(path)), str(path))

    def plain(self) -> dict[str, Any]:
        """As text, private keys included."""
        keys = {'identity': self.keys.identity, 'sealing': self.keys.sealing, 'curve': self.keys.curve, 'card': self.card.data}
        keys |= {name: value for name, value in (('inviter', self.inviter), ('before', self.before)) if value}
        retired = [{'sealing': to_text(each.sealing), 'until': each.until} for each in self.retired]
        texts = {key: to_text(value) for key, value in keys.items()}
        return {'name': self.name, 'role': self.role, **texts, **({'retired': retired} if retired else {})}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], where: str) -> Credentials:
        """What `plain` wrote. Raises HomeError when keys and card do not belong together."""
        with damaged(where):
            name, role = check_name(values['name']), str(values['role'])
            retired = _counting((Retired(to_bytes(each['sealing']), float(each['until'])) for each in values.get('retired', ())), role, time.time())
            old = tuple(each.sealing for each in retired)
            keys = Keys(to_bytes(values['identity']), to_bytes(values['sealing']), to_bytes(values['curve']), old)
            card = read_card(to_bytes(values['card']))
            inviter, before = (to_bytes(values.get(name, '')) for name in ('inviter', 'before'))
        if (card.identity, card.sealing, card.curve, card.kind) != (keys.identity_public, keys.sealing_public, keys.curve_public, role):
            raise HomeError(f'{where} is damaged: its card belongs to other keys')
        return cls(name, role, keys, card, inviter, retired, before)


def _counting(retired: Iterable[Retired], role: str, now: float) -> tuple[Retired, ...]:
    """Those that may still open something: of an endpoint until their overlap ends, of an account for ever, for its own old results."""
    return tuple(each for each in retired if role != 'endpoint' or now < each.until)


@dataclass(frozen=True)
class RelayEntry:
    """A relay that was joined. `url` is `tcp://host:port`, `key` the relay's CURVE public key, `credentials` a path, relative ones under the home."""

    name: str
    url: str
    key: bytes
    credentials: str
    identity: bytes = b''
    """Its identity key, once it has been heard of over a session under `key`."""
    heir: bytes = b''
    """The CURVE key that follows, from `since` [s since 1970] on; empty where nothing was announced."""
    since: float = 0.0

    def keys(self, now: float) -> tuple[bytes, ...]:
        """Which keys it may have, the likely one first. Once its time is over, the old one counts no more: somebody else may have it."""
        if not self.heir:
            return (self.key,)
        return (self.heir,) if now >= self.since + CLOCKS else (self.heir, self.key) if now >= self.since else (self.key, self.heir)

    def told(self, used: bytes, data: bytes) -> RelayEntry:
        """The entry after what a session under the key `used` has said of the relay's keys. Raises SealError for what does not count."""
        said = read_succession(data)
        if said.card.curve != used:
            raise SealError('the relay shows the card of another key than that of this session')
        if self.identity not in (b'', said.card.identity):
            raise SealError('what the relay says of its keys is not signed by the identity that is pinned here')
        heir, since = (said.heir.curve, said.since) if said.heir else (b'', 0.0)
        return replace(self, key=used, identity=said.card.identity, heir=heir, since=since)

    def is_that_of(self, other: RelayEntry) -> bool:
        """Whether both are the same relay, as far as keys tell: one of the two may not have heard yet that they change."""
        return self.key in (other.key, other.heir) or other.key == self.heir

    def plain(self) -> dict[str, Any]:
        """As text, without the name."""
        values: dict[str, Any] = {'url': self.url, 'key': to_text(self.key), 'credentials': self.credentials}
        values |= {'identity': to_text(self.identity)} if self.identity else {}
        return values | ({'heir': to_text(self.heir), 'since': self.since} if self.heir else {})

    @classmethod
    def from_plain(cls, name: str, values: Mapping[str, Any], where: str) -> RelayEntry:
        """What `plain` wrote. Raises HomeError."""
        with damaged(where):
            key, identity, heir = (to_bytes(values.get(what, '')) for what in ('key', 'identity', 'heir'))
            if len(key) != 32 or any(len(each) not in (0, 32) for each in (identity, heir)):
                raise ValueError('a key has 32 bytes')
            return cls(check_name(name), str(values['url']), key, str(values['credentials']), identity, heir, float(values.get('since', 0.0)))


@dataclass(frozen=True)
class Pin:
    """A name that this account confirmed, and the whole identity key behind it."""

    name: str
    identity: bytes
    kind: str
    serial: int = 0
    """The highest that a card of it had: an older one is not taken any more."""

    @property
    def id(self) -> Id:
        """The id that follows from the identity key."""
        return uuid_of(self.identity)

    def at(self, serial: int) -> Pin:
        """The same, of a party whose card has this serial."""
        return replace(self, serial=serial)

    def plain(self) -> dict[str, Any]:
        """As text, without the name."""
        return {'identity': to_text(self.identity), 'kind': self.kind, **({'serial': self.serial} if self.serial else {})}

    @classmethod
    def from_plain(cls, name: str, values: Mapping[str, Any]) -> Pin:
        """What `plain` wrote. Raises KeyError, TypeError, ValueError."""
        return cls(check_name(name), to_bytes(values['identity']), str(values['kind']), int(values.get('serial', 0)))


@dataclass(frozen=True)
class PendingInvite:
    """An invitation that the account of the identity `inviter` gave out: `secret` checks the joiner's MAC, by `token_hash` the relay knows it."""

    name: str
    role: str
    secret: bytes = field(repr=False)
    token_hash: bytes
    expires: float
    relay: str = ''
    inviter: bytes = b''
    until: float = 0.0
    """When the joiner's account is to end, whatever its card says; 0: with its card."""

    def is_of(self, account: Credentials) -> bool:
        """Whether this account gave it out, of those that may share a home."""
        return self.inviter == account.card.identity


@dataclass(frozen=True)
class Invitation:
    """What an invitation's link holds. Whoever has it can join once, until `expires` [s since 1970]."""

    url: str
    relay_key: bytes
    inviter_identity: bytes
    curve: bytes = field(repr=False)
    token: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    name: str
    role: str
    expires: float
    until: float = 0.0

    @classmethod
    def create(cls, entry: RelayEntry, inviter: Credentials, name: str, role: str, expires: float, until: float = 0.0) -> Invitation:
        """A new one, with fresh secrets, to the relay of `entry`. `until`: when the joiner's account ends, 0 for the end of its card."""
        one_use = new_curve(), secrets.token_bytes(32), secrets.token_bytes(32)
        return cls(entry.url, entry.key, inviter.keys.identity_public, *one_use, check_name(name), role, expires, until)

    @property
    def curve_public(self) -> bytes:
        """The public half of the one-use key: what ZAP admits."""
        return curve_public(self.curve)

    @property
    def token_hash(self) -> bytes:
        """SHA-256 of the token: all that the relay is told of it before the joiner comes."""
        return sha256(self.token).digest()

    def pending(self, relay: str = '') -> PendingInvite:
        """What the inviter keeps. `relay` is its name for the relay."""
        return PendingInvite(self.name, self.role, self.secret, self.token_hash, self.expires, relay, self.inviter_identity, self.until)

    def link(self) -> str:
        """`relay-parsl://HOST:PORT/#…`: the part after # never reaches a server's log."""
        keys = [self.relay_key, self.inviter_identity, self.curve, self.token, self.secret]
        until = [self.until] if self.until else []  # links without an end are as they always were
        rest = urlsafe_b64encode(pack([1, *keys, self.name, self.role, self.expires, *until])).rstrip(b'=').decode()
        return f'{SCHEME}://{self.url.removeprefix("tcp://")}/#{rest}'

    @classmethod
    def read(cls, link: str) -> Invitation:
        """The invitation in a link. Raises ConfigError."""
        try:
            parts = urlsplit(link.strip())
            version, *rest = unpack(urlsafe_b64decode(parts.fragment + '=' * (-len(parts.fragment) % 4)))
            right = parts.scheme == SCHEME and parts.port and parts.hostname and version == 1 and len(rest) in (8, 9)
            relay_key, inviter, curve, token, secret, name, role, expires, until = [*rest, 0.0][:9]
            if not right or any(type(key) is not bytes or len(key) != 32 for key in rest[:5]):
                raise ValueError
            return cls(f'tcp://{parts.netloc}', relay_key, inviter, curve, token, secret, check_name(name), str(role), float(expires), float(until))
        except (ValueError, TypeError, ProtocolError):
            raise ConfigError(f'this is no invitation: copy the whole {SCHEME}://… line that `relay-parsl invite` printed, in quotes') from None
