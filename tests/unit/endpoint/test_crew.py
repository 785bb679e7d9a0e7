"""The engines of an endpoint, as its loop sees them."""

from __future__ import annotations

import logging

import pytest

from relay_parsl.endpoint.crew import Crew
from tests.integration.hand_relay import Bench


class Flushed(Bench):
    """Notes that it was flushed, or stumbles."""

    def __init__(self, *, stumbles: bool = False) -> None:
        super().__init__()
        self.stumbles, self.flushes = stumbles, 0

    def flush(self) -> None:
        self.flushes += 1
        if self.stumbles:
            raise RuntimeError('no such partition')


def test_an_engine_that_stumbles_keeps_no_other_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    bad, good, idle = Flushed(stumbles=True), Flushed(), Flushed()
    crew = Crew({'bad': bad, 'good': good, 'idle': idle}, lambda: None)
    with caplog.at_level(logging.ERROR):
        crew.flush(['bad', 'good'])
    assert [engine.flushes for engine in (bad, good, idle)] == [1, 1, 0]
    assert 'no such partition' in caplog.text
