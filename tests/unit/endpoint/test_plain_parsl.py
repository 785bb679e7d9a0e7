"""The same endpoint file in a plain Parsl script: `load_config`."""

from __future__ import annotations

from pathlib import Path

import pytest
from parsl.executors import HighThroughputExecutor, MPIExecutor, ThreadPoolExecutor
from parsl.executors.high_throughput.errors import WorkerLost
from parsl.launchers import MpiExecLauncher
from parsl.providers import LocalProvider

from relay_parsl.endpoint.config import load_config
from relay_parsl.errors import ConfigError
from relay_parsl.launchers import SimpleLauncher
from relay_parsl.providers import PBSProProvider

HTEX = """
engine:
  type: HtexEngine
  max_workers_per_node: 1
  provider:
    type: LocalProvider
"""


def parsl_config(tmp_path: Path, text: str):
    path = tmp_path / 'my site.yaml'
    path.write_text(text)
    return load_config(path)


def test_the_same_file_serves_a_plain_parsl_script(tmp_path: Path) -> None:
    text = """
engine:
  type: HtexEngine
  max_workers_per_node: 2
  max_retries_on_system_failure: 2
  available_accelerators: 2
  worker_port_range: [54000, 54100]
  job_status_kwargs: {strategy: none, max_idletime: 300, strategy_period: 60}
  address: 127.0.0.1
  provider:
    type: PBSProProvider
    walltime: 1:00:00
    launcher: {type: MpiExecLauncher, bind_cmd: --cpu-bind}
"""
    config = parsl_config(tmp_path, text)
    (executor,) = config.executors
    assert type(executor) is HighThroughputExecutor
    assert (executor.label, executor.max_workers_per_node, executor.worker_port_range) == ('my_site', 2, (54000, 54100))
    assert executor.available_accelerators == ['0', '1']
    assert isinstance(executor.provider, PBSProProvider)
    assert executor.provider.walltime == '01:00:00'
    assert isinstance(executor.provider.launcher, MpiExecLauncher)
    assert (config.strategy, config.max_idletime, config.strategy_period, config.retries) == ('none', 300, 60, 2)
    assert config.retry_handler(WorkerLost(1, 'host'), None) == 1
    assert config.retry_handler(ValueError(), None) > config.retries


def test_a_local_provider_listens_on_loopback_and_asks_nobody(tmp_path: Path) -> None:
    (executor,) = parsl_config(tmp_path, HTEX).executors
    assert executor.address == '127.0.0.1'
    assert isinstance(executor.provider, LocalProvider)


def test_an_interface_that_is_missing_fails_at_start(tmp_path: Path) -> None:
    (executor,) = parsl_config(tmp_path, HTEX + '  address: {type: address_by_interface, ifname: nonesuch0}\n').executors
    assert isinstance(executor, HighThroughputExecutor)
    assert 'nonesuch0' not in repr(executor.label)
    with pytest.raises(ConfigError, match='network interface `nonesuch0`'):
        executor.start()


def test_pools_become_executors_of_one_config(tmp_path: Path) -> None:
    config = parsl_config(tmp_path, 'display_name: my\npools:\n  a: {type: ThreadPoolEngine, max_workers: 3}\n  b: {type: HtexEngine, label: bee}\n')
    assert [executor.label for executor in config.executors] == ['my-a', 'bee']
    assert isinstance(config.executors[0], ThreadPoolExecutor)
    assert config.executors[0].max_threads == 3


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('engine: {type: ProcessPoolEngine}', 'plain Parsl has nothing like ProcessPoolEngine'),
        (HTEX + '  container_type: docker\n  container_uri: image\n', 'plain Parsl starts no containers'),
        (
            'pools:\n  a: {type: HtexEngine, job_status_kwargs: {max_idletime: 1}}\n  b: {type: HtexEngine, job_status_kwargs: {max_idletime: 2}}\n',
            'one strategy for all executors',
        ),
    ],
)
def test_what_plain_parsl_cannot_do_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parsl_config(tmp_path, text)


MPI = """
engine:
  type: MPIEngine
  mpi_launcher: srun
  max_workers_per_block: 2
  max_blocks_per_minute: 3
  provider: {type: SlurmProvider, partition: debug, nodes_per_block: 4, launcher: {type: SimpleLauncher}}
"""


def test_an_mpi_engine_is_parsls_mpi_executor_and_encrypts(tmp_path: Path) -> None:
    (executor,) = parsl_config(tmp_path, MPI).executors
    assert type(executor) is MPIExecutor
    assert (executor.mpi_launcher, executor.max_workers_per_block, executor.encrypted) == ('srun', 2, True)
    assert executor.provider.nodes_per_block == 4
    (alone,) = parsl_config(tmp_path, 'engine: {type: GlobusMPIEngine}').executors
    assert type(alone.provider.launcher) is SimpleLauncher
