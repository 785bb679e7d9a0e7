"""Large bodies on disk, sealed as they came: a file each, named by our own hexadecimal ids and by nothing that a stranger wrote.

Nothing is kept open or in memory, so threads may share a `Spool`: the loop writes, those of a `Helper` sync and delete.
An `OSError` (a full disk, a dead one) passes through: what it means is decided by the loop.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from relay_parsl.errors import StoreError

Key = tuple[bytes, int, str]
"""Task id, attempt, direction (`task` or `result`)."""
DIRECTIONS = ('task', 'result')

HANDS = 4
"""Threads of a helper: a file system commits together what several ask for at once."""
_NAME = re.compile(r'([0-9a-f]{32})\.(\d{1,9})\.(task|result)')


class Spool:
    """The spool in one private directory, which exists (`Home.directory` makes it)."""

    def __init__(self, directory: Path | str) -> None:
        """`directory` must exist."""
        self.directory = Path(directory)
        self._prefix = os.path.join(directory, '')

    def path(self, task_id: bytes, attempt: int, direction: str) -> Path:
        """The file of one body. Raises StoreError for what is no key: nothing else ever becomes part of a path."""
        return Path(self._file((task_id, attempt, direction)))

    def write(self, key: Key, offset: int, data: bytes | memoryview) -> None:
        """Put `data` at `offset` [bytes]; not on disk for sure before `sync`."""
        rest, fd = memoryview(data), self._open(key, os.O_WRONLY | os.O_CREAT)
        try:
            while rest:
                done = os.pwrite(fd, rest, offset)
                rest, offset = rest[done:], offset + done
        finally:
            os.close(fd)

    def size(self, key: Key) -> int:
        """Bytes that are there; -1 when there is no such body, as `Segment.total` says it."""
        try:
            return os.lstat(self._file(key)).st_size
        except FileNotFoundError:
            return -1

    def sync(self, key: Key) -> None:
        """Return when the body, and its name in the directory, are on disk."""
        _sync(self._open(key, os.O_RDONLY))
        _sync(os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def read(self, key: Key, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end, none when there is no such body."""
        return self.piece(key, offset, length)[1]

    def piece(self, key: Key, offset: int, length: int) -> tuple[int, bytes]:
        """What `size` and `read` say."""
        try:
            fd = self._open(key, os.O_RDONLY)
        except FileNotFoundError:
            return -1, b''
        try:
            return os.fstat(fd).st_size, os.pread(fd, length, offset)
        finally:
            os.close(fd)

    def delete(self, key: Key) -> None:
        """Remove the body, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._file(key))

    def keys(self) -> list[Key]:
        """Every body that is there, in the order of names."""
        found = [_NAME.fullmatch(name) for name in sorted(os.listdir(self.directory))]
        return [(bytes.fromhex(each[1]), int(each[2]), each[3]) for each in found if each]

    def total(self) -> int:
        """Bytes of all bodies; one that goes meanwhile counts for nothing."""
        size = 0
        with os.scandir(self.directory) as found:
            for each in found:
                with suppress(FileNotFoundError):
                    size += each.stat(follow_symlinks=False).st_size
        return size

    def _file(self, key: Key) -> str:
        """Without a `Path`, which costs more than what is done with the file."""
        task_id, attempt, direction = key
        if type(task_id) is not bytes or len(task_id) != 16 or direction not in DIRECTIONS or not 0 <= attempt < 10**9:
            raise StoreError('no key of a spooled body')
        return f'{self._prefix}{task_id.hex()}.{attempt}.{direction}'

    def _open(self, key: Key, flags: int) -> int:
        return os.open(self._file(key), flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _sync(fd: int) -> None:
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Helper:
    """Waits for the disk in a loop's place. Only `finished` is called in its threads.

    A body may come anew under the name of one whose deletion still waits: say `spare` before it is written, and `keep` when it was linked.
    """

    def __init__(self, spool: Spool, finished: Callable[[Key, OSError | None], None]) -> None:
        """`finished` is told of each `sync`, and what went wrong."""
        self._spool = spool
        self._finished = finished
        self._pool = ThreadPoolExecutor(HANDS, 'relay-parsl-spool')
        self._doomed: set[Key] = set()
        self._deleting = Lock()
        self.bytes = 0
        """Of all bodies, when they were last measured."""

    def sync(self, key: Key) -> None:
        """Have the body on disk for sure, then call `finished`."""
        self._pool.submit(self._sync, key)

    def delete(self, key: Key) -> None:
        """Have it removed, some time."""
        self._doomed.add(key)
        self._pool.submit(self._delete, key)

    def spare(self, key: Key) -> None:
        """The body is about to be written: if it is still to be removed, then now."""
        if key in self._doomed:
            self._delete(key)

    def keep(self, key: Key) -> None:
        """The body has come in one piece: what is there now stays."""
        if key in self._doomed:
            with self._deleting:
                self._doomed.discard(key)

    def measure(self) -> None:
        """Have `bytes` brought up to date."""
        self._pool.submit(self._measure)

    def close(self) -> None:
        """Finish what was asked for, and end the threads."""
        self._pool.shutdown()

    def _sync(self, key: Key) -> None:
        try:
            self._spool.sync(key)
        except OSError as error:
            self._finished(key, error)
        else:
            self._finished(key, None)

    def _measure(self) -> None:
        self.bytes = self._spool.total()

    def _delete(self, key: Key) -> None:
        with self._deleting:
            if key in self._doomed:
                self._doomed.discard(key)
                with suppress(OSError):  # a spool is swept when its process starts
                    self._spool.delete(key)
