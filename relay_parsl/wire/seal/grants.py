"""A grant: a random session key from one account to one endpoint, and the seals under it.

```
 terms      [signer, kind, endpoint, not_before, not_after, label, commitment to the session key]
 box        HPKE (X25519, HKDF-SHA256, AES-256-GCM) of the session key; info = context, recipient, terms
 body       [terms, box to the endpoint, box to the own account]
 data       [body, Ed25519 signature over context and body, of a service: its voucher];  hash = SHA-256 of data
 seal       12 random bytes, AES-256-GCM under HKDF(session key, salt = hash, info = direction); associated data = direction, hash, header
```
"""

from __future__ import annotations

import os
from collections.abc import Collection
from hashlib import sha256
from hmac import compare_digest
from itertools import count

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relay_parsl.errors import SealError
from relay_parsl.wire.codec import pack
from relay_parsl.wire.messages import Hash, Id
from relay_parsl.wire.seal.keys import KEY, Card, Keys, read_fields, read_list, sign, split_signed, uuid_of, verify
from relay_parsl.wire.seal.vouchers import Voucher, read_voucher

DIRECTIONS = ('task', 'result', 'function')
"""A key of its own for each."""
SEALS = 2**31
"""The most messages under one key: random 96-bit nonces collide with a probability below 2**-34 then."""
SKEW = 300.0
"""Seconds by which the signer's clock may be ahead of ours."""
LONGEST = 400 * 86400.0
"""Seconds. A grant for longer is refused: it was made by mistake or to outlive a revocation."""
SIGNERS = ('user', 'service')
"""Kinds of accounts that may make grants."""
NONCE = 12

_GRANT = b'relay-parsl/1/grant\0'
_BOX = b'relay-parsl/1/box/'
_COMMIT = b'relay-parsl/1/commit'
_KEY_OF = b'relay-parsl/1/key/'
_AAD = b'relay-parsl/1/seal/'
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NONCES: list[bytes] = []

os.register_at_fork(after_in_child=_NONCES.clear)  # a child that went on with its parent's nonces would repeat them under the same key


def _nonce() -> bytes:
    """12 bytes of the system's random source, drawn in blocks: a system call for each would cost more than the seal itself."""
    try:
        return _NONCES.pop()  # one bytecode: two threads never get the same
    except IndexError:
        block = os.urandom(NONCE * 256)
        _NONCES.extend([block[at : at + NONCE] for at in range(NONCE, len(block), NONCE)])
        return block[:NONCE]


class Grant:
    """A grant that this process may use. Times in seconds since 1970. Thread-safe; never pickled, never shown with its key."""

    __slots__ = ('_keys', 'account', 'data', 'endpoint', 'hash', 'kind', 'label', 'not_after', 'not_before', 'signer', 'voucher')

    def __init__(self, data: bytes, claims: _Claims, session: bytes) -> None:
        """Made by `make_grant`, `open_grant` and `reopen_grant` only."""
        self.data = data
        self.hash = Hash(sha256(data).digest())
        self.signer, self.kind, self.endpoint = claims.signer, claims.kind, claims.endpoint
        self.not_before, self.not_after, self.label = claims.not_before, claims.not_after, claims.label
        self.account = uuid_of(claims.signer)
        self.voucher = claims.voucher
        self._keys = {direction: self._key(direction, session) for direction in DIRECTIONS}

    def __repr__(self) -> str:
        return f'<Grant {self.hash.hex()[:12]} of {self.account.hex()} to {self.endpoint.hex()}>'

    def _key(self, direction: str, session: bytes) -> tuple[AESGCM, bytes, count[int]]:
        name = direction.encode()
        key = HKDF(SHA256(), KEY, salt=self.hash, info=_KEY_OF + name).derive(session)
        return AESGCM(key), _AAD + name + b'\0' + self.hash, count()

    def trusted_by(self, trusted: Collection[bytes], now: float) -> bool:
        """Whether one of these identity keys has signed it, or vouches for the service that has."""
        return _trusts(trusted, self.signer, self.voucher, now)

    def seal(self, direction: str, header: bytes, plaintext: bytes) -> bytes:
        """Nonce and ciphertext; `header` is bound to it and stays in the clear.

        Raises:
            SealError: 2**31 messages were sealed in this direction: make a new grant.
        """
        cipher, context, used = self._keys[direction]
        if next(used) >= SEALS:
            raise SealError('this grant has sealed as much as its key may; a new one is needed')
        nonce = _nonce()
        return nonce + cipher.encrypt(nonce, plaintext, context + header)

    def open(self, direction: str, header: bytes, sealed: bytes) -> bytes:
        """The plaintext. Raises SealError when anything differs from what was sealed: direction, grant, header or a bit of the rest."""
        cipher, context, _ = self._keys[direction]
        try:
            return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], context + header)
        except (InvalidTag, ValueError):  # ValueError: a nonce that was cut off
            raise SealError(f'the seal of this {direction} does not hold') from None


