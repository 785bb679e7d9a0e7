"""The options that each of the two mpiexecs gets, the hosts that it starts on; and MPICH's own, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from relay_parsl.errors import ConfigError
from relay_parsl.launchers import HydraLauncher, PalsMpiexecLauncher
from relay_parsl.launchers.node import NodeLauncher
from tests.unit.launchers.job import Job


def mpiexec(launcher: NodeLauncher, nodes: int = 2, managers: int = 1) -> str:
    (line,) = [line for line in launcher('x', managers, nodes, '/scripts').splitlines() if line.startswith('mpiexec')]
    return line.removesuffix(' /bin/bash "$NODE_SCRIPT" || CODE=$?')


@pytest.mark.parametrize(
    ('launcher', 'expected'),
    [
        (PalsMpiexecLauncher(), '-n "$HOSTS" --hostfile "$HOSTFILE" --ppn 1 --cpu-bind none --no-abort-on-failure'),
        (PalsMpiexecLauncher(depth=64), '-n "$HOSTS" --hostfile "$HOSTFILE" --ppn 1 --cpu-bind none --depth 64 --no-abort-on-failure'),
        (
            PalsMpiexecLauncher(ppn=4, cpu_bind='list:0-7:8-15'),
            '-n "$((HOSTS * 4))" --hostfile "$HOSTFILE" --ppn 4 --cpu-bind list:0-7:8-15 --no-abort-on-failure',
        ),
        (
            PalsMpiexecLauncher(overrides='--depth=64 --ppn 1 --cpu-bind=depth --line-buffer'),
            '-n "$HOSTS" --hostfile "$HOSTFILE" --no-abort-on-failure --depth=64 --ppn 1 --cpu-bind=depth --line-buffer',
        ),
        (PalsMpiexecLauncher(overrides='--abort-on-failure'), '-n "$HOSTS" --hostfile "$HOSTFILE" --ppn 1 --cpu-bind none --abort-on-failure'),
        (HydraLauncher(), '"${WHERE[@]}" -ppn 1 -bind-to none -disable-auto-cleanup'),
        (
            HydraLauncher(bind_to='socket', bootstrap='rsh', bootstrap_exec='/opt/tm rsh'),
            '"${WHERE[@]}" -ppn 1 -bind-to socket -launcher rsh -launcher-exec \'/opt/tm rsh\' -disable-auto-cleanup',
        ),
        (HydraLauncher(overrides='--ppn=1\n-l'), '"${WHERE[@]}" -bind-to none -disable-auto-cleanup --ppn=1 -l'),
    ],
)
def test_the_words_for_mpiexec(launcher: NodeLauncher, expected: str) -> None:
    assert mpiexec(launcher) == f'mpiexec {expected}'


@pytest.mark.parametrize('kind', ['pals', 'hydra'])
def test_each_host_counts_once_and_the_first_stays_first(kind: str, tmp_path: Path) -> None:
    launcher = PalsMpiexecLauncher() if kind == 'pals' else HydraLauncher()
    job = Job(tmp_path, kind, nodefile=('n9', 'n9', 'n1', 'n9', 'n5'))
    ended = job.run(launcher, 'echo "at $FAKE_NODE"', nodes=2)
    assert sorted(line for line in ended.stdout.splitlines() if line.startswith('at')) == ['at n1', 'at n9']
    assert (job.scripts / 'hosts_parsl.x.block-0').read_text() == 'n9\nn1\n'


@pytest.mark.parametrize('kind', ['pals', 'hydra'])
def test_chunks_that_share_a_node_get_one_manager_and_a_word(kind: str, tmp_path: Path) -> None:
    """Two managers there would give each GPU to two workers."""
    launcher = PalsMpiexecLauncher() if kind == 'pals' else HydraLauncher()
    ended = Job(tmp_path, kind, nodefile=('n1', 'n1')).run(launcher, 'echo "at $FAKE_NODE"')
    assert [line for line in ended.stdout.splitlines() if line.startswith('at')] == ['at n1']
    assert 'the job has 1 of 2 nodes: its chunks share a node, which place=scatter prevents' in ended.stderr
    assert ended.returncode == 0


def test_pals_wants_a_job(tmp_path: Path) -> None:
    ended = Job(tmp_path, 'pals', nodefile=None).run(PalsMpiexecLauncher(), 'true')
    assert ended.returncode == 1
    assert 'PBS_NODEFILE is not set on' in ended.stderr


def test_hydra_finds_the_hosts_of_other_batch_systems_itself(tmp_path: Path) -> None:
    ended = Job(tmp_path, 'hydra', nodefile=None).run(HydraLauncher(), 'echo "at $FAKE_NODE"', nodes=1)
    assert 'at localhost' in ended.stdout
    assert ended.returncode == 0


@pytest.mark.parametrize('given', [{'ppn': 0}, {'ppn': 2, 'node_init': 'true'}, {'ppn': 2, 'node_exit': 'true'}])
def test_a_number_of_managers_that_cannot_be(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match='`ppn` must be 1, or more without `node_init`'):
        PalsMpiexecLauncher(**given)  # type: ignore[arg-type]


RSH = '#!/bin/bash\nexport AT=$1  # not FAKE_NODE: Hydra sends along what is set here\nshift\nexec bash -c "$*"\n'


@pytest.mark.skipif(shutil.which('mpiexec.hydra') is None, reason='MPICH is not installed')
@pytest.mark.parametrize('ending', ['exit 9', 'kill -9 $$ $BASHPID'])
def test_real_hydra_starts_each_node_and_lets_one_manager_die(tmp_path: Path, ending: str) -> None:
    """Other nodes are reached by a remote shell that stays here."""
    for name, text in (('mpiexec', '#!/bin/sh\nexec mpiexec.hydra "$@"\n'), ('rsh', RSH)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    job = Job(tmp_path, '.', scripts_are_in='scripts')
    job.more = {'PATH': f'{tmp_path}:/usr/bin:/bin'}
    launcher = HydraLauncher(bootstrap='rsh', bootstrap_exec=str(tmp_path / 'rsh'), node_init='echo "init $AT"')
    dead = tmp_path / 'dead'
    command = f'if [ "$AT" = n1 ]; then touch {dead}; {ending}; fi; until [ -e {dead} ]; do sleep 0.05; done; sleep 0.5; echo "at $AT"'
    ended: subprocess.CompletedProcess[str] = job.run(launcher, command)
    assert sorted(line for line in ended.stdout.splitlines() if line[:3] in ('ini', 'at ')) == ['at n2', 'init n1', 'init n2']
    assert ended.returncode == 9
