"""What was done to the parties, so that a test can assert that it was done often enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of one seed; the sums over all seeds are what the test asserts."""

    seeds: int = 0
    tasks: int = 0
    """Handed to a client."""
    through: int = 0
    """Accepted by the relay, and seen in its store with their end."""
    steps: int = 0
    starts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    doubled: Counter[str] = field(default_factory=Counter)
    reordered: Counter[str] = field(default_factory=Counter)
    crashed: Counter[tuple[str, str]] = field(default_factory=Counter)
    hostile: Counter[str] = field(default_factory=Counter)
    statements: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    engine: Counter[str] = field(default_factory=Counter)
    """What became of tasks that travel together."""

    def add(self, other: Tally) -> None:
        """Take the counts of another seed in."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if isinstance(mine, Counter):
                mine.update(value)
            else:
                setattr(self, name, mine + value)
