"""Large bodies: one random key each, segments of 1 MiB of plaintext, and not a byte of plaintext before its segment verified.

Segment i is AES-256-GCM under the body's key with the nonce (i: 11 bytes, 1 if it is the last: 1 byte) and the length of the whole
plaintext as associated data, so that segments can be neither moved, dropped, repeated nor cut short, nor a body pass for a longer one.
A key seals one body only, ever: its nonces are counted, not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay_parsl.errors import SealError
from relay_parsl.wire.messages import SEGMENT

TAG = 16
"""Bytes that sealing adds to each segment."""
_BODY = b'relay-parsl/1/body\0'


def new_body_key() -> bytes:
    """A fresh 32-byte key, for one body."""
    return AESGCM.generate_key(256)


def sealed_size(length: int) -> int:
    """Bytes of the sealed form of `length` bytes of plaintext."""
    return length + TAG * _segments(length)


def seal_body(key: bytes, length: int, source: BinaryIO, target: BinaryIO) -> None:
    """Seal the `length` bytes of `source` into `target`. Raises SealError when `source` holds fewer or more."""
    cipher, context = _cipher(key), _context(length)
    for index, size, last in _plan(length):
        target.write(cipher.encrypt(_nonce(index, last), _exactly(source, size), context))
    _end(source)


def open_body(key: bytes, length: int, source: BinaryIO) -> Iterator[bytes]:
    """The plaintext, segment by segment. Raises SealError at the first one that does not hold, and when `source` does not end with the last."""
    cipher, context = _cipher(key), _context(length)
    for index, size, last in _plan(length):
        sealed = _exactly(source, size + TAG)
        if last:
            _end(source)
        try:
            yield cipher.decrypt(_nonce(index, last), sealed, context)
        except InvalidTag:
            raise SealError(f'segment {index} of the body does not hold') from None


def _segments(length: int) -> int:
    return max(1, -(-length // SEGMENT))


def _plan(length: int) -> Iterator[tuple[int, int, bool]]:
    """Index, plaintext bytes, whether it is the last; an empty body has one empty segment."""
    if length < 0:
        raise SealError('a body has no negative length')
    final = _segments(length) - 1
    for index in range(final):
        yield index, SEGMENT, False
    yield final, length - final * SEGMENT, True


def _cipher(key: bytes) -> AESGCM:
    if len(key) != 32:
        raise SealError("a body's key has 32 bytes")
    return AESGCM(key)


def _context(length: int) -> bytes:
    if not 0 <= length < 2**63:
        raise SealError('a body of an impossible length')
    return _BODY + length.to_bytes(8, 'big')


def _nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11, 'big') + bytes([last])


def _exactly(source: BinaryIO, size: int) -> bytes:
    """`size` bytes, also from a source that gives them in pieces."""
    data = source.read(size)
    while len(data) < size:
        more = source.read(size - len(data))
        if not more:
            raise SealError('the body is shorter than its length says')
        data += more
    return data


def _end(source: BinaryIO) -> None:
    if source.read(1):
        raise SealError('the body is longer than its length says')
