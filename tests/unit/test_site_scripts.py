"""The batch scripts of the files for sites, run as they stand: as jobs beside fakes of what those sites have; and handed to a strict qsub."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fakes.pbs import FakePBS, fixture
from tests.golden import GOLDEN, SITES, golden
from tests.unit.launchers.job import Job
from tests.unit.test_configs import named

_ = fixture  # of this module, too

STUBS = {
    'PYTHON': 'echo "manager at $FAKE_NODE, mps ${CUDA_MPS_PIPE_DIRECTORY:-no}: $*"',
    'nvidia-cuda-mps-control': '[ "$1" = -d ] && word=up || read -r word\necho "mps $word at $FAKE_NODE"',
    'module': 'echo "module $*"',
    'conda': 'echo "conda $*"',
}


def job_of(file: Path, place: Path) -> Job:
    """A job on two nodes of the site."""
    stubs = place / 'stubs'
    stubs.mkdir()
    for name, text in STUBS.items():
        (stubs / name).write_text(f'#!/bin/bash\n{text}\n')
        (stubs / name).chmod(0o755)
    site = Job(place, 'srun' if file.parent.name in ('frontier', 'perlmutter') else 'pals')
    site.more = {'PATH': f'{stubs}:{site.environment["PATH"]}', 'SLURM_CPUS_ON_NODE': '256'}
    return site


def text_of(file: Path, place: Path) -> str:
    """The script with places and names that exist."""
    (place / 'activate').write_text('echo "environment is there"\n')
    (place / 'submit_scripts').mkdir(exist_ok=True)
    text = golden(file).read_text().replace('RUN_DIR', str(place)).replace('/path/to/your/environment/bin/activate', str(place / 'activate'))
    return text.replace('YOUR_PROJECT', 'Catalyst').replace('/tmp/mps-', f'{place}/mps-')


@pytest.mark.parametrize('file', SITES, ids=named)
def test_it_starts_a_manager_and_ends_well(file: Path, tmp_path: Path) -> None:
    site = job_of(file, tmp_path)
    script = tmp_path / 'script'
    script.write_text(text_of(file, tmp_path))
    site.home.mkdir()
    ended = subprocess.run(['/bin/bash', str(script)], cwd=site.home, env=site.environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, '')
    lines = ended.stdout.splitlines()
    managers = [line for line in lines if line.startswith('manager at ')]
    where = 'first' if file.stem == 'mpi' else 'n1'
    mps = f'{tmp_path}/mps-pipe' if file.stem == 'mps' else 'no'
    assert len(managers) == 1
    assert managers[0].startswith(f'manager at {where}, mps {mps}: -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=')
    assert any(line.startswith(('module load ', 'environment is there')) for line in lines)
    assert [line for line in lines if line.startswith('mps ')] == (['mps up at n1', 'mps quit at n1'] if file.stem == 'mps' else [])
    assert not list(site.home.iterdir()), 'nothing is left where the job starts'


@pytest.mark.parametrize('file', [file for file in SITES if file.parent.name in ('aurora', 'polaris')], ids=named)
def test_a_strict_qsub_takes_it(file: Path, tmp_path: Path, pbs: FakePBS) -> None:
    pbs.set(filesystems=['home', 'eagle', 'flare'], start_delay=1000.0)
    script = tmp_path / 'script'
    script.write_text(text_of(file, tmp_path))
    asked = subprocess.run(['qsub', str(script)], capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ))
    assert (asked.returncode, asked.stderr) == (0, '')
    (job,) = pbs.jobs.values()
    assert job['state'] == 'Q'


def test_every_script_is_tried() -> None:
    assert len(list(GOLDEN.iterdir())) == len(SITES) == 14
