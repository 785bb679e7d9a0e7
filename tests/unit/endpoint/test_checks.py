"""Launchers of ours in endpoint files: every option, and what cannot go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.endpoint.config import load_endpoint_config
from relay_parsl.errors import ConfigError

HEAD = """
display_name: nodes
engine:
  type: HtexEngine
  address: 127.0.0.1
  available_accelerators: 4
  provider:
    type: {provider}
    nodes_per_block: 2
    cores_per_node: 64
    launcher:
"""
PALS = """type: PalsMpiexecLauncher
cpu_bind: depth
depth: 64
ppn: 1
overrides: --line-buffer
debug: false
node_init: "true"
node_exit: "true"
"""
SRUN = """type: SrunLauncher
cpus_per_task: 128
cpu_bind: cores
gpus_per_node: 4
gpu_bind: none
kill_on_bad_exit: 1
overrides: -v
debug: false
node_init: |
  a=1
  export a
node_exit: "true"
"""


def file_with(place: Path, launcher: str, provider: str = 'PBSProProvider') -> Path:
    file = place / 'nodes.yaml'
    file.write_text(HEAD.format(provider=provider) + ''.join(f'      {line}\n' for line in launcher.splitlines()))
    return file


@pytest.mark.parametrize(
    ('provider', 'launcher'),
    [
        ('PBSProProvider', PALS),
        ('PBSProProvider', 'type: HydraLauncher\nbind_to: socket\nbootstrap: rsh\nbootstrap_exec: /opt/tmrsh\noverrides: -l\nnode_init: "true"'),
        ('SlurmProvider', SRUN),
        ('SlurmProvider', 'type: SrunLauncher\ndebug: true\noverrides: -c 128 --cpu-bind=none -K0'),
    ],
)
def test_every_option_reaches_its_launcher(tmp_path: Path, provider: str, launcher: str) -> None:
    config = load_endpoint_config(file_with(tmp_path, launcher, provider))
    assert config.warnings == ()
    spec = config.pools[''].launcher
    assert spec is not None
    built = spec.build()
    assert {'type', *spec.options} == {line.partition(':')[0] for line in launcher.splitlines() if not line.startswith(' ')}
    assert {key: getattr(built, key) for key in spec.options} == spec.options


@pytest.mark.parametrize(
    ('launcher', 'said'),
    [
        ('type: PalsMpiexecLauncher\ncpu_bnd: none', 'launcher.cpu_bnd: unknown key; did you mean `cpu_bind`?'),
        ('type: PalsMpiexecLauncher\ndepth: 0', 'launcher.depth: must be a whole number, at least 1; it is 0'),
        ('type: PalsMpiexecLauncher\nppn: 2\nnode_init: "true"', 'launcher.ppn: must be 1 with `node_init` and `node_exit`'),
        ('type: HydraLauncher\nbind_to: [a]', "launcher.bind_to: must be text; it is ['a']"),
        ('type: SrunLauncher\nkill_on_bad_exit: 2', 'launcher.kill_on_bad_exit: must be a whole number, 0 to 1; it is 2'),
        ('type: PalsMpiexecLauncher\nnode_init: true', 'launcher.node_init: must be text; it is True; put it into quotes'),
    ],
)
def test_a_mistake_is_named_where_it_stands(tmp_path: Path, launcher: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_endpoint_config(file_with(tmp_path, launcher, 'SlurmProvider' if 'Srun' in launcher else 'PBSProProvider'))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f'{tmp_path}/nodes.yaml:')
    assert said in line


def test_managers_that_share_accelerators_are_worth_a_word(tmp_path: Path) -> None:
    (warning,) = load_endpoint_config(file_with(tmp_path, 'type: PalsMpiexecLauncher\nppn: 2')).warnings
    assert 'launcher.ppn: warning: each of 2 managers on a node starts all workers: they share every accelerator' in warning


MPI = """
engine:
  type: MPIEngine
  address: 127.0.0.1
  max_workers_per_block: 2
  provider: {{type: PBSProProvider, account: a, nodes_per_block: 2, select_options: "{select}", launcher: {{type: {launcher}}}}}
"""


@pytest.mark.parametrize(
    ('select', 'launcher', 'said'),
    [
        ('ngpus=4:mpiprocs=4', 'SimpleLauncher', '`mpiprocs=4` makes 4 nodes of each for Parsl'),
        ('ngpus=4', 'SingleNodeLauncher', 'MPIEngine starts ranks itself: write `launcher: {type: SimpleLauncher}`'),
    ],
)
def test_what_an_mpi_engine_cannot_work_with(tmp_path: Path, select: str, launcher: str, said: str) -> None:
    path = tmp_path / 'mpi.yaml'
    path.write_text(MPI.format(select=select, launcher=launcher))
    with pytest.raises(ConfigError) as caught:
        load_endpoint_config(path)
    assert said in str(caught.value)
    path.write_text(MPI.format(select='ngpus=4:mpiprocs=1', launcher='SimpleLauncher'))
    load_endpoint_config(path)


FEW = """
engine:
  type: {engine}
  address: 127.0.0.1
  {top}
  provider: {{type: {provider}}}
