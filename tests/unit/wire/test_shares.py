"""Share statements: only the owner makes one, it is about one endpoint, and it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from relay_parsl.errors import SealError
from relay_parsl.wire import codec
from relay_parsl.wire.seal import ALWAYS, GUESTS, Guest, Keys, issue_share, read_share, uuid_of
from relay_parsl.wire.seal.keys import sign
from tests.unit.wire.parties import ALICE, GRANT, MALLORY, NOW, SITE, card_of, every_flip_is_refused

BOB, EVE = Keys.generate().identity_public, Keys.generate().identity_public
ENDPOINT = uuid_of(SITE.identity_public)
GUEST_LIST = (Guest(BOB, 'names', ('math:sqrt',), NOW + 60), Guest(EVE))
SHARE = issue_share(ALICE, ENDPOINT, 7, GUEST_LIST, cancel=True)


def test_a_statement_says_who_may_use_which_endpoint_for_what() -> None:
    found = read_share(SHARE.data)
    assert found == SHARE
    assert (found.signer, found.endpoint, found.serial, found.cancel) == (ALICE.identity_public, ENDPOINT, 7, True)
    assert found.guests == GUEST_LIST
    assert GUEST_LIST[1].not_after == ALWAYS
    assert found.guest(BOB, NOW + 60) == GUEST_LIST[0]
    assert found.guest(BOB, NOW + 61) is None
    assert found.guest(MALLORY.identity_public, NOW) is None


def test_a_changed_statement_is_none() -> None:
    every_flip_is_refused(SHARE.data, read_share)


def test_nobody_signs_in_the_name_of_another_nor_in_another_context() -> None:
    body = codec.pack([ALICE.identity_public, ENDPOINT, 8, False, []])
    with pytest.raises(SealError, match='signature'):
        read_share(sign(MALLORY, b'relay-parsl/1/share\0', body))
    for context in (b'relay-parsl/1/card\0', b'relay-parsl/1/grant\0', b'relay-parsl/1/voucher\0', b'relay-parsl/1/function\0'):
        with pytest.raises(SealError, match='signature'):
            read_share(sign(ALICE, context, body))


ROW = [BOB, 'any', [], NOW]


@pytest.mark.parametrize(
    'rows',
    [
        [ROW, ROW], [[BOB[:31], 'any', [], NOW]], [[BOB, 'all', [], NOW]], [[BOB, 'any', ['math:sqrt'], NOW]], [[BOB, 'names', [], NOW]],
        [[BOB, 'names', [5], NOW]], [[BOB, 'any', [], float('nan')]], [[BOB, 'any', [], 5]], [[BOB, 'any', []]], ['guest'],
        [[bytes([number]) * 32, 'any', [], NOW] for number in range(GUESTS + 1)],
    ],
    ids=range(11),
)  # fmt: skip
def test_junk_in_the_list_is_refused_whole(rows: Sequence[Any]) -> None:
    with pytest.raises(SealError):
        read_share(sign(ALICE, b'relay-parsl/1/share\0', codec.pack([ALICE.identity_public, ENDPOINT, 7, False, rows])))


@pytest.mark.parametrize('data', [b'', b'\x90', bytes(40_000), GRANT.data, card_of(ALICE).data], ids=range(5))
def test_what_is_something_else_is_no_statement(data: bytes) -> None:
    with pytest.raises(SealError):
        read_share(data)
    with pytest.raises(SealError):
        read_share(sign(ALICE, b'relay-parsl/1/share\0', codec.pack([ALICE.identity_public, ENDPOINT, -1, False, []])))
