"""The memory store, which also remembers what was touched: so the invariants look at that alone, and their cost does not grow with the run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from relay_parsl.relay.records import ResultRow
from relay_parsl.relay.store import MemoryStore
from relay_parsl.wire.messages import Id


class WatchedStore(MemoryStore):
    """`touched` holds the ids of tasks whose rows were written, by turns that were rolled back too, until somebody has looked.

    `rotten`: those whose results the disk has changed; they are given back as a store does that has sums.
    """

    def __init__(self) -> None:
        super().__init__()
        self.touched: set[Id] = set()
        self.rotten: set[Id] = set()

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        if table is self._tasks:
            self.touched.add(key)
        super()._put(table, key, value)

    def results(self, ids: Collection[Id]) -> list[ResultRow]:
        return [self._read(row) for row in super().results(ids)]

    def ended_after(self, account: Id, group: Id, done: int, limit: int) -> list[ResultRow]:
        return [self._read(row) for row in super().ended_after(account, group, done, limit)]

    def _read(self, row: ResultRow) -> ResultRow:
        return replace(row, header=b'', payload=b'', reason='', damaged=True) if row.id in self.rotten else row
