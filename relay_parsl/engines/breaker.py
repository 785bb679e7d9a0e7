"""How many blocks may be submitted now: a circuit breaker, and a cap on submissions a minute.

```
no worker has come yet          LIMIT blocks may be out at once that nobody knows to be good, whatever `init_blocks` is; the rest of them follows
a block ended without a worker  one less
LIMIT of them in a row          none any more, until the endpoint is restarted
a worker came from the last one as many as scaling wants
always                          no more than `per_minute` in any minute (but LIMIT at the very start)
```
A block is *barren* when it could not be submitted, when its job ended before a worker connected, and when none of its workers lives to take a task.
What is known here outlives the engine process: `facts` travels to the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIMIT = 3
"""Barren blocks in a row after which nothing more is submitted."""
PER_MINUTE = 6
"""Submissions a minute, at most, where an endpoint file does not say otherwise."""
MINUTE = 60.0
QUICK, SLOW = 5.0, 20.0
"""Seconds between two questions to the scheduler while no manager is connected: at first, and in the end."""


class Breaker:
    """Counts what becomes of blocks. Times are in seconds on a clock that all processes of a host share and that never goes back."""

    def __init__(self, per_minute: int = PER_MINUTE, facts: Mapping[str, Any] | None = None) -> None:
        """`facts` are those of the breaker before this one."""
        facts = facts or {}
        self._per_minute = per_minute
        self._barren, self._proven = int(facts.get('barren', 0)), bool(facts.get('proven', False))
        self._evidence: list[str] = [str(each) for each in facts.get('evidence', ())]
        self._times: list[float] = [float(each) for each in facts.get('times', ())]
        self._verdicts: dict[str, str] = {}  # block -> its evidence, '' when a worker came; in the order of the verdicts

    @property
    def barren(self) -> int:
        """Barren blocks in a row."""
        run = 0
        for evidence in reversed(self._verdicts.values()):
            if not evidence:
                return run
            run += 1
        return run + self._barren

    @property
    def open(self) -> bool:
        """Whether nothing more may be submitted."""
        return self.barren >= LIMIT

    @property
    def evidence(self) -> list[str]:
        """What the last barren blocks said, oldest first."""
        return [*self._evidence, *filter(None, self._verdicts.values())][-self.barren :] if self.barren else []

    @property
    def reason(self) -> str:
        """Why nothing more is submitted, with the evidence and the remedy; '' while there may be blocks."""
        if not self.open:
            return ''
        return (
            f'{self.barren} blocks in a row ended before any worker connected, so no more are submitted; '
            f'mend what they say and restart the endpoint. The last one: {self.evidence[-1]}'
        )

    def connected(self, block: str) -> None:
        """A worker came from this block."""
        if block not in self._verdicts:
            self._verdicts[block] = ''

    def failed(self, block: str, evidence: str) -> None:
        """This block is barren, also when its workers seemed to be there at first."""
        if not self._verdicts.get(block):
            self._verdicts.pop(block, None)  # the order of the dictionary is that of the verdicts
            self._verdicts[block] = evidence or 'nothing is known of it'

    def judged(self, block: str) -> bool:
        """Whether it is known what became of this block."""
        return block in self._verdicts

    def barren_block(self, block: str) -> bool:
        """Whether this block is known to be barren."""
        return bool(self._verdicts.get(block))

    def submitted(self, count: int, now: float) -> None:
        """So many blocks were submitted, or could not be."""
        self._times = [*self._recent(now), *[now] * count]

    def room(self, unknown: int, now: float, first: int = 0) -> int:
        """Blocks that may be submitted now.

        Args:
            unknown: blocks that are out and of which no worker has come yet.
            now: the time.
            first: how many are wanted at once at the very start of an engine process. Up to LIMIT of them need not wait for a minute.
        """
        if self.open:
            return 0
        recent = len(self._recent(now))
        room = self._per_minute - recent
        if not recent and not self.barren:
            room = max(room, min(first, LIMIT))
        if self.barren or not self._is_proven():
            room = min(room, LIMIT - self.barren - unknown)
        return max(0, room)

    def facts(self) -> dict[str, Any]:
        """What the next breaker must know: plain data, the same for as long as nothing happens."""
        return {'barren': self.barren, 'proven': self._is_proven(), 'evidence': self.evidence, 'times': self._times, 'reason': self.reason}

    def _recent(self, now: float) -> list[float]:
        return [time for time in self._times if now - time < MINUTE]

    def _is_proven(self) -> bool:
        return self._proven or '' in self._verdicts.values()


def pause(own: float, waited: float, *, managers: bool, local: bool) -> float:
    """Seconds between two questions to the scheduler: a barren block is noticed soon, and a long queue is left in peace.

    Args:
        own: the provider's own `status_polling_interval`.
        waited: seconds since a block was submitted or changed its state.
        managers: whether a manager is connected.
        local: whether asking costs nothing, for blocks are processes of this host.
    """
    if managers or own <= 0:
        return own
    return min(own, 1.0 if local else min(SLOW, max(QUICK, waited / 10)))
