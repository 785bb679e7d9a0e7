"""Every parameter of Parsl's executors is an option, set by us, or refused by name; and what `MPIEngine` wants of them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from parsl.executors import HighThroughputExecutor, MPIExecutor
from parsl.launchers import SimpleLauncher, SrunLauncher
from parsl.providers import LocalProvider, PBSProProvider, SlurmProvider

from relay_parsl.endpoint import plugins
from relay_parsl.endpoint.keys import ENGINE
from relay_parsl.endpoint.layout import ADVICE, NESTED
from relay_parsl.engines import options
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.mpi import MPIEngine
from relay_parsl.errors import ConfigError

BEHIND = [(HtexEngine, HighThroughputExecutor), (MPIEngine, MPIExecutor)]
PARAMETERS = [(engine, name) for engine, kind in BEHIND for name in inspect.signature(kind.__init__).parameters if name != 'self']
REFUSED = ('storage_access', 'remote_monitoring_radio')


def simple(**more: Any) -> LocalProvider:
    return LocalProvider(launcher=SimpleLauncher(), **more)


@pytest.mark.parametrize(('engine', 'name'), PARAMETERS)
def test_every_parameter_has_a_place_in_an_endpoint_file(engine: type[HtexEngine], name: str) -> None:
    if name in REFUSED:
        assert name in ADVICE['engine']
    else:
        assert name in ENGINE or name in NESTED
        assert name in plugins.parameters('engine', engine)
    if name in options.OURS:
        assert name in inspect.signature(engine).parameters or name in REFUSED


@pytest.mark.parametrize('engine', [HtexEngine, MPIEngine])
@pytest.mark.parametrize('name', [*REFUSED, 'max_worker'])
def test_other_names_are_refused(engine: type[HtexEngine], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        engine(**{name: None})


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'provider': LocalProvider()}, 'SimpleLauncher'),
        ({'provider': SlurmProvider(partition='p', launcher=SrunLauncher())}, 'SimpleLauncher'),
        ({'provider': simple(nodes_per_block=2), 'max_workers_per_block': 3}, '3 tasks at once need as many nodes'),
        ({'mpi_launcher': 'mpirun'}, 'mpirun'),
        ({'max_workers_per_node': 4}, 'max_workers_per_node'),
        ({'available_accelerators': 4}, 'one of MPIExecutor'),
    ],
)
def test_an_mpi_engine_names_mistakes_before_it_starts(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        MPIEngine(**given)


def test_an_mpi_block_runs_as_many_tasks_as_it_says_whatever_its_nodes() -> None:
    provider = PBSProProvider(account='a', queue='q', launcher=SimpleLauncher(), nodes_per_block=7, init_blocks=2, max_blocks=2)
    engine = MPIEngine(provider=provider, max_workers_per_block=3)
    assert engine.capacity == 6
    executor = engine.kind(provider=provider, address='127.0.0.1', max_workers_per_block=3)
    assert executor.workers_per_node * 7 == pytest.approx(3)


@pytest.fixture(name='allocation', params=['PBS', 'Slurm'])
def _allocation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process runs in a batch job of three nodes."""
    monkeypatch.delenv('PBS_NODEFILE', raising=False)
    if request.param == 'Slurm':
        monkeypatch.setenv('SLURM_JOB_NUM_NODES', '3')
    else:
        (tmp_path / 'nodes').write_text('x1\nx1\nx2\nx3\n')
        monkeypatch.setenv('PBS_NODEFILE', str(tmp_path / 'nodes'))


@pytest.mark.usefixtures('allocation')
def test_an_mpi_engine_in_an_allocation_takes_all_of_it_and_no_more() -> None:
    assert MPIEngine(max_workers_per_block=3).provider.nodes_per_block == 3
    with pytest.raises(ConfigError, match='nodes_per_block: 4 is more than this allocation has, which is 3'):
        MPIEngine(provider=simple(nodes_per_block=4))
    MPIEngine(provider=SlurmProvider(partition='p', nodes_per_block=8, launcher=SimpleLauncher()))


def test_an_interchange_of_ones_own_is_a_list_for_both_engines() -> None:
    command = ['python3', '-m', 'parsl.executors.high_throughput.interchange']
    for engine in (HtexEngine, MPIEngine):
        assert engine(interchange_launch_cmd=command)._plan('x', '127.0.0.1')['htex']['interchange_launch_cmd'] == command


def is_encrypted(made: Any) -> None:
    assert made.encrypted


def test_fault_42_is_parsls_and_not_ours() -> None:
    is_encrypted(MPIEngine())
    with pytest.raises(AssertionError):
        is_encrypted(MPIExecutor(provider=simple(), address='127.0.0.1'))


@pytest.mark.parametrize(
    ('walltime', 'seconds'),
    [
        ('00:20:00', 1080),
        ('01:00:00', 3240),
        ('1-00:00:00', 85800),
        ('00:10:00', 480),
        ('00:03:00', 90),
        ('00:00:01', 1),
    ],
)
def test_managers_drain_before_the_walltime(walltime: str, seconds: int) -> None:
    slurm = SlurmProvider(partition='p', walltime=walltime)
    assert HtexEngine(provider=slurm)._plan('x', '127.0.0.1')['htex']['drain_period'] == seconds
    assert MPIEngine(provider=SlurmProvider(partition='p', walltime=walltime, launcher=SimpleLauncher()))._options['drain_period'] == seconds
    assert HtexEngine(provider=slurm, drain_period=7)._options['drain_period'] == 7


def test_without_a_walltime_nothing_drains() -> None:
    assert 'drain_period' not in HtexEngine()._options
    assert options.seconds_of('30') is None


def tasks_end_before_their_job_is_killed(managers_drain_after: Any) -> None:
    assert 0 < (managers_drain_after or 0) < 20 * 60


def test_fault_13_no_drain_before_the_walltime_is_parsls_and_not_ours() -> None:
    provider = PBSProProvider(account='a', queue='q', walltime='00:20:00')
    tasks_end_before_their_job_is_killed(HtexEngine(provider=provider)._options['drain_period'])
    with pytest.raises(AssertionError):
        tasks_end_before_their_job_is_killed(HighThroughputExecutor(provider=provider, address='127.0.0.1').drain_period)


def heard_of(executor: HighThroughputExecutor) -> float:
    """Seconds after which a silent manager is taken for lost, at most: the interchange looks about once in each period."""
    return float(executor.heartbeat_threshold + executor.heartbeat_period)


def a_lost_node_is_noticed_within_70_s(executor: HighThroughputExecutor) -> None:
    assert heard_of(executor) <= 70


@pytest.mark.parametrize(('engine', 'parsls'), BEHIND)
def test_fault_13_a_lost_node_noticed_late_is_parsls_and_not_ours(engine: type[HtexEngine], parsls: type[HighThroughputExecutor]) -> None:
    """The executors as they come to be when nobody names heartbeats: what the interchange and the managers are given."""
    provider = simple()
    a_lost_node_is_noticed_within_70_s(engine.kind(**engine(provider=provider)._plan('x', '127.0.0.1')['htex']))
    with pytest.raises(AssertionError):
        a_lost_node_is_noticed_within_70_s(parsls(provider=provider, address='127.0.0.1'))
