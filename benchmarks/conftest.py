"""One report for the whole session: `pytest benchmarks [--quick] [--gigabyte] [--results FILE]`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import finish
from benchmarks.results import DEFAULT
from benchmarks.run import Run


def pytest_addoption(parser: pytest.Parser) -> None:
    """As those of `python -m benchmarks`."""
    parser.addoption('--quick', action='store_true', help='each suite in less than 50 s')
    parser.addoption('--gigabyte', action='store_true', help='also an argument of 1 GB')
    parser.addoption('--results', type=Path, default=DEFAULT, help='the JSON file')


@pytest.fixture(scope='session')
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """The run whose results are written at the end."""
    options = request.config.option
    suites = tuple(str(item.callspec.params['suite']) for item in request.session.items if isinstance(item, pytest.Function))
    run = Run(path=options.results, quick=options.quick, gigabyte=options.gigabyte, suites=suites)
    yield run
    finish(run)
