"""A site of real processes for each test that wants one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.rig import Site, Work, site


@pytest.fixture(name='site')
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    for name in ('RELAY_PARSL_RELAY', 'RELAY_PARSL_CREDENTIALS'):
        monkeypatch.delenv(name, raising=False)
    with site(tmp_path / 'home') as made:
        yield made


@pytest.fixture
def work(site: Site) -> Iterator[Callable[..., Work]]:
    """Clients in this process; their relay and endpoints must be known by then."""
    made: list[Work] = []

    def begin(endpoint: str = 'one') -> Work:
        made.append(Work(site, endpoint))
        return made[-1]

    yield begin
    for each in made:
        each.close()
