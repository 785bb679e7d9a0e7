"""What a relay signs about its next key: its identity alone can, and only a later card of its own follows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay_parsl.errors import SealError
from relay_parsl.wire import codec
from relay_parsl.wire.seal import Card, Keys, issue_card, issue_succession, new_curve, read_succession
from relay_parsl.wire.seal.keys import sign
from tests.unit.wire.parties import ALICE, MALLORY, NOW, every_flip_is_refused

NEXT = replace(ALICE, curve=new_curve())


def card(keys: Keys, serial: int, kind: str = 'relay') -> Card:
    return issue_card(keys, kind, serial=serial, not_after=NOW + 1e6)


CARD, HEIR = card(ALICE, 1), card(NEXT, 2)


def test_a_relay_says_which_key_follows_and_from_when() -> None:
    said = issue_succession(ALICE, CARD, HEIR, NOW)
    assert read_succession(said.data) == said
    assert (said.card, said.heir, said.since) == (CARD, HEIR, NOW)
    assert issue_succession(ALICE, CARD).heir is None


def test_a_changed_statement_is_none() -> None:
    every_flip_is_refused(issue_succession(ALICE, CARD, HEIR, NOW).data, read_succession)


@pytest.mark.parametrize(
    'heir',
    [card(NEXT, 1), card(ALICE, 2), card(MALLORY, 2), card(NEXT, 2, 'user')],
    ids=['of no higher serial', 'with the same key', 'of another identity', 'of another kind'],
)
def test_no_other_card_follows(heir: Card) -> None:
    with pytest.raises(SealError, match='cannot follow'):
        issue_succession(ALICE, CARD, heir, NOW)


def test_nobody_else_signs_it_nor_in_another_context() -> None:
    body = codec.pack([CARD.data, HEIR.data, NOW])
    for keys, context in ((MALLORY, b'relay-parsl/1/succession\0'), (ALICE, b'relay-parsl/1/card\0'), (ALICE, b'relay-parsl/1/share\0')):
        with pytest.raises(SealError, match='signature'):
            read_succession(sign(keys, context, body))
    with pytest.raises(SealError):
        issue_succession(ALICE, card(ALICE, 1, 'user'))


@pytest.mark.parametrize('since', [-1.0, 1e18, float('inf')])
def test_a_time_that_no_calendar_has_is_refused(since: float) -> None:
    with pytest.raises(SealError):
        issue_succession(ALICE, CARD, HEIR, since)
