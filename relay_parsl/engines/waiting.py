"""What waits for room in an engine: the most urgent first, then the oldest."""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import takewhile

from relay_parsl.engines.base import Work

Key = tuple[bytes, int]


def urgency(work: Work) -> int:
    """Lower first: what its resource specification says to the engine, else its priority. What is no number is not for here to refuse."""
    asked = work.options.get('resource_specification')
    said = asked.get('priority') if asked else None
    return said if type(said) is int else work.priority


class Waiting:
    """A queue of attempts: one line for each urgency. Not thread-safe, but for `arrive` and `len`."""

    def __init__(self) -> None:
        """Empty."""
        self._arrived: deque[Work] = deque()
        self._lines: dict[int, OrderedDict[Key, Work]] = {}
        self._urgencies: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self._arrived)

    def arrive(self, work: Work) -> None:
        """One more, from any thread and without waiting for any."""
        self._arrived.append(work)

    def push(self, work: Work, *, again: bool = False) -> None:
        """One more; `again`: it was the next one before, and is to be so now."""
        self._line_up()
        self._enter(work)
        if again:
            self._lines[urgency(work)].move_to_end((work.task_id, work.attempt), last=False)

    def pop(self) -> Work:
        """Take the next one off. Raises IndexError when there is none."""
        line = self._first()
        if line is None:
            raise IndexError('nothing waits')
        self._count -= 1
        return line.popitem(last=False)[1]

    def take_while(self, fits: Callable[[Work], bool]) -> list[Work]:
        """Take off the next ones of one urgency, up to the first that does not fit."""
        line = self._first() or OrderedDict[Key, Work]()
        taken = list(takewhile(fits, line.values()))
        for _ in taken:
            line.popitem(last=False)
        self._count -= len(taken)
        return taken

    def peek(self) -> Work | None:
        """The next one; None when there is none."""
        line = self._first()
        return None if line is None else next(iter(line.values()))

    def remove(self, task_id: bytes, attempt: int) -> bool:
        """Take this one off; whether it was there."""
        self._line_up()
        for line in self._lines.values():
            if line.pop((task_id, attempt), None) is not None:
                self._count -= 1
                return True
        return False

    def _first(self) -> OrderedDict[Key, Work] | None:
        """The line of the most urgent."""
        if self._arrived:
            self._line_up()
        while self._urgencies:
            line = self._lines[self._urgencies[0]]
            if line:
                return line
            del self._lines[self._urgencies.pop(0)]
        return None

    def _line_up(self) -> None:
        while self._arrived:
            self._enter(self._arrived.popleft())

    def _enter(self, work: Work) -> None:
        rank = urgency(work)
        line = self._lines.get(rank)
        if line is None:
            line = self._lines[rank] = OrderedDict()
            insort(self._urgencies, rank)
        self._count += 1
        line[work.task_id, work.attempt] = work
