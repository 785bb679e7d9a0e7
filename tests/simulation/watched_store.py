"""The memory store, which also remembers what was touched: so the invariants look at that alone, and their cost does not grow with the run."""

from __future__ import annotations

from typing import Any

from relay_parsl.relay.store import MemoryStore
from relay_parsl.wire.messages import Id


class WatchedStore(MemoryStore):
    """`touched` holds the ids of tasks whose rows were written, by turns that were rolled back too, until somebody has looked."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: set[Id] = set()

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        if table is self._tasks:
            self.touched.add(key)
        super()._put(table, key, value)
