"""Large bodies: one random key each, segments of 1 MiB of plaintext, and not a byte of plaintext before its segment verified.

Segment i is AES-256-GCM under the body's key with the nonce (i: 11 bytes, 1 if it is the last: 1 byte) and the length of the whole
plaintext as associated data, so that segments can be neither moved, dropped, repeated nor cut short, nor a body pass for a longer one.
A key seals one body only, ever: its nonces are counted, not drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay_parsl.errors import SealError
from relay_parsl.wire.messages import SEGMENT

TAG = 16
"""Bytes that sealing adds to each segment."""
ROOMS = 8
"""Buffers of a segment that a process keeps: fresh ones cost more, in pages that the system must clear, than what is done with them."""
AHEAD = 64 * 1024
"""Bytes that small reads of a stream take at a time."""
_rooms: list[bytearray] = []
_BODY = b'relay-parsl/1/body\0'


def new_body_key() -> bytes:
    """A fresh 32-byte key, for one body."""
    return AESGCM.generate_key(256)


def sealed_size(length: int) -> int:
    """Bytes of the sealed form of `length` bytes of plaintext."""
    return length + TAG * _segments(length)


def seal_body(key: bytes, length: int, source: BinaryIO, target: BinaryIO) -> None:
    """Seal the `length` bytes of `source` into `target`. Raises SealError when `source` holds fewer or more."""
    _seal(key, length, lambda size: _exactly(source, size), target)
    _end(source)


def seal_parts(key: bytes, parts: Iterable[bytes | bytearray | memoryview], target: BinaryIO) -> int:
    """Seal what these hold one after the other into `target`; its length [B]. No more than a segment of it is ever copied at a time."""
    row = _Row(parts)
    _seal(key, row.length, row.take, target)
    row.close()
    return row.length


def open_body(key: bytes, length: int, source: BinaryIO) -> Iterator[bytes]:
    """The plaintext, segment by segment. Raises SealError at the first one that does not hold, and when `source` does not end with the last."""
    opening = _Opening(key, length, source)
    while opening.due is not None:
        data = bytearray(opening.due[1])
        opening.next_into(memoryview(data))
        yield bytes(data)


def open_stream(key: bytes, length: int, source: BinaryIO) -> io.BufferedReader:
    """The plaintext as a file: what is read into a buffer is decrypted there, and no more than a segment is held beside it.

    Reading raises what `open_body` raises; so read it to its end, and nothing may be used before that.
    """
    return io.BufferedReader(_Opening(key, length, source), AHEAD)


def _seal(key: bytes, length: int, take: Callable[[int], Any], target: BinaryIO) -> None:
    cipher, context, room = _cipher(key), _context(length), _take_room()
    for index, size, last in _plan(length):
        sealed = memoryview(room)[: size + TAG]
        cipher.encrypt_into(_nonce(index, last), take(size), context, sealed)
        target.write(sealed)
    _keep_room(room)


class _Row:
    """Bytes that lie in several places, taken in one row: a piece that lies in one place is not copied."""

    def __init__(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        views = [memoryview(part).cast('B') for part in parts]
        self.length = sum(len(view) for view in views)
        self._views = iter(views)
        self._rest = memoryview(b'')
        self._room = _take_room()

    def take(self, size: int) -> memoryview:
        """The next `size` bytes, which are there; until the next call."""
        piece = self._piece(size)
        if len(piece) == size:
            return piece
        found, done = memoryview(self._room)[:size], 0
        while done < size:
            found[done : done + len(piece)] = piece
            done += len(piece)
            piece = self._piece(size - done)
        return found

    def close(self) -> None:
        """Nothing more is taken."""
        _keep_room(self._room)

    def _piece(self, most: int) -> memoryview:
        if not self._rest and most:
            self._rest = next(self._views)
        piece, self._rest = self._rest[:most], self._rest[most:]
        return piece


class _Opening(io.RawIOBase):
    """A sealed body as a file of its plaintext. `due`: index, length and whether it is the last, of the segment to come."""

    def __init__(self, key: bytes, length: int, source: BinaryIO) -> None:
        self._rooms: list[bytearray] = []
        self._cipher, self._context, self._source = _cipher(key), _context(length), source
        self._plan = _plan(length)
        self.due = next(self._plan, None)
        self._rooms.append(_take_room())
        self._sealed = memoryview(self._rooms[0])
        self._held = memoryview(b'')

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Up to a segment, and straight into `buffer` where all of that fits; 0 at the end."""
        view = memoryview(buffer).cast('B')
        if not self._held and self.due:
            size = self.due[1]
            if len(view) >= size:
                self.next_into(view[:size])
                return size
            held = self._second_room()[:size]
            self.next_into(held)
            self._held = held
        count = min(len(view), len(self._held))
        view[:count], self._held = self._held[:count], self._held[count:]
        return count

    def close(self) -> None:
        """Nothing more is read."""
        for room in self._rooms:
            _keep_room(room)
        self._rooms, self._held, self.due = [], memoryview(b''), None
        super().close()

    def _second_room(self) -> memoryview:
        if len(self._rooms) < 2:
            self._rooms.append(_take_room())
        return memoryview(self._rooms[1])

    def next_into(self, plain: memoryview) -> None:
        """Decrypt the segment that is due, which is as long as `plain`."""
        assert self.due is not None  # noqa: S101  callers have looked
        index, size, last = self.due
        self.due = next(self._plan, None)
        sealed = self._sealed[: size + TAG]
        _fill(self._source, sealed)
        if last:
            _end(self._source)
        try:
            self._cipher.decrypt_into(_nonce(index, last), sealed, self._context, plain)
        except InvalidTag:
            raise SealError(f'segment {index} of the body does not hold') from None


def _take_room() -> bytearray:
    """A buffer for a segment and its tag, which nobody else has."""
    try:
        return _rooms.pop()
    except IndexError:
        return bytearray(SEGMENT + TAG)


def _keep_room(room: bytearray) -> None:
    if len(_rooms) < ROOMS:
        _rooms.append(room)


def _fill(source: BinaryIO, view: memoryview) -> None:
    """Also from a source that gives its bytes in pieces."""
    done = 0
    while done < len(view):
        more = source.readinto(view[done:])  # type: ignore[attr-defined]  # BinaryIO does not say that binary files have it
        if not more:
            raise SealError('the body is shorter than its length says')
        done += more


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
