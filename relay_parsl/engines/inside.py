"""Attempts inside HTEX: under which numbers, what load they are, which were heard to run, which shall end. Not thread-safe."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from relay_parsl.engines.base import Work
from relay_parsl.engines.demand import Load

SHOW_AFTER = 1.0
"""Seconds after which an attempt is shown as running: shorter ones are over before anybody looks."""


class Inside:
    """What HTEX was given and has not given back, oldest first."""

    def __init__(self) -> None:
        """Nothing."""
        self.load = Load()
        self._works: OrderedDict[int, tuple[Work, float]] = OrderedDict()
        self._number = 0
        self._heard: set[int] = set()
        self._doomed: set[int] = set()
        self._orders: list[int] = []
        self._shown = 0.0

    def __len__(self) -> int:
        return len(self._works)

    def get(self, number: int) -> Work | None:
        """The attempt of this number, if it is inside."""
        entry = self._works.get(number)
        return None if entry is None else entry[0]

    def admit(self, work: Work, now: float) -> int:
        """One more; returns its number."""
        self._number += 1
        self._works[self._number] = (work, now)
        self.load.add(hash(work.function), now)
        return self._number

    def pop(self, number: int) -> Work | None:
        """It has ended; its load ends with what it says of itself."""
        self._heard.discard(number)
        self._doomed.discard(number)
        entry = self._works.pop(number, None)
        return None if entry is None else entry[0]

    def drop(self, number: int) -> Work | None:
        """It never ran."""
        work = self.pop(number)
        if work is not None:
            self.load.drop(hash(work.function))
        return work

    def clear(self) -> list[Work]:
        """All leave at once."""
        works = [work for work, _ in self._works.values()]
        self._works.clear()
        self.load.clear()
        self._heard.clear()
        self._doomed.clear()
        self._orders.clear()
        return works

    # -- What shall end ----------------------------------------------------------------------------------------------

    def doom(self, task_id: bytes, attempt: int) -> None:
        """An attempt shall end, if it is inside."""
        number = next((each for each, (work, _) in self._works.items() if (work.task_id, work.attempt) == (task_id, attempt)), None)
        if number is not None and number not in self._doomed:
            self._doomed.add(number)
            self._orders.append(number)

    def is_doomed(self, number: int) -> bool:
        """Whether it shall end."""
        return number in self._doomed

    @property
    def ordered(self) -> bool:
        """Whether there are orders to pass on."""
        return bool(self._orders)

    def orders(self) -> list[int]:
        """What shall end and was not passed on yet."""
        orders, self._orders = self._orders, []
        return orders

    # -- What runs ---------------------------------------------------------------------------------------------------

    def heard(self, number: int) -> Work | None:
        """A worker has said that it runs this attempt; returns it, if it is inside."""
        work = self.get(number)
        if work is not None:
            self._heard.add(number)
        return work

    def guess(self, capacity: int, now: float) -> list[Work]:
        """Attempts that run by now and did not before, by the look of it: until their workers have said so, or where they cannot.

        HTEX works off its queue in order, so those are the oldest, as many as there are workers.
        """
        if now < self._shown + SHOW_AFTER:
            return []
        last, self._shown = self._shown, now
        oldest = islice(self._works.items(), capacity)
        return [work for number, (work, since) in oldest if last - SHOW_AFTER <= since < now - SHOW_AFTER and number not in self._heard]
