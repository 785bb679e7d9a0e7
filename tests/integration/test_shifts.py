"""Shifts on a real HTEX: what they save, and that neither a broken channel nor a death loses or doubles anything."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from parsl.providers import LocalProvider

from relay_parsl.engines.base import Finished, Lost
from tests.integration.engine_rig import Rig, eventually
from tests.integration.test_fusion import chunks_of, note

pytestmark = pytest.mark.integration

QUICK = {'heartbeat_period': 1, 'heartbeat_threshold': 4, 'job_status_kwargs': {'strategy_period': 0.5}}
TASKS = 300
CUTTER = """
import os
from relay_parsl.transport import Dealer
receive = Dealer.receive
def cut(self, limit=256):
    try:
        os.unlink({flag!r})
        self.reconnect()
    except OSError:
        pass
    return receive(self, limit)
Dealer.receive = cut
"""
"""What a worker's Python runs at its start: the control channel is cut whenever there is a file of that name."""


def where(path: str, number: int, seconds: float) -> tuple[str, int, int]:
    """The block, the worker, and its manager."""
    note(path, number, seconds)
    worker = psutil.Process(os.getppid())
    return os.environ['PARSL_WORKER_BLOCK_ID'], worker.pid, worker.parent().ppid()  # a worker's parent is its manager's forkserver


def measured(rig: Rig, path: Path, seconds: float, workers: int = 2) -> list[tuple[str, int, int]]:
    """Wait for the workers, and let it be known how long `where` takes; returns where it ran."""
    rig.wait(lambda: rig.engine.status().workers == workers)
    return [rig.call(where, str(path / 'warm'), n, seconds) for n in range(8)]


def htex_tasks(rig: Rig) -> int:
    """Tasks that HTEX's workers have ended."""
    return sum(log.read_text(errors='replace').count('Completed executor task') for log in rig.run_dir.rglob('worker_*.log'))


def starts(path: Path) -> Counter[int]:
    return Counter(map(int, path.read_text().split()))


