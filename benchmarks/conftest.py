"""One report for the whole session: `pytest benchmarks [--quick] [--results FILE]`."""

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
    parser.addoption('--results', type=Path, default=DEFAULT, help='the JSON file')


@pytest.fixture(scope='session')
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """The run whose results are written at the end."""
    options = request.config.option
    marked = [item.callspec.params for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, 'callspec')]
    suites = tuple(str(each['suite']) for each in marked if 'suite' in each)
    run = Run(path=options.results, quick=options.quick, suites=suites)
    yield run
    finish(run)
