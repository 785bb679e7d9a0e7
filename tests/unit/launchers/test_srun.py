"""The options that srun gets: all CPUs of the node for its one manager, and those of Parsl's launcher as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_parsl.launchers import SrunLauncher
from tests.unit.launchers.job import Job

USUAL = '--nodes=2 --ntasks=2 --ntasks-per-node=1'
ALONE = '--kill-on-bad-exit=0 --no-kill --label'


@pytest.mark.parametrize(
    ('launcher', 'expected'),
    [
        (SrunLauncher(), f'{USUAL} --cpus-per-task="$CORES" --cpu-bind=none {ALONE}'),
        (SrunLauncher(cpus_per_task=64, cpu_bind='cores'), f'{USUAL} --cpus-per-task=64 --cpu-bind=cores {ALONE}'),
        (
            SrunLauncher(gpus_per_node=4, gpu_bind='none'),
            f'{USUAL} --cpus-per-task="$CORES" --cpu-bind=none --gpus-per-node=4 --gpu-bind=none {ALONE}',
        ),
        (
            SrunLauncher(kill_on_bad_exit=1),
            f'{USUAL} --cpus-per-task="$CORES" --cpu-bind=none --kill-on-bad-exit=1 --no-kill --label',
        ),
        # as people write it for Parsl's
        (SrunLauncher(debug=False, overrides='-c 128'), f'{USUAL} --cpu-bind=none {ALONE} -c 128'),
        (SrunLauncher(overrides='-K0 -k --cpu-bind=none -c128'), f'{USUAL} --label -K0 -k --cpu-bind=none -c128'),
        (
            SrunLauncher(overrides='--ntasks=4 --mem=0'),
            f'--nodes=2 --ntasks-per-node=1 --cpus-per-task="$CORES" --cpu-bind=none {ALONE} --ntasks=4 --mem=0',
        ),
    ],
)
def test_the_words_for_srun(launcher: SrunLauncher, expected: str) -> None:
    (line,) = [line for line in launcher('x', 1, 2, '/scripts').splitlines() if line.startswith('srun')]
    assert line == f'srun {expected} /bin/bash "$NODE_SCRIPT" || CODE=$?'


def test_a_manager_gets_the_cpus_and_gpus_of_its_node(tmp_path: Path) -> None:
    ended = Job(tmp_path, 'srun').run(SrunLauncher(gpus_per_node=4), 'echo "has $FAKE_CPUS $FAKE_BIND $FAKE_GPUS"')
    assert ended.stdout.count('has 64 none 4\n') == 2
    assert '2 nodes of 64 CPUs' in ended.stdout


def test_several_managers_share_the_cpus(tmp_path: Path) -> None:
    assert Job(tmp_path, 'srun').run(SrunLauncher(), 'echo "has $FAKE_CPUS"', managers=4).stdout.count('has 16\n') == 8
