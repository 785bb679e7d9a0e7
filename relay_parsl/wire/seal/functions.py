"""A registered function: its blob, sealed by an account to itself, for the relay to keep.

```
 box        HPKE (X25519, HKDF-SHA256, AES-256-GCM) of the blob to the account's sealing key; info = context, account's identity, function id
 body       [function id, box]
 data       [body, Ed25519 signature by the account's identity over context and body]
```

Any machine of the account opens it. The relay cannot read it, nor put another function in its place.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from relay_parsl.errors import SealError
from relay_parsl.wire.codec import pack
from relay_parsl.wire.messages import Id
from relay_parsl.wire.seal.keys import Keys, hash_uuid, read_fields, sign, split_signed, verify

LONGEST_FUNCTION = 16 << 20
"""Bytes of a sealed function; what is longer came in no message, and is refused before it is parsed."""

_FUNCTION = b'relay-parsl/1/function\0'
_BOX = b'relay-parsl/1/box/function\0'
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def function_id(blob: bytes) -> Id:
    """The id of a function, which follows from its blob: `hash_uuid` of its SHA-256, as bytes."""
    return Id(uuid.UUID(hash_uuid(sha256(blob).digest())).bytes)


def seal_function(keys: Keys, blob: bytes) -> bytes:
    """The blob for `open_function` on any machine that has these keys."""
    name = function_id(blob)
    box = _SUITE.encrypt(blob, X25519PublicKey.from_public_bytes(keys.sealing_public), info=_BOX + keys.identity_public + name)
    return sign(keys, _FUNCTION, pack([name, box]))


def open_function(data: bytes, keys: Keys, wanted: Id) -> bytes:
    """The blob of the function `wanted`, as this account has sealed it.

    Raises:
        SealError: another account signed it, it is another function, or anything was changed.
    """
    body, signature = split_signed(data, LONGEST_FUNCTION)
    verify(keys.identity_public, _FUNCTION, body, signature)
    name, box = read_fields(body, bytes, bytes)
    if name != wanted:
        raise SealError('the relay shows another function than the one that was asked for')
    for sealing in (keys.sealing, *keys.old):
        with suppress(InvalidTag, ValueError):
            blob = _SUITE.decrypt(box, X25519PrivateKey.from_private_bytes(sealing), info=_BOX + keys.identity_public + name)
            break
    else:
        raise SealError('the function is not boxed to the sealing key of this account: register it again')
    if function_id(blob) != wanted:
        raise SealError('the box holds another function than its id says')
    return blob
