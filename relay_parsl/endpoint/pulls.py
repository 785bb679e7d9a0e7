"""Large arguments on their way from the relay into the endpoint's spool, segment by segment, never in the way of small tasks."""

from __future__ import annotations

from collections import OrderedDict

from relay_parsl.wire.messages import SEGMENT, Fetch, Id, Segment
from relay_parsl.wire.turns import turns

AGAIN = 10.0
"""Seconds after which an unanswered `Fetch` is repeated."""
AT_ONCE = 16
"""Segments that may be on their way at once, over all bodies; see `turns`."""


class _Pull:
    def __init__(self, task_id: Id, attempt: int, size: int) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.size = size
        self.todo = list(range(0, size, SEGMENT))[::-1]
        self.asked: dict[int, float] = {}

    def fetch(self, now: float) -> Fetch:
        offset = self.todo.pop()
        self.asked[offset] = now
        return Fetch(self.task_id, self.attempt, 'task', offset, min(SEGMENT, self.size - offset))


class Pulls:
    """Bodies being pulled, oldest first."""

    def __init__(self) -> None:
        """None yet."""
        self._all: OrderedDict[Id, _Pull] = OrderedDict()

    def add(self, task_id: Id, attempt: int, size: int) -> None:
        """Begin to pull a sealed body of `size` bytes."""
        self._all[task_id] = _Pull(task_id, attempt, size)

    def drop(self, task_id: Id) -> None:
        """The task ended before its body was here."""
        self._all.pop(task_id, None)

    def restart(self) -> None:
        """A new session: what was asked for and did not come is asked for again."""
        for pull in self._all.values():
            pull.todo += sorted(pull.asked, reverse=True)
            pull.asked.clear()

    def asks(self, now: float) -> list[Fetch]:
        """What to ask for now."""
        for pull in self._all.values():
            for offset in sorted([offset for offset, at in pull.asked.items() if now - at >= AGAIN], reverse=True):
                del pull.asked[offset]
                pull.todo.append(offset)
        return [pull.fetch(now) for pull in turns(self._all.values(), AT_ONCE)]

    def take(self, segment: Segment) -> bool:
        """Whether this is a piece that we asked for, whole and not yet here."""
        pull = self._all.get(segment.task_id)
        if pull is None or segment.total != pull.size or segment.offset not in pull.asked:
            return False
        if len(segment.data) != min(SEGMENT, pull.size - segment.offset):
            return False
        del pull.asked[segment.offset]
        return True

    def cut(self, segment: Segment) -> bool:
        """Whether it says that there is less, or more, than the task has: nobody will ever have the whole."""
        pull = self._all.get(segment.task_id)
        return pull is not None and segment.offset in pull.asked and segment.total != pull.size

    def done(self, task_id: Id) -> bool:
        """Whether the body is complete; then it is forgotten here."""
        pull = self._all.get(task_id)
        if pull is None or pull.todo or pull.asked:
            return False
        del self._all[task_id]
        return True

    def __contains__(self, task_id: Id) -> bool:
        return task_id in self._all
