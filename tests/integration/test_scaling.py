"""How many blocks an engine asks for: many short tasks do not want many, a few new ones do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from parsl.providers import LocalProvider

from relay_parsl.engines.base import Changed, Finished
from relay_parsl.engines.htex import HtexEngine
from tests.integration.engine_rig import Rig

pytestmark = pytest.mark.integration

PERIOD = 0.5


@pytest.fixture(name='rig')
def _rig(tmp_path: Path) -> Iterator[Rig]:
    provider = LocalProvider(init_blocks=1, min_blocks=0, max_blocks=4)
    rig = Rig(tmp_path, HtexEngine(provider=provider, max_workers_per_node=1, job_status_kwargs={'strategy_period': PERIOD}))
    yield rig
    rig.engine.stop()


def nothing() -> None:
    pass


def most_blocks(rig: Rig) -> int:
    return max(event.status.blocks for event in list(rig.events) if isinstance(event, Changed))


def test_short_tasks_share_a_block_and_new_ones_get_all(rig: Rig) -> None:
    for _ in range(20):
        rig.call(nothing)
    begun = time.monotonic()
    for _ in range(3000):
        rig.submit(nothing)
    rig.wait(lambda: len(rig.events) >= 3020 and sum(isinstance(event, Finished) for event in rig.events) == 3020)
    taken = time.monotonic() - begun
    assert most_blocks(rig) <= 2, f'3,000 tasks that do nothing took {taken:.1f} s, {taken / PERIOD:.0f} looks of the strategy'
    tasks = [rig.submit(time.sleep, 2) for _ in range(8)]
    rig.wait(lambda: most_blocks(rig) == 4)
    assert all(isinstance(rig.end(task), Finished) for task in tasks)
