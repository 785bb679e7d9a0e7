"""An audit log as a chain of lines: how a line is made, and what is wrong with one that somebody has touched. No files here.

Each line names its number and the hash of the line before, and ends with its own hash. The hash has no key: whoever may write the file can append
a line that fits, or take the last ones away. Against that stands the *head*: number and hash of the last line, signed by the party whose log it is,
in a file beside it. A copy of that file, kept on another host, cannot be made to fit a log that was shortened or rewritten later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay_parsl.errors import SealError
from relay_parsl.wire.codec import pack
from relay_parsl.wire.seal import Keys
from relay_parsl.wire.seal.keys import read_fields, sign, split_signed, verify

FIRST = '0' * 64
"""What the first line is chained to."""
_CONTEXT = b'relay-parsl/1/audit-head\0'
_END = len(', "hash": ""}') + 64
"""Bytes at the end of a line that are not hashed."""


def line(number: int, previous: str, time: float, event: str, fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """One line with its end, and its hash. `time` in seconds since 1970. Control characters in names are escaped, as JSON does."""
    text = json.dumps({'number': number, 'time': round(time, 3), 'event': event, **fields, 'previous': previous}, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{text[:-1]}, "hash": "{digest}"}}\n'.encode(), digest


@dataclass(frozen=True)
class Head:
    """Number and hash of the last line, who says so, and when [s since 1970]."""

    number: int
    hash: str
    identity: bytes
    time: float

    def signed(self, keys: Keys) -> bytes:
        """As it stands in its file, for people to read too; `identity` is that of `keys`."""
        body = pack([self.number, self.hash, self.identity, self.time])
        return json.dumps({'number': self.number, 'signed': sign(keys, _CONTEXT, body).hex()}).encode()


def read_head(data: bytes, identity: bytes | None = None) -> Head:
    """The head in `data`. Raises SealError: it is none, its signature does not hold, or it is of another party than `identity`."""
    try:
        body, signature = split_signed(bytes.fromhex(json.loads(data)['signed']))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise SealError('it is no head of an audit log') from None
    head = Head(*read_fields(body, int, str, bytes, float))
    verify(head.identity, _CONTEXT, body, signature)
    if identity is not None and head.identity != identity:
        raise SealError('it is signed by another party than the one whose log this is')
    return head


@dataclass(frozen=True)
class Finding:
    """What is wrong with a log: `kind` is changed, removed, appended, cut, or head; `line` counts in `file` from 1, 0 for the file as a whole."""

    file: str
    line: int
    kind: str
    text: str


class Chain:
    """Reads a log line by line and says of each what is wrong with it."""

    def __init__(self, begins: int = 1) -> None:
        """`begins`: the number of the first line that is still expected to be there."""
        self.number, self.hash = begins - 1, FIRST
        self._hashes = {FIRST} if begins == 1 else set()
        self._signed = ''

    def read(self, file: str, place: int, data: bytes, wanted: int = 0) -> Finding | None:
        """The next line. `wanted`: the number of the line that a head has signed."""
        try:
            body = json.loads(data)
            claimed, number, previous = str(body['hash']), int(body['number']), str(body['previous'])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return Finding(file, place, 'cut', 'it is no line of an audit log: cut off by a crash, or written by another')
        real = hashlib.sha256(data.rstrip(b'\n')[:-_END] + b'}').hexdigest()  # of the bytes: JSON reads the same from others, too
        fault = self._fault(number, previous, claimed == real)
        if number > self.number or not fault:
            self.number, self.hash, self._hashes = number, claimed, {claimed, real}
        if number == wanted:
            self._signed = real
        return Finding(file, place, *fault) if fault else None

    def _fault(self, number: int, previous: str, whole: bool) -> tuple[str, str] | None:
        expected = self.number + 1
        if number > expected:
            return (
                'removed',
                f'lines numbered {expected} to {number - 1} are not here' if number - 1 > expected else f'line number {expected} is not here',
            )
        if number < expected:
            return 'appended', f'its number is {number}, and the line before has {self.number}: another has written it'
        if not whole:
            return 'changed', 'its hash is that of other words'
        if self._hashes and previous not in self._hashes:
            return 'appended', 'it does not go on from the line before: another has written it, or that line'
        return None

    def end(self, file: str, head: Head) -> Finding | None:
        """Whether the log ends as its head says. `read` must have been told the head's number as `wanted`."""
        if head.number > self.number:
            return Finding(
                file, 0, 'removed', f'the end is cut off: the head knows line number {head.number}, and the last one here is {self.number}'
            )
        if self._signed != head.hash:
            return Finding(file, 0, 'changed', f'line number {head.number} is another one than the head has signed: the log was written anew')
        if head.number < self.number:
            return Finding(
                file,
                0,
                'appended',
                f'lines numbered {head.number + 1} to {self.number} are not covered by the head: another has written them, or a crash',
            )
        return None
