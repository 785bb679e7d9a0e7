"""Who did what at a relay or an endpoint: JSON lines in a chain, readable by the owner alone, without payloads. `chain` says what a line is.

```
 audit.log      goes on            audit.head     number and hash of its last line, signed
 audit.log.1    ended before; the first line of `audit.log` is chained to its last; then audit.log.2, …
```
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from relay_parsl.errors import SealError
from relay_parsl.home.chain import FIRST, Chain, Finding, Head, line, read_head
from relay_parsl.wire.seal import Keys

LARGEST = 64 << 20
"""Bytes after which a new file is begun. None is ever deleted."""
WAITING = 10_000
"""Lines that wait in memory, at most, while the disk takes none; how many were too many is on record later."""
FINDINGS = 50
"""The most that `verify` tells of one log."""
SIGNED = 0.2
"""Seconds between two signed heads where lines follow one another: to sign for each turn of a busy endpoint takes a fiftieth of its time."""
WRITING = 1.0
"""Seconds within which the head of a log follows its last line."""
_TAIL = 64 * 1024
_HEAD = 512
"""Bytes of the file of a head: one sector, so that a crash leaves the old one or the new."""


class AuditLog:
    """Appends to one file. A line counts once `flush` has returned."""

    def __init__(self, path: Path, keys: Keys | None = None, *, largest: int = LARGEST) -> None:
        """Go on with the chain in `path`; with `keys` its head is signed. Raises OSError."""
        self.path, self._keys, self._largest = path, keys, largest
        self._waiting: deque[tuple[float, str, Mapping[str, Any]]] = deque()
        self._dropped = 0
        self._fd = _open(path)
        self._head = _open(path.with_suffix('.head'), append=False) if keys else -1
        self._number, self._hash = self._last()
        self._size = os.fstat(self._fd).st_size
        self._signed = -SIGNED
        """When a head was signed last, on the steady clock."""
        self._behind: float | None = None
        """The time of the last line, if no head covers it yet."""
        self._adopt()

    def write(self, when: float, event: str, fields: Mapping[str, Any]) -> None:
        """One line: `when` in seconds since 1970. Raises OSError; then it waits for the next `flush`."""
        self.note(when, event, fields)
        self.flush()

    def note(self, when: float, event: str, fields: Mapping[str, Any]) -> None:
        """A line that the next `flush` writes."""
        if len(self._waiting) < WAITING:
            self._waiting.append((when, event, fields))
        else:
            self._dropped += 1

    def flush(self, *, sync: bool = False) -> None:
        """Write what waits; with `sync` it is on the disk afterwards. Raises OSError: then the file is as it was, and all of it still waits."""
        if self._dropped:
            self._waiting.append((self._waiting[-1][0], 'audit-gap', {'lost': self._dropped}))
            self._dropped = 0
        if not self._waiting:
            self._sign(sync=sync)
            return
        texts, number, digest = [], self._number, self._hash
        for when, event, fields in self._waiting:
            number += 1
            text, digest = line(number, digest, when, event, fields)
            texts.append(text)
        self._append(b''.join(texts), sync=sync)
        self._behind = self._waiting[-1][0]
        self._waiting.clear()
        self._number, self._hash = number, digest
        self._sign(sync=sync)
        if self._size >= self._largest:
            self._rotate()

    def take_back(self) -> None:
        """What waits belongs to a turn that did not happen."""
        self._waiting.clear()

    def forget(self, event: str) -> None:
        """The last line that waits, if it is of this event: it is not true."""
        if self._waiting and self._waiting[-1][1] == event:
            self._waiting.pop()

    def close(self) -> None:
        """No line after this; what waits is tried once more."""
        with suppress(OSError):
            self._signed = -SIGNED
            self.flush()
        os.close(self._fd)
        if self._head >= 0:
            os.close(self._head)

    def _append(self, data: bytes, *, sync: bool) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            if sync:
                os.fsync(self._fd)
        except OSError:
            with suppress(OSError):  # half a line would break the chain
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)

    def _sign(self, *, sync: bool) -> None:
        """A head for the last line, unless one was signed just now: then the next `flush`, of whatever, does it. With `sync` always."""
        if self._keys is None or self._behind is None or not (sync or time.monotonic() - self._signed >= SIGNED):
            return
        head = Head(self._number, self._hash, self._keys.identity_public, float(self._behind))
        os.pwrite(self._head, head.signed(self._keys).ljust(_HEAD - 1) + b'\n', 0)
        if sync:
            os.fsync(self._head)
        self._signed, self._behind = time.monotonic(), None

    def _rotate(self) -> None:
        """The file becomes the first of the old ones. A crash in between is no harm: the chain goes on from the newest file that has a line."""
        with suppress(OSError):  # it goes on to grow, which is better than to end
            fresh = self.path.with_suffix('.fresh')
            fd = _open(fresh)
            for old in _ended(self.path):  # the oldest first
                old.rename(old.with_suffix(f'.{int(old.suffix[1:]) + 1}'))
            self.path.rename(self.path.with_name(f'{self.path.name}.1'))
            fresh.rename(self.path)
            os.close(self._fd)
            self._fd, self._size = fd, 0

    def _last(self) -> tuple[int, str]:
        """A line that a crash has cut off is ended, so that the next one stands alone; `verify` names it."""
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b'\n':
            os.write(self._fd, b'\n')
        newest = [self.path, *reversed(_ended(self.path)[-1:])]
        return next((found for path in newest if (found := _last_line(path))), (0, FIRST))

    def _adopt(self) -> None:
        """Lines that the head does not cover are on record as such: a crash leaves a turn's at most, and another who writes here leaves his."""
        if self._keys is None:
            return
        try:
            head = read_head(os.pread(self._head, _HEAD, 0), self._keys.identity_public)
        except SealError:
            covered = 0
        else:
            covered = head.number
        if covered != self._number:
            self._waiting.append((os.fstat(self._fd).st_mtime, 'audit-not-covered', {'head': covered, 'last': self._number}))


