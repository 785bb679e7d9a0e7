"""What every batch provider of ours promises, whatever the scheduler."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from parsl.jobs.states import JobState
from parsl.providers.base import ExecutionProvider
from parsl.providers.cluster_provider import ClusterProvider
from parsl.providers.errors import ScriptPathError, SubmitException

from relay_parsl.errors import ConfigError
from tests.contract.batch_sites import SITES, Desk, Site, site_of, status, wait
from tests.fakes.pbs import fixture

__all__ = ['fixture']
ENDS = (JobState.COMPLETED, JobState.FAILED, JobState.TIMEOUT, JobState.CANCELLED)


@pytest.fixture(name='site', params=SITES)
def _site(request: pytest.FixtureRequest) -> Site:
    return site_of(request.param, request)


@pytest.fixture(name='desk')
def _desk(site: Site, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(site, tmp_path)
    yield desk
    desk.close()


def test_it_is_a_provider_of_parsls(desk: Desk) -> None:
    provider = desk.provider(nodes_per_block=2, max_blocks=3)
    assert isinstance(provider, ClusterProvider)
    assert isinstance(provider, ExecutionProvider)
    assert (provider.nodes_per_block, provider.init_blocks, provider.min_blocks, provider.max_blocks) == (2, 1, 0, 3)
    assert (provider.resources, provider.cores_per_node, provider.mem_per_node) == ({}, None, None)
    assert provider.status_polling_interval == 60
    assert provider.status([]) == []
    assert provider.label


def test_a_job_that_ends_well(desk: Desk) -> None:
    provider = desk.provider()
    job = provider.submit('echo here; echo there >&2', 1, 'parsl.gpu.block-0')
    assert provider.status_polling_interval < 60
    said = wait(provider, job, *ENDS)
    assert (said.state, said.exit_code) == (JobState.COMPLETED, 0)
    assert (said.stdout, said.stderr) == ('here\n', 'there\n')
    assert provider.resources[job]['status'].state == JobState.COMPLETED


def test_a_job_that_fails_says_how(desk: Desk) -> None:
    provider = desk.provider()
    job = provider.submit('echo no such module >&2; exit 3', 1)
    said = wait(provider, job, *ENDS)
    assert (said.state, said.exit_code) == (JobState.FAILED, 3)
    assert said.stderr_summary == 'no such module\n'


def test_a_job_that_was_just_submitted_has_not_ended(desk: Desk) -> None:
    provider = desk.provider()
    for _ in range(3):
        job = provider.submit('sleep 60', 1)
        for _ in range(3):
            assert status(provider, job).state in (JobState.PENDING, JobState.RUNNING)


def test_an_end_is_for_ever(desk: Desk) -> None:
    provider = desk.provider()
    failed, running = provider.submit('exit 3', 1), provider.submit('sleep 60', 1)
    wait(provider, failed, JobState.FAILED)
    wait(provider, running, JobState.RUNNING)
    for _ in range(3):
        assert [each.state for each in provider.status([failed, running])] == [JobState.FAILED, JobState.RUNNING]


def test_what_a_caller_writes_into_a_status_changes_nothing(desk: Desk) -> None:
    """HTEX turns COMPLETED into MISSING in the very object that it is given."""
    provider = desk.provider()
    job = provider.submit('true', 1)
    wait(provider, job, JobState.COMPLETED).state = JobState.MISSING
    assert status(provider, job).state == JobState.COMPLETED


def test_cancelling(desk: Desk) -> None:
    provider = desk.provider()
    ended, running = provider.submit('true', 1), provider.submit('sleep 60', 1)
    wait(provider, ended, JobState.COMPLETED)
    wait(provider, running, JobState.RUNNING)
    assert provider.cancel([desk.site.unknown, ended, running]) == [False, True, True]
    assert provider.cancel([running]) == [True]
    assert [each.state for each in provider.status([ended, running])] == [JobState.COMPLETED, JobState.CANCELLED]


def test_a_job_that_somebody_else_ended(desk: Desk) -> None:
    provider = desk.provider()
    job = provider.submit('sleep 60', 1)
    wait(provider, job, JobState.RUNNING)
    desk.site.end(job)
    assert wait(provider, job, *ENDS).state == JobState.CANCELLED


def test_a_job_of_an_earlier_engine_can_be_cancelled(desk: Desk) -> None:
    job = desk.provider().submit('sleep 60', 1)
    assert desk.provider().cancel([job]) == [True]


def test_a_job_that_was_never_submitted_here_is_unknown(desk: Desk) -> None:
    said = status(desk.provider(), desk.site.unknown)
    assert said.state == JobState.UNKNOWN
    assert desk.site.unknown in str(said.message)


def test_a_refusal_carries_what_the_scheduler_said(desk: Desk) -> None:
    refused = dict(desk.site.refused)
    said, code = refused.pop('said'), refused.pop('code')
    provider = desk.provider(**refused)
    with pytest.raises(SubmitException) as caught:
        provider.submit('true', 1)
    assert caught.value.retcode == code
    assert said in caught.value.stderr
    assert said in str(caught.value)
    assert provider.resources == {}


def test_a_scheduler_without_its_commands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = desk.provider()
    job = provider.submit('sleep 60', 1)
    wait(provider, job, JobState.RUNNING)
    with monkeypatch.context() as patched:
        patched.setenv('PATH', '')
        for _ in range(2):
            assert status(provider, job).state == JobState.RUNNING
        assert provider.cancel([job]) == [False]
        with pytest.raises(SubmitException, match='cannot be started: No such file or directory'):
            provider.submit('true', 1)
    assert status(provider, job).state == JobState.RUNNING


def test_the_script_that_is_shown_is_the_script_that_is_submitted(desk: Desk) -> None:
    provider = desk.provider(worker_init='# set up $HOME and ${x}')
    job = provider.submit('true', 1, 'block')
    path = Path(str(provider.resources[job]['job_stdout_path']).removesuffix('.stdout'))
    assert path.parent == desk.directory
    assert path.read_text() == provider.script('true', 1, path.name)
    assert '\n# set up $HOME and ${x}\n' in path.read_text()


def test_it_needs_a_directory_to_submit(site: Site) -> None:
    with pytest.raises(ScriptPathError, match='script_dir'):
        site.make().submit('true', 1)


def test_it_travels_before_it_starts(desk: Desk) -> None:
    again = pickle.loads(pickle.dumps(desk.provider(worker_init='x')))
    assert again.script('true', 1, 'block') == desk.made[0].script('true', 1, 'block')
    wait(again, again.submit('true', 1), JobState.COMPLETED)


@pytest.mark.parametrize('name', ['account', 'scheduler_options', 'worker_init', 'walltime', 'cmd_timeout', 'nodes_per_block'])
def test_values_are_checked_when_it_is_made(site: Site, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        site.make(**{name: ['x\ny']})


def test_no_option_of_one_line_can_add_a_directive(site: Site) -> None:
    with pytest.raises(ConfigError, match='account'):
        site.make(account='x\n#PBS -q other\n#SBATCH -q other')


def test_time_is_bounded(desk: Desk) -> None:
    """Even where the scheduler's commands hang."""
    provider = desk.provider(cmd_timeout=1)
    hanging = desk.directory / 'bin'
    hanging.mkdir()
    for name in ('qsub', 'qstat', 'qselect', 'qdel', 'sbatch', 'sacct', 'squeue', 'scontrol', 'scancel'):
        (hanging / name).write_text('#!/bin/sh\nsleep 600 & wait\n')
        (hanging / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv('PATH', f'{hanging}:/usr/bin:/bin')
        started = time.monotonic()
        with pytest.raises(SubmitException, match='did not answer within 1 s') as caught:
            provider.submit('true', 1)
        assert caught.value.retcode is None
        assert provider.cancel(['1', '2', '3']) == [False, False, False]
        assert time.monotonic() - started < 30
