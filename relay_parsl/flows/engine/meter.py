"""What the engine of flows counts and measures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator

from relay_parsl.metrics import Family, Histogram, Publisher, counter, gauge
from relay_parsl.version import VERSION


class Meter:
    """Counters of one process, from its start, whoever holds the lease meanwhile."""

    def __init__(self, publisher: Publisher) -> None:
        """`publisher` hands out what was counted."""
        self.began, self._publisher = time.time(), publisher
        self._events = self._waits = 0
        self._turns = Histogram()

    def turn(self, seconds: float, events: int) -> None:
        """A turn was written: what `events` did to their runs."""
        self._turns.observe(seconds)
        self._events += events

    def wait(self) -> None:
        """The journal refused: the disk is full, or somebody else writes."""
        self._waits += 1

    @property
    def due(self) -> bool:
        """Whether it is time to `tell`."""
        return self._publisher.due()

    def tell(self, *, holds: bool, runs: int, waiting: int, due: int, actions: Iterable[str]) -> None:
        """Publish how many runs there are, how many events wait, how many timers are set, which actions are under way."""
        self._publisher.publish(self._families(float(holds), runs, waiting, due, Counter(actions)))

    def _families(self, holds: float, runs: int, waiting: int, due: int, actions: Counter[str]) -> Iterator[Family]:
        yield Family('relay_parsl_flows_build_info', 'gauge', 'The version that runs.', (('', (('version', VERSION),), 1),))
        yield gauge('flows_start_time_seconds', 'When this process began, in seconds since 1970.', self.began)
        yield gauge('flows_leading', 'Whether this engine drives the runs; others stand by.', holds)
        yield gauge('flows_runs', 'Runs that this engine has in its hands.', runs)
        yield gauge('flows_actions', 'Actions that are under way.', actions, 'action')
        yield gauge('flows_events_waiting', 'Events that runs have not taken yet.', waiting)
        yield gauge('flows_timers', 'Timers that are set.', due)
        yield counter('flows_events_total', 'Events that runs have taken.', self._events)
        yield counter('flows_journal_waits_total', 'Turns that the journal refused for a while.', self._waits)
        yield self._turns.family('flows_turn_seconds', 'Time of a turn, its commit included.')
