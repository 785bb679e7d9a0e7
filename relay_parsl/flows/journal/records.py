"""What action providers keep in the journal: rows of their own, durable when a method returns.

Threads that write at the same moment share a commit: the first of them writes for all that came while the one before was syncing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from relay_parsl.flows.definition import Json
from relay_parsl.flows.journal.coding import write
from relay_parsl.flows.journal.file import JournalFile

Write = tuple[str, str, str | None]
"""Provider, key, the value as JSON; None deletes."""


class Writer:
    """Writes for many threads at once."""

    def __init__(self, file: JournalFile, turn: Callable[[], AbstractContextManager[None]] | None = None) -> None:
        """`turn`: what to write in, where it is not any turn of the file: an engine's is fenced by its lease."""
        self._file, self._turn = file, turn or file.turn
        self._leader, self._guard = threading.Lock(), threading.Lock()
        self._waiting: list[_Job] = []

    def write(self, change: Write) -> None:
        """On the disk when this returns. Raises StoreError."""
        job = _Job(change)
        with self._guard:
            self._waiting.append(job)
        with self._leader:
            if not job.done:
                self._write_all()
        if job.error:
            raise job.error

    def _write_all(self) -> None:
        with self._guard:
            jobs, self._waiting = self._waiting, []
        error = None
        try:
            with self._turn():
                for job in jobs:
                    self._apply(*job.change)
        except BaseException as raised:  # noqa: BLE001  each of them is told
            error = raised
        for job in jobs:
            job.done, job.error = True, error

    def _apply(self, provider: str, key: str, value: str | None) -> None:
        if value is None:
            self._file.run('DELETE FROM records WHERE provider = ? AND key = ?', provider, key)
        else:
            self._file.run('INSERT OR REPLACE INTO records VALUES (?, ?, ?)', provider, key, value)


class _Job:
    __slots__ = ('change', 'done', 'error')

    def __init__(self, change: Write) -> None:
        self.change = change
        self.done = False
        self.error: BaseException | None = None


class JournalRecords:
    """`actions.base.Records` over the journal."""

    def __init__(self, file: JournalFile, provider: str, writer: Writer | None = None) -> None:
        """`provider` is whose rows they are; `writer` is shared by all providers of an engine."""
        self._file, self._provider = file, provider
        self._writer = writer or Writer(file)

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
