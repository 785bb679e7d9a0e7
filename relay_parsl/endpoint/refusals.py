"""Which refusals have a line of their own on record: a stolen relay that sends rubbish without end may not fill the disk with it. Pure."""

from __future__ import annotations

from collections import Counter

AT_ONCE = 60
"""Lines of one kind of refusal that may follow one another at once."""
EVERY = 10.0
"""Seconds after which there may be one more. What has no line is counted, and the count is a line."""
OTHER = 'other'
KINDS = frozenset({'denied', 'replayed', 'expired', 'no-pool', 'malformed', 'body-gone', 'cancelled', OTHER})
"""What stands before the colon of a reason. Whoever makes up kinds gets no more lines by that."""


def kind_of(reason: str) -> str:
    """The kind of a reason, one of `KINDS`."""
    kind = reason.partition(':')[0]
    return kind if kind in KINDS else OTHER


class Refusals:
    """Counts, for each kind, what may still be written and what was left out."""

    def __init__(self) -> None:
        self._allowed: dict[str, float] = {}
        self._at: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def line(self, reason: str, now: float) -> bool:
        """Whether this refusal has a line; else it is counted. Ask `overdue` first, so that what was left out before stands before it."""
        kind = kind_of(reason)
        if not self._left_out[kind] and self._may(kind, now):
            return True
        self._left_out[kind] += 1
        return False

    def overdue(self, now: float) -> list[tuple[str, int]]:
        """The kinds of which some were left out and may be told of now, and how many."""
        due = [(kind, count) for kind, count in self._left_out.items() if count and self._may(kind, now)]
        for kind, _ in due:
            del self._left_out[kind]
        return due

    def rest(self) -> list[tuple[str, int]]:
        """All that was left out and not told, at the end."""
        left, self._left_out = [(kind, count) for kind, count in self._left_out.items() if count], Counter()
        return left

    def _may(self, kind: str, now: float) -> bool:
        """Whether there may be one line more; then it counts as written. A clock that goes back gains and loses nothing."""
        earned = max(0.0, now - self._at.get(kind, now)) / EVERY
        self._at[kind] = now
        allowed = min(float(AT_ONCE), self._allowed.get(kind, float(AT_ONCE)) + earned)
        self._allowed[kind] = allowed - (allowed >= 1)
        return allowed >= 1
