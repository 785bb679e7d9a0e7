"""The files for sites: each is right, each means on its nodes what its comments say, each serves plain Parsl, each renders a batch script."""

from __future__ import annotations

import runpy
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from parsl.executors import HighThroughputExecutor

from relay_parsl.endpoint.config import EndpointConfig, describe_config, load_config, load_endpoint_config
from relay_parsl.endpoint.rules import cpus
from relay_parsl.endpoint.summary import PoolSummary
from relay_parsl.errors import ConfigError
from tests.golden import CONFIGS, GOLDEN, SITES, golden, rendered

FILES = sorted(CONFIGS.rglob('*.yaml'))


def named(file: Path) -> str:
    return file.relative_to(CONFIGS).as_posix()


def test_every_site_has_its_files() -> None:
    usual, nvidia = ('cpu', 'gpu', 'mpi'), ('cpu', 'gpu', 'mpi', 'mps')
    sites = {'aurora': usual, 'frontier': usual, 'perlmutter': nvidia, 'polaris': nvidia}
    assert [named(file) for file in SITES] == [f'{site}/{name}.yaml' for site, names in sites.items() for name in names]


@pytest.fixture(params=FILES, ids=named)
def config(request: pytest.FixtureRequest) -> EndpointConfig:
    return load_endpoint_config(request.param)


def test_the_only_words_about_it_are_of_placeholders_and_this_host(config: EndpointConfig) -> None:
    for warning in config.warnings:
        assert any(word in warning for word in ('looks like a placeholder', 'this host has')), warning


def test_it_can_be_described(config: EndpointConfig) -> None:
    assert config.display_name in describe_config(config)


def test_its_engine_can_be_built_where_the_interface_is(config: EndpointConfig) -> None:
    spec = config.pools[''].spec
    options = {**spec.options, 'address': '127.0.0.1'}
    assert type(spec)(spec.kind, spec.name, spec.factory, options, spec.place).build() is not None


@pytest.mark.parametrize('file', FILES, ids=named)
def test_it_serves_a_plain_parsl_script(file: Path) -> None:
    (executor,) = load_config(file).executors
    assert isinstance(executor, HighThroughputExecutor)
    assert executor.label == load_endpoint_config(file).display_name


@pytest.mark.parametrize('site', sorted({file.parent.name for file in SITES}))
def test_fresh_config_makes_new_executors_each_time(site: str) -> None:
    fresh_config = runpy.run_path(str(CONFIGS / site / 'config.py'))['fresh_config']
    one, two = fresh_config(), fresh_config()
    assert one.executors[0] is not two.executors[0]
    assert one.executors[0].label == f'{site}-gpu'
    for file in (CONFIGS / site).glob('*.yaml'):
        assert f'`{file.stem}`' in fresh_config.__doc__
        assert fresh_config(file.stem).executors[0].label == f'{site}-{file.stem}'
    with pytest.raises(ConfigError, match='no such file'):
        fresh_config('nonesuch')


def pool_of(name: str) -> PoolSummary:
    (pool,) = load_endpoint_config(CONFIGS / f'{name}.yaml').summary()
    return pool


TILES = ' '.join(f'{gpu}.{tile}' for gpu in range(6) for tile in range(2))


@pytest.mark.parametrize(
    ('name', 'accelerators', 'threads', 'first'),
    [
        ('polaris/gpu', '0 1 2 3', 16, [24, 16, 8, 0]),
        ('perlmutter/gpu', '0 1 2 3', 32, [48, 32, 16, 0]),
        ('aurora/gpu', TILES, 16, [1, 9, 17, 25, 33, 41, 53, 61, 69, 77, 85, 93]),
        ('frontier/gpu', '0 1 2 3 4 5 6 7', 7, [49, 57, 17, 25, 1, 9, 33, 41]),
        ('polaris/mps', '0 0 0 0 1 1 1 1 2 2 2 2 3 3 3 3', 4, [24, 26, 28, 30, 16, 18, 20, 22, 8, 10, 12, 14, 0, 2, 4, 6]),
        ('perlmutter/mps', '0 0 0 0 1 1 1 1 2 2 2 2 3 3 3 3', 8, [48, 52, 56, 60, 32, 36, 40, 44, 16, 20, 24, 28, 0, 4, 8, 12]),
    ],
)
def test_each_worker_has_its_accelerator_and_the_cpus_beside_it(name: str, accelerators: str, threads: int, first: list[int]) -> None:
    workers = pool_of(name).workers
    own = [cpus(row.cpus) or [] for row in workers]
    assert ' '.join(row.accelerator for row in workers) == accelerators
    assert [each[0] for each in own] == first
    assert {len(each) for each in own} == {threads}
    assert len({cpu for each in own for cpu in each}) == threads * len(workers), 'nobody shares a CPU'


@pytest.mark.parametrize(('site', 'threads'), [('polaris', 64), ('perlmutter', 128)])
def test_workers_that_share_a_gpu_divide_its_cpus(site: str, threads: int) -> None:
    beside: dict[str, set[int]] = {}
    for row in pool_of(f'{site}/mps').workers:
        beside.setdefault(row.accelerator, set()).update(cpus(row.cpus) or [])
    assert beside == {row.accelerator: set(cpus(row.cpus) or []) for row in pool_of(f'{site}/gpu').workers}
    assert set.union(*beside.values()) == set(range(threads))


@pytest.mark.parametrize(('name', 'reserved'), [('aurora/gpu', (0, 52, 104, 156)), ('frontier/gpu', range(0, 64, 8))])
def test_the_systems_cores_are_left_to_it(name: str, reserved: Sequence[int]) -> None:
    assert not {cpu for row in pool_of(name).workers for cpu in cpus(row.cpus) or []} & set(reserved)


@pytest.mark.parametrize(('name', 'workers'), [('polaris/cpu', 32), ('perlmutter/cpu', 128), ('aurora/cpu', 102), ('frontier/cpu', 56)])
def test_a_worker_for_each_core(name: str, workers: int) -> None:
    pool = pool_of(name)
    assert (pool.workers_per_node, pool.affinity, {row.accelerator for row in pool.workers}) == (workers, 'alternating', {''})


@pytest.mark.parametrize('file', SITES, ids=named)
def test_its_batch_script_is_the_one_that_people_have_read(file: Path) -> None:
    assert rendered(file) == golden(file).read_text(), 'read the difference, and if it is meant: python -m tests.golden'


def test_no_batch_script_is_left_of_a_file_that_is_gone() -> None:
    assert sorted(GOLDEN.iterdir()) == sorted(map(golden, SITES))


@pytest.mark.parametrize('file', SITES, ids=named)
def test_its_batch_script_is_right_for_bash(file: Path) -> None:
    read = subprocess.run(['/bin/bash', '-n', str(golden(file))], capture_output=True, text=True, check=False, timeout=30)
    assert (read.returncode, read.stderr) == (0, '')


def test_tasks_of_ranks_are_counted_by_the_block() -> None:
    said = describe_config(load_endpoint_config(CONFIGS / 'polaris' / 'mpi.yaml'))
    assert 'MPIEngine, 5 tasks a block, PBSProProvider debug-scaling: 0 to 1 block of 10 nodes' in said
