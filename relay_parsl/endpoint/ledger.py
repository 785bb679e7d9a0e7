"""What an endpoint must not forget when it is killed: the `Journal` protocol, a journal in memory, and the reactor's view of one.

The reactor reads a journal once, when it is made, and from then on only writes. `Ledger` gathers the writes of a turn and keeps them
until a commit succeeded, so after a `StoreError` the same reactor goes on: nothing has left, and the next turn writes everything again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from relay_parsl.endpoint.intervals import Intervals
from relay_parsl.errors import StoreError
from relay_parsl.wire.messages import Hash, Id, TaskHeader

LAZY = 1.0
"""Seconds for which what may be lost in a crash is gathered: finished numbers, deletions."""
GRACE = 86_400.0
"""Seconds after a task's `expires` for which its number is remembered: clocks differ; after that its `expires` refuses it."""

Key = TypeVar('Key')


@dataclass(frozen=True)
class Spent:
    """The sequence numbers of a grant that must never run again: finished, or `at_most_once` and started."""

    grant: Hash
    sequences: bytes
    until: float


@dataclass(frozen=True)
class Kept:
    """A result that the relay has not recorded: the encoded `ResultHeader` and the sealed outcome."""

    task_id: Id
    attempt: int
    header: bytes
    payload: bytes


class Turns(Protocol):
    """A turn is `begin`, statements, `commit`. Either may raise StoreError."""

    broken: bool
    """Whether its disk has failed, rather than being full: nothing that is written after a failed sync can be believed."""

    def begin(self) -> None:
        """Start a turn."""

    def commit(self) -> None:
        """Make the turn durable."""

    def rollback(self) -> None:
        """Forget the turn; never raises."""


class Journal(Turns, Protocol):
    """Where an endpoint writes before it speaks. Any statement may raise StoreError."""

    def advance(self) -> int:
        """Raise the epoch by one and return it; the first is 1."""

    def spent(self) -> list[Spent]:
        """Every grant's spent numbers."""

    def results(self) -> list[Kept]:
        """Every result kept, oldest first."""

    def spend(self, spent: Spent) -> None:
        """Replace what is known of a grant."""

    def unspend(self, grant: Hash) -> None:
        """The grant's last task has expired."""

    def keep(self, kept: Kept) -> None:
        """Keep a result; one a task, the last counts."""

    def forget(self, task_id: Id) -> None:
        """The relay has recorded the task's result."""

    def share(self) -> bytes:
        """The last statement about guests that held here; empty: there was none."""

    def put_share(self, data: bytes) -> None:
        """Replace it."""


class MemoryJournal:
    """A journal with real commits and rollbacks and no disk, for simulations and tests."""

    broken = False

    def __init__(self, before: Callable[[str], None] = lambda _statement: None) -> None:
        """`before` sees the name of each statement and may raise StoreError in its place."""
        self._before = before
        self._epoch = 0
        self._spent: dict[Hash, Spent] = {}
        self._results: dict[Id, Kept] = {}
        self._share = b''
        self._turn: list[Callable[[], None]] | None = None

    def begin(self) -> None:
        """Start a turn."""
        self._before('begin')
        if self._turn is not None:
            raise StoreError('a turn is open')
        self._turn = []

    def commit(self) -> None:
        """Make the turn's changes stand."""
        self._before('commit')
        for change in self._turn or []:
            change()
        self._turn = None

    def rollback(self) -> None:
        """Forget the turn's changes."""
        self._turn = None

    def advance(self) -> int:
        """The next epoch."""
        epoch = self._epoch + 1
        self._change('advance', lambda: setattr(self, '_epoch', epoch))
        return epoch

    def spent(self) -> list[Spent]:
        """Every grant's spent numbers."""
        self._before('spent')
        return list(self._spent.values())

    def results(self) -> list[Kept]:
        """Every result kept, oldest first."""
        self._before('results')
        return list(self._results.values())

    def spend(self, spent: Spent) -> None:
        """Replace what is known of a grant."""
        self._change('spend', lambda: self._spent.update({spent.grant: spent}))

    def unspend(self, grant: Hash) -> None:
        """Forget a grant."""
        self._change('unspend', lambda: _discard(self._spent, grant))

    def keep(self, kept: Kept) -> None:
        """Keep a result."""
        self._change('keep', lambda: self._results.update({kept.task_id: kept}))

    def forget(self, task_id: Id) -> None:
        """Forget a result."""
        self._change('forget', lambda: _discard(self._results, task_id))

    def share(self) -> bytes:
        """The last statement about guests."""
        self._before('share')
        return self._share

    def put_share(self, data: bytes) -> None:
        """Replace it."""
        self._change('put_share', lambda: setattr(self, '_share', data))

    def _change(self, statement: str, change: Callable[[], None]) -> None:
        self._before(statement)
        if self._turn is None:
            raise StoreError(f'{statement} outside a turn')
        self._turn.append(change)


