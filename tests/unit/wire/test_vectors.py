"""What was fixed stays readable, and is what docs/security.md says."""

from __future__ import annotations

import hmac
import json
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from relay_parsl.wire import codec
from relay_parsl.wire.messages import SEGMENT
from relay_parsl.wire.seal import (
    Keys,
    enrolment_mac,
    function_id,
    hash_uuid,
    open_function,
    open_grant,
    read_card,
    read_share,
    read_voucher,
    reopen_grant,
)
from tests.unit.wire.parties import body, pattern, sealed

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / 'vectors.json').read_text())


def keys_of(party: str) -> Keys:
    return Keys(*(bytes.fromhex(VECTORS[party][each]) for each in ('identity', 'sealing', 'curve')))


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for 32 bytes, written anew from the standard library."""
    return hmac.digest(hmac.digest(salt, secret, 'sha256'), info + b'\x01', 'sha256')


def test_fixed_keys_ids_and_cards() -> None:
    fixed = VECTORS['account']
    keys, card = keys_of('account'), read_card(bytes.fromhex(fixed['card']), now=1_999_999_999.0)
    public = (keys.identity_public, keys.sealing_public, keys.curve_public)
    assert [each.hex() for each in public] == [fixed['identity_public'], fixed['sealing_public'], fixed['curve_public']]
    assert (card.kind, card.identity, card.sealing, card.curve, card.serial, card.not_after) == ('user', *public, 7, 2e9)
    assert card.id.hex() == fixed['id']
    assert hash_uuid(bytes.fromhex(VECTORS['function_id']['sha256'])) == VECTORS['function_id']['id']


@pytest.mark.parametrize('vector', VECTORS['seals'], ids=lambda vector: vector['direction'])
def test_fixed_seals_open_at_both_ends(vector: dict[str, str]) -> None:
    fixed, signer = VECTORS['grant'], keys_of('account')
    data = bytes.fromhex(fixed['data'])
    for grant in (open_grant(data, keys_of('endpoint'), now=1_700_000_001.0, trusted=[signer.identity_public]), reopen_grant(data, signer)):
        assert grant.hash.hex() == fixed['hash']
        assert (grant.not_before, grant.not_after, grant.label) == (fixed['not_before'], fixed['not_after'], fixed['label'])
        assert (grant.account.hex(), grant.endpoint.hex()) == (VECTORS['account']['id'], VECTORS['endpoint']['id'])
        plaintext = grant.open(vector['direction'], bytes.fromhex(vector['header']), bytes.fromhex(vector['sealed']))
        assert plaintext.hex() == vector['plaintext']


def test_the_composition_is_the_one_that_is_written_down() -> None:
    """docs/security.md, followed by hand: another program could be written from it."""
    data, site = bytes.fromhex(VECTORS['grant']['data']), keys_of('endpoint')
    signed, signature = codec.unpack(data)
    terms, box, _ = codec.unpack(signed)
    signer, kind, endpoint, start, end, label, commitment = codec.unpack(terms)
    Ed25519PublicKey.from_public_bytes(signer).verify(signature, b'relay-parsl/1/grant\0' + signed)
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    session = suite.decrypt(box, X25519PrivateKey.from_private_bytes(site.sealing), info=b'relay-parsl/1/box/endpoint\0' + terms)
    assert (kind, endpoint.hex(), end - start, label) == ('user', VECTORS['endpoint']['id'], 30 * 86400.0, 'vector')
    assert commitment == hkdf(session, bytes(32), b'relay-parsl/1/commit')
    for vector in VECTORS['seals']:
        raw, direction = bytes.fromhex(vector['sealed']), vector['direction'].encode()
        key = hkdf(session, sha256(data).digest(), b'relay-parsl/1/key/' + direction)
        bound = b'relay-parsl/1/seal/' + direction + b'\0' + sha256(data).digest() + bytes.fromhex(vector['header'])
        assert AESGCM(key).decrypt(raw[:12], raw[12:], bound).hex() == vector['plaintext']


def test_the_fixed_registered_function() -> None:
    fixed, keys = VECTORS['registered'], keys_of('account')
    blob, name, data = (bytes.fromhex(fixed[each]) for each in ('blob', 'id', 'sealed'))
    assert function_id(blob) == name
    assert open_function(data, keys, function_id(blob)) == blob
    signed, signature = codec.unpack(data)  # by hand, as it is written down
    Ed25519PublicKey.from_public_bytes(keys.identity_public).verify(signature, b'relay-parsl/1/function\0' + signed)
    found, box = codec.unpack(signed)
    info = b'relay-parsl/1/box/function\0' + keys.identity_public + name
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    assert (found, suite.decrypt(box, X25519PrivateKey.from_private_bytes(keys.sealing), info=info)) == (name, blob)


def test_the_fixed_voucher_and_the_grant_that_it_is_on() -> None:
    fixed, inviter = VECTORS['voucher'], keys_of('account').identity_public
    data, identity = bytes.fromhex(fixed['data']), bytes.fromhex(fixed['identity'])
    voucher = read_voucher(data, now=1_999_999_999.0)
    assert (voucher.signer, voucher.name, voucher.role, voucher.identity, voucher.not_after) == (inviter, 'robot', 'service', identity, 2e9)
    grant = open_grant(bytes.fromhex(fixed['grant']), keys_of('endpoint'), now=1_700_000_001.0, trusted=[inviter])
    assert (grant.signer, grant.voucher) == (identity, voucher)
    assert grant.open('task', bytes.fromhex(fixed['header']), bytes.fromhex(fixed['sealed'])).hex() == fixed['plaintext']
    body, signature = codec.unpack(data)  # by hand, as it is written down
    Ed25519PublicKey.from_public_bytes(inviter).verify(signature, b'relay-parsl/1/voucher\0' + body)
    assert codec.unpack(body) == [inviter, 'robot', 'service', identity, 2e9]
    assert codec.unpack(grant.data)[2] == data


def test_the_fixed_share_statement() -> None:
    fixed, owner = VECTORS['share'], keys_of('account').identity_public
    data, guest = bytes.fromhex(fixed['data']), bytes.fromhex(fixed['guest'])
    share = read_share(data)
    assert (share.signer, share.endpoint.hex(), share.serial, share.cancel) == (owner, VECTORS['endpoint']['id'], fixed['serial'], True)
    assert [(each.identity, each.policy, each.functions, each.not_after) for each in share.guests] == [(guest, 'names', ('math:sqrt',), 2e9)]
    body, signature = codec.unpack(data)  # by hand, as it is written down
    Ed25519PublicKey.from_public_bytes(owner).verify(signature, b'relay-parsl/1/share\0' + body)
    assert codec.unpack(body) == [owner, bytes.fromhex(VECTORS['endpoint']['id']), fixed['serial'], True, [[guest, 'names', ['math:sqrt'], 2e9]]]


def test_fixed_bodies() -> None:
    fixed = VECTORS['body']
    key = bytes.fromhex(fixed['key'])
    for each in (fixed['short'], fixed['empty']):
        assert body(key, each['length'], bytes.fromhex(each['sealed'])) == pattern(each['length'])
    long = fixed['long']['length']
    data = sealed(long, key)
    assert sha256(data).hexdigest() == fixed['long']['sha256']
    assert body(key, long, data) == pattern(long)
    for index in range(3):  # by hand, as it is written down
        nonce = index.to_bytes(11, 'big') + bytes([index == 2])
        piece = data[index * (SEGMENT + 16) :][: SEGMENT + 16]
        assert AESGCM(key).decrypt(nonce, piece, b'relay-parsl/1/body\0' + struct.pack('>Q', long)) == pattern(long)[index * SEGMENT :][:SEGMENT]


def test_the_fixed_mac() -> None:
    fixed, card = VECTORS['mac'], bytes.fromhex(VECTORS['endpoint']['card'])
    secret = bytes.fromhex(fixed['secret'])
    by_hand = hmac.digest(secret, b'relay-parsl/1/enrol\0' + codec.pack([fixed['name'], fixed['role'], card]), 'sha256')
    assert by_hand.hex() == fixed['mac'] == enrolment_mac(secret, card, fixed['name'], fixed['role']).hex()
