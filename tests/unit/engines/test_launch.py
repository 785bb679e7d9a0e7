"""How HTEX is built and cleaned up after, with providers that are plain objects; and what an endpoint file may say of it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from parsl.jobs.states import JobState, JobStatus
from parsl.launchers import SrunLauncher
from parsl.providers import LocalProvider, PBSProProvider, SlurmProvider
from parsl.providers.base import ExecutionProvider

from relay_parsl import interpreter
from relay_parsl.engines import forkserver, launch, leash, options
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.errors import ConfigError


class Batch(ExecutionProvider):  # type: ignore[misc]
    """A batch system in memory."""

    def __init__(self, refusals: int = 0) -> None:
        self.resources: dict[str, Any] = {}
        self.init_blocks, self.nodes_per_block, self.min_blocks, self.max_blocks, self.parallelism = 1, 1, 0, 1, 1
        self.script_dir: str | None = None
        self.cancelled: list[str] = []
        self._refusals = refusals
        self._jobs = 0

    @property
    def label(self) -> str:
        return 'batch'

    @property
    def status_polling_interval(self) -> int:
        return 60

    def submit(self, command: str, tasks_per_node: int, job_name: str = 'x') -> str:
        self._jobs += 1
        return f'{self._jobs}.server'

    def status(self, job_ids: list[str]) -> list[JobStatus]:
        return [JobStatus(JobState.RUNNING) for _ in job_ids]

    def cancel(self, job_ids: list[str]) -> list[bool]:
        if self._refusals:
            self._refusals -= 1
            raise KeyError('the scheduler is away')
        for job in job_ids:
            self.resources[job]['status'] = JobStatus(JobState.CANCELLED)
            self.cancelled.append(job)
        return [True for _ in job_ids]


COMMAND = 'process_worker_pool.py --max 2 --block_id={{block_id}}'


def test_managers_are_found_by_the_interpreter_and_leashed_here() -> None:
    python = shlex.join(interpreter.PYTHON)
    assert python.startswith(sys.executable)
    remote = launch.launch_command(COMMAND, {}, '/run', local=False)
    assert remote == f'{python} {launch.POOL} --max 2 --block_id={{{{block_id}}}}'
    local = launch.launch_command(COMMAND, {}, '/run', local=True)
    assert local.startswith(f'{python} {leash.__name__} --watch ')
    assert local.endswith(f' {forkserver.__name__} {launch.POOL} --max 2 --block_id={{{{block_id}}}}')
    assert launch.launch_command('own command', {}, '/run', local=True) == 'own command'
    told = launch.launch_command(COMMAND, {}, '/run', local=False, before='env A=0+1 ')
    assert told == f'env A=0+1 {remote}'
    inside = launch.launch_command(COMMAND, {'type': 'docker', 'uri': 'image', 'options': ''}, '/run', local=False, before='env A=0+1 ')
    assert f' image env A=0+1 python3 -m {launch.POOL} ' in inside


PYTHON = ['python3', '-m', launch.POOL, '--max', '2', '--block_id={{block_id}}']


@pytest.mark.parametrize(
    ('program', 'options', 'expected'),
    [
        ('docker', "--gpus all -e 'A=b c'", ['run', '--gpus', 'all', '-e', 'A=b c', '-v', '/run:/run', '-t', 'image', *PYTHON]),
        ('podman', '--device nvidia.com/gpu=all', ['run', '--device', 'nvidia.com/gpu=all', '-v', '/run:/run', '-t', 'image', *PYTHON]),
        ('podman-hpc', '--gpu', ['run', '--gpu', '-v', '/run:/run', '-t', 'image', *PYTHON]),
        ('apptainer', '--nv', ['run', '--nv', 'image', *PYTHON]),
        ('singularity', '', ['run', 'image', *PYTHON]),
        ('custom', 'shifter --dir={EXECUTOR_RUNDIR} {EXECUTOR_LAUNCH_CMD} --end', ['--dir=/run', *PYTHON, '--end']),
    ],
)
def test_managers_in_containers(tmp_path: Path, program: str, options: str, expected: list[str]) -> None:
    """What the container's program is given by the shell of a node."""
    fake = tmp_path / ('shifter' if program == 'custom' else program)
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    container = {'type': program, 'uri': '' if program == 'custom' else 'image', 'options': options}
    command = launch.launch_command(COMMAND, container, '/run', local=True)
    ran = subprocess.run(['bash', '-c', command], env={'PATH': f'{tmp_path}:/usr/bin:/bin'}, capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout.splitlines() == expected


def test_a_container_may_be_without_options() -> None:
    assert launch.contained('x', {'type': 'docker', 'uri': 'image'}, '/run').split() == ['docker', 'run', '-v', '/run:/run', '-t', 'image', 'x']


def test_the_journal_names_every_job_until_it_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / 'x.journal'
    journal = launch.Journal(path)
    journal.open('token', 'host', ['old'])
    provider = Batch()
    journal.follow(provider)
    provider.submit('command', 1)
    provider.submit('command', 1)
    again = launch.Journal(path)
    assert (again.token, again.host, again.jobs) == ('token', 'host', ['old', '1.server', '2.server'])
    again.clear()
    assert launch.Journal(path).jobs == []


def test_a_damaged_journal_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / 'x').write_text('{"jobs": ')
    assert launch.Journal(tmp_path / 'x').token == ''


