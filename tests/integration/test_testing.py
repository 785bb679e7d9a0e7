"""`relay_parsl.testing`, as the author of a program or a plug-in uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl import testing
from relay_parsl.client.executor import Executor
from relay_parsl.engines.base import Engine
from relay_parsl.engines.pool import ThreadPoolEngine
from relay_parsl.errors import ConfigError

pytestmark = pytest.mark.integration


class TestThreads(testing.EngineContract):
    def make(self) -> Engine:
        return ThreadPoolEngine(max_workers=2)


def test_a_relay_and_two_endpoints_in_this_process(tmp_path: Path) -> None:
    engine = {'type': 'ThreadPoolEngine', 'max_workers': 2}
    with testing.relay(tmp_path, {'a': engine, 'b': engine}) as relay, Executor('a', relay=relay) as a, Executor('b', relay=relay.target) as b:
        assert [future.result(timeout=30) for future in (a.submit(pow, 2, 3), b.submit(pow, 2, 4))] == [8, 16]


def test_a_wrong_engine_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='max_workers'), testing.relay(tmp_path, {'a': {'type': 'ThreadPoolEngine', 'max_worker': 2}}):
        pass
