"""Ids that follow from a request: whoever repeats it after a crash gets the same."""

from __future__ import annotations

import hashlib
import uuid


def group_of(request_id: str, at: float) -> str:
    """The UUID of a request's task group. `at`: when it was asked for first, seconds since 1970."""
    return derived(f'{request_id}/group', at)


def hashed(seed: str) -> str:
    """A UUID (version 8) that follows from a text, and whose beginning tells it from others: for people to type."""
    raw = bytearray(hashlib.sha256(seed.encode()).digest()[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def derived(seed: str, at: float) -> str:
    """A UUID (version 8) that follows from a text, in the order of its time."""
    noise = hashlib.sha256(seed.encode()).digest()
    head = (int(at * 1000) & ((1 << 48) - 1)).to_bytes(6, 'big')
    return str(uuid.UUID(bytes=head + bytes([0x80 | noise[0] & 0x0F, noise[1], 0x80 | noise[2] & 0x3F]) + noise[3:10]))
