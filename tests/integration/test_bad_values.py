"""A client that cycles through values of `user_endpoint_config` whose blocks come to nothing: how many are submitted."""

from __future__ import annotations

import itertools
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from parsl.providers import LocalProvider

from relay_parsl.endpoint.life import Life
from relay_parsl.endpoint.spec import EngineSpec, Spec
from relay_parsl.endpoint.templates import Rendered
from relay_parsl.endpoint.trials import BROKEN
from relay_parsl.endpoint.userpools import UserPools
from relay_parsl.engines.base import Event, Finished, Work
from relay_parsl.engines.breaker import LIMIT
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.wire import payload
from tests.integration.engine_rig import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
POOLS = 2
VALUES = 20
_ids = itertools.count(1)


class Plain:
    """A template that puts the values into the file as they are."""

    uses_runtime = False

    def render(self, values: str, runtime: Any) -> Rendered:
        return Rendered(json.dumps(runtime), values)


@dataclass
class File:
    """A filled-in endpoint file: each job leaves a line in `note`, and ends before there is a worker."""

    note: Path
    value: int
    life: Life

    @property
    def pools(self) -> dict[str, EngineSpec]:
        provider = LocalProvider(worker_init=f'echo {self.value} >>{self.note}; exit 9', init_blocks=5, max_blocks=5)
        options = {'provider': provider, 'max_workers_per_node': 1, 'job_status_kwargs': {'strategy_period': 0.5}}
        return {'': EngineSpec('', 'x', Spec('engine', 'HtexEngine', HtexEngine, options, ''))}

    def build_engine(self, pool: str = '') -> HtexEngine:
        return self.pools[pool].spec.build()  # type: ignore[no-any-return]


def test_twenty_bad_values_cost_no_more_jobs_than_a_few(tmp_path: Path) -> None:
    note, ends, changed = tmp_path / 'note', dict[bytes, Finished](), threading.Condition()
    note.touch()

    def deliver(event: Event) -> None:
        with changed:
            if isinstance(event, Finished):
                ends[event.task_id] = event

    def submit(value: int) -> bytes:
        task_id = next(_ids).to_bytes(16, 'big')
        blob = payload.dump_arguments((), {})
        options = {'user_endpoint_config': {'value': value}}
        pools.submit(Work(task_id, 1, b'\x01' * 16, payload.dump_function(os.getpid), blob, None, options, str(tmp_path)))
        pools.flush()
        return task_id

    pools = UserPools(Plain(), lambda rendered: File(note, json.loads(rendered.values)['value'], Life()), POOLS)  # type: ignore[arg-type]
    pools.start(deliver, tmp_path / 'run', 'site')
    try:
        first = [submit(value) for value in range(VALUES)]
        eventually(lambda: 'new values wait' in pools.status().reason, 100)
        eventually(lambda: not [row for row in pools.status().detail['pools'] if row['state'] in ('checking', 'starting')])
        broken = eventually(lambda: len(ends) >= BROKEN and [task for task in first if task in ends])
        tried = {first.index(task) for task in broken}
        for _ in range(3):
            more = [submit(value) for value in tried]
            eventually(lambda tasks=more: all(task in ends for task in tasks))
        jobs = note.read_text().split()
        assert BROKEN * LIMIT <= len(jobs) <= (BROKEN + POOLS - 1) * LIMIT
        assert all(jobs.count(value) <= LIMIT for value in set(jobs))
    finally:
        pools.stop()
