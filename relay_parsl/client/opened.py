"""Tasks that the relay has, and that are not settled here. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from relay_parsl.wire.messages import NO_ID, Id, TaskHeader

PAGE = 1000
"""Ids in one message."""
ROUNDS = 60
"""Pages, at most, in which all of them are told."""


class Opened:
    """Accepted or followed tasks, each with its group where that is known (else `NO_ID`)."""

    def __init__(self) -> None:
        self._tasks: dict[Id, Id] = {}
        self._groups: Counter[Id] = Counter()
        self._cursor = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def __iter__(self) -> Iterator[Id]:
        return iter(self._tasks)

    @property
    def groups(self) -> set[Id]:
        """The groups that any of them is in."""
        return self._groups.keys() - {NO_ID}

    def accept(self, headers: Iterable[TaskHeader]) -> None:
        """The relay has these."""
        for header in headers:
            self.add(header.task_id, header.group)

    def add(self, task_id: Id, group: Id = NO_ID) -> None:
        """One more, unless it is here."""
        if task_id not in self._tasks:
            self._tasks[task_id] = group
            self._groups[group] += 1

    def remove(self, task_id: Id) -> None:
        """It is settled, or nobody's."""
        group = self._tasks.pop(task_id, None)
        if group is not None:
            self._groups[group] -= 1
            if not self._groups[group]:
                del self._groups[group]

    def accepted_here(self, task_id: Id) -> bool:
        """Whether the relay took it from this process; else it is merely followed."""
        return self._tasks[task_id] != NO_ID

    def next_page(self) -> list[Id]:
        """The next of them in turn; all of them within `ROUNDS` calls."""
        size = max(PAGE, len(self._tasks) // ROUNDS)
        start = self._cursor if self._cursor < len(self._tasks) else 0
        self._cursor = start + size
        return list(islice(self._tasks, start, start + size))
