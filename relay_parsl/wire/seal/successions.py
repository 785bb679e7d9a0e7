"""What a relay says of its own keys: the card of the key that a session is under, and the card of the one that will follow it, from when.

```
 body       [card of now, card of the next key or nothing, since]
 data       [body, Ed25519 signature by the relay's identity over context and body]
```

It comes over a session, so the key of now vouches for the identity; the card of now is signed by the identity, so that vouches for the key. Who
has pinned both follows to no key that one of them alone has named.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from relay_parsl.errors import SealError
from relay_parsl.wire.codec import pack
from relay_parsl.wire.seal.keys import Card, Keys, read_card, read_fields, sign, split_signed, verify

LATEST = 253_402_300_799.0
"""The last second of the year 9999."""
_SUCCESSION = b'relay-parsl/1/succession\0'


@dataclass(frozen=True)
class Succession:
    """`heir` takes the place of `card` at `since` [s since 1970]; None: nothing is to change. `data` is the signed encoding."""

    card: Card
    heir: Card | None
    since: float
    data: bytes = field(repr=False)


def issue_succession(keys: Keys, card: Card, heir: Card | None = None, since: float = 0.0) -> Succession:
    """Sign it. Raises SealError where the next card is none that may follow."""
    return read_succession(sign(keys, _SUCCESSION, pack([card.data, heir.data if heir else b'', float(since)])))


def read_succession(data: bytes) -> Succession:
    """What `data` says, its signatures verified. Whether the card is that of the session's key is for the caller. Raises SealError."""
    body, signature = split_signed(data)
    now, following, since = read_fields(body, bytes, bytes, float)
    card, heir = read_card(now), read_card(following) if following else None
    verify(card.identity, _SUCCESSION, body, signature)
    if card.kind != 'relay' or (heir is not None and not _follows(heir, card)):
        raise SealError('a card that is no relay, or that cannot follow the one of now')
    if not 0 <= since <= LATEST:
        raise SealError('a next key from a time that no calendar has')
    return Succession(card, heir, since, data)


def _follows(heir: Card, card: Card) -> bool:
    """The same relay, later, under another key."""
    return heir.kind == 'relay' and heir.identity == card.identity and heir.serial > card.serial and heir.curve != card.curve
