"""The script that PBSProProvider writes, and what its constructor refuses. What it does with PBS is in tests/contract and tests/faults."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
from parsl.jobs.states import JobState
from parsl.launchers import SimpleLauncher
from parsl.launchers.errors import BadLauncher
from parsl.providers.errors import SubmitException

from relay_parsl.errors import ConfigError
from relay_parsl.providers import PBSProProvider
from relay_parsl.providers.command import Ran
from relay_parsl.providers.directives import given
from tests.fakes.patience import give_up
from tests.fakes.pbs import FakePBS, fixture, until

__all__ = ['fixture']

POLARIS: dict[str, Any] = {
    'account': 'Catalyst',
    'queue': 'debug',
    'select_options': 'ngpus=4',
    'nodes_per_block': 2,
    'cores_per_node': 64,
    'mem_per_node': 512,
    'system': 'polaris',
    'filesystems': ['home', 'eagle'],
    'walltime': '1:00:00',
    'worker_init': 'module load conda\n',
    'launcher': SimpleLauncher(),
}
SCRIPT = """#!/bin/bash
#PBS -N parsl.gpu.block-0
#PBS -A Catalyst
#PBS -q debug
#PBS -l select=2:ncpus=64:system=polaris:mem=512gb:ngpus=4
#PBS -l place=scatter
#PBS -l walltime=01:00:00
#PBS -l filesystems=home:eagle
#PBS -k doe
#PBS -r n
#PBS -m n
#PBS -o /run/scripts/parsl.gpu.block-0.stdout
#PBS -e /run/scripts/parsl.gpu.block-0.stderr
#PBS -S /bin/bash

