"""Faults of Parsl's launchers, by their numbers in docs/parsl-faults.md: each check fails on Parsl's class and holds for ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from parsl.launchers import MpiExecLauncher, SingleNodeLauncher, SrunMPILauncher
from parsl.launchers import SrunLauncher as ParslSrunLauncher
from parsl.launchers.base import Launcher

from relay_parsl.launchers import HydraLauncher, PalsMpiexecLauncher, SrunLauncher
from tests.unit.launchers.job import Job

WHERE = 'echo "at $FAKE_NODE"'
CRAY = MpiExecLauncher(bind_cmd='--cpu-bind', overrides='--depth=64 --ppn 1')
"""Parsl's with the settings for Polaris."""


def started(job: Job, launcher: Launcher, command: str = WHERE, start: str = 'at ') -> list[str]:
    ended = job.run(launcher, command)
    return sorted(line for line in ended.stdout.splitlines() if line.startswith(start))


@pytest.fixture
def job(tmp_path: Path) -> Callable[[str], Job]:
    """Parsl's leave paths unquoted, hence no blank in that of the scripts."""
    return lambda fake: Job(tmp_path, fake, scripts_are_in='scripts')


def leaves_the_home_clean(job: Job, launcher: Launcher) -> None:
    """12."""
    assert started(job, launcher, 'echo at any') == ['at any', 'at any']
    assert not list(job.home.iterdir()), 'PBS starts jobs in $HOME'


def test_12_no_file_in_the_directory_where_the_job_starts(job: Callable[[str], Job], tmp_path: Path) -> None:
    leaves_the_home_clean(job('pals'), PalsMpiexecLauncher())
    with pytest.raises(AssertionError, match='HOME'):
        leaves_the_home_clean(job('pals'), CRAY)
    assert [path.name for path in (tmp_path / 'home').iterdir()] == ['parsl.x.block-0.nodes']


def starts_as_it_comes(job: Job, launcher: Launcher) -> None:
    """35."""
    assert started(job, launcher) == ['at n1', 'at n2']


def test_35_each_mpiexec_gets_options_that_it_knows(job: Callable[[str], Job]) -> None:
    starts_as_it_comes(job('pals'), PalsMpiexecLauncher())
    starts_as_it_comes(job('hydra'), HydraLauncher())
    with pytest.raises(AssertionError):
        starts_as_it_comes(job('pals'), MpiExecLauncher())
    with pytest.raises(AssertionError):
        starts_as_it_comes(job('hydra'), CRAY)


def expands_on_the_node(job: Job, launcher: Launcher) -> None:
    """36."""
    assert started(job, launcher, "echo 'at '$FAKE_NODE `hostname`") == ['at n1 n1', 'at n2 n2']


@pytest.mark.parametrize(
    ('fake', 'ours', 'parsls'),
    [
        ('pals', PalsMpiexecLauncher(), CRAY),
        ('hydra', HydraLauncher(), MpiExecLauncher(overrides='-ppn 1')),
        ('srun', SrunLauncher(), ParslSrunLauncher()),
    ],
)
def test_36_the_command_expands_on_its_node(job: Callable[[str], Job], fake: str, ours: Launcher, parsls: Launcher) -> None:
    expands_on_the_node(job(fake), ours)
    with pytest.raises(AssertionError, match='first'):
        expands_on_the_node(job(fake), parsls)


def gives_a_manager_its_node(job: Job, launcher: Launcher) -> None:
    """37."""
    assert started(job, launcher, "env | sed -n 's/FAKE_CPUS=/at /p'") == ['at 64', 'at 64']


def lets_a_node_die_alone(job: Job, launcher: Launcher, dead: Path) -> None:
    """37."""
    script = job.place / 'manager'  # a file, because Parsl's would expand its text too early
    script.write_text(
        f'if [ "$FAKE_NODE" = n1 ]; then touch {dead}; exit 9; fi\nuntil [ -e {dead} ]; do sleep 0.05; done; sleep 0.5; echo "at $FAKE_NODE"\n'
    )
    assert started(job, launcher, f'bash {script}') == ['at n2']


def test_37_srun_gives_a_manager_its_whole_node(job: Callable[[str], Job]) -> None:
    gives_a_manager_its_node(job('srun'), SrunLauncher())
    with pytest.raises(AssertionError, match='at 1'):
        gives_a_manager_its_node(job('srun'), ParslSrunLauncher())


def test_37_a_node_that_dies_does_not_end_the_block(job: Callable[[str], Job], tmp_path: Path) -> None:
    lets_a_node_die_alone(job('srun'), SrunLauncher(), tmp_path / 'dead1')
    lets_a_node_die_alone(job('pals'), PalsMpiexecLauncher(), tmp_path / 'dead2')
    with pytest.raises(AssertionError):
        lets_a_node_die_alone(job('srun'), ParslSrunLauncher(), tmp_path / 'dead3')
    with pytest.raises(AssertionError):
        lets_a_node_die_alone(job('pals'), CRAY, tmp_path / 'dead4')


def test_38_managers_start_on_every_node(job: Callable[[str], Job]) -> None:
    """A launcher for several nodes; `endpoint check` refuses the other with several."""
    starts_as_it_comes(job('srun'), SrunLauncher())
    with pytest.raises(AssertionError, match='at first'):
        starts_as_it_comes(job('srun'), SingleNodeLauncher())


def has_no_stray_signs(launcher: Launcher) -> None:
    """39."""
    assert not re.search(r'\$\(seq [^)]*\):', launcher('true', 1, 2, '/scripts'))


def tells_how_managers_ended(job: Job, launcher: Launcher) -> None:
    """39."""
    assert job.run(launcher, 'exit 3').returncode == 3


def test_39_managers_of_a_job_are_counted_and_heard(job: Callable[[str], Job]) -> None:
    has_no_stray_signs(SrunLauncher())
    tells_how_managers_ended(job('srun'), SrunLauncher())
    with pytest.raises(AssertionError):
        has_no_stray_signs(SrunMPILauncher())
    with pytest.raises(AssertionError, match='0 == 3'):
        tells_how_managers_ended(job('srun'), SrunMPILauncher())


def sets_up_every_node(job: Job, launcher: Launcher) -> None:
    """40."""
    assert started(job, launcher, 'true', 'init ') == ['init n1', 'init n2']


@pytest.mark.parametrize(
    ('fake', 'ours', 'parsls'),
    [
        ('pals', PalsMpiexecLauncher, CRAY),
        ('hydra', HydraLauncher, MpiExecLauncher(overrides='-ppn 1')),
        ('srun', SrunLauncher, ParslSrunLauncher()),
    ],
)
def test_40_every_node_can_be_set_up(job: Callable[[str], Job], fake: str, ours: Callable[..., Launcher], parsls: Launcher) -> None:
    sets_up_every_node(job(fake), ours(node_init='echo "init $FAKE_NODE"'))
    theirs = job(fake)
    theirs.before = 'echo "init $FAKE_NODE"'  # all that Parsl has: the provider's worker_init
    with pytest.raises(AssertionError, match='init first'):
        sets_up_every_node(theirs, parsls)
