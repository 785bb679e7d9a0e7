"""A share statement: what an endpoint's owner signs about the other accounts that may use it. The one of the highest serial holds, whole.

```
 guest      [identity, 'any' | 'hashes' | 'names', the functions that are meant, not_after]
 body       [owner's identity, endpoint's id, serial, whether to end what runs of those who are not in it any more, guests]
 data       [body, Ed25519 signature by the owner's identity over context and body]
```

The relay keeps it, and can neither make nor change one. To take a guest off is to sign a higher one without it: an endpoint remembers the
highest serial that it has seen, so nobody brings an older one back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from relay_parsl.errors import SealError
from relay_parsl.wire.codec import pack
from relay_parsl.wire.messages import Id
from relay_parsl.wire.seal.keys import KEY, Keys, read_fields, sign, split_signed, uuid_of, verify

LONGEST_SHARE = 32 * 1024
"""Bytes of a statement."""
GUESTS = 100
"""Accounts in one statement, at most."""
ALWAYS = 253_402_300_799.0
"""The `not_after` of a share without an end: the last second of the year 9999."""
POLICIES = ('any', 'hashes', 'names')

_SHARE = b'relay-parsl/1/share\0'


@dataclass(frozen=True)
class Guest:
    """An account that may use the endpoint, and for what.

    Attributes:
        identity: Its identity key, 32 bytes.
        policy: `any`, `hashes` or `names`, as in an endpoint file's `function_policy`.
        functions: For `hashes` SHA-256 (hex) or ids of functions, for `names` importable names.
        not_after: Seconds since 1970.
    """

    identity: bytes
    policy: str = 'any'
    functions: tuple[str, ...] = ()
    not_after: float = ALWAYS

    @property
    def id(self) -> Id:
        """The account's id, which follows from its identity."""
        return uuid_of(self.identity)


@dataclass(frozen=True)
class Share:
    """`signer` says: these are the guests of my endpoint. `cancel`: end also what runs of others. `data` is the signed encoding."""

    signer: bytes
    endpoint: Id
    serial: int
    cancel: bool
    guests: tuple[Guest, ...]
    data: bytes = field(repr=False)

    def guest(self, identity: bytes, now: float) -> Guest | None:
        """The guest of this identity key, while its share lasts."""
        return next((each for each in self.guests if each.identity == identity and now <= each.not_after), None)


def issue_share(keys: Keys, endpoint: Id, serial: int, guests: Iterable[Guest], *, cancel: bool = False) -> Share:
    """Sign who the guests of an endpoint are. Raises SealError when they are too many, or one is none."""
    rows = [[each.identity, each.policy, list(each.functions), float(each.not_after)] for each in guests]
    return read_share(sign(keys, _SHARE, pack([keys.identity_public, endpoint, serial, cancel, rows])))


def read_share(data: bytes) -> Share:
    """The statement in `data`, its signature verified. Whose word counts is for the caller. Raises SealError."""
    body, signature = split_signed(data, LONGEST_SHARE)
    signer, endpoint, serial, cancel, rows = read_fields(body, bytes, bytes, int, bool, list)
    if (len(signer), len(endpoint)) != (KEY, 16) or serial < 0 or len(rows) > GUESTS:
        raise SealError('a share statement with a key of another length, or of too many guests')
    verify(signer, _SHARE, body, signature)
    guests = tuple(_guest(pack(row)) for row in rows)
    if len({each.identity for each in guests}) != len(guests):
        raise SealError('a share statement names a guest twice')
    return Share(signer, Id(endpoint), serial, cancel, guests, data)


def _guest(row: bytes) -> Guest:
    identity, policy, functions, not_after = read_fields(row, bytes, str, list, float)
    if len(identity) != KEY or policy not in POLICIES or any(type(each) is not str for each in functions):
        raise SealError('a share statement with a guest that is none')
    if (policy == 'any') != (not functions):
        raise SealError('a share statement that says `any` function and names some, or names none and says otherwise')
    return Guest(identity, policy, tuple(functions), not_after)