[ ${#TMPDIR} -le 40 ] || export TMPDIR=/tmp

module load conda

export PARSL_MEMORY_GB=512
export PARSL_CORES=32
export JOBNAME="parsl.gpu.block-0"
[ ! . -ef "$HOME" ] || cd /run/scripts || exit 1

start managers
"""


def script(**options: Any) -> str:
    provider = PBSProProvider(**{'launcher': SimpleLauncher(), **options})
    provider.script_dir = '/run/scripts'
    return provider.script('start managers', 2, 'parsl.gpu.block-0')


def test_everything_is_in_the_script_and_can_be_read() -> None:
    assert script(**POLARIS) == SCRIPT


def test_the_smallest_script_asks_for_nothing_that_was_not_said() -> None:
    text = script(keep=None)
    assert '#PBS -l select=1:ncpus=1\n#PBS -l walltime=00:20:00\n#PBS -r n\n' in text
    assert not [word for word in ('-A', '-q', 'place', 'filesystems', '-k', 'PARSL_') if word in text]


def test_a_script_can_be_seen_before_there_is_a_directory() -> None:
    text = PBSProProvider().script('start', 1, 'block')
    assert '#PBS -o block.stdout\n' in text
    assert 'cd ' not in text


@pytest.mark.parametrize('scheduler_options', ['#PBS -l place=pack', '#PBS -l filesystems=home,place=pack', '#PBS -k oe -l place=pack'])
def test_a_directive_of_the_users_own_replaces_a_default(scheduler_options: str) -> None:
    text = script(nodes_per_block=2, scheduler_options=scheduler_options)
    assert 'place=scatter' not in text
    assert text.index(scheduler_options) < text.index('TMPDIR')


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'place': 'scatter', 'scheduler_options': '#PBS -l place=pack'}, 'place: given twice'),
        ({'account': 'a', 'scheduler_options': '#PBS -A b'}, 'account: given twice'),
        ({'queue': 'a', 'scheduler_options': '#PBS -qb'}, 'queue: given twice'),
        ({'filesystems': 'home', 'scheduler_options': '#PBS -l filesystems=eagle'}, 'filesystems: given twice'),
        ({'scheduler_options': '#PBS -l walltime=1:00:00'}, 'scheduler_options: `-l walltime` is what `walltime` says'),
        ({'scheduler_options': '#PBS -l select=2:ncpus=1'}, '`-l select` is what `nodes_per_block`, with'),
        ({'account': 'a b'}, 'account: must be one word'),
        ({'account': 5}, 'account: must be one word'),
        ({'queue': 'debug\n#PBS -A other'}, 'queue: must be one word'),
        ({'select_options': 'ngpus=4 -q other'}, 'select_options: must be one word'),
        ({'system': ''}, 'system: must be one word'),
        ({'place': 'scatter excl'}, 'place: must be like'),
        ({'filesystems': 'home eagle'}, 'filesystems: must be like'),
        ({'place': ''}, 'place: must be like'),
        ({'place': 'scatered'}, 'place: must be like'),
        ({'filesystems': []}, 'filesystems: must be like'),
        ({'filesystems': ['home\n']}, 'filesystems: must be like'),
        ({'keep': 'x'}, 'keep: must be like'),
        ({'rerunnable': 'y'}, 'rerunnable: must be True or False'),
        ({'worker_init': None}, 'worker_init: must be text'),
        ({'scheduler_options': ['#PBS -r y']}, 'scheduler_options: must be text'),
        ({'nodes_per_block': '2'}, 'nodes_per_block: must be a whole number'),
        ({'cpus_per_node': 0}, 'cpus_per_node: must be a whole number'),
        ({'max_blocks': -1}, 'max_blocks: must be a whole number'),
        ({'parallelism': 'all'}, 'parallelism: must be a number'),
        ({'cmd_timeout': 0}, 'cmd_timeout: must be a number'),
        ({'walltime': '20:00'}, 'walltime: must be HH:MM:SS'),
    ],
)
def test_what_the_constructor_refuses(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace('(', r'\(')):
        PBSProProvider(**options)


def test_a_launcher_must_be_one() -> None:
    with pytest.raises(BadLauncher):
        PBSProProvider(launcher='SimpleLauncher')  # type: ignore[arg-type]  # the mistake


def test_what_directives_say() -> None:
    assert given('#PBS -l filesystems=home:eagle,place=scatter\n  #PBS-A x -kdoe\n# -q no\n#PBSQ -r y\n') == {'filesystems', 'place', '-A', '-k'}
    assert given('') == set()


def test_resources_that_select_options_name_are_not_named_twice() -> None:
    assert PBSProProvider(select_options=':ncpus=32:mem=8gb', mem_per_node=4).select() == '1:ncpus=32:mem=8gb'
    assert PBSProProvider(cpus_per_node=32, cores_per_node=30).select() == '1:ncpus=32'


def test_it_travels_to_the_engine_process_and_can_be_shown() -> None:
    again = pickle.loads(pickle.dumps(PBSProProvider(**POLARIS)))
    again.script_dir = '/run/scripts'
    assert again.script('start managers', 2, 'parsl.gpu.block-0') == SCRIPT
    assert "account='Catalyst'" in repr(again)
    assert again.label == 'pbspro'


def test_names_that_pbs_does_not_take_are_mended() -> None:
    provider = PBSProProvider(launcher=SimpleLauncher())
    text = provider.script('start', 1, 'a b\n#PBS -A x/' + 'n' * 300)
    (name,) = [line for line in text.splitlines() if line.startswith('#PBS -N ')]
    assert name == '#PBS -N ' + 'n' * 200
    assert '#PBS -N a_b__PBS_-A_x_\n' in provider.script('start', 1, 'a b\n#PBS -A x/')


@pytest.mark.parametrize(
    ('printed', 'job'),
    [
        ('11.polaris-pbs-01\n', '11.polaris-pbs-01'),
        ('Your project has 12 hours left.\n12[].pbs.site.org\n\n', '12[].pbs.site.org'),
        ('7', '7'),
        ('3.the-server-before\n11.polaris-pbs-01\n', '11.polaris-pbs-01'),
        ('', None),
        ('no id here', None),
    ],
)
def test_the_id_in_the_answer_of_qsub(printed: str, job: str | None) -> None:
    assert PBSProProvider().job_of(Ran(0, printed)) == job


@pytest.mark.parametrize(('moved', 'ends'), [('', 'scripts'), ('cd ..', '')])
def test_a_job_works_beside_its_script_unless_worker_init_moves(tmp_path: Path, moved: str, ends: str) -> None:
    (tmp_path / 'home').mkdir()
    (tmp_path / 'scripts').mkdir()
    provider = PBSProProvider(launcher=SimpleLauncher(), worker_init=moved)
    provider.script_dir = str(tmp_path / 'scripts')
    text = provider.script('pwd; echo $TMPDIR', 1, 'block')
    environment = {
        'HOME': str(tmp_path / 'home'),
        'TMPDIR': '/var/tmp/pbs.2049123.polaris-pbs-01.hsn.cm.polaris.alcf.anl.gov',
        'PATH': '/usr/bin:/bin',
    }
    ran = subprocess.run(['bash', '-c', text], cwd=tmp_path / 'home', env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str((tmp_path / ends).resolve()), '/tmp']


@pytest.mark.fault(17)
def test_a_submission_that_hangs_is_found_by_its_name(pbs: FakePBS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the job would run on its own, and another be asked for in its stead."""
    pbs.set(hang='qsub')
    give_up(monkeypatch, 'qsub', 2.0)
    provider = PBSProProvider(**{**POLARIS, 'system': None})
    provider.script_dir = str(tmp_path)
    job = provider.submit('sleep 60', 1, 'parsl.block-0')
    assert list(pbs.jobs) == [job]
    until(lambda: provider.status([job])[0].state == JobState.RUNNING)
    assert provider.cancel([job]) == [True]


def test_a_job_that_pbs_forgot_is_over_after_a_grace(pbs: FakePBS, tmp_path: Path) -> None:
    pbs.set(history=False)
    provider = PBSProProvider(**POLARIS)
    provider.script_dir, provider.grace = str(tmp_path), 0.3
    job = provider.submit(f'until [ -e {tmp_path}/seen ]; do sleep 0.1; done', 1)
    until(lambda: provider.status([job])[0].state == JobState.RUNNING)
    (tmp_path / 'seen').touch()
    said = until(lambda: each if (each := provider.status([job])[0]).terminal else None)
    assert said.state == JobState.COMPLETED
    assert said.message == (
        f'PBS does not know the job any more (qstat: Unknown Job Id {job}); when last seen it was RUNNING, how it ended is not known'
    )


def test_a_job_that_ended_unseen_counts_as_cancelled(pbs: FakePBS, tmp_path: Path) -> None:
    pbs.set(history=False)
    provider = PBSProProvider(**POLARIS)
    provider.script_dir = str(tmp_path)
    job = provider.submit('true', 1)
    pbs.wait(job, 'F')
    assert provider.cancel([job, '99999.polaris-pbs-01']) == [True, False]


def test_ended_jobs_are_never_asked_about_again(pbs: FakePBS, tmp_path: Path) -> None:
    provider = PBSProProvider(**POLARIS)
    provider.script_dir = str(tmp_path)
    first = provider.submit('exit 3', 1)
    until(lambda: provider.status([first])[0].terminal)
    asked = len(pbs.ran('qstat'))
    assert provider.status([first])[0].state == JobState.FAILED
    second = provider.submit('sleep 60', 1)
    provider.status([first, second])
    assert pbs.ran('qstat')[asked:] == [['-x', '-f', '-F', 'json', second]]


@pytest.mark.fault(16)
def test_a_server_that_is_away_changes_nothing(pbs: FakePBS, tmp_path: Path) -> None:
    provider = PBSProProvider(**POLARIS)
    provider.script_dir, provider.grace = str(tmp_path), 0.0
    jobs = [provider.submit('sleep 60', 1) for _ in range(2)]
    until(lambda: [each.state for each in provider.status(jobs)] == [JobState.RUNNING] * 2)
    pbs.set(down=True)
    for _ in range(3):
        assert [each.state for each in provider.status(jobs)] == [JobState.RUNNING] * 2
    assert provider.cancel(jobs) == [False, False]
    with pytest.raises(SubmitException, match='cannot connect to server polaris') as caught:
        provider.submit('true', 1)
    assert caught.value.retcode == 162
