"""Who runs the flows of a journal: one engine at a time, named in a row that each of its commits reads first.

The holder counts the row's `beat` up. Another engine takes over when the holder's process is known to be dead, which only its own host can know, or
when the beat has stood still for a lease's length by the other engine's own clock; so clocks of different hosts need not agree. A holder that was
stopped and wakes up afterwards finds another owner in the row, in the same transaction in which it would write, and writes nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from relay_parsl.daemon import Process
from relay_parsl.errors import StoreError
from relay_parsl.flows.journal.file import JournalFile

LENGTH = 10.0
"""Seconds without a beat after which a holder of whom nothing is known is taken to be gone."""


class LeaseLost(StoreError):
    """Another engine has taken over; nothing was written."""


class Lease:
    """One engine's claim."""

    def __init__(self, file: JournalFile, *, length: float = LENGTH, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is claimed yet.

        Args:
            file: Each thread's turns may check the lease, if they go through this file or another of the same journal.
            length: Seconds; the same for all engines of a journal.
            clock: Seconds that never go back.
        """
        self.owner = str(uuid.uuid4())
        self._file, self._length, self._clock = file, length, clock
        self._me = Process.current()
        self._seen: tuple[str, int] | None = None
        self._since = self._beaten = 0.0

    def take(self) -> bool:
        """Whether it is ours now. To be called again and again while it is not: another's silence must be heard.

        Raises:
            StoreError: the journal cannot be written.
        """
        row = self._row(self._file)
        if row is not None and not self._silent(row):
            return False
        with self._file.turn():
            if self._row(self._file) != row:
                return False
            me = (self._me.host, self._me.pid, self._me.created)
            self._file.run('INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?, ?, ?, 0)', self.owner, *me, time.time())
        self._beaten = self._clock()
        return True

    def _row(self, file: JournalFile) -> tuple[str, str, int, float, int] | None:
        row: tuple[str, str, int, float, int] | None = file.one('SELECT owner, host, pid, created, beat FROM lease')
        return row

    def _silent(self, row: tuple[str, str, int, float, int]) -> bool:
        owner, host, pid, created, beat = row
        holder = Process(host, pid, created)
        if holder.here and not holder.alive:
            return True
        if self._seen != (owner, beat):
            self._seen, self._since = (owner, beat), self._clock()
        return self._clock() - self._since >= self._length

    def check(self, file: JournalFile) -> None:
        """Inside a turn of `file`: nothing of it counts unless the lease is ours still. Beats where it is time.

        Raises:
            LeaseLost: it is another's.
        """
        row = self._row(file)
        if row is None or row[0] != self.owner:
            raise LeaseLost(f'{file.path}: another engine runs the flows now; this one has stopped')
        if self.due:
            file.run('UPDATE lease SET beat = beat + 1')
            self._beaten = self._clock()

    @property
    def due(self) -> bool:
        """Whether it is time for a beat, for an engine that has nothing else to write."""
        return self._clock() - self._beaten >= self._length / 4

    @property
    def sure(self) -> bool:
        """Whether no other engine can have taken over yet, without a look into the file."""
        return self._clock() - self._beaten < self._length

    def give(self) -> None:
        """The next engine need not wait. Nothing happens if it is another's already."""
        with self._file.turn():
            self._file.run('DELETE FROM lease WHERE owner = ?', self.owner)
