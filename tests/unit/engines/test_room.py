"""How much an engine hands to HTEX, which cannot give it back."""

from __future__ import annotations

import time

import pytest

from relay_parsl.engines.demand import AHEAD, PACE
from relay_parsl.engines.htex import HtexEngine


def test_short_tasks_are_handed_over_ahead_and_long_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, 'monotonic', lambda: now)
    engine = HtexEngine(max_workers_per_node=2)
    least = engine._room()
    engine._pace.count(1, time.monotonic())
    assert engine._room() == least
    for _ in range(10):
        now += PACE / 5
        engine._pace.count(40, time.monotonic())
    assert engine._room() - least == pytest.approx(AHEAD * 40 * 5 / PACE, abs=1)
    now += 60
    engine._pace.count(1, time.monotonic())
    assert engine._room() == least


def test_a_pace_of_long_ago_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, 'monotonic', lambda: now)
    engine = HtexEngine(max_workers_per_node=1)
    least = engine._room()
    engine._pace.count(1, time.monotonic())
    now += PACE
    engine._pace.count(100, time.monotonic())
    assert engine._room() > least
    now += 2 * PACE
    assert engine._room() == least