def _open(path: Path, *, append: bool = True) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | (os.O_APPEND if append else 0) | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, 0o600)
    return fd


def _last_line(path: Path) -> tuple[int, str] | None:
    """Number and hash of the last whole line: that of a thousand tasks is long, so ever more of the file is looked at."""
    size, tail = path.stat().st_size, _TAIL
    with path.open('rb') as file:
        while True:
            file.seek(max(0, size - tail))
            found = (_number_and_hash(text) for text in reversed(file.read().splitlines()))
            if (last := next(filter(None, found), None)) or tail >= size:
                return last
            tail *= 8


def _number_and_hash(text: bytes) -> tuple[int, str] | None:
    try:
        last = json.loads(text)
        return int(last['number']), str(last['hash'])
    except (ValueError, TypeError, KeyError):
        return None


def _ended(path: Path) -> list[Path]:
    """The files that ended before `path`, the oldest first."""
    found = [each for each in path.parent.glob(f'{path.name}.*') if each.suffix[1:].isdigit()]
    return sorted(found, key=lambda each: -int(each.suffix[1:]))


def files(path: Path) -> list[Path]:
    """All files of a log, the oldest first."""
    return [*_ended(path), *([path] if path.exists() else [])]


def lines(path: Path) -> Iterator[tuple[Path, int, bytes]]:
    """Every line of a log: in which file, the how manieth there, from 1. Raises OSError."""
    for each in files(path):
        with each.open('rb') as found:
            for place, data in enumerate(found, 1):
                yield each, place, data


def verify(path: Path, *, head: Path | None = None, identity: bytes | None = None, begins: int = 1) -> list[Finding]:
    """What is wrong with a log, the first `FINDINGS` of it; empty when it is whole.

    Args:
        path: `audit.log`; what ended before it is read too.
        head: the file of its head, None for the one beside it. A copy that was kept elsewhere proves more.
        identity: whose head it must be; None takes anyone's.
        begins: the number of the first line that is still here, where older files were removed.

    Raises:
        OSError: it cannot be read.
    """
    known, found = _known_head(head or path.with_suffix('.head'), identity)
    chain = Chain(begins)
    for file, place, data in lines(path):
        fault = chain.read(file.name, place, data, known.number if known else 0)
        if fault and len(found) < FINDINGS:
            found.append(fault)
    end = chain.end(path.name, known) if known else None
    if end and end.kind == 'appended' and (head or _goes_on(path.with_suffix('.head'), chain.number)):
        end = None
    return [*found, *([end] if end else [])]


def _goes_on(head: Path, number: int) -> bool:
    """Whether the log was written while it was read, so that its head covers what was seen a moment later."""
    time.sleep(WRITING)
    known = _known_head(head, None)[0]
    return known is not None and known.number >= number


def _known_head(path: Path, identity: bytes | None) -> tuple[Head | None, list[Finding]]:
    try:
        return read_head(path.read_bytes(), identity), []
    except FileNotFoundError:
        return None, [Finding(path.name, 0, 'head', 'it is missing: whether the end of the log was cut off cannot be told')]
    except SealError as error:
        return None, [Finding(path.name, 0, 'head', str(error))]
