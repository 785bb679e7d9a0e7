"""What waits for room in an engine: the most urgent first, then the oldest."""

from __future__ import annotations

from heapq import heappop, heappush

from relay_parsl.engines.base import Work


def urgency(work: Work) -> int:
    """Lower first: what its resource specification says to the engine, else its priority. What is no number is not for here to refuse."""
    said = (work.options.get('resource_specification') or {}).get('priority')
    return said if type(said) is int else work.priority


class Waiting:
    """A queue of attempts. Not thread-safe."""

    def __init__(self) -> None:
        """Empty."""
        self._works: dict[tuple[bytes, int], Work] = {}
        self._order: list[tuple[int, int, tuple[bytes, int]]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._works)

    def push(self, work: Work, *, again: bool = False) -> None:
        """One more; `again`: it was the next one before, and is to be so now."""
        key = work.task_id, work.attempt
        self._count += 1
        self._works[key] = work
        heappush(self._order, (urgency(work), -self._count if again else self._count, key))

    def pop(self) -> Work:
        """Take the next one off. Raises IndexError when there is none."""
        while True:
            work = self._works.pop(heappop(self._order)[2], None)
            if work is not None:  # else it was removed
                return work

    def peek(self) -> Work | None:
        """The next one; None when there is none."""
        while self._order:
            work = self._works.get(self._order[0][2])
            if work is not None:
                return work
            heappop(self._order)
        return None

    def remove(self, task_id: bytes, attempt: int) -> bool:
        """Take this one off; whether it was there."""
        return self._works.pop((task_id, attempt), None) is not None
