"""Vouchers: only the inviter makes one, it is about one key, and a service's grant carries it."""

from __future__ import annotations

import pytest

from relay_parsl.errors import SealError
from relay_parsl.wire import codec
from relay_parsl.wire.seal import Grant, Keys, Voucher, issue_card, issue_voucher, make_grant, open_grant, read_voucher, reopen_grant
from relay_parsl.wire.seal.keys import sign
from tests.unit.wire.parties import ALICE, GRANT, MALLORY, NOW, SITE, card_of, every_flip_is_refused

ROBOT, OTHER = Keys.generate(), Keys.generate()
VOUCHER = issue_voucher(ALICE, 'robot', card_of(ROBOT, 'service'))
TRUSTED = {ALICE.identity_public}


def granted(voucher: Voucher | None = VOUCHER, *, keys: Keys = ROBOT, lifetime: float = 3600.0) -> Grant:
    return make_grant(keys, 'service', card_of(SITE), now=NOW, lifetime=lifetime, voucher=voucher.data if voucher else b'')


def opened(data: bytes, now: float = NOW) -> Grant:
    return open_grant(data, SITE, now=now, trusted=TRUSTED)


def forged(*fields: object) -> bytes:
    return sign(ALICE, b'relay-parsl/1/voucher\0', codec.pack(list(fields)))


# -- By itself -------------------------------------------------------------------------------------------------------


def test_a_voucher_says_who_is_whom() -> None:
    assert read_voucher(VOUCHER.data, now=NOW) == VOUCHER
    assert (VOUCHER.signer, VOUCHER.identity) == (ALICE.identity_public, ROBOT.identity_public)
    assert (VOUCHER.name, VOUCHER.role, VOUCHER.not_after) == ('robot', 'service', NOW + 1e6), 'as long as the card'


def test_a_changed_voucher_is_none() -> None:
    every_flip_is_refused(VOUCHER.data, read_voucher)


def test_a_voucher_ends() -> None:
    assert read_voucher(VOUCHER.data, now=NOW + 1e6) == VOUCHER
    with pytest.raises(SealError, match='expired'):
        read_voucher(VOUCHER.data, now=NOW + 1e6 + 1)


def test_a_voucher_may_end_before_the_card() -> None:
    card = card_of(ROBOT, 'service')
    assert issue_voucher(ALICE, 'robot', card, NOW + 60).not_after == NOW + 60
    assert issue_voucher(ALICE, 'robot', card, NOW + 1e9).not_after == card.not_after


def test_nobody_vouches_in_the_name_of_another() -> None:
    body = codec.pack([ALICE.identity_public, 'robot', 'service', OTHER.identity_public, NOW])
    with pytest.raises(SealError, match='signature'):
        read_voucher(sign(MALLORY, b'relay-parsl/1/voucher\0', body))
    for context in (b'relay-parsl/1/card\0', b'relay-parsl/1/grant\0', b'relay-parsl/1/function\0'):
        with pytest.raises(SealError, match='signature'):
            read_voucher(sign(ALICE, context, body))


@pytest.mark.parametrize(
    'data',
    [
        b'', b'\x90', codec.pack([b'x', bytes(64)]), bytes(2000), GRANT.data, card_of(ALICE).data,
        forged(ALICE.identity_public, 'robot', 'emperor', ROBOT.identity_public, NOW),
        forged(ALICE.identity_public, 'robot', 'service', b'short', NOW),
        forged(ALICE.identity_public, 'robot', 'service', ROBOT.identity_public),
        forged(ALICE.identity_public, 'robot', 'service', ROBOT.identity_public, 7),
        forged(ALICE.identity_public, 'r' * 2000, 'service', ROBOT.identity_public, NOW),
    ],
    ids=range(11),
)  # fmt: skip
def test_junk_grants_and_cards_are_no_vouchers(data: bytes) -> None:
    with pytest.raises(SealError):
        read_voucher(data)


# -- On a grant ------------------------------------------------------------------------------------------------------


def test_an_endpoint_takes_the_grants_of_a_trusted_accounts_service() -> None:
    made = granted()
    found = opened(made.data)
    assert (found.kind, found.signer, found.hash) == ('service', ROBOT.identity_public, made.hash)
    assert found.voucher == VOUCHER
    assert found.open('task', b'h', made.seal('task', b'h', b'call')) == b'call'
    assert reopen_grant(made.data, ROBOT).voucher == VOUCHER
    assert found.trusted_by(TRUSTED, NOW)
    assert found.trusted_by({ROBOT.identity_public}, NOW + 1e7), 'who trusts the service itself asks for no voucher'
    assert not found.trusted_by(set(), NOW)
    assert not found.trusted_by({MALLORY.identity_public}, NOW)
    assert not found.trusted_by(TRUSTED, NOW + 1e6 + 1), 'a voucher ends also for a grant that is open'


def test_a_service_without_a_voucher_is_a_stranger() -> None:
    with pytest.raises(SealError, match='not trusted'):
        opened(granted(None).data)


def test_the_grant_is_bound_to_its_voucher() -> None:
    made, again = granted(), issue_voucher(ALICE, 'renamed', card_of(ROBOT, 'service'))
    body, signature, _ = codec.unpack(made.data)
    other = opened(codec.pack([body, signature, again.data]))
    assert other.hash != made.hash
    with pytest.raises(SealError, match='does not hold'):
        other.open('task', b'h', made.seal('task', b'h', b'call'))
    with pytest.raises(SealError, match='not trusted'):
        opened(codec.pack([body, signature]))


def test_a_changed_grant_with_a_voucher_is_no_grant() -> None:
    every_flip_is_refused(granted().data, opened)
    every_flip_is_refused(granted().data, lambda data: reopen_grant(data, ROBOT))


@pytest.mark.parametrize(
    ('voucher', 'why'),
    [
        (issue_voucher(MALLORY, 'robot', card_of(ROBOT, 'service')), 'not trusted'),
        (issue_voucher(ROBOT, 'robot', card_of(ROBOT, 'service')), 'not trusted'),
        (issue_voucher(ALICE, 'robot', issue_card(ROBOT, 'service', serial=1, not_after=NOW - 1)), 'not trusted'),
    ],
    ids=['of a stranger', 'of oneself', 'expired'],
)
def test_vouchers_that_do_not_help(voucher: Voucher, why: str) -> None:
    with pytest.raises(SealError, match=why):
        opened(granted(voucher).data)


@pytest.mark.parametrize(
    'voucher',
    [
        issue_voucher(ALICE, 'other', card_of(OTHER, 'service')),
        *[issue_voucher(ALICE, 'robot', card_of(ROBOT, kind)) for kind in ('user', 'endpoint')],
    ],
    ids=['of another service', 'of a user', 'of an endpoint'],
)
def test_a_voucher_about_somebody_else_cannot_be_attached(voucher: Voucher) -> None:
    with pytest.raises(SealError, match='about another account'):
        granted(voucher)
    body, signature, _ = codec.unpack(granted().data)
    with pytest.raises(SealError, match='about another account'):
        opened(codec.pack([body, signature, voucher.data]))


def test_a_user_has_nothing_attached() -> None:
    with pytest.raises(SealError, match='does not belong there'):
        make_grant(ALICE, 'user', card_of(SITE), now=NOW, lifetime=60.0, voucher=VOUCHER.data)
    body, signature = codec.unpack(GRANT.data)
    for junk in (VOUCHER.data, b'', 'text'):
        with pytest.raises(SealError):
            opened(codec.pack([body, signature, junk]))
