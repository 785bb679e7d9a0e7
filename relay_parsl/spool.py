"""Large bodies on disk, sealed as they came: a file each, named by our own hexadecimal ids and by nothing that a stranger wrote.

Nothing is kept open or in memory, so threads may share a `Spool`: the loop writes, a helper thread calls `sync`.
An `OSError` (a full disk, a dead one) passes through: what it means is decided by the loop.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from relay_parsl.errors import StoreError

Key = tuple[bytes, int, str]
"""Task id, attempt, direction (`task` or `result`)."""
DIRECTIONS = ('task', 'result')

_NAME = re.compile(r'([0-9a-f]{32})\.(\d{1,9})\.(task|result)')


class Spool:
    """The spool in one private directory, which exists (`Home.directory` makes it)."""

    def __init__(self, directory: Path | str) -> None:
        """`directory` must exist."""
        self.directory = Path(directory)

    def path(self, task_id: bytes, attempt: int, direction: str) -> Path:
        """The file of one body. Raises StoreError for what is no key: nothing else ever becomes part of a path."""
        if type(task_id) is not bytes or len(task_id) != 16 or direction not in DIRECTIONS or not 0 <= attempt < 10**9:
            raise StoreError('no key of a spooled body')
        return self.directory / f'{task_id.hex()}.{attempt}.{direction}'

    def write(self, key: Key, offset: int, data: bytes) -> None:
        """Put `data` at `offset` [bytes]; not on disk for sure before `sync`."""
        with self._open(key, os.O_WRONLY | os.O_CREAT) as fd:
            rest = memoryview(data)
            while rest:
                done = os.pwrite(fd, rest, offset)
                rest, offset = rest[done:], offset + done

    def size(self, key: Key) -> int:
        """Bytes that are there; -1 when there is no such body, as `Segment.total` says it."""
        try:
            return os.lstat(self.path(*key)).st_size
        except FileNotFoundError:
            return -1

    def sync(self, key: Key) -> None:
        """Return when the body, and its name in the directory, are on disk."""
        with self._open(key, os.O_RDONLY) as fd:
            os.fsync(fd)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def read(self, key: Key, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end, none when there is no such body."""
        try:
            with self._open(key, os.O_RDONLY) as fd:
                return os.pread(fd, length, offset)
        except FileNotFoundError:
            return b''

    def delete(self, key: Key) -> None:
        """Remove the body, if it is there."""
        with suppress(FileNotFoundError):
            self.path(*key).unlink()

    def keys(self) -> list[Key]:
        """Every body that is there, in the order of names."""
        found = [_NAME.fullmatch(name) for name in sorted(os.listdir(self.directory))]
        return [(bytes.fromhex(each[1]), int(each[2]), each[3]) for each in found if each]

    @contextmanager
    def _open(self, key: Key, flags: int) -> Iterator[int]:
        fd = os.open(self.path(*key), flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)
