"""Workers that scaling counts and that take no more tasks: Parsl's strategy multiplies blocks by nodes by workers, whatever became of them.

Measured on Slurm: a task that waits behind a drained block waits for the end of that block's job, and when one node of two has died, what ran there
waits for what runs on the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Slots:
    """Remembers how many workers each block had."""

    def __init__(self) -> None:
        """No block is known."""
        self._most: dict[str, int] = {}

    def missing(self, managers: Sequence[Mapping[str, Any]], blocks: Iterable[str]) -> int:
        """How many workers of living blocks are gone, or drained and idle.

        Args:
            managers: the interchange's answer to MANAGERS.
            blocks: those that have not ended; one whose managers have not come yet is not missing any.
        """
        living = set(blocks)
        self._most = {block: most for block, most in self._most.items() if block in living}
        return sum(self._missing(block, [row for row in managers if str(row['block_id']) == block]) for block in living)

    def _missing(self, block: str, managers: Sequence[Mapping[str, Any]]) -> int:
        useful = sum(int(row['worker_count']) for row in managers if _takes_tasks(row))
        self._most[block] = max(self._most.get(block, 0), useful)
        busy = sum(min(int(row['tasks']), int(row['worker_count'])) for row in managers if not _takes_tasks(row))  # whose tasks are counted, too
        return max(0, self._most[block] - useful - busy)


def _takes_tasks(manager: Mapping[str, Any]) -> bool:
    return bool(manager['active'] and not manager['draining'])
