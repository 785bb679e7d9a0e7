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
        load_endpoint_config(file_with(tmp_path, launcher))
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
