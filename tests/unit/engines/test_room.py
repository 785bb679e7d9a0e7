"""How much an engine hands to HTEX, which cannot give it back."""

from __future__ import annotations

import time

import pytest

from relay_parsl.engines.htex import AHEAD, PACE, HtexEngine


def test_short_tasks_are_handed_over_ahead_and_long_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, 'monotonic', lambda: now)
    engine = HtexEngine(max_workers_per_node=2)
    least = engine._room()
    engine._measure(1)
    assert engine._room() == least
    for _ in range(10):
        now += PACE / 5
        engine._measure(40)
    assert engine._room() - least == pytest.approx(AHEAD * 40 * 5 / PACE, abs=1)
    now += 60
    engine._measure(1)
    assert engine._room() == least


def test_a_pace_of_long_ago_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, 'monotonic', lambda: now)
    engine = HtexEngine(max_workers_per_node=1)
    least = engine._room()
    engine._measure(1)
    now += PACE
    engine._measure(100)
    assert engine._room() > least
    now += 2 * PACE
    assert engine._room() == least
