"""`endpoint show` and `task show` on endpoints that are there: where a task runs, and why one waits."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.pbs import FakePBS, fixture
from tests.integration.commands import Commands, Short, commands, until

pytestmark = pytest.mark.integration
__all__ = ['fixture']

NODE = """
engine:
  type: HtexEngine
  available_accelerators: 1
  max_workers_per_node: 1
  cores_per_worker: 0.1
  job_status_kwargs: {strategy_period: 0.5}
  provider:
    type: LocalProvider
    worker_init: export RELAY_PARSL_VENDOR=nvidia:1
    init_blocks: 1
    min_blocks: 1
"""
PBS = """
engine:
  type: HtexEngine
  address: 127.0.0.1
  max_workers_per_node: 1
  job_status_kwargs: {strategy_period: 0.5}
  provider: {type: PBSProProvider, account: Catalyst, queue: debug, filesystems: home, system: polariss, walltime: 00:10:00, init_blocks: 0}
"""
SUBMIT = """
import relay_parsl as rp

def work(path):
    import os, time
    while path and not os.path.exists(path):
        time.sleep(0.1)
    return 'done'

executor = rp.Executor({name!r})
tasks = [executor.submit(work, path) for path in {paths!r}]
executor.flush(30)
print(*[task.task_id for task in tasks])
executor.shutdown(wait=False)
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home', Short) as made:
        made.relay()
        yield made


def submit(cli: Commands, name: str, *paths: str) -> list[str]:
    """Tasks that each end when their file is there; at once without a name."""
    done = cli.python(SUBMIT.format(name=name, paths=list(paths)))
    assert done.stdout, done.stderr
    return done.stdout.split()


def shown(cli: Commands, task: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli.ok('task', 'show', task, '--json'))
    return found


def test_a_task_is_told_while_it_waits_while_it_runs_and_when_it_has_ended(cli: Commands, tmp_path: Path) -> None:
    (cli.cwd / 'node.yaml').write_text(NODE)
    cli.ok('endpoint', 'configure', 'node', '--endpoint-config', str(cli.cwd / 'node.yaml'))
    runs, waits = submit(cli, 'node', str(tmp_path / 'go'), '')
    assert shown(cli, runs)['why'] == 'the endpoint has not been connected yet'

    cli.ok('endpoint', 'start', 'node', '--detach')
    until(lambda: shown(cli, runs)['state'] == 'running' and shown(cli, runs)['host'])
    known = shown(cli, runs)
    assert (known['host'], known['worker'], known['accelerator'], known['endpoint']) == (platform.node(), '0', '0', 'node')
    assert known['submitted'] <= known['running_since']
    assert known['job']
    assert f'host           {platform.node()}' in cli.ok('task', 'show', runs)
    until(lambda: shown(cli, waits)['why'] == 'all 1 workers are busy')
    tables = cli.ok('endpoint', 'show', 'node')
    assert '# --- blocks' in tables
    assert f'{known["job"]}' in tables.partition('# --- blocks')[2]
    assert platform.node() in tables.partition('# --- managers')[2]

    (tmp_path / 'go').touch()
    until(lambda: shown(cli, waits)['state'] == 'success')
    assert shown(cli, runs)['state'] == 'success'
    assert 'sealed for you' in shown(cli, runs)['ended']
    assert 'no task' in cli.refused('task', 'show', '00000000-0000-0000-0000-000000000000')
    assert 'CUDA_VISIBLE_DEVICES=0' in cli.ok('endpoint', 'show', 'node', '--hardware')


def test_a_job_that_can_never_run_is_told_in_the_scheduler_s_words(pbs: FakePBS, cli: Commands) -> None:
    cli.endpoint('polaris', PBS)
    (task,) = submit(cli, 'polaris', '')
    until(lambda: pbs.jobs)
    (job,) = pbs.jobs
    until(lambda: 'can never run' in shown(cli, task)['why'])
    assert shown(cli, task)['why'].startswith(f'no workers yet: job {job} can never run as it was asked for; the scheduler says: "Can Never Run: ')
    assert f'{job}' in cli.ok('endpoint', 'show', 'polaris').partition('# --- blocks')[2]


def test_an_endpoint_of_another_machine_is_shown_as_the_relay_knows_it(cli: Commands, tmp_path: Path) -> None:
    with commands(tmp_path / 'cluster') as cluster:
        link = cli.run('invite', 'polaris', '--role', 'endpoint').stdout.strip()
        cluster.ok('join', link)
        cluster.endpoint('polaris')
        known = json.loads(cli.ok('endpoint', 'show', 'polaris', '--json'))
        assert (known['status'], known['online']) == ('elsewhere', True)
        until(lambda: '# --- pools' in cli.ok('endpoint', 'show', 'polaris'))
        assert "no endpoint 'polari' here" in cli.refused('endpoint', 'show', 'polari')
