"""Who one is: three key pairs, the signed card of their public halves, and the id that follows from the first of them.

Everything signed is `codec.pack([body, signature])`, where the Ed25519 signature covers a context string and the very bytes of `body`;
what was signed is kept and forwarded as it came, never encoded again.
"""

from __future__ import annotations

import hmac
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from relay_parsl.errors import ProtocolError, SealError
from relay_parsl.wire.codec import pack, unpack
from relay_parsl.wire.messages import Id

KINDS = ('user', 'service', 'endpoint', 'operator', 'relay')
"""What a card may be of."""
KEY = 32
"""Bytes of any key here."""
SIGNATURE = 64
LONGEST_SIGNED = 64 * 1024
"""Bytes. Cards and grants are far shorter; longer ones are refused before they are parsed."""

_CARD = b'relay-parsl/1/card\0'
_ID = b'relay-parsl/1/id\0'
_ENROL = b'relay-parsl/1/enrol\0'


@dataclass(frozen=True)
class Keys:
    """The private halves of one party: Ed25519 identity, X25519 sealing key, X25519 CURVE key; 32 raw bytes each, never shown by `repr`."""

    identity: bytes = field(repr=False)
    sealing: bytes = field(repr=False)
    curve: bytes = field(repr=False)
    old: tuple[bytes, ...] = field(default=(), repr=False)
    """Sealing keys from before a rotation: what is boxed to them can still be opened, and nothing is boxed to them any more."""

    def __post_init__(self) -> None:
        """Raises SealError when a key has not 32 bytes."""
        if any(type(key) is not bytes or len(key) != KEY for key in (self.identity, self.sealing, self.curve, *self.old)):
            raise SealError('a private key has 32 bytes')

    @classmethod
    def generate(cls) -> Keys:
        """Three fresh keys from the system's random source."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw(), new_curve(), new_curve())

    @cached_property
    def identity_public(self) -> bytes:
        """The public half of the identity: what others pin, and what the id follows from."""
        return Ed25519PrivateKey.from_private_bytes(self.identity).public_key().public_bytes_raw()

    @cached_property
    def sealing_public(self) -> bytes:
        """The public half of the sealing key: what grants are boxed to."""
        return curve_public(self.sealing)

    @cached_property
    def curve_public(self) -> bytes:
        """The public half of the CURVE key: what the relay knows a connection by."""
        return curve_public(self.curve)


@dataclass(frozen=True)
class Card:
    """The public halves of a party, signed by its identity key; `data` is the signed encoding, `not_after` in seconds since 1970."""

    kind: str
    identity: bytes
    sealing: bytes
    curve: bytes
    serial: int
    not_after: float
    data: bytes = field(repr=False)

    @property
    def id(self) -> Id:
        """The party's id, which follows from its identity key."""
        return uuid_of(self.identity)


def uuid_of(identity_public: bytes) -> Id:
    """The self-certifying id of an identity key: a UUIDv8 of its SHA-256."""
    return Id(_version8(sha256(_ID + identity_public).digest()))


def hash_uuid(digest: bytes) -> str:
    """The id of a function: the UUIDv8 made of the SHA-256 of its plaintext blob, as text."""
    return str(uuid.UUID(bytes=_version8(digest)))


def _version8(digest: bytes) -> bytes:
    raw = bytearray(digest[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def new_curve() -> bytes:
    """A fresh private X25519 key, for CURVE (an invitation's one-use key) or for sealing."""
    return X25519PrivateKey.generate().private_bytes_raw()


def curve_public(private: bytes) -> bytes:
    """The public half of a private X25519 key. Raises SealError when it has not 32 bytes."""
    if len(private) != KEY:
        raise SealError('a private key has 32 bytes')
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def issue_card(keys: Keys, kind: str, *, serial: int, not_after: float) -> Card:
    """Sign one's public halves. A higher `serial` replaces a lower one; `not_after` in seconds since 1970."""
    if kind not in KINDS:
        raise SealError(f'no kind of party: {kind}')
    body = pack([kind, keys.identity_public, keys.sealing_public, keys.curve_public, serial, float(not_after)])
    return read_card(sign(keys, _CARD, body))


def read_card(data: bytes, *, now: float | None = None) -> Card:
    """The card in `data`, its signature verified; its validity too when `now` is given. Raises SealError."""
    body, signature = split_signed(data)
    kind, identity, sealing, curve, serial, not_after = read_fields(body, str, bytes, bytes, bytes, int, float)
    if kind not in KINDS or any(len(key) != KEY for key in (identity, sealing, curve)):
        raise SealError('a card of no known kind, or with a key of another length')
    verify(identity, _CARD, body, signature)
    if now is not None and not_after < now:
        raise SealError(f'the {kind} card expired; its owner must renew it')
    return Card(kind, identity, sealing, curve, serial, not_after, data)


def enrolment_mac(secret: bytes, card: bytes, name: str, role: str) -> bytes:
    """HMAC-SHA256 under an invitation's second secret, over name, role and card: tells the inviter whose card it is. The relay cannot make one."""
    return hmac.digest(secret, _ENROL + pack([name, role, card]), 'sha256')


def mac_holds(secret: bytes, card: bytes, name: str, role: str, mac: bytes) -> bool:
    """Whether `mac` is that of `enrolment_mac`; compared in constant time."""
    return hmac.compare_digest(enrolment_mac(secret, card, name, role), mac)


# -- What cards and grants share ---------------------------------------------------------------------------------------


def sign(keys: Keys, context: bytes, body: bytes, *attached: bytes) -> bytes:
    """`[body, signature]`, packed; `attached` stands behind, not signed: it must speak for itself."""
    return pack([body, Ed25519PrivateKey.from_private_bytes(keys.identity).sign(context + body), *attached])


def split_signed(data: bytes, longest: int = LONGEST_SIGNED) -> tuple[bytes, bytes]:
    """Body and signature, the signature not verified yet. Raises SealError, also for more than `longest` bytes."""
    if len(data) > longest:
        raise SealError('what is signed is too long')
    body, signature = read_fields(data, bytes, bytes)
    if len(signature) != SIGNATURE:
        raise SealError('a signature has 64 bytes')
    return body, signature


def verify(identity: bytes, context: bytes, body: bytes, signature: bytes) -> None:
    """Raises SealError unless `identity` signed these bytes in this context."""
    try:
        Ed25519PublicKey.from_public_bytes(identity).verify(signature, context + body)
    except (InvalidSignature, ValueError):
        raise SealError('the signature does not hold') from None


def read_fields(data: bytes, *kinds: type) -> Sequence[Any]:
    """A packed list whose items are exactly of these types. Later versions may append; what is appended is signed too. Raises SealError."""
    found = read_list(data)[: len(kinds)]
    if len(found) < len(kinds):
        raise SealError('what should be signed has too few fields')
    if any(type(value) is not kind or (type(value) is float and not math.isfinite(value)) for value, kind in zip(found, kinds)):
        raise SealError('what should be signed has a field of another type')
    return found


def read_list(data: bytes) -> list[Any]:
    """A packed list of anything. Raises SealError."""
    try:
        values = unpack(data)
    except ProtocolError as error:
        raise SealError(f'what should be signed cannot be read: {error}') from None
    if type(values) is not list:
        raise SealError('what should be signed is no list')
    return values
