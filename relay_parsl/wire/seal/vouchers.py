"""A voucher: what an account signs about one that it invited, once it knows whose key that is.

```
 body       [inviter's identity, name, role, identity of the invited, not_after]
 data       [body, Ed25519 signature by the inviter's identity over context and body]
```

The relay keeps it, and can neither make nor change one. It gives a name a meaning on every machine of the inviter, and its services a signature
that its endpoints know.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from relay_parsl.errors import SealError
from relay_parsl.wire.codec import pack
from relay_parsl.wire.seal.keys import KEY, KINDS, Card, Keys, read_fields, sign, split_signed, verify

LONGEST_VOUCHER = 1024
"""Bytes. Real ones have a few hundred."""

_VOUCHER = b'relay-parsl/1/voucher\0'


@dataclass(frozen=True)
class Voucher:
    """`signer` says: `identity` is whom I invited as `name`, to be a `role`. `data` is the signed encoding, `not_after` in seconds since 1970."""

    signer: bytes
    name: str
    role: str
    identity: bytes
    not_after: float
    data: bytes = field(repr=False)


def issue_voucher(keys: Keys, name: str, card: Card, until: float = 0.0) -> Voucher:
    """Vouch for the party of `card`, which the caller has made sure of, as `name`: while that card is valid, and not after `until`, if given."""
    body = pack([keys.identity_public, name, card.kind, card.identity, float(min(card.not_after, until or card.not_after))])
    return read_voucher(sign(keys, _VOUCHER, body))


def read_voucher(data: bytes, *, now: float | None = None) -> Voucher:
    """The voucher in `data`, its signature verified; its validity too when `now` is given. Whom to believe is for the caller. Raises SealError."""
    body, signature = split_signed(data, LONGEST_VOUCHER)
    signer, name, role, identity, not_after = read_fields(body, bytes, str, str, bytes, float)
    if role not in KINDS or (len(signer), len(identity)) != (KEY, KEY):
        raise SealError('a voucher for no known role, or with a key of another length')
    verify(signer, _VOUCHER, body, signature)
    if now is not None and not_after < now:
        raise SealError(f'the voucher of {role} {name!r} has expired; whoever invited it must vouch for it again')
    return Voucher(signer, name, role, identity, not_after, data)
