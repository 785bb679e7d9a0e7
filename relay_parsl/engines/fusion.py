"""Which attempts travel to a worker together, as one task of HTEX: a *chunk*. Pure.

HTEX passes some two thousand tasks a second; a chunk costs it as much as one. The rules:

```
a worker idles                     nothing is fused: what waits goes to the workers alone
measured short                     as many as run in AIM together; no more than leave the other workers as much to do
never measured, or long            alone
`at_most_once`, with a timeout,
or with nodes of its own           alone
```
All of a chunk have one account, for one runner serves one account. BUDGET after a chunk has begun its worker hands what has not started back, and
what has ended with it (`engines.shift`): nobody waits longer behind another, one that turns out long included.
"""

from __future__ import annotations

from typing import NamedTuple

AIM = 0.02
"""Seconds of work in a chunk."""
BUDGET = 0.05
"""Seconds after which a worker takes no more of its chunk."""
LEAST = 0.0002
"""Seconds that any attempt takes, with what is done around it."""
MOST = 100
"""Attempts in a chunk: what a runner is given at once (`engines.shift`)."""
BYTES = 128 * 1024
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


def most(waiting: int, workers: int, chunks: int) -> int:
    """Attempts of the next chunk, at most.

    Args:
        waiting: attempts that could travel.
        workers: workers that are there.
        chunks: chunks that are with them now.
    """
    if chunks < workers or not workers:
        return 1
    return max(1, min(MOST, waiting // (SHARES * workers)))


class Cut:
    """One chunk as it is put together, from the first of the waiting ones on."""

    def __init__(self, room: int) -> None:
        """Has `room` for so many attempts."""
        self._room = room
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
        return (
            self._count < self._room
            and item.account == self._account
            and self._seconds + item.cost <= AIM + 1e-9
            and self._bytes + item.size <= BYTES
        )
