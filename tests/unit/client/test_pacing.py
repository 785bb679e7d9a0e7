"""When the I/O thread takes what others submit."""

from __future__ import annotations

import pytest

from relay_parsl.client.pacing import BURST, LINGER, PIECE, PLENTY, REST, Pace


def test_a_few_are_taken_at_once() -> None:
    pace = Pace()
    for now in range(5):
        assert pace.pause(now) == 0.0
        assert pace.take(BURST - 1, 0, now) == BURST - 1
    assert pace.pause(5) == 0.0


def test_a_burst_is_taken_in_pieces_with_a_pause_between_them() -> None:
    pace = Pace()
    assert pace.take(10 * PIECE, 0, 1.0) == PIECE
    assert pace.pause(1.0) == pytest.approx(LINGER)
    assert pace.pause(1.0 + LINGER) == 0.0
    assert pace.take(10 * PIECE, PLENTY, 2.0) == PIECE  # a piece was taken, and as much has come
    assert pace.pause(2.0) == pytest.approx(REST)
    assert pace.pause(2.0 + REST) == 0.0


def test_when_nothing_more_comes_the_rest_is_taken_without_a_pause() -> None:
    pace, waiting, turns = Pace(), 3 * PIECE + 7, 0
    waiting -= pace.take(waiting, PLENTY, 1.0)
    now = 1.0 + REST
    while waiting:
        assert pace.pause(now) == 0.0
        waiting -= pace.take(waiting, PLENTY, now)
        turns += 1
    assert turns == 3
