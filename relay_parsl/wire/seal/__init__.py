"""Keys, grants and seals: everything cryptographic of the wire, composed of `cryptography`'s primitives and of nothing else.

```
 keys       Keys (private), Card (public, signed), self-certifying ids, the enrolment's MAC
 grants     Grant: a session key boxed to an endpoint and to its own account; seals tasks, results and functions
 bodies     large bodies, a key each, in segments
 functions  registered functions, sealed by an account to itself
 vouchers   what an account signs about those that it invited
 shares     what an endpoint's owner signs about the accounts that may use it
 successions  what a relay signs about its own next key
```

The composition is written down in `docs/security.md`. Keys are 32 raw bytes everywhere. The one error is `relay_parsl.errors.SealError`.
"""

from __future__ import annotations

from relay_parsl.wire.seal.bodies import new_body_key, open_body, open_stream, seal_body, seal_parts, sealed_size
from relay_parsl.wire.seal.functions import function_id, open_function, seal_function
from relay_parsl.wire.seal.grants import DIRECTIONS, Grant, is_boxed_to, make_grant, open_grant, reopen_grant
from relay_parsl.wire.seal.keys import KINDS, Card, Keys, curve_public, enrolment_mac, hash_uuid, issue_card, mac_holds, new_curve, read_card, uuid_of
from relay_parsl.wire.seal.shares import ALWAYS, GUESTS, LONGEST_SHARE, Guest, Share, issue_share, read_share
from relay_parsl.wire.seal.successions import Succession, issue_succession, read_succession
from relay_parsl.wire.seal.vouchers import LONGEST_VOUCHER, Voucher, issue_voucher, read_voucher

__all__ = [
    'ALWAYS',
    'DIRECTIONS',
    'GUESTS',
    'KINDS',
    'LONGEST_SHARE',
    'LONGEST_VOUCHER',
    'Card',
    'Grant',
    'Guest',
    'Keys',
    'Share',
    'Succession',
    'Voucher',
    'curve_public',
    'enrolment_mac',
    'function_id',
    'hash_uuid',
    'is_boxed_to',
    'issue_card',
    'issue_share',
    'issue_succession',
    'issue_voucher',
    'mac_holds',
    'make_grant',
    'new_body_key',
    'new_curve',
    'open_body',
    'open_function',
    'open_grant',
    'open_stream',
    'read_card',
    'read_share',
    'read_succession',
    'read_voucher',
    'reopen_grant',
    'seal_body',
    'seal_function',
    'seal_parts',
    'sealed_size',
    'uuid_of',
]
