"""The first tasks of queues, as far as they are in memory: what came a moment ago is not read back to be leased. Bounded, whatever waits. Pure."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter

from relay_parsl.relay.records import TaskRow
from relay_parsl.wire.messages import Id

ROWS, BYTES = 20_000, 16 << 20
"""The most tasks in memory, over all queues, and bytes of them; what is beyond is in the store alone."""
PAGE = 500
"""Tasks that are read from the store at a time, though fewer are asked for: a statement costs as much as ten of them."""

Key = tuple[Id, str, Id]
"""A queue: endpoint, pool, account."""


class Heads:
    """Of each queue its first so many tasks, in the order in which they will be leased, without a gap."""

    def __init__(self, rows: int = 0, size: int = 0) -> None:
        """`rows`, `size`: the most tasks, and bytes of them; 0 stands for `ROWS` and `BYTES`."""
        self._most, self._room = rows or ROWS, size or BYTES
        self._rows: dict[Key, list[TaskRow]] = {}
        self._count = self._bytes = 0

    @property
    def page(self) -> int:
        """How many tasks to read from the store at least: more than are wanted at once only if there is room to keep them."""
        return PAGE if self._count < self._most and self._bytes < self._room else 1

    def first(self, key: Key, limit: int) -> list[TaskRow]:
        """The first of a queue, as far as they are known."""
        return self._rows.get(key, [])[:limit]

    def add(self, key: Key, new: Sequence[TaskRow], older: int) -> None:
        """Tasks have come into a queue in which `older` ones waited. Those are kept of which all are known that come before them."""
        rows = self._rows.get(key, [])
        new = sorted(new, key=_order)
        if len(rows) == older and (not rows or _order(rows[-1]) < _order(new[0])):
            self._keep(key, new)
        elif rows:
            for row in new:
                if _order(row) < _order(rows[-1]):
                    insort(rows, row, key=_order)
                    self._counted([row], 1)

    def fill(self, key: Key, rows: list[TaskRow]) -> None:
        """The first of a queue, as the store has them."""
        self.forget(key)
        self._keep(key, rows)

    def take(self, key: Key, count: int) -> None:
        """The first of a queue have left it."""
        rows = self._rows.get(key, [])
        self._counted(rows[:count], -1)
        del rows[:count]
        if not rows:
            self._rows.pop(key, None)

    def forget(self, key: Key) -> None:
        """Some have left a queue, or come back into it: it is read from the store again."""
        self._counted(self._rows.pop(key, []), -1)

    def leave(self, endpoint: Id) -> None:
        """Nobody is there to be sent tasks."""
        for key in [key for key in self._rows if key[0] == endpoint]:
            self.forget(key)

    def _keep(self, key: Key, rows: list[TaskRow]) -> None:
        """As many as there is room for."""
        totals = list(accumulate([row.size - row.body for row in rows], initial=self._bytes))
        kept = rows[: max(0, min(bisect_right(totals, self._room) - 1, self._most - self._count))]
        if kept:
            self._rows.setdefault(key, []).extend(kept)
            self._count += len(kept)
            self._bytes = totals[len(kept)]

    def _counted(self, rows: Sequence[TaskRow], sign: int) -> None:
        self._count += sign * len(rows)
        self._bytes += sign * sum([row.size - row.body for row in rows])


_order = attrgetter('priority', 'number')