def test_jobs_of_dead_engines_are_cancelled_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, 'CANCEL_PAUSE', 0.0)
    provider = Batch(refusals=2)
    launch.cancel_old(provider, ['7', '8'])
    assert provider.cancelled == ['7', '8']
    assert provider.resources == {}
    never = Batch(refusals=100)
    launch.cancel_old(never, ['7'])
    assert never.cancelled == []
    launch.cancel_old(LocalProvider(), ['1'])  # a pid means nothing after its process: leashes have ended those


def statuses(*states: JobState) -> dict[str, JobStatus]:
    return {str(number): JobStatus(state, f'words of {number}', exit_code=1) for number, state in enumerate(states)}


def test_the_end_of_a_log_is_short(tmp_path: Path) -> None:
    (tmp_path / 'log').write_text('\n'.join(f'{n} {"x" * 1000}' for n in range(100)))
    lines = launch.tail(tmp_path / 'log').splitlines()
    assert lines[-1].startswith('99 xxx')
    assert all(len(line) <= launch.LINE + 1 for line in lines)
    assert launch.tail(tmp_path / 'none') == ''


def test_directories_that_no_shell_survives_are_refused() -> None:
    launch.check_directory(Path('/home/user/.relay_parsl/endpoints/a-1/runs'))
    with pytest.raises(ConfigError, match="' '"):
        launch.check_directory(Path('/home/my user/runs'))


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'max_worker_per_node': 2}, 'max_worker_per_node'),
        ({'cores_per_worker': 'two'}, 'cores_per_worker'),
        ({'cores_per_worker': 10_000}, 'no worker would start'),
        ({'max_blocks_per_minute': 0}, 'max_blocks_per_minute'),
        ({'working_directory': '/'}, 'working_directory'),
        ({'job_status_kwargs': {'max_idle': 2}}, 'max_idle'),
        ({'job_status_kwargs': {'max_idletime': 'long'}}, 'max_idletime'),
        ({'job_status_kwargs': {'strategy_period': True}}, 'strategy_period'),
        ({'strategy': 'clever'}, 'clever'),
        ({'container_type': 'chroot', 'container_uri': 'x'}, 'chroot'),
        ({'container_type': 'docker'}, 'container_uri'),
        ({'container_type': 'custom', 'container_cmd_options': 'run'}, 'EXECUTOR_LAUNCH_CMD'),
        ({'manager_selector': 3}, 'manager_selector'),
        ({'block_error_handler': lambda *_: None}, 'cannot be sent'),
    ],
)
def test_mistakes_are_named_before_anything_starts(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        HtexEngine(**given)


def test_capacity_is_that_of_the_first_blocks() -> None:
    assert HtexEngine(max_workers_per_node=3).capacity == 3
    assert HtexEngine(available_accelerators=4).capacity == 4
    assert HtexEngine(provider=LocalProvider(init_blocks=2, max_blocks=4, nodes_per_block=2), max_workers_per_node=3).capacity == 12
    assert HtexEngine(provider=LocalProvider(init_blocks=0), max_workers_per_node=3).capacity == 3


@pytest.mark.parametrize('provider', [PBSProProvider(account='a', queue='q'), SlurmProvider(partition='p', account='a')])
def test_batch_providers_can_be_sent_to_the_child(provider: ExecutionProvider) -> None:
    assert HtexEngine(provider=provider, max_workers_per_node=4).capacity == 4


def test_addresses_are_looked_up_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    assert options.address_of(LocalProvider()) == '127.0.0.1'
    monkeypatch.setattr(options, 'address_by_route', lambda: '10.1.2.3')
    assert options.address_of(Batch()) == '10.1.2.3'
    assert options.address_of(LocalProvider(launcher=SrunLauncher())) == '10.1.2.3'

    def unreachable() -> str:
        raise OSError('no route')

    monkeypatch.setattr(options, 'address_by_route', unreachable)
    with pytest.raises(ConfigError, match='address'):
        options.address_of(Batch())
