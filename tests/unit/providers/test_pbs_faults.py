"""The faults of Parsl's PBSProProvider by their numbers in docs/parsl-faults.md: each check fails on Parsl's class and holds for ours.

Both run against the fake PBS of tests/fakes, whose words and states are those of a real one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import parsl.providers
import pytest
from parsl.executors import HighThroughputExecutor
from parsl.jobs.states import JobState
from parsl.launchers import SimpleLauncher
from parsl.providers.errors import SubmitException

from relay_parsl.providers import PBSProProvider
from tests.fakes.pbs import FakePBS, fixture, until

__all__ = ['fixture']
HOME = '#PBS -l filesystems=home'


class Site:
    """A class of provider at a PBS."""

    def __init__(self, kind: type[Any], pbs: FakePBS, directory: Path) -> None:
        self.kind, self.pbs, self.directory = kind, pbs, directory

    def provider(self, **options: Any) -> Any:
        given = {'account': 'Catalyst', 'queue': 'debug', 'walltime': '00:05:00', 'launcher': SimpleLauncher(), 'scheduler_options': HOME}
        provider = self.kind(**{**given, **options})
        provider.script_dir = str(self.directory)
        return provider

    def submit(self, provider: Any, command: str, name: str = 'parsl.block-0') -> str:
        return str(provider.submit(command, 1, name))

    def running(self, provider: Any, command: str = 'sleep 60') -> str:
        job = self.submit(provider, command)
        self.pbs.wait(job, 'R')
        return job


Check = Callable[[Site], None]


def state(provider: Any, job: str) -> JobState:
    return provider.status([job])[0].state  # type: ignore[no-any-return]


def ended_as_it_ended(site: Site) -> None:
    provider = site.provider(walltime='00:00:02')
    failed = site.submit(provider, 'exit 3')
    site.pbs.wait(failed, 'F')
    assert (state(provider, failed), provider.status([failed])[0].exit_code) == (JobState.FAILED, 3)
    slow = site.running(provider)
    site.pbs.wait(slow, 'F')
    assert state(provider, slow) == JobState.TIMEOUT


def deleted_by_others(site: Site) -> None:
    provider = site.provider()
    other = site.kind()
    running = site.running(provider)
    site.pbs.set(start_delay=60)
    queued = site.submit(provider, 'true')
    for job in (running, queued):
        other.resources[job] = {'job_id': job, 'status': None}
        assert other.cancel([job]) == [True]
        site.pbs.wait(job, 'F')
    assert [each.state for each in provider.status([running, queued])] == [JobState.CANCELLED, JobState.CANCELLED]


def one_that_is_purged_spoils_nothing(site: Site) -> None:
    provider = site.provider()
    first = site.submit(provider, 'true')
    site.pbs.wait(first, 'F')
    site.pbs.purge(first)
    second = site.running(provider)
    assert state(provider, second) == JobState.RUNNING
    site.pbs.wait(second, 'R')


def a_node_for_each_chunk(site: Site) -> None:
    provider = site.provider(nodes_per_block=2)
    job = site.submit(provider, f'cat $PBS_NODEFILE > {site.directory}/nodes')
    site.pbs.wait(job, 'F')
    assert (site.directory / 'nodes').read_text() == 'p1\np2\n'


def one_that_never_runs_says_so(site: Site) -> None:
    provider = site.provider(select_options='system=polariss')
    job = site.submit(provider, 'true')
    until(lambda: site.pbs.jobs[job]['comment'])
    said = provider.status([job])[0]
    assert said.state == JobState.PENDING
    assert said.message == 'Can Never Run: Insufficient amount of resource: system (polariss != polaris)'


def a_refusal_has_its_return_code(site: Site) -> None:
    with pytest.raises(SubmitException) as caught:
        site.submit(site.provider(account='NoSuchProject'), 'true')
    assert 'No active allocation found for project NoSuchProject' in caught.value.stderr
    assert caught.value.retcode == 32


def each_cancel_for_itself(site: Site) -> None:
    provider = site.provider()
    ended, runs = site.submit(provider, 'true'), site.running(provider)
    site.pbs.wait(ended, 'F')
    assert provider.cancel([ended, runs]) == [True, True]
    again = site.running(provider)
    assert provider.cancel(['99999.polaris-pbs-01', again]) == [False, True]


def account_and_queue_are_in_the_script(site: Site) -> None:
    site.submit(site.provider(), 'true')
    (script,) = [path for path in site.directory.glob('parsl.block-0.*') if path.suffix not in ('.stdout', '.stderr')]
    assert '\n#PBS -A Catalyst\n' in script.read_text()
    assert '\n#PBS -q debug\n' in script.read_text()


def options_of_pbs(site: Site) -> None:
    options = {'filesystems': ['home', 'eagle'], 'place': 'scatter:excl', 'keep': 'oe', 'rerunnable': True, 'system': 'polaris'}
    job = site.submit(site.provider(scheduler_options='', **options), 'true')
    wanted = site.pbs.jobs[job]['wanted']['list']
    assert (wanted['filesystems'], wanted['place']) == ('home:eagle', 'scatter:excl')


def answers_that_are_no_json(site: Site) -> None:
    provider = site.provider()
    job = site.running(provider)
    site.pbs.set(spoil='a "quoted" name\\')
    assert state(provider, job) == JobState.RUNNING


def answers_that_are_no_utf8(site: Site) -> None:
    provider = site.provider()
    job = site.running(provider)
    site.pbs.set(spoil='\udcff')
    assert state(provider, job) == JobState.RUNNING


def an_answer_without_jobs_ends_none(site: Site) -> None:
    provider = site.provider()
    job = site.running(provider)
    site.pbs.set(blank=True)
    assert state(provider, job) != JobState.COMPLETED


def a_server_without_history_ends_none(site: Site) -> None:
    site.pbs.set(history=False)
    provider = site.provider()
    job = site.running(provider)
    assert state(provider, job) == JobState.RUNNING


def an_answer_with_the_first_alone(site: Site) -> None:
    site.pbs.set(first_only=True)
    provider = site.provider()
    jobs = [site.running(provider), site.running(provider)]
    assert [each.state for each in provider.status(jobs)] == [JobState.RUNNING, JobState.RUNNING]


def ids_that_are_longer_in_answers(site: Site) -> None:
    site.pbs.set(domain='.hsn.cm.polaris.alcf.anl.gov')
    provider = site.provider()
    job = site.running(provider)
    assert state(provider, job) == JobState.RUNNING


def an_array_that_ended_badly(site: Site) -> None:
    provider = site.provider(scheduler_options=f'{HOME}\n#PBS -J 0-1')
    job = site.submit(provider, 'sleep 0.5; exit 3')
    assert job == '1[].polaris-pbs-01'
    site.pbs.wait(job, 'F')
    assert state(provider, job) == JobState.FAILED


def a_long_name_is_no_reason_to_refuse(site: Site) -> None:
    job = site.submit(site.provider(), 'true', 'parsl.' + 'x' * 225)
    assert 'x' * 150 in site.pbs.jobs[job]['name']


SOCKET = "import os, socket; path = os.environ['TMPDIR'] + '/pymp-{0}/listener-{0}'; os.makedirs(os.path.dirname(path)); socket.socket(1).bind(path)"


def room_for_sockets(site: Site) -> None:
    deep = site.directory / ('d' * 60)
    deep.mkdir()
    site.pbs.set(tmp=str(deep))
    mark = f'{time.time_ns():x}'
    code = SOCKET.format(mark) + "; os.remove(path); os.rmdir(os.path.dirname(path)); print('bound')"
    job = site.submit(site.provider(), f'{sys.executable} -c "{code}" > {site.directory}/said')
    site.pbs.wait(job, 'F')
    assert (site.directory / 'said').read_text() == 'bound\n'


def cores_of_a_node(site: Site) -> None:
    provider = site.provider(cores_per_node=32, mem_per_node=64)
    assert HighThroughputExecutor(provider=provider, address='127.0.0.1', cores_per_worker=2).workers_per_node == 16
    job = site.submit(provider, f'echo $PARSL_CORES $PARSL_MEMORY_GB > {site.directory}/share')
    site.pbs.wait(job, 'F')
    assert (site.directory / 'share').read_text() == '32 64\n'
    assert site.pbs.jobs[job]['wanted']['chunks'] == [{'ncpus': '32', 'mem': '64gb'}]


def one_that_is_held_still_counts(site: Site) -> None:
    """Parsl's strategy counts RUNNING and PENDING, and submits until there are enough of these."""
    provider = site.provider(scheduler_options=f'{HOME}\n#PBS -h')
    said = provider.status([site.submit(provider, 'true')])[0]
    assert said.state in (JobState.PENDING, JobState.RUNNING)
    assert 'held' in said.message


