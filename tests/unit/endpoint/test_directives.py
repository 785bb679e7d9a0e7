"""Directives as keys of a provider, one table for each scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.endpoint.directives import Settings, pbs_time, settings_of, slurm_time
from relay_parsl.endpoint.jobscript import read_script


def settings(*lines: str) -> Settings:
    return settings_of(read_script('\n'.join(lines).encode() + b'\n', 'job'))


@pytest.mark.parametrize(
    ('line', 'provider'),
    [
        ('-l select=2:ncpus=64:ngpus=4:mem=1gb', {'nodes_per_block': 2, 'cpus_per_node': 64, 'select_options': 'ngpus=4:mem=1gb'}),
        ('-l select=ncpus=8', {'nodes_per_block': 1, 'cpus_per_node': 8}),
        ('-l select=1:ncpus=4+3:ncpus=8', {'nodes_per_block': 4, 'cpus_per_node': 4}),
        ('-l walltime=90', {'walltime': '00:01:30'}),
        ('-l filesystems=home:eagle,place=scatter:excl', {'filesystems': 'home:eagle', 'place': 'scatter:excl'}),
        ('-l nodes=3:ppn=4', {'nodes_per_block': 3, 'cpus_per_node': 4}),
        ('-k oe -r n', {'keep': 'oe', 'rerunnable': False}),
        ('-o out -e err -j oe -S /bin/bash -h', {}),
    ],
)
def test_pbs(line: str, provider: dict[str, Any]) -> None:
    assert settings(f'#PBS {line}').provider == provider


@pytest.mark.parametrize(
    ('line', 'provider'),
    [
        ('-A a -p b -q c -C d -M e', {'account': 'a', 'partition': 'b', 'qos': 'c', 'constraint': 'd', 'clusters': 'e'}),
        ('-N 2 --ntasks-per-node=4 -c 8', {'nodes_per_block': 2, 'cores_per_node': 32}),
        ('-N 2 -n 8 --gpus-per-task=1', {'nodes_per_block': 2, 'gpus_per_node': 4}),
        ('--exclusive -c 8', {'exclusive': True}),
        ('-G 8 -N 2', {'gpus_per_node': 8, 'nodes_per_block': 2}),
        ('-N 2 -G 8', {'gpus_per_node': 4, 'nodes_per_block': 2}),
        ('--gres=gpu:a100:2', {'gres': 'gpu:a100:2'}),
        ('--mem=4096M', {'mem_per_node': 4}),
        ('--requeue', {'requeue': True}),
        ('-o x --dependency=y --begin=z --gpu-bind=none', {}),
    ],
)
def test_slurm(line: str, provider: dict[str, Any]) -> None:
    assert settings(f'#SBATCH {line}').provider == {'exclusive': False, **provider}


def test_what_has_no_key_is_kept() -> None:
    kept = settings('#SBATCH --licenses=scratch -w n[1-2] --mem=0 --gpus-per-node=a100:4 --exclusive=user').kept
    assert [each.text for each in kept] == [
        '#SBATCH --licenses=scratch', '#SBATCH --nodelist=n[1-2]', '#SBATCH --mem=0', '#SBATCH --gpus-per-node=a100:4', '#SBATCH --exclusive=user',
    ]  # fmt: skip
    assert [each.text for each in settings('#PBS -v A=1 -l mem=4gb -W group_list=x').kept] == [
        '#PBS -v A=1',
        '#PBS -l mem=4gb',
        '#PBS -W group_list=x',
    ]


@pytest.mark.parametrize(
    ('text', 'clock'),
    [
        ('90', '01:30:00'),
        ('5:30', '00:05:30'),
        ('1:0:0', '01:00:00'),
        ('2-0', '48:00:00'),
        ('1-2:3', '26:03:00'),
        ('1-2:3:4', '26:03:04'),
        ('x', 'x'),
    ],
)
def test_slurm_time(text: str, clock: str) -> None:
    assert slurm_time(text) == clock


@pytest.mark.parametrize(('text', 'clock'), [('90', '00:01:30'), ('5:30', '00:05:30'), ('100:0:0', '100:00:00'), ('soon', 'soon')])
def test_pbs_time(text: str, clock: str) -> None:
    assert pbs_time(text) == clock


def test_what_is_left_out_says_its_line_and_the_remedy() -> None:
    (note,) = settings('#PBS -q a', '#PBS -J 0-9').notes
    assert note == (
        2,
        '`#PBS -J 0-9`: an endpoint has no job arrays: each index becomes a task, and `max_blocks` says how many jobs there are at once',
    )
    assert settings('#PBS -J 0-9').array == '0-9'
