"""Which refusals the audit log has: an enrolled key that is refused without end may not fill the disk with that. Pure."""

from __future__ import annotations

from collections import Counter

from relay_parsl.wire.messages import Id

PERIOD = 60.0
"""Seconds."""
LINES = 60
"""Refusals of one account in a `PERIOD` that have a line each; the others are counted in its next line."""


class Refusals:
    """Counts the refusals of each account."""

    def __init__(self) -> None:
        self._since = 0.0
        self._written: Counter[Id] = Counter()
        self._left_out: Counter[Id] = Counter()

    def line(self, account: Id, now: float) -> dict[str, int] | None:
        """What to add to the line of a refusal; None: it has no line of its own."""
        if not 0 <= now - self._since < PERIOD:
            self._since, self._written = now, Counter()
        self._written[account] += 1
        if self._written[account] > LINES:
            self._left_out[account] += 1
            return None
        left_out = self._left_out.pop(account, 0)
        return {'left_out': left_out} if left_out else {}
