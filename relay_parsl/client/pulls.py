"""Large results on their way: which segments are asked for, which are missing. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from relay_parsl.wire.messages import SEGMENT, Delivered, Fetch, Id, ResultHeader, Segment
from relay_parsl.wire.turns import turns

IN_FLIGHT = 16
"""Segments asked for at once, of all results together; see `turns`."""
PATIENCE = 10.0
"""Seconds until an unanswered `Fetch` is sent again."""


@dataclass
class Pull:
    """One result whose body is being fetched."""

    delivered: Delivered
    header: ResultHeader
    todo: deque[int] = field(default_factory=deque)
    asked: dict[int, float] = field(default_factory=dict)

    def length(self, offset: int) -> int:
        """How many bytes [B] the segment at `offset` has."""
        return min(SEGMENT, self.header.body - offset)

    def fetch(self, now: float) -> Fetch:
        """Ask for the next segment."""
        offset = self.todo.popleft()
        self.asked[offset] = now
        return Fetch(self.header.task_id, self.header.attempt, 'result', offset, self.length(offset))

    def ask_again(self, before: float) -> None:
        """Forget what was asked for at or before this time and did not come."""
        late = [offset for offset, asked in self.asked.items() if asked <= before]
        self.todo.extendleft(reversed(late))
        for offset in late:
            del self.asked[offset]


class Pulls:
    """All results whose bodies are being fetched, oldest first."""

    def __init__(self) -> None:
        self._pulls: dict[Id, Pull] = {}

    def start(self, delivered: Delivered, header: ResultHeader) -> None:
        """Begin, or go on when the same result is delivered again."""
        known = self._pulls.get(delivered.task_id)
        if known is None or known.header.attempt != header.attempt:
            self._pulls[delivered.task_id] = Pull(delivered, header, deque(range(0, header.body, SEGMENT)))

    def drop(self, task_id: Id) -> None:
        """The task is over for us."""
        self._pulls.pop(task_id, None)

    def take(self, segment: Segment) -> Pull | None:
        """The pull to which this segment belongs, None when it was not asked for or is not what was asked for.

        One whose `total` is not that of the result says that nobody will ever have the whole.
        """
        pull = self._pulls.get(segment.task_id)
        if pull is None or segment.direction != 'result' or segment.attempt != pull.header.attempt or segment.offset not in pull.asked:
            return None
        if segment.total != pull.header.body:
            return pull
        if len(segment.data) != pull.length(segment.offset):
            return None
        del pull.asked[segment.offset]
        return pull

    def restart(self) -> None:
        """A new session: what was asked for in the old one will not come."""
        for pull in self._pulls.values():
            pull.ask_again(float('inf'))

    def tick(self, now: float) -> None:
        """Ask again for what is late."""
        for pull in self._pulls.values():
            pull.ask_again(now - PATIENCE)

    def due(self, now: float) -> list[Fetch]:
        """What to ask for now."""
        return [pull.fetch(now) for pull in turns(self._pulls.values(), IN_FLIGHT)]
