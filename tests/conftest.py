"""What every run of the tests has in common: the rows that a test proves travel with its report."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """`@pytest.mark.fault(12)` and `@pytest.mark.attack(9)`: see `tests/rows.py`."""
    for name in ('fault', 'attack'):
        item.user_properties += [(name, row) for mark in item.iter_markers(name) for row in mark.args]
