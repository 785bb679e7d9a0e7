"""Cards, grants and the seals under them: nothing that was changed is opened."""

from __future__ import annotations

import os
import pickle
import threading
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from relay_parsl.errors import SealError
from relay_parsl.wire import codec
from relay_parsl.wire.seal import (
    DIRECTIONS,
    KINDS,
    Card,
    Keys,
    curve_public,
    enrolment_mac,
    function_id,
    grants,
    is_boxed_to,
    issue_card,
    mac_holds,
    make_grant,
    new_curve,
    open_function,
    open_grant,
    read_card,
    reopen_grant,
    seal_function,
    uuid_of,
)
from tests.unit.wire.parties import ALICE, GRANT, MALLORY, NOW, OTHER_SITE, SITE, card_of, every_flip_is_refused, opened


def test_ids_are_uuids_of_version_8() -> None:
    raw = uuid_of(ALICE.identity_public)
    assert len(raw) == 16
    assert raw[6] >> 4 == 8
    assert raw[8] >> 6 == 2
    assert raw == uuid_of(ALICE.identity_public) != uuid_of(MALLORY.identity_public)


@pytest.mark.parametrize('kind', KINDS)
def test_a_card_says_who_one_is(kind: str) -> None:
    card = card_of(ALICE, kind)
    assert read_card(card.data, now=NOW) == card
    assert (card.kind, card.identity, card.id) == (kind, ALICE.identity_public, uuid_of(ALICE.identity_public))


def test_cards_expire_and_have_known_kinds() -> None:
    with pytest.raises(SealError, match='expired'):
        read_card(card_of(ALICE).data, now=NOW + 2e6)
    with pytest.raises(SealError, match='kind'):
        issue_card(ALICE, 'root', serial=1, not_after=NOW)


def test_a_changed_card_is_no_card() -> None:
    every_flip_is_refused(card_of(ALICE, 'user').data, read_card)


@pytest.mark.parametrize(
    'data', [b'', b'\x90', codec.pack([b'x', bytes(64)]), codec.pack([codec.pack([1, 2, 3]), bytes(64)]), bytes(70_000)], ids=len
)
def test_junk_is_no_card_and_no_grant(data: bytes) -> None:
    with pytest.raises(SealError):
        read_card(data)
    with pytest.raises(SealError):
        opened(data)


def test_a_card_cannot_pass_for_a_grant() -> None:
    with pytest.raises(SealError):
        opened(card_of(ALICE).data)
    with pytest.raises(SealError):
        read_card(GRANT.data)


def test_private_keys_are_never_shown_and_have_their_length() -> None:
    assert not any(each.hex() in repr(ALICE) or repr(each) in repr(ALICE) for each in (ALICE.identity, ALICE.sealing, ALICE.curve))
    with pytest.raises(SealError):
        Keys(b'short', ALICE.sealing, ALICE.curve)
    with pytest.raises(SealError):
        curve_public(b'short')


def test_a_mac_binds_card_name_and_role() -> None:
    card, secret = card_of(SITE).data, bytes(32)
    mac = enrolment_mac(secret, card, 'polaris', 'endpoint')
    assert mac_holds(secret, card, 'polaris', 'endpoint', mac)
    for wrong in ((bytes(31) + b'1', card, 'polaris', 'endpoint'), (secret, card_of(OTHER_SITE).data, 'polaris', 'endpoint')):
        assert not mac_holds(*wrong, mac)
    assert not mac_holds(secret, card, 'polarisendpoint', '', mac)
    assert not mac_holds(secret, card, 'polaris', 'user', mac)
    assert not mac_holds(secret, card, 'polaris', 'endpoint', mac[:-1])


def test_a_grant_says_whose_it_is_and_for_whom() -> None:
    grant = opened()
    assert grant.hash == GRANT.hash == sha256(GRANT.data).digest()
    assert (grant.signer, grant.kind, grant.label) == (ALICE.identity_public, 'user', 'laptop')
    assert (grant.account, grant.endpoint) == (uuid_of(ALICE.identity_public), uuid_of(SITE.identity_public))
    assert (grant.not_before, grant.not_after) == (NOW, NOW + 3600)


