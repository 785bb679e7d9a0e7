"""Registered functions: only the account that sealed one opens it, and only as what it is."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from relay_parsl.errors import SealError
from relay_parsl.wire import codec
from relay_parsl.wire.seal import Keys, function_id, open_function, seal_function
from relay_parsl.wire.seal.keys import sign
from tests.unit.wire.parties import ALICE, GRANT, MALLORY, card_of, every_flip_is_refused

BLOB = b'the blob of a function'
NAME = function_id(BLOB)


def forged(signer: Keys, name: bytes, blob: bytes, *, info_of: Keys = ALICE) -> bytes:
    """As `seal_function` would, with every part of one's own choice; boxed to Alice."""
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    info = b'relay-parsl/1/box/function\0' + info_of.identity_public + name
    box = suite.encrypt(blob, X25519PublicKey.from_public_bytes(ALICE.sealing_public), info=info)
    return sign(signer, b'relay-parsl/1/function\0', codec.pack([name, box]))


@pytest.mark.parametrize('blob', [b'', b'x', bytes(5 << 20)], ids=len)
def test_what_an_account_sealed_it_opens(blob: bytes) -> None:
    data = seal_function(ALICE, blob)
    assert open_function(data, ALICE, function_id(blob)) == blob
    assert open_function(forged(ALICE, function_id(blob), blob), ALICE, function_id(blob)) == blob
    assert data != seal_function(ALICE, blob), 'the same function never looks the same'


def test_a_changed_one_is_not_opened() -> None:
    every_flip_is_refused(seal_function(ALICE, BLOB), lambda data: open_function(data, ALICE, NAME))


def test_nobody_else_opens_it() -> None:
    data = seal_function(ALICE, BLOB)
    assert BLOB not in data
    with pytest.raises(SealError, match='signature'):
        open_function(data, MALLORY, NAME)
    with pytest.raises(SealError, match='not boxed to the sealing key'):
        open_function(data, Keys(ALICE.identity, MALLORY.sealing, ALICE.curve), NAME)


def test_nobody_else_can_put_one_there() -> None:
    for data in (forged(MALLORY, NAME, BLOB), seal_function(MALLORY, BLOB)):
        with pytest.raises(SealError, match='signature'):
            open_function(data, ALICE, NAME)


def test_another_function_than_was_asked_for() -> None:
    with pytest.raises(SealError, match='another function than the one that was asked for'):
        open_function(seal_function(ALICE, b'other'), ALICE, NAME)
    with pytest.raises(SealError, match='another function than its id says'):
        open_function(forged(ALICE, NAME, b'other'), ALICE, NAME)
    with pytest.raises(SealError, match='not boxed'):
        open_function(forged(ALICE, NAME, BLOB, info_of=MALLORY), ALICE, NAME)


@pytest.mark.parametrize('data', [b'', b'\x90', codec.pack([b'x', bytes(64)]), bytes((16 << 20) + 1), GRANT.data, card_of(ALICE).data], ids=len)
def test_junk_grants_and_cards_are_no_functions(data: bytes) -> None:
    with pytest.raises(SealError):
        open_function(data, ALICE, NAME)
