"""One run: its options, its report, and the rounds of visits that suites are made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.aims import GLOBUS, HTEX, OURS
from benchmarks.plan import Plan
from benchmarks.results import DEFAULT, Report
from benchmarks.systems import SYSTEMS, Shape
from benchmarks.visit import Visit, VisitError

WHOLE = 560.0
"""Seconds of all suites together."""
LEAST = 10.0
"""Seconds that a suite has even when others have used up the time."""
DEEP = 1800.0


@dataclass(frozen=True)
class Stop:
    """A system in a shape, under a name of its own."""

    name: str
    system: str
    shape: Shape = field(default_factory=Shape)


@dataclass
class Run:
    """What suites are given.

    Attributes:
        report: Where samples go.
        path: The JSON file, written after each suite: a run that is cut off leaves what it had.
        quick: One suite in less than 50 s: fewer cases, tasks and peers.
        deep: Only the largest cases, in whatever time they take: on a slow machine they have no place in ten minutes.
        rounds: How many at most.
        systems: Those that take part; empty for all.
        suites: Those that run: one may be measured on the visits of another.
        end: When the last suite must be over (monotonic); what runs over its budget takes it from those that follow.
    """

    report: Report = field(default_factory=Report)
    path: Path = DEFAULT
    quick: bool = False
    rounds: int = 3
    systems: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    deep: bool = False
    end: float = field(default_factory=lambda: time.monotonic() + WHOLE)

    def budget(self, full: float, quick: float = 40.0) -> float:
        """Seconds of a suite: as told, or what is left."""
        if self.deep:
            return DEEP
        return quick if self.quick else min(full, max(LEAST, self.end - time.monotonic()))

    def installed(self) -> list[Stop]:
        """Every system that is there and takes part, with two workers."""
        return [Stop(name, name) for name, each in SYSTEMS.items() if each.version is not None and name in (self.systems or SYSTEMS)]

    def rounds_of(
        self,
        suite: str,
        stops: Sequence[Stop],
        budget: float,
        measure: Callable[[Visit, Stop], None],
        *,
        first: Collection[str] = (OURS, HTEX, GLOBUS),
        repeat: float = 1.0,
        most: int = 9,
    ) -> None:
        """Visit the stops in turn, round after round, until the plan is fulfilled or the time is up; what was left out becomes a note.

        Args:
            suite: For the notes.
            stops: In the order of a round.
            budget: Seconds.
            measure: Measures one that runs, and adds samples to the report.
            first: Systems that are visited once whatever the time, and come first when it is short; when quick, ours and HTEX of them.
            repeat: What a later visit takes, as a share of the first.
            most: Rounds at most, whatever the run's.
        """
        by_name = {stop.name: stop for stop in stops}
        principal = [stop.name for stop in stops if stop.system in first and not (self.quick and stop.system == GLOBUS)]
        plan = Plan(list(by_name), principal, min(most, self.rounds), budget, self.rounds if self.quick else 2, repeat)
        start = time.monotonic()
        while (name := plan.next(time.monotonic() - start)) is not None:
            begin = time.monotonic()
            try:
                with Visit(by_name[name].system, by_name[name].shape) as visit:
                    measure(visit, by_name[name])
            except VisitError as error:
                self.report.note(f'{suite}: {name}: {error}')
                plan.fail(name)
            plan.visited(name, time.monotonic() - begin)
            now = time.monotonic()
            print(f'  {now - start:4.0f} of {budget:.0f} s: {name}, round {plan.done[name]}, took {now - begin:.1f} s', flush=True)
        if cut := plan.cut():
            missing = ', '.join(f'{count} of {name}' for name, count in cut.items())
            self.report.note(f'{suite}: cut after {budget:.0f} s; of {plan.rounds} rounds each, these were left out: {missing}')