@pytest.mark.attack(11)
def test_a_changed_grant_is_no_grant() -> None:
    every_flip_is_refused(GRANT.data, opened)
    every_flip_is_refused(GRANT.data, lambda data: reopen_grant(data, ALICE))


@pytest.mark.attack(11)
def test_signers_that_nobody_trusts() -> None:
    foreign = make_grant(MALLORY, 'user', card_of(SITE), now=NOW, lifetime=60.0)
    with pytest.raises(SealError, match='not trusted'):
        opened(foreign.data)
    with pytest.raises(SealError, match='another account'):
        reopen_grant(foreign.data, ALICE)


@pytest.mark.attack(11)
def test_a_grant_that_names_another_signer() -> None:
    """Mallory signs, and writes Alice's key into the terms."""
    signed, _ = codec.unpack(GRANT.data)
    body_of_mallory, signature = codec.unpack(make_grant(MALLORY, 'user', card_of(SITE), now=NOW, lifetime=60.0).data)
    for forged in (codec.pack([signed, signature]), codec.pack([body_of_mallory.replace(MALLORY.identity_public, ALICE.identity_public), signature])):
        with pytest.raises(SealError, match='signature'):
            opened(forged)


@pytest.mark.attack(13)
def test_a_grant_to_another_endpoint() -> None:
    elsewhere = make_grant(ALICE, 'user', card_of(OTHER_SITE), now=NOW, lifetime=60.0)
    with pytest.raises(SealError, match='another endpoint'):
        opened(elsewhere.data)


@pytest.mark.parametrize('now', [NOW - 301, NOW + 3601, NOW - 86400, NOW + 86400])
def test_a_grant_outside_its_time(now: float) -> None:
    with pytest.raises(SealError, match='not valid now'):
        opened(now=now)


@pytest.mark.parametrize('now', [NOW - 299, NOW, NOW + 3600])
def test_a_grant_within_its_time_give_or_take_a_clock(now: float) -> None:
    assert opened(now=now).hash == GRANT.hash


@pytest.mark.parametrize('lifetime', [0.0, -1.0, 401 * 86400.0, float('nan'), float('inf')])
def test_grants_of_impossible_lifetimes(lifetime: float) -> None:
    with pytest.raises(SealError):
        make_grant(ALICE, 'user', card_of(SITE), now=NOW, lifetime=lifetime)


def test_who_may_make_grants_and_to_whom() -> None:
    with pytest.raises(SealError, match='not from user to user'):
        make_grant(ALICE, 'user', card_of(SITE, 'user'), now=NOW, lifetime=60.0)
    with pytest.raises(SealError, match='not from operator'):
        make_grant(ALICE, 'operator', card_of(SITE), now=NOW, lifetime=60.0)


def test_a_sealing_key_of_low_order_is_refused() -> None:
    weak = Card('endpoint', SITE.identity_public, bytes(32), SITE.curve_public, 1, NOW + 60, b'')
    with pytest.raises(SealError, match='no key'):
        make_grant(ALICE, 'user', weak, now=NOW, lifetime=60.0)


def test_a_sealing_key_that_was_replaced() -> None:
    """An endpoint that lost its journal takes a new sealing key: what was granted to the old one is void."""
    renewed = Keys(SITE.identity, MALLORY.sealing, SITE.curve)
    with pytest.raises(SealError, match='not boxed'):
        open_grant(GRANT.data, renewed, now=NOW, trusted={ALICE.identity_public})


def test_a_grant_that_boxes_another_key_than_it_commits_to() -> None:
    """The signer boxes one key to the endpoint and another to its own account."""
    terms, box, _ = codec.unpack(codec.unpack(GRANT.data)[0])
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    other = suite.encrypt(bytes(32), X25519PrivateKey.from_private_bytes(ALICE.sealing).public_key(), info=b'relay-parsl/1/box/account\0' + terms)
    forged = grants.sign(ALICE, b'relay-parsl/1/grant\0', codec.pack([terms, box, other]))
    assert opened(forged).hash != GRANT.hash
    with pytest.raises(SealError, match='commits'):
        reopen_grant(forged, ALICE)


