"""What the contract suites hold things to."""

from __future__ import annotations

PATIENCE = 60.0
"""Seconds that anything here may take."""


def expect(held: bool, what: str) -> None:
    """An assertion that stays one when Python optimizes."""
    if not held:
        raise AssertionError(what)
