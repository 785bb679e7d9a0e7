"""Directives of a user's own for Slurm: what they say, and that what the provider writes is refused in them."""

from __future__ import annotations

import pytest

from relay_parsl.errors import ConfigError
from relay_parsl.providers import SlurmProvider, sbatch

WRITTEN = 'is what `{}` says; write it there'


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('#SBATCH --time=10\n#SBATCH -N2 -k', {'time': '10', 'nodes': '2', 'no-kill': None}),
        ('#SBATCH -t 10 --hold --mem 4g', {'time': '10', 'hold': None, 'mem': '4g'}),
        ('#SBATCH --comment="a -t 5"  # -N 4\n# --nodes=3', {'comment': 'a -t 5'}),
        ('#SBATCH --comment="open -H', {'comment': '"open', 'hold': None}),
        ('', {}),
    ],
)
def test_what_directives_say(text: str, said: dict[str, str | None]) -> None:
    assert sbatch.given(text) == said


@pytest.mark.parametrize(
    ('directive', 'said'),
    [
        *((text, WRITTEN.format('walltime')) for text in ('-t 06:00:00', '-t06:00:00', '--time 06:00:00', '--time=06:00:00', '-C gpu -t 6')),
        *((text, WRITTEN.format('nodes_per_block')) for text in ('-N 40', '-N40', '--nodes=40', '--nodes 40-50')),
        *((text, WRITTEN.format('requeue')) for text in ('--requeue', '--no-requeue')),
        *((text, WRITTEN.format('no_kill')) for text in ('-k', '--no-kill', '--no-kill=off')),
        *((text, '`max_workers_per_node`') for text in ('-n 8', '--ntasks=8', '--ntasks-per-node=4')),
        *((text, 'leave it out') for text in ('-J mine', '--job-name=mine', '--job=mine', '-o out', '--output=out', '-e err', '--error err')),
        *((text, 'nodes_per_block or max_blocks') for text in ('-a 0-9', '--array=0-9')),
        *((text, 'write `exclusive: false`, too') for text in ('--exclusive=user', '-s', '--oversubscribe')),
    ],
)
def test_what_the_provider_writes_is_refused(directive: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SlurmProvider(scheduler_options=f'#SBATCH --comment=x\n#SBATCH {directive}\n')
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ('option', 'value', 'directives'),
    [
        ('account', 'a', ('-A b', '--account=b')),
        ('partition', 'a', ('-p b', '--partition b', '--part=b')),
        ('qos', 'a', ('-q b', '--qos=b')),
        ('constraint', 'a', ('-C b', '--constraint=b')),
        ('clusters', 'a', ('-M b', '--clusters=b', '--cluster=b')),
        ('cores_per_node', 4, ('-c 8', '--cpus-per-task=8')),
        ('mem_per_node', 4, ('--mem=8g', '--mem-per-cpu=1g')),
        ('gpus_per_node', 4, ('--gpus-per-node=a100:4',)),
        ('gres', 'gpu:4', ('--gres=gpu:2',)),
    ],
)
def test_what_an_option_says_too_is_refused_and_without_it_taken(option: str, value: object, directives: tuple[str, ...]) -> None:
    for directive in directives:
        with pytest.raises(ConfigError, match=f'{option}: given twice'):
            SlurmProvider(scheduler_options=f'#SBATCH {directive}', **{option: value})  # type: ignore[arg-type]
        assert f'#SBATCH {directive}\n' in SlurmProvider(scheduler_options=f'#SBATCH {directive}').script('x', 1, 'n')


def test_what_nothing_else_says_is_taken() -> None:
    text = '#SBATCH --exclusive\n#SBATCH --exclude=n1\n#SBATCH --time-min=5 --nodelist=n2\n#SBATCH --gpus-per-task=1\n#SBATCH --gpus=2\n'
    assert text in SlurmProvider(scheduler_options=text).script('x', 1, 'n')
    shared = '#SBATCH --exclusive=user'
    assert shared in SlurmProvider(scheduler_options=shared, exclusive=False).script('x', 1, 'n')
