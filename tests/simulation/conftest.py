"""`pytest tests/simulation --seed N` replays one seed and prints its trace."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--seed', type=int, default=None, help='replay this seed of the simulation, with its trace')


@pytest.fixture(scope='session')
def seed(request: pytest.FixtureRequest) -> int | None:
    """The seed to replay, if one was given; the option is unknown where this directory was not named on the command line."""
    return request.config.getoption('--seed', default=None)
