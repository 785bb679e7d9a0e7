from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.client import session
from relay_parsl.client.executor import Executor
from tests.unit.client.fake_relay import FakeRelay, a_home


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[FakeRelay]:
    """A relay and endpoint; sessions of the test are gone after it."""
    made = FakeRelay(a_home(tmp_path))
    try:
        yield made
    finally:
        for each in list(session._sessions.values()):
            each.close()
        session._sessions.clear()
        made.close()


@pytest.fixture
def executor(relay: FakeRelay) -> Executor:
    return Executor('polaris', relay=relay.target)