def test_a_backlog_is_few_tasks_of_htex_and_workers_hardly_wait(rigs: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rigs()
    measured(rig, tmp_path, 0.01)
    chunks, before, began = chunks_of(rig, monkeypatch), htex_tasks(rig), time.monotonic()
    tasks = [rig.submit(where, str(tmp_path / 'notes'), n, 0.01) for n in range(TASKS)]
    assert all(rig.outcome(task).ok for task in tasks)
    took = time.monotonic() - began
    assert starts(tmp_path / 'notes') == Counter(range(TASKS))
    assert len(chunks) > TASKS / 10
    eventually(lambda: htex_tasks(rig) > before)
    assert htex_tasks(rig) - before < len(chunks) / 4
    assert took < 4 * TASKS * 0.01 / 2, 'on a busy machine, too'


def test_round_trips_go_over_the_channel(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(max_workers_per_node=1)
    measured(rig, tmp_path, 0.0, workers=1)
    before = htex_tasks(rig)
    for n in range(50):
        rig.call(where, str(tmp_path / 'notes'), n, 0.0)
    assert htex_tasks(rig) - before <= 10


def test_a_cut_channel_loses_nothing_and_starts_nothing_twice(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    (tmp_path / 'site').mkdir()
    flag = tmp_path / 'cut'
    (tmp_path / 'site' / 'sitecustomize.py').write_text(CUTTER.format(flag=str(flag)))
    rig = rigs(provider=LocalProvider(worker_init=f'export PYTHONPATH={tmp_path}/site:$PYTHONPATH'))
    measured(rig, tmp_path, 0.01)
    tasks, cuts = [rig.submit(where, str(tmp_path / 'notes'), n, 0.01) for n in range(TASKS)], 0
    for done in range(TASKS // 6, TASKS, TASKS // 6):
        rig.wait(lambda done=done: sum(isinstance(event, Finished) for event in rig.events) >= done)
        flag.touch()
        eventually(lambda: not flag.exists() or rig.engine.status().outstanding == 0)
        cuts += not flag.exists()
    assert all(rig.outcome(task).ok for task in tasks)
    assert cuts >= 2
    assert starts(tmp_path / 'notes') == Counter(range(TASKS))


def test_a_dead_worker_takes_nothing_with_it(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    """What it ran begins again, and of what waited in its shift nobody knows: that begins again, too, but nothing is charged for it."""
    rig = rigs(**QUICK)
    _, worker, _ = measured(rig, tmp_path, 0.01)[-1]
    tasks = [rig.submit(where, str(tmp_path / 'notes'), n, 0.01) for n in range(TASKS)]
    rig.wait(lambda: sum(isinstance(event, Finished) for event in rig.events) >= TASKS // 3)
    os.kill(worker, signal.SIGKILL)
    ends = [rig.end(task) for task in tasks]
    lost = [end for end in ends if isinstance(end, Lost)]
    assert len(lost) <= 1, 'one that was alone there, at most'
    assert all(end.cause == 'worker' for end in lost)
    assert all(end.ok for end in ends if isinstance(end, Finished))
    ran = starts(tmp_path / 'notes')
    assert len(set(range(TASKS)) - set(ran)) <= len(lost)
    assert sum(ran.values()) - TASKS <= 20


def test_a_dead_manager_is_named_for_what_was_with_it_and_the_rest_goes_on(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(provider=LocalProvider(init_blocks=2, min_blocks=2, max_blocks=2), max_workers_per_node=1, **QUICK)
    _, _, manager = measured(rig, tmp_path, 0.01)[-1]
    tasks = [rig.submit(where, str(tmp_path / 'notes'), n, 0.01) for n in range(TASKS)]
    rig.wait(lambda: sum(isinstance(event, Finished) for event in rig.events) >= TASKS // 3)
    os.kill(manager, signal.SIGKILL)
    ends = [rig.end(task) for task in tasks]
    lost = [end for end in ends if isinstance(end, Lost)]
    assert len(lost) <= 20
    assert {end.cause for end in lost} <= {'manager', 'worker'}
    assert all(end.ok for end in ends if isinstance(end, Finished))
    assert max(starts(tmp_path / 'notes').values()) == 1


def test_long_tasks_are_shared_out_to_managers(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    rig = rigs(provider=LocalProvider(init_blocks=2, min_blocks=2, max_blocks=2), max_workers_per_node=1, **QUICK)
    measured(rig, tmp_path, 0.5)
    began = time.monotonic()
    tasks = [rig.submit(where, str(tmp_path / 'notes'), n, 0.5) for n in range(12)]
    assert all(rig.outcome(task).ok for task in tasks)
    took = time.monotonic() - began
    assert took < 8 * 0.5, 'six of them a block, and a little patience'


def test_a_node_that_drains_ends_its_shifts(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    """However much there is to do: the node's time is over soon, and the next one goes on."""
    rig = rigs(provider=LocalProvider(init_blocks=1, max_blocks=1), max_workers_per_node=1, drain_period=4, **QUICK)
    measured(rig, tmp_path, 0.02, workers=1)
    blocks: dict[str, Any] = {}
    deadline = time.monotonic() + 60
    number = 0
    while len(blocks) < 2:
        assert time.monotonic() < deadline, blocks
        for task in [rig.submit(where, str(tmp_path / 'notes'), number + n, 0.02) for n in range(50)]:
            end = rig.end(task)
            assert isinstance(end, Finished), end
            assert end.ok
        blocks[rig.call(where, str(tmp_path / 'warm'), 0, 0.0)[0]] = True
        number += 50
    assert starts(tmp_path / 'notes') == Counter(range(number))


def test_a_worker_that_lingers_is_no_work(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    """Idle blocks end while their workers would still wait for more."""
    provider = LocalProvider(init_blocks=0, min_blocks=0, max_blocks=1)
    rig = rigs(provider=provider, job_status_kwargs={'strategy_period': 0.2, 'max_idletime': 1.0}, max_workers_per_node=1)
    rig.call(where, str(tmp_path / 'notes'), 0, 0.0)
    rig.engine.demand(0)
    rig.wait(lambda: rig.engine.status().workers == 1)
    eventually(lambda: rig.engine.status().blocks == 0, 20)
