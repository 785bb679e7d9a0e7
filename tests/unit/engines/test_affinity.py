"""Whether workers of this host can be bound to its CPUs, with hosts that are numbers."""

from __future__ import annotations

import os
from typing import Any

import pytest
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import LocalProvider, SlurmProvider

from relay_parsl.engines import affinity
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.errors import ConfigError


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, four of them for this process."""
    monkeypatch.delenv('PARSL_CORES', raising=False)
    monkeypatch.setattr(os, 'cpu_count', lambda: 8)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _pid: {0, 1, 2, 3}, raising=False)


@pytest.mark.parametrize(
    ('given', 'most', 'share', 'said'),
    [
        ('none', 100, 0.01, ''),
        ('block', 4, 1.0, ''),
        ('block', 5, 1.0, '5 workers would start here, but this process may use 4 CPUs'),
        ('alternating', None, 1.0, 'write `max_workers_per_node: 4`'),
        ('block-reverse', None, 2.0, ''),
        ('list:0-1:2-3', 2, 1.0, ''),
        ('list:0:1:2', 2, 1.0, 'names CPUs for 3 workers, but 2 would start here'),
        ('list:0:1', 2, 8.0, 'names CPUs for 2 workers, but 1 would start here'),
    ],
)
def test_what_kills_every_worker_is_said_with_its_remedy(given: str, most: int | None, share: float, said: str) -> None:
    fault = affinity.fault(given, most, share)
    assert said in fault
    assert bool(said) == bool(fault)


def test_an_engine_for_this_host_refuses_it() -> None:
    with pytest.raises(ConfigError, match='cpu_affinity: 6 workers would start here, but this process may use 4 CPUs'):
        HtexEngine(max_workers_per_node=6, cpu_affinity='block')
    with pytest.raises(ConfigError, match='names CPUs for 3 workers, but 2 would'):
        HtexEngine(available_accelerators=2, cpu_affinity='list:0:1:2')
    HtexEngine(max_workers_per_node=4, cpu_affinity='block')
    HtexEngine(max_workers_per_node=6, cpu_affinity='block', mem_per_worker=1)  # how many there will be is known to the node alone
    HtexEngine(provider=LocalProvider(launcher=SrunLauncher()), max_workers_per_node=64, cpu_affinity='block')  # on other nodes


@pytest.mark.parametrize(
    ('given', 'cpus', 'workers', 'expected'),
    [
        ('block', range(8), 2, '0-3 4-7'),
        ('block', range(8), 3, '0-1 2-3 4-5'),
        ('block-reverse', range(8), 2, '4-7 0-3'),
        ('alternating', range(4), 2, '0,2 1,3'),
        ('alternating', range(64), 32, ' '.join(f'{worker},{worker + 32}' for worker in range(32))),
        ('block', [2, 3, 8, 9], 4, '2 3 8 9'),
        ('block', range(2), 3, ''),
        ('none', range(8), 2, ''),
        ('block', [], 0, ''),
    ],
)
def test_how_parsl_divides_a_node(given: str, cpus: list[int], workers: int, expected: str) -> None:
    assert affinity.shares(given, cpus, workers) == expected.split()


@pytest.mark.parametrize(
    ('given', 'most', 'share', 'said'),
    [
        ('block', 64, 1.0, ''),
        ('block', 65, 0.5, '65 workers would start on a node, but it has 64 CPUs'),
        ('list:0-15:16-31', 2, 16.0, ''),
        ('list:0-15:16-31:32-47', 3, 32.0, 'names CPUs for 3 workers, but 2 would start on a node'),
    ],
)
def test_the_same_of_a_node_whose_cores_are_known(given: str, most: int | None, share: float, said: str) -> None:
    fault = affinity.fault(given, most, share, 64)
    assert said in fault
    assert bool(said) == bool(fault)


def what_kills_every_worker_is_refused(kind: Any, **options: Any) -> None:
    with pytest.raises(ConfigError):
        kind(provider=LocalProvider(), address='127.0.0.1', **options)


@pytest.mark.parametrize(
    'options',
    [
        {'max_workers_per_node': 6, 'cpu_affinity': 'block'},
        {'max_workers_per_node': 2, 'cpu_affinity': 'list:0:1:2'},
        {'max_workers_per_node': 2, 'cpu_affinity': 'wibble'},
        {'max_workers_per_node': 2, 'cores_per_worker': 16},
    ],
)
def test_faults_6_and_23_are_parsls_and_not_ours(options: dict[str, Any]) -> None:
    what_kills_every_worker_is_refused(HtexEngine, **options)
    with pytest.raises(pytest.fail.Exception):
        what_kills_every_worker_is_refused(HighThroughputExecutor, **options)


def test_an_engine_for_nodes_whose_cores_are_known_refuses_it_too() -> None:
    nodes = SlurmProvider(partition='p', cores_per_node=64, launcher=SrunLauncher())
    with pytest.raises(ConfigError, match=r'cores_per_worker: 65 is more than a node has \(`cores_per_node`\), which is 64'):
        HtexEngine(provider=nodes, cores_per_worker=65)
    with pytest.raises(ConfigError, match='cpu_affinity: names CPUs for 2 workers, but 1 would start on a node'):
        HtexEngine(provider=nodes, cores_per_worker=64, max_workers_per_node=2, cpu_affinity='list:0-31:32-63')
    HtexEngine(provider=nodes, max_workers_per_node=64, cpu_affinity='block')
