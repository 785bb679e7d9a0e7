"""Parties and bodies for the tests of `wire.seal`."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from relay_parsl.errors import SealError
from relay_parsl.wire.seal import Card, Grant, Keys, issue_card, make_grant, open_body, open_grant, seal_body

NOW = 1_750_000_000.0
ALICE, MALLORY, SITE, OTHER_SITE = (Keys.generate() for _ in range(4))


def card_of(keys: Keys, kind: str = 'endpoint') -> Card:
    return issue_card(keys, kind, serial=1, not_after=NOW + 1e6)


GRANT = make_grant(ALICE, 'user', card_of(SITE), now=NOW, lifetime=3600.0, label='laptop')


def opened(data: bytes = GRANT.data, now: float = NOW) -> Grant:
    return open_grant(data, SITE, now=now, trusted={ALICE.identity_public})


def pattern(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def sealed(length: int, key: bytes) -> bytes:
    target = io.BytesIO()
    seal_body(key, length, io.BytesIO(pattern(length)), target)
    return target.getvalue()


def body(key: bytes, length: int, data: bytes) -> bytes:
    return b''.join(open_body(key, length, io.BytesIO(data)))


def every_flip_is_refused(data: bytes, read: Callable[[bytes], object]) -> None:
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        with pytest.raises(SealError):
            read(bytes(changed))
    for length in range(len(data)):
        with pytest.raises(SealError):
            read(data[:length])
    with pytest.raises(SealError):
        read(data + b'\0')
