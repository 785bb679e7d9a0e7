"""A row of one of the two lists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One fault or one attack.

    Attributes:
        what: What is done.
        expected: What must come of it.
        why_not: Why it cannot be tried on one machine, wholly or in part; else empty.
        open: What of it no test has tried yet; else empty.
    """

    what: str
    expected: str
    why_not: str = ''
    open: str = ''
