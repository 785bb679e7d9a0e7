"""Results that came, and of which the relay has not been told yet. Pure."""

from __future__ import annotations

from relay_parsl.wire.messages import Id

HELD, HELD_BYTES = 100, 1 << 20
"""So many results and bytes may wait for their `Received`: it only says what the relay may drop, and costs both sides a turn."""


class Receipts:
    """In the order in which they came; one that came twice stands twice."""

    def __init__(self) -> None:
        self._ids: list[Id] = []
        self._bytes = 0

    def add(self, task_id: Id, size: int) -> None:
        """This one came, or will not be wanted; `size` is what it takes of the window [B]."""
        self._ids.append(task_id)
        self._bytes += size

    def take(self, *, hold: bool) -> list[Id]:
        """What to acknowledge now. With `hold`, nothing while it is little."""
        if hold and len(self._ids) < HELD and self._bytes < HELD_BYTES:
            return []
        ids, self._ids, self._bytes = self._ids, [], 0
        return ids
