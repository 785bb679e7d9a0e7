"""Which values of `user_endpoint_config` may begin a pool now: each pool has a circuit breaker of its own, and this is the one of them all.

```
a value whose pool broke             never again, until the endpoint is restarted: its tasks fail with the words of its blocks
BROKEN others broke within PERIOD    values from which no worker came yet wait
always                               no more than `burst` pools begin at once, and then BEGINS a minute
```
A pool that nobody knows to be good submits `breaker.LIMIT` blocks at most. So whatever values a client thinks of, those that break cost so many jobs
an hour: LIMIT for each of BROKEN, and for each pool that had begun by the time the last of those broke.
"""

from __future__ import annotations

from collections import OrderedDict

from relay_parsl.engines.breaker import LIMIT, PER_MINUTE

BROKEN = 5
"""Different values that may break within PERIOD before new ones wait."""
PERIOD = 3600.0
"""Seconds for which a broken value counts."""
BURST = 16
"""Pools that may begin at once, at least."""
BEGINS = PER_MINUTE / LIMIT
"""Pools that may begin in a minute after that: their first blocks are what one engine may submit."""
REMEMBERED = 1000
"""Values that are known as broken, and as good."""
Key = tuple[str, str]


class Trials:
    """Remembers what became of values. Times are in seconds, on a clock that never goes back."""

    def __init__(self, burst: int = BURST) -> None:
        """`burst`: pools that may be there at once."""
        self._burst = max(burst, BURST)
        self._left, self._filled = float(self._burst), 0.0
        self._broken: OrderedDict[Key, str] = OrderedDict()
        self._good: OrderedDict[Key, None] = OrderedDict()
        self._times: list[float] = []

    def reason(self, key: Key) -> str:
        """What the blocks of this value said when its pool broke; '' if it did not."""
        return self._broken.get(key, '')

    def hold(self, key: Key, now: float) -> str:
        """Why no pool of this value may begin now; '' when it may."""
        if key not in self._good and len(self._recent(now)) >= BROKEN:
            return (
                f'{len(self._recent(now))} values of user_endpoint_config have led to nothing but jobs without workers within '
                f'{PERIOD / 60:g} minutes; new values wait until it is fewer than that, or until the endpoint is restarted'
            )
        if self._tokens(now) < 1.0:
            return f'many pools have begun; no more than {BEGINS:g} in a minute may follow'
        return ''

    def begun(self, now: float) -> None:
        """A pool has begun."""
        self._left, self._filled = max(0.0, self._tokens(now) - 1.0), now

    def broke(self, key: Key, reason: str, now: float) -> None:
        """The pool of this value submits nothing more; said once or more often."""
        if key not in self._broken:
            self._times = [*self._recent(now), now]
        self._good.pop(key, None)
        self._broken[key] = reason or 'its blocks fail'
        _bound(self._broken)

    def good(self, key: Key) -> None:
        """A worker came from a block of this value, maybe later than it was thought broken."""
        self._broken.pop(key, None)
        self._good[key] = None
        self._good.move_to_end(key)
        _bound(self._good)

    def _tokens(self, now: float) -> float:
        return min(float(self._burst), self._left + max(0.0, now - self._filled) * BEGINS / 60.0)

    def _recent(self, now: float) -> list[float]:
        return [time for time in self._times if now - time < PERIOD]


def _bound(values: OrderedDict[Key, str] | OrderedDict[Key, None]) -> None:
    while len(values) > REMEMBERED:
        values.popitem(last=False)
