"""Attributes of modules and classes that have other values for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Patch = tuple[Any, str, Any]
"""Whose attribute, its name, its value."""


@contextmanager
def patched(patches: Iterable[Patch]) -> Iterator[None]:
    """Within the block these attributes have these values."""
    before = []
    try:
        for owner, name, value in patches:
            before.append((owner, name, getattr(owner, name)))
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)