"""
PALS_WITH = 'PBSProProvider, cpus_per_node: 64, launcher: {type: PalsMpiexecLauncher}'
GPUS = 'asks for 4 GPUs a node, and every worker would see all of them: write `available_accelerators: 4`'


def few(tmp_path: Path, top: str, provider: str, engine: str = 'HtexEngine') -> tuple[str, ...]:
    path = tmp_path / 'few.yaml'
    path.write_text(FEW.format(engine=engine, top=top, provider=provider))
    return load_endpoint_config(path).warnings


@pytest.mark.parametrize(
    ('top', 'provider', 'where', 'said'),
    [
        (
            'available_accelerators: 4',
            'PBSProProvider, select_options: ngpus=4',
            'type',
            'PBS gives 1 CPU of a node where nobody says how many, to 4',
        ),
        ('max_workers_per_node: 8\n  cores_per_worker: 2', 'PBSProProvider', 'type', 'workers; write `cpus_per_node: 16` or more'),
        ('prefetch_capacity: 0', 'PBSProProvider', 'type', 'to all workers; write `cpus_per_node`, as many as a node has'),
        ('max_workers_per_node: 4', 'PBSProProvider, cpus_per_node: 2', 'cpus_per_node', 'only 2 of 4 workers would start'),
        ('max_workers_per_node: 4\n  cores_per_worker: 8', 'SlurmProvider, cores_per_node: 16', 'cores_per_node', 'only 2 of 4 workers would start'),
        ('max_workers_per_node: 4', 'PBSProProvider, cpus_per_node: 64, select_options: ngpus=4', 'select_options', GPUS),
        ('prefetch_capacity: 0', 'SlurmProvider, gpus_per_node: 4', 'gpus_per_node', GPUS),
        ('prefetch_capacity: 0', 'SlurmProvider, gres: "gpu:a100:4"', 'gres', GPUS),
        ('prefetch_capacity: 0', 'SlurmProvider, scheduler_options: "#SBATCH --gpus-per-node=A100:4"', 'scheduler_options', GPUS),
        ('drain_period: 600', 'SlurmProvider', 'drain_period', 'the walltime of 600 s is over before'),
        ('drain_period: 7200', 'PBSProProvider, cpus_per_node: 8, walltime: 01:30:00', 'drain_period', 'the walltime of 5400 s is over before'),
        (
            'max_workers_per_node: 3\n  cpu_affinity: "list:0-7:8-15:6-9"',
            'SlurmProvider',
            'cpu_affinity',
            'workers 0 and 2 would share the CPUs 6-7; give each its own',
        ),
        ('max_workers_per_node: 2\n  cpu_affinity: "list:0-7:0-7"', 'SlurmProvider', 'cpu_affinity', 'workers 0 and 1 would share the CPUs 0-7'),
    ],
)
def test_what_a_node_would_have_too_little_of_is_worth_a_word(tmp_path: Path, top: str, provider: str, where: str, said: str) -> None:
    (warning,) = few(tmp_path, top, provider)
    assert f'.{where}: warning: ' in warning
    assert said in warning


@pytest.mark.parametrize(
    ('top', 'provider', 'engine'),
    [
        ('max_workers_per_node: 1', 'PBSProProvider, select_options: ngpus=4', 'HtexEngine'),  # one worker may use them all
        ('available_accelerators: 0', 'SlurmProvider, gpus_per_node: 4', 'HtexEngine'),  # said to be meant
        ('max_workers_per_block: 1', 'SlurmProvider, gpus_per_node: 4, launcher: {type: SimpleLauncher}', 'MPIEngine'),
        ('max_workers_per_node: 4', 'PBSProProvider, select_options: "ncpus=8"', 'HtexEngine'),
        ('max_workers_per_node: 4\n  cores_per_worker: 0.25', 'PBSProProvider', 'HtexEngine'),
        ('drain_period: 599', 'SlurmProvider', 'HtexEngine'),
        ('drain_period: 86400', 'LocalProvider', 'HtexEngine'),
        ('max_workers_per_node: 2\n  cpu_affinity: "list:0-7:8-15"', PALS_WITH, 'HtexEngine'),
    ],
)
def test_what_is_enough_goes_without_a_word(tmp_path: Path, top: str, provider: str, engine: str) -> None:
    assert few(tmp_path, top, provider, engine) == ()


@pytest.mark.parametrize(
    ('provider', 'said'),
    [
        (
            'SlurmProvider, launcher: {type: PalsMpiexecLauncher}',
            'PalsMpiexecLauncher reads the hosts of a PBS job, and SlurmProvider has none: use Srun',
        ),
        (
            'PBSProProvider, cpus_per_node: 8, launcher: {type: SrunLauncher}',
            "SrunLauncher starts managers with Slurm's srun, and PBSProProvider has none",
        ),
        ('TorqueProvider, launcher: {type: SrunMPILauncher}', 'use PalsMpiexecLauncher (Cray) or HydraLauncher (MPICH)'),
    ],
)
def test_a_launcher_of_another_scheduler_is_refused(tmp_path: Path, provider: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        few(tmp_path, 'max_workers_per_node: 4', provider)
    (line,) = str(caught.value).splitlines()
    assert ':6: engine.provider.launcher.type: ' in line
    assert said in line