@pytest.mark.parametrize('direction', DIRECTIONS)
@pytest.mark.parametrize('plaintext', [b'', b'x', bytes(100_000)], ids=len)
def test_what_is_sealed_opens_at_the_endpoint_and_at_the_owner(direction: str, plaintext: bytes) -> None:
    data = GRANT.seal(direction, b'header', plaintext)
    assert len(data) == 12 + len(plaintext) + 16
    for grant in (GRANT, opened(), reopen_grant(GRANT.data, ALICE)):
        assert grant.open(direction, b'header', data) == plaintext
    assert GRANT.open('result', b'h', opened().seal('result', b'h', plaintext)) == plaintext


@pytest.mark.attack(12, 16)
@pytest.mark.parametrize('direction', DIRECTIONS)
def test_a_changed_seal_is_not_opened(direction: str) -> None:
    grant = opened()
    every_flip_is_refused(GRANT.seal(direction, b'header', b'some plaintext'), lambda data: grant.open(direction, b'header', data))


@pytest.mark.attack(12, 16, 17)
def test_another_header_direction_or_grant() -> None:
    data = GRANT.seal('task', b'header', b'call')
    second = make_grant(ALICE, 'user', card_of(SITE), now=NOW, lifetime=3600.0, label='laptop')
    for grant, direction, header in (
        (GRANT, 'task', b'heade'),
        (GRANT, 'task', b'headers'),
        (GRANT, 'task', b''),
        (GRANT, 'result', b'header'),
        (GRANT, 'function', b'header'),
        (second, 'task', b'header'),
    ):
        with pytest.raises(SealError, match='does not hold'):
            grant.open(direction, header, data)


def test_the_same_plaintext_never_looks_the_same() -> None:
    assert len({GRANT.seal('task', b'', b'x') for _ in range(1000)}) == 1000


def test_nonces_of_many_threads_differ() -> None:
    found: list[bytes] = []

    def work() -> None:
        found.extend([GRANT.seal('task', b'', b'')[:12] for _ in range(2000)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == len(found) == 8000


@pytest.mark.filterwarnings('ignore:This process.*multi-threaded:DeprecationWarning')
def test_nonces_of_a_forked_child_differ() -> None:
    GRANT.seal('task', b'', b'')  # so that a block of nonces lies ready
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b''.join(GRANT.seal('task', b'', b'')[:12] for _ in range(50)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, 'rb') as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    ours = [GRANT.seal('task', b'', b'')[:12] for _ in range(300)]
    assert len(theirs) == 600
    assert not {theirs[at : at + 12] for at in range(0, 600, 12)} & set(ours)


def test_a_key_seals_so_many_messages_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, 'SEALS', 3)
    grant = make_grant(ALICE, 'user', card_of(SITE), now=NOW, lifetime=60.0)
    for _ in range(3):
        grant.seal('task', b'', b'')
    with pytest.raises(SealError, match='new one'):
        grant.seal('task', b'', b'')
    assert grant.seal('result', b'', b'')


def test_a_grant_neither_shows_nor_pickles_its_key() -> None:
    assert repr(GRANT).startswith('<Grant ')
    with pytest.raises(TypeError):
        pickle.dumps(GRANT)


def test_one_opens_what_was_boxed_to_a_sealing_key_of_before() -> None:
    renewed = Keys(ALICE.identity, new_curve(), new_curve(), (new_curve(), ALICE.sealing))
    sealed_before = GRANT.seal('result', b'h', b'outcome')
    assert reopen_grant(GRANT.data, renewed).open('result', b'h', sealed_before) == b'outcome'
    with pytest.raises(SealError, match='not boxed'):
        reopen_grant(GRANT.data, Keys(ALICE.identity, new_curve(), new_curve()))
    site = Keys(SITE.identity, new_curve(), new_curve(), (SITE.sealing,))
    assert is_boxed_to(GRANT.data, site)
    assert not is_boxed_to(GRANT.data, Keys(SITE.identity, new_curve(), new_curve()))
    function = seal_function(ALICE, b'blob')
    assert open_function(function, renewed, function_id(b'blob')) == b'blob'
