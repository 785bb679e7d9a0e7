"""Open leases by dispatch: a row of the store for each dispatch, and here what of it is still open. As many as windows let out, never more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

Key = tuple[int, int]
"""Session and serial of a dispatch."""
Row = tuple[int, int, int, int, str]


@dataclass(slots=True)
class Dispatched:
    """What is still open of one dispatch. `endpoint` is the number of its account."""

    endpoint: int
    epoch: int
    open: set[int]

    def text(self) -> str:
        """The open tasks as they stand in the row."""
        return ','.join(map(str, sorted(self.open)))


class Dispatches:
    """Which tasks are leased, and by which dispatch."""

    def __init__(self) -> None:
        self._rows: dict[Key, Dispatched] = {}
        self._keys: dict[int, Key] = {}

    def add(self, key: Key, endpoint: int, epoch: int, tasks: Collection[int]) -> Row:
        """A dispatch; its row."""
        made = self._rows[key] = Dispatched(endpoint, epoch, set(tasks))
        self._keys.update(dict.fromkeys(tasks, key))
        return (*key, endpoint, epoch, made.text())

    def lease(self, task: int) -> tuple[int, int, int] | None:
        """Session, serial and epoch of a task's lease."""
        key = self._keys.get(task)
        return (*key, self._rows[key].epoch) if key else None

    def keys(self) -> list[Key]:
        """All of them."""
        return list(self._rows)

    def end(self, tasks: Iterable[int]) -> set[Key]:
        """Leases are over; the dispatches that they were of."""
        touched = set()
        for task in tasks:
            key = self._keys.pop(task)
            self._rows[key].open.discard(task)
            touched.add(key)
        return touched

    def empty(self, keys: Iterable[Key]) -> list[Key]:
        """Those of which nothing is open: their rows can go."""
        over = [key for key in keys if not self._rows[key].open]
        for key in over:
            del self._rows[key]
        return over

    def rows(self, keys: Iterable[Key]) -> list[tuple[str, int, int]]:
        """What is open of these, as their rows should say."""
        return [(self._rows[key].text(), *key) for key in keys if key in self._rows]

    def of(self, endpoint: int) -> Iterator[int]:
        """The tasks that are leased to an endpoint."""
        for row in self._rows.values():
            if row.endpoint == endpoint:
                yield from row.open
