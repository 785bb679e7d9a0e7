"""Tasks that take with them what they run in: a manager each time, and all the memory that their batch job has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from parsl.providers import LocalProvider

import relay_parsl as rp
from relay_parsl.errors import ManagerLost
from tests.faults.rig import Site
from tests.integration.conftest import _rigs  # noqa: F401  the fixture `rigs`
from tests.integration.engine_rig import PATIENCE, Rig, eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ON_HTEX = """
display_name: deadly
engine:
  type: HtexEngine
  max_workers_per_node: 1
  heartbeat_period: 1
  heartbeat_threshold: 4
  job_status_kwargs: {strategy_period: 0.5}
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}
"""


# -- Row 13 ----------------------------------------------------------------------------------------------------------


def kill_my_manager(record: str) -> None:
    import time

    import psutil

    with open(record, 'a') as lines:
        lines.write('once more\n')
    worker = psutil.Process().parent()
    assert worker is not None
    manager = worker.parents()[1]  # behind the server that the worker was forked from
    assert 'process_worker_pool' in ' '.join(manager.cmdline())
    manager.kill()
    time.sleep(600)


@pytest.mark.fault(13)
@pytest.mark.timeout(300)
def test_a_task_that_kills_its_manager_each_time_ends_and_the_endpoint_goes_on(site: Site) -> None:
    site.start('relay')
    site.configure('one', config=ON_HTEX)
    endpoint = site.start('one')
    with rp.Executor('one') as executor:
        assert executor.submit(pow, 2, 10).result(PATIENCE) == 1024
        with pytest.raises(ManagerLost) as raised:
            executor.submit(kill_my_manager, str(site.record)).result(200)
        assert str(raised.value).count('manager: ') == 3, 'each of its tries, with what is known of it'
        assert site.record.read_text() == 3 * 'once more\n', 'and no more than these'
        assert executor.submit(pow, 2, 11).result(PATIENCE) == 2048
    assert endpoint.alive


# -- Row 14 ----------------------------------------------------------------------------------------------------------

MEMORY = 400 << 20
"""Bytes that the batch job has: enough for a manager and its workers, and the runners of tasks that take none."""


class Cgroup:
    """A control group with a limit of its memory, of either version."""

    def __init__(self, name: str) -> None:
        """Skips the test where none can be made."""
        unified = Path('/sys/fs/cgroup/cgroup.subtree_control')
        self._old = not (unified.exists() and 'memory' in unified.read_text().split())
        self.path = Path('/sys/fs/cgroup/memory' if self._old else '/sys/fs/cgroup', name)
        try:
            self.path.mkdir()
            (self.path / ('memory.limit_in_bytes' if self._old else 'memory.max')).write_text(str(MEMORY))
        except OSError as error:
            pytest.skip(f'no control group with a limit of memory can be made here: {error}')
        with suppress(OSError):  # swap may not be counted
            (self.path / ('memory.memsw.limit_in_bytes' if self._old else 'memory.swap.max')).write_text(str(MEMORY if self._old else 0))

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed in it."""
        lines = (self.path / ('memory.oom_control' if self._old else 'memory.events')).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith('oom_kill '))

    @property
    def empty(self) -> bool:
        """Whether nothing runs in it."""
        return not (self.path / 'cgroup.procs').read_text()


@pytest.fixture
def cgroup(tmp_path: Path) -> Iterator[Cgroup]:
    made = Cgroup(f'relay-parsl-{tmp_path.parent.name}-{tmp_path.name}')
    yield made
    eventually(lambda: made.empty)
    made.path.rmdir()


@pytest.fixture
def rig(cgroup: Cgroup, rigs: Callable[..., Rig]) -> Rig:
    """An engine whose batch jobs have so much memory and no more: gone before the group is."""
    join = f'echo $$ > {cgroup.path}/cgroup.procs'
    provider = LocalProvider(worker_init=join, init_blocks=1, min_blocks=1, max_blocks=1)
    return rigs(address='127.0.0.1', max_workers_per_node=2, provider=provider)


def eat(size: int) -> int:
    return len(bytearray(b'x') * size)


def wait_for(begun: str, end: str) -> str:
    import os
    import time

    open(begun, 'w').close()
    while not os.path.exists(end):
        time.sleep(0.05)
    return 'whole'


@pytest.mark.fault(14)
def test_who_takes_all_memory_of_the_job_is_killed_alone_and_told_so(cgroup: Cgroup, rig: Rig, tmp_path: Path) -> None:
    neighbour = rig.submit(wait_for, str(tmp_path / 'begun'), str(tmp_path / 'end'))
    eventually((tmp_path / 'begun').exists)
    lost = rig.lost(rig.submit(eat, 2 * MEMORY))
    assert lost.cause == 'worker'
    assert 'was killed by SIGKILL (out of memory?)' in lost.evidence
    assert cgroup.kills == 1, 'by the kernel, and nobody else'
    (tmp_path / 'end').touch()
    assert rig.outcome(neighbour).ok
    assert rig.call(pow, 2, 10) == 1024
