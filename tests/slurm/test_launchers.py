"""Our launcher with the real srun: each node once, all its CPUs and GPUs, set up before its manager, and its death its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.launchers import HydraLauncher, SrunLauncher
from relay_parsl.launchers.node import NodeLauncher
from tests.golden import SITES, golden
from tests.slurm import cluster
from tests.unit.test_configs import named

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group('slurm')]

HEAD = [f'--account={cluster.ACCOUNT}', f'--qos={cluster.QOS}', '--constraint=gpu', '--gpus-per-node=4', '--time=5', '--exclusive', '--no-requeue']
HERE = 'echo "at $(hostname): $(nproc) CPUs, GPUs $CUDA_VISIBLE_DEVICES, $SET"'


class Job:
    """A batch job that the test waits for."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.id = ''

    def run(self, launcher: NodeLauncher, command: str, nodes: int = 2) -> str:
        """Submit, and wait for the end; what it wrote."""
        scripts = self.place / 'scripts'
        scripts.mkdir()
        script = scripts / 'job'
        lines = [f'#SBATCH {option}' for option in [*HEAD, f'--nodes={nodes}', '--ntasks-per-node=1', f'--output={self.place}/output']]
        script.write_text('\n'.join(['#!/bin/bash', *lines, 'export JOBNAME=launched', launcher(command, 1, nodes, str(scripts)), '']))
        self.id = cluster.run('sbatch', '--parsable', str(script)).strip()
        cluster.until(lambda: self.state in ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'NODE_FAIL'), 90, f'the end of job {self.id}')
        return (self.place / 'output').read_text()

    @property
    def state(self) -> str:
        """As the controller has it."""
        return cluster.field(self.id, 'JobState')


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path)
    yield made
    subprocess.run(['scancel', made.id], check=False, capture_output=True)


def managers(output: str) -> list[str]:
    """The lines of managers, without srun's label."""
    return sorted(line.partition(': ')[2] for line in output.splitlines() if ': at ' in line)


def test_each_node_has_one_manager_with_all_that_it_has(job: Job) -> None:
    output = job.run(SrunLauncher(node_init='export SET="by $(hostname)"'), HERE.replace('$(nproc)', '$SLURM_CPUS_PER_TASK'))
    names = [line.split()[1].rstrip(':') for line in managers(output)]
    assert len(set(names)) == 2, output
    assert managers(output) == [f'at {name}: 128 CPUs, GPUs 0,1,2,3, by {name}' for name in names]
    assert job.state == 'COMPLETED'


def test_a_manager_that_dies_dies_alone(job: Job, tmp_path: Path) -> None:
    dead = tmp_path / 'dead'
    command = f'if [ "$SLURM_PROCID" = 0 ]; then touch {dead}; exit 9; fi; until [ -e {dead} ]; do sleep 0.1; done; sleep 1; echo "at the end"'
    output = job.run(SrunLauncher(), command)
    assert managers(output) == ['at the end'], output
    assert 'ended with exit code 9' in output
    assert (job.state, cluster.field(job.id, 'ExitCode')) == ('FAILED', '9:0')


def test_a_node_that_cannot_be_set_up_says_so(job: Job) -> None:
    output = job.run(SrunLauncher(node_init='[ "$SLURM_PROCID" = 0 ]'), 'echo "at $SLURM_PROCID"')
    assert managers(output) == ['at 0']
    assert 'node_init failed on' in output
    assert job.state == 'FAILED'


@pytest.mark.skipif(
    subprocess.run(['sh', '-c', 'command -v mpiexec.hydra'], check=False, capture_output=True).returncode != 0, reason='no MPICH here'
)
def test_hydra_finds_the_nodes_of_a_slurm_job(job: Job) -> None:
    output = job.run(HydraLauncher(), 'echo "0: at $(hostname)"')
    assert len(set(managers(output))) == 2, output
    assert job.state == 'COMPLETED'


SUBSTITUTES = {
    'YOUR_PROJECT_g': cluster.ACCOUNT,
    'YOUR_PROJECT': 'm1234',
    '--partition=batch': '--partition=gpu_ss11',  # of this cluster, whose nodes have four GPUs
    '--gpus-per-node=8': '--gpus-per-node=4',
}


@pytest.mark.parametrize('file', [file for file in SITES if file.parent.name in ('frontier', 'perlmutter')], ids=named)
def test_sbatch_takes_the_script_of_a_sites_file(file: Path, tmp_path: Path) -> None:
    text = golden(file).read_text()
    for word, other in SUBSTITUTES.items():
        text = text.replace(word, other)
    (tmp_path / 'script').write_text(text)
    done = subprocess.run(['sbatch', '--test-only', str(tmp_path / 'script')], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
