"""Which attempts travel to a worker together, as one task of HTEX: a *chunk*. Pure.

A chunk costs everybody about as much as one task does. The rules:

```
little waits                       nothing is fused: what could keep other workers busy goes to them alone
measured short                     as many as run in AIM together, but no more than leave every worker as much twice; where none idles, GRAIN
never measured, or long            alone
`at_most_once`, with a timeout,
or with nodes of its own           alone
```
All of a chunk have one account, for one runner serves one account. BUDGET after a chunk has begun its worker hands what has not started back, and
what has ended with it (`engines.shift`): nobody waits longer behind another, one that turns out long included.
"""

from __future__ import annotations

from typing import NamedTuple

AIM = 0.025
"""Seconds of work in a chunk."""
GRAIN = 0.002
"""Seconds of work that go to one worker while all are busy, however little waits: to share them out costs more than they do."""
BUDGET = 0.05
"""Seconds after which a worker takes no more of its chunk."""
LEAST = 0.0002
"""Seconds that any attempt takes, with what is done around it."""
MOST = 100
"""Attempts in a chunk: what a runner is given at once (`engines.shift`)."""
BYTES = 512 * 1024
"""Bytes of a chunk: larger ones go alone, and others past them."""
SHARES = 2
"""Chunks that a worker is to find in the backlog yet: the last ones are small, so that all end together."""


class Item(NamedTuple):
    """What must be known of a waiting attempt."""

    account: bytes
    seconds: float | None
    """How long its function runs; None: it has not been measured."""
    size: int
    """Bytes of its frame."""
    alone: bool = False
    """It may not travel with others."""

    @property
    def cost(self) -> float:
        """Seconds; more than fit into any chunk where it must go alone."""
        return AIM if self.alone or self.seconds is None else max(LEAST, self.seconds)


def most(waiting: int, workers: int) -> int:
    """Attempts of the next chunk, at most.

    Args:
        waiting: attempts that could travel.
        workers: workers that are there.
    """
    return max(1, min(MOST, waiting // (SHARES * workers))) if workers else 1


class Cut:
    """One chunk as it is put together, from the first of the waiting ones on."""

    def __init__(self, room: int, grain: float = 0.0) -> None:
        """Has `room` for so many attempts, or for as many more as run in `grain` seconds."""
        self._room, self._grain = room, grain
        self._account = b''
        self._seconds, self._bytes, self._count = 0.0, 0, 0

    def takes(self, item: Item) -> bool:
        """Whether the next one goes along: then it counts. The first one always does."""
        if self._count and not self._fits(item):
            return False
        self._account = item.account
        self._seconds += item.cost
        self._bytes += item.size
        self._count += 1
        return True

    def _fits(self, item: Item) -> bool:
        seconds = self._seconds + item.cost - 1e-9
        return (
            (self._count < self._room or seconds <= self._grain)
            and item.account == self._account
            and seconds <= AIM
            and self._bytes + item.size <= BYTES
        )
