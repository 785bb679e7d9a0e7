"""What action providers keep in the journal: rows of their own, durable when a method returns.

Under an engine, whatever its providers' threads write at the same moment goes with the engine's own turn: one commit for all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import groupby

from relay_parsl.flows.definition import Json
from relay_parsl.flows.journal.coding import write
from relay_parsl.flows.journal.file import JournalFile, StoreWaits

Write = tuple[str, str, str | None]
"""Provider, key, the value as JSON; None deletes."""


class Writer:
    """Where rows are written: at once, in a turn of their own."""

    def __init__(self, file: JournalFile, turn: Callable[[], AbstractContextManager[None]] | None = None) -> None:
        """`turn`: what to write in, where it is not any turn of the file: an engine's is fenced by its lease."""
        self._file, self._turn = file, turn or file.turn

    def write(self, change: Write) -> None:
        """On the disk when this returns. Raises StoreError."""
        with self._turn():
            apply(self._file, [change])


class Post(Writer):
    """Where the threads of an engine's providers leave what its next turn is to write, for all of them at once; they wait for that.

    While nobody takes turns, it writes at once.
    """

    def __init__(self, file: JournalFile, turn: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__(file, turn)
        self._lock = threading.Lock()
        self._jobs: list[_Job] = []
        self._ring: Callable[[], None] | None = None

    def open(self, ring: Callable[[], None]) -> None:
        """From now on somebody takes turns; `ring` tells him that something waits."""
        with self._lock:
            self._ring = ring

    def close(self) -> None:
        """Nobody does any more: what waits is refused, and what comes is written at once."""
        with self._lock:
            self._ring = None
        self.tell(self.take(), StoreWaits('the engine has stopped'))

    def write(self, change: Write) -> None:
        """On the disk when this returns. Raises StoreError."""
        job = _Job(change)
        with self._lock:
            ring, first = self._ring, not self._jobs
            if ring is not None:
                self._jobs.append(job)
        if ring is None:
            super().write(change)
            return
        if first:
            ring()
        job.done.acquire()
        if job.error is not None:
            raise job.error

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def take(self) -> list[_Job]:
        """What waits."""
        with self._lock:
            jobs, self._jobs = self._jobs, []
        return jobs

    def tell(self, jobs: list[_Job], error: BaseException | None = None) -> None:
        """It is on the disk, or is not."""
        for job in jobs:
            job.error = error
            job.done.release()


class _Job:
    __slots__ = ('change', 'done', 'error')

    def __init__(self, change: Write) -> None:
        self.change = change
        self.done = threading.Lock()
        self.done.acquire()
        self.error: BaseException | None = None


def apply(file: JournalFile, changes: Iterable[Write]) -> None:
    """Inside a turn, in their order."""
    for gone, some in groupby(changes, key=lambda change: change[2] is None):
        if gone:
            file.many('DELETE FROM records WHERE provider = ? AND key = ?', [change[:2] for change in some])
        else:
            file.many('INSERT OR REPLACE INTO records VALUES (?, ?, ?)', some)


class JournalRecords:
    """`actions.base.Records` over the journal."""

    def __init__(self, file: JournalFile, provider: str, writer: Writer | None = None) -> None:
        """`provider` is whose rows they are; `writer` is shared by all providers of an engine."""
        self._file, self._provider = file, provider
        self._writer = Writer(file) if writer is None else writer

    def get(self, key: str) -> Json:
        """The value, None where there is none."""
        row = self._file.one('SELECT value FROM records WHERE provider = ? AND key = ?', self._provider, key)
        return json.loads(row[0]) if row else None

    def put(self, key: str, value: Json) -> None:
        """Write or replace it. Raises StoreError; TypeError or ValueError for what is not JSON."""
        self._writer.write((self._provider, key, write(value)))

    def delete(self, key: str) -> None:
        """Forget it; nothing happens where there is none."""
        self._writer.write((self._provider, key, None))

    def scan(self, prefix: str = '') -> Iterator[tuple[str, Json]]:
        """All pairs whose key begins so, in the order of the keys."""
        rows = self._file.all(
            'SELECT key, value FROM records WHERE provider = ?1 AND substr(key, 1, length(?2)) = ?2 ORDER BY key', self._provider, prefix
        )
        return ((key, json.loads(value)) for key, value in rows)
