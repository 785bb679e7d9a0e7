"""The files for sites: each is right, each means on its nodes what its comments say, each serves plain Parsl, each renders a batch script."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from parsl.executors import HighThroughputExecutor

from relay_parsl.endpoint.config import EndpointConfig, describe_config, load_config, load_endpoint_config
from relay_parsl.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / 'configs'
FILES = sorted(CONFIGS.rglob('*.yaml'))
SITES = [file for file in FILES if file.parent != CONFIGS]


def named(file: Path) -> str:
    return file.relative_to(CONFIGS).as_posix()


def test_every_site_has_its_files() -> None:
    assert {named(file) for file in FILES} >= {'local.yaml', 'polaris/gpu.yaml', 'polaris/cpu.yaml', 'perlmutter/gpu.yaml', 'perlmutter/cpu.yaml'}


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


@pytest.mark.parametrize('site', ['polaris', 'perlmutter'])
def test_fresh_config_makes_new_executors_each_time(site: str) -> None:
    fresh_config = runpy.run_path(str(CONFIGS / site / 'config.py'))['fresh_config']
    one, two = fresh_config(), fresh_config()
    assert one.executors[0] is not two.executors[0]
    assert one.executors[0].label == f'{site}-gpu'
    assert fresh_config('cpu').executors[0].label == f'{site}-cpu'
    with pytest.raises(ConfigError, match='no such file'):
        fresh_config('nonesuch')


@pytest.mark.parametrize('site', ['polaris', 'perlmutter'])
def test_a_worker_for_each_gpu_on_cpus_of_its_own(site: str) -> None:
    (pool,) = load_endpoint_config(CONFIGS / site / 'gpu.yaml').summary()
    assert [row.accelerator for row in pool.workers] == ['0', '1', '2', '3']
    assert len({row.cpus for row in pool.workers}) == 4


@pytest.mark.parametrize('file', SITES, ids=named)
def test_the_batch_script_asks_for_what_the_file_says(file: Path) -> None:
    """With `true` for the workers' command: the directives that a scheduler would see."""
    provider = load_endpoint_config(file).pools[''].provider
    assert provider is not None
    script = provider.build().script('true', 1, 'job')
    wanted = [
        '#PBS -l walltime=01:00:00',
        '#PBS -l select=1:ncpus=64:ngpus=4',
        '#PBS -l filesystems=home:eagle',
        '#PBS -l place=scatter',
        'mpiexec --cpu-bind',
    ]
    if file.parent.name == 'perlmutter':
        wanted = ['#SBATCH --time=00:30:00', '#SBATCH --nodes=1', f'#SBATCH --constraint={file.stem}', '#SBATCH --qos=debug', 'srun --nodes=1']
    missing = [line for line in [*wanted, 'module load conda'] if line not in script]
    assert not missing, script