def _discard(rows: dict[Key, Any], key: Key) -> None:
    rows.pop(key, None)


@dataclass
class _Numbers:
    sequences: Intervals
    until: float


class Ledger:
    """The reactor's memory of its journal, and the writes that the next commit must hold."""

    def __init__(self, journal: Journal, now: float) -> None:
        """Reads the journal. Raises StoreError."""
        self._journal = journal
        self._numbers = {each.grant: _Numbers(Intervals.decode(each.sequences), each.until) for each in journal.spent()}
        self.kept = journal.results()
        self._dirty: set[Hash] = set()
        self._ended: set[Hash] = set()
        self._keeps: dict[Id, Kept] = {}
        self._forgets: set[Id] = set()
        self._share = b''
        self._urgent = False
        self._written = now

    def is_spent(self, task: TaskHeader) -> bool:
        """Whether the task must not run, whatever the relay says."""
        found = self._numbers.get(task.grant)
        return found is not None and task.sequence in found.sequences

    def spend(self, task: TaskHeader, *, urgent: bool = False) -> None:
        """Never run this again; `urgent`: what this turn says depends on it."""
        found = self._numbers.get(task.grant)
        if found is None:
            found = self._numbers[task.grant] = _Numbers(Intervals(), 0.0)
        found.sequences.add(task.sequence)
        found.until = max(found.until, task.expires + GRACE)
        self._dirty.add(task.grant)
        self._ended.discard(task.grant)
        self._urgent |= urgent

    def keep(self, kept: Kept) -> None:
        """Have a result on disk with the next commit."""
        self._keeps[kept.task_id] = kept
        self._forgets.discard(kept.task_id)
        self._urgent = True

    def forget(self, task_id: Id) -> None:
        """The result of a task is not needed any more; a resend of it would do no harm, so this is not urgent."""
        self._keeps.pop(task_id, None)
        self._forgets.add(task_id)

    def share(self, data: bytes) -> None:
        """Remember a statement about guests: none before it counts any more."""
        self._share = data
        self._urgent = True

    def tick(self, now: float) -> None:
        """Write what was gathered, once a second; end grants whose tasks have all expired."""
        if now - self._written < LAZY:
            return
        self._written = now
        for grant in [grant for grant, each in self._numbers.items() if each.until < now]:
            del self._numbers[grant]
            self._dirty.discard(grant)
            self._ended.add(grant)
        self._urgent |= bool(self._dirty or self._ended or self._forgets)

    def hurry(self) -> None:
        """Write everything with the next commit."""
        self._urgent = True

    def write(self) -> None:
        """Run the statements that are due. Raises StoreError; then all of them are still due."""
        if not self._urgent:
            return
        for task_id in self._forgets:
            self._journal.forget(task_id)
        for kept in self._keeps.values():
            self._journal.keep(kept)
        for grant in self._ended:
            self._journal.unspend(grant)
        for grant in self._dirty:
            found = self._numbers[grant]
            self._journal.spend(Spent(grant, found.sequences.encode(), found.until))
        if self._share:
            self._journal.put_share(self._share)

    def committed(self) -> None:
        """What `write` wrote is durable."""
        if self._urgent:
            self._forgets.clear()
            self._keeps.clear()
            self._ended.clear()
            self._dirty.clear()
            self._share = b''
            self._urgent = False

    @property
    def due(self) -> bool:
        """Whether `write` would write: a loop may spare itself an empty turn."""
        return self._urgent