class _Claims:
    """The body of a grant, read but not believed."""

    __slots__ = ('body', 'boxes', 'commitment', 'endpoint', 'kind', 'label', 'not_after', 'not_before', 'signature', 'signer', 'terms', 'voucher')

    def __init__(self, data: bytes) -> None:
        self.body, self.signature = split_signed(data)
        self.terms, for_endpoint, for_account = read_fields(self.body, bytes, bytes, bytes)
        fields = read_fields(self.terms, bytes, str, bytes, float, float, str, bytes)
        self.signer, self.kind, endpoint, self.not_before, self.not_after, self.label, self.commitment = fields
        if self.kind not in SIGNERS or (len(self.signer), len(endpoint), len(self.commitment)) != (KEY, 16, KEY):
            raise SealError('a grant of no known kind, or with a field of another length')
        self.endpoint = Id(endpoint)
        self.boxes = {b'endpoint': for_endpoint, b'account': for_account}
        self.voucher = self._attached(data)

    def _attached(self, data: bytes) -> Voucher | None:
        """The voucher behind the signature, which none but a service has; it is signed by itself, and about this signer."""
        attached = read_list(data)[2:]
        if not attached:
            return None
        if self.kind != 'service' or type(attached[0]) is not bytes:
            raise SealError('something is attached to this grant that does not belong there')
        voucher = read_voucher(attached[0])
        if (voucher.role, voucher.identity) != ('service', self.signer):
            raise SealError('the voucher on this grant is about another account')
        return voucher

    def session(self, recipient: bytes, keys: Keys) -> bytes:
        """The session key out of the box of `recipient`, with the sealing key of now or one from before, checked against the commitment."""
        key = next(filter(None, (self._unboxed(recipient, each) for each in (keys.sealing, *keys.old))), b'')
        if not key:
            raise SealError('the grant is not boxed to this sealing key')
        if len(key) != KEY or not compare_digest(_commit(key), self.commitment):
            raise SealError('the grant boxes another key than the one it commits to')
        return key

    def _unboxed(self, recipient: bytes, sealing: bytes) -> bytes:
        try:
            return _SUITE.decrypt(self.boxes[recipient], X25519PrivateKey.from_private_bytes(sealing), info=_info(recipient, self.terms))
        except (InvalidTag, ValueError):
            return b''


def _trusts(trusted: Collection[bytes], signer: bytes, voucher: Voucher | None, now: float) -> bool:
    return signer in trusted or (voucher is not None and voucher.signer in trusted and now <= voucher.not_after)


def _commit(session: bytes) -> bytes:
    return HKDF(SHA256(), KEY, salt=None, info=_COMMIT).derive(session)


def _info(recipient: bytes, terms: bytes) -> bytes:
    return _BOX + recipient + b'\0' + terms


def make_grant(keys: Keys, kind: str, endpoint: Card, *, now: float, lifetime: float, label: str = '', voucher: bytes = b'') -> Grant:
    """A new grant, with a new random session key, from the account of `keys` to `endpoint`.

    Args:
        keys: the account's.
        kind: the account's: `user` or `service`.
        endpoint: the endpoint's card, verified against the caller's pin.
        now: seconds since 1970.
        lifetime: seconds.
        label: free text for people: host, process, script.
        voucher: what a service's inviter has signed about it: endpoints that trust the inviter then take its grants.

    Raises:
        SealError: the card is not an endpoint's, or its sealing key is none; the voucher is not for this account.
    """
    if endpoint.kind != 'endpoint' or kind not in SIGNERS:
        raise SealError(f'a grant goes from a user or service to an endpoint, not from {kind} to {endpoint.kind}')
    if not 0 < lifetime <= LONGEST:
        raise SealError('a grant lasts between 0 and 400 days')
    session = AESGCM.generate_key(256)
    terms = pack([keys.identity_public, kind, endpoint.id, float(now), float(now + lifetime), label, _commit(session)])
    boxes = [_box(b'endpoint', endpoint.sealing, terms, session), _box(b'account', keys.sealing_public, terms, session)]
    data = sign(keys, _GRANT, pack([terms, *boxes]), *([voucher] if voucher else []))
    return Grant(data, _Claims(data), session)


def _box(recipient: bytes, sealing: bytes, terms: bytes, session: bytes) -> bytes:
    try:
        return _SUITE.encrypt(session, X25519PublicKey.from_public_bytes(sealing), info=_info(recipient, terms))
    except ValueError:  # a point of low order
        raise SealError('the sealing key on the card is no key') from None


def open_grant(data: bytes, keys: Keys, *, now: float, trusted: Collection[bytes]) -> Grant:
    """The grant, at its endpoint: nothing of it is used before all of it holds.

    Args:
        data: as it came.
        keys: the endpoint's own; its id follows from them.
        now: seconds since 1970.
        trusted: identity keys of the accounts that may use this endpoint, as may the services that they vouch for.

    Raises:
        SealError: says which check failed: signer, signature, audience, validity, box or commitment.
    """
    claims = _Claims(data)
    if not _trusts(trusted, claims.signer, claims.voucher, now):
        raise SealError(f'account {uuid_of(claims.signer).hex()} is not trusted by this endpoint')
    verify(claims.signer, _GRANT, claims.body, claims.signature)
    if claims.endpoint != uuid_of(keys.identity_public):
        raise SealError('the grant is addressed to another endpoint')
    if not (claims.not_before - SKEW <= now <= claims.not_after) or claims.not_after - claims.not_before > LONGEST:
        raise SealError('the grant is not valid now: it expired, starts later or lasts too long; compare the clocks')
    return Grant(data, claims, claims.session(b'endpoint', keys))


def reopen_grant(data: bytes, keys: Keys) -> Grant:
    """One's own grant, on another machine of the account: to read results of tasks that another process sent. Raises SealError."""
    claims = _Claims(data)
    if claims.signer != keys.identity_public:
        raise SealError('the grant was made by another account')
    verify(claims.signer, _GRANT, claims.body, claims.signature)
    return Grant(data, claims, claims.session(b'account', keys))


def is_boxed_to(data: bytes, keys: Keys) -> bool:
    """Whether a grant to the endpoint of `keys` opens with its sealing key of now, or one of the old ones that it has."""
    try:
        return bool(_Claims(data).session(b'endpoint', keys))
    except SealError:
        return False
