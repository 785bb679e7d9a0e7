"""Who is measured next, and what is left out when the time runs short: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

CHANCES = 2
"""Visits that may fail before a system is given up."""
FIRST_GUESS = 12.0
"""Seconds that a visit is taken to last before there was one."""


@dataclass
class Plan:
    """Rounds of visits within a budget. A visit starts a system, measures it, ends it.

    Attributes:
        systems: In the order of a round.
        principal: Those among them whose every round counts; the others take part as far as time allows.
        rounds: How many there should be.
        budget: Seconds for all of it.
        repeat: What a later visit takes, as a share of the first.
        reserve: Rounds of the principals that come before another's first; all of theirs come before another's second.
    """

    systems: Sequence[str]
    principal: Collection[str]
    rounds: int
    budget: float
    reserve: int = 2
    repeat: float = 1.0
    done: dict[str, int] = field(default_factory=dict)
    lasted: dict[str, float] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)

    def next(self, elapsed: float) -> str | None:
        """The next system when `elapsed` seconds of the budget are gone; None when the plan is fulfilled, or nothing fits any more."""
        for number in range(self.rounds):
            for system in (each for each in self.systems if self.done.get(each, 0) == number and not self.failed(each)):
                if self._fits(system, elapsed):
                    return system
        return None

    def visited(self, system: str, seconds: float) -> None:
        """A visit is over."""
        self.lasted[system] = seconds if self.done.get(system) else seconds * self.repeat
        self.done[system] = self.done.get(system, 0) + 1

    def fail(self, system: str) -> None:
        """A visit failed: once may be chance."""
        self.failures[system] += 1

    def failed(self, system: str) -> bool:
        """Whether it is not visited again."""
        return self.failures[system] >= CHANCES

    def cut(self) -> dict[str, int]:
        """How many rounds each system misses that did not fail."""
        missing = {system: self.rounds - self.done.get(system, 0) for system in self.systems if not self.failed(system)}
        return {system: count for system, count in missing.items() if count}

    def _fits(self, system: str, elapsed: float) -> bool:
        """A principal's first visit always does; the others must leave the principals what these still need."""
        if system in self.principal:
            return not self.done.get(system) or elapsed + self._cost(system) <= self.budget
        rounds = self.rounds if self.done.get(system) else min(self.reserve, self.rounds)
        reserved = sum(self._cost(each) * max(0, rounds - self.done.get(each, 0)) for each in self.principal if not self.failed(each))
        return elapsed + self._cost(system) + reserved <= self.budget

    def _cost(self, system: str) -> float:
        return self.lasted.get(system, FIRST_GUESS)