FAULTS: list[tuple[int, Check, type[Exception]]] = [
    (7, ended_as_it_ended, AssertionError),
    (7, deleted_by_others, AssertionError),
    (8, one_that_is_purged_spoils_nothing, AssertionError),
    (9, a_node_for_each_chunk, AssertionError),
    (10, one_that_never_runs_says_so, AssertionError),
    (11, a_refusal_has_its_return_code, AssertionError),
    (11, each_cancel_for_itself, AssertionError),
    (24, account_and_queue_are_in_the_script, AssertionError),
    (24, options_of_pbs, TypeError),
    (25, answers_that_are_no_json, ValueError),
    (25, answers_that_are_no_utf8, UnicodeDecodeError),
    (26, an_answer_without_jobs_ends_none, AssertionError),
    (26, a_server_without_history_ends_none, AssertionError),
    (26, an_answer_with_the_first_alone, AssertionError),
    (27, ids_that_are_longer_in_answers, KeyError),
    (27, an_array_that_ended_badly, AssertionError),
    (28, a_long_name_is_no_reason_to_refuse, SubmitException),
    (28, room_for_sockets, AssertionError),
    (29, cores_of_a_node, TypeError),
    (44, one_that_is_held_still_counts, AssertionError),
]


IDS = [f'{number}-{check.__name__}' for number, check, _ in FAULTS]


@pytest.mark.parametrize('check', [check for _, check, _ in FAULTS], ids=IDS)
def test_ours_does_not_have_it(pbs: FakePBS, tmp_path: Path, check: Check) -> None:
    check(Site(PBSProProvider, pbs, tmp_path))


@pytest.mark.parametrize(('check', 'error'), [(check, error) for _, check, error in FAULTS], ids=IDS)
def test_parsls_has_it(pbs: FakePBS, tmp_path: Path, check: Check, error: type[Exception]) -> None:
    with pytest.raises(error):
        check(Site(parsl.providers.PBSProProvider, pbs, tmp_path))
