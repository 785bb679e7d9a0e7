"""What all launchers of ours promise, run as real bash: one manager on each node, its own environment, its own death, and a word on what failed."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parsl.utils import RepresentationMixin

from relay_parsl.errors import ConfigError
from relay_parsl.launchers import HydraLauncher, PalsMpiexecLauncher, SrunLauncher
from relay_parsl.launchers.node import NodeLauncher
from tests.unit.launchers.job import Job

KINDS: dict[str, Callable[..., NodeLauncher]] = {'pals': PalsMpiexecLauncher, 'hydra': HydraLauncher, 'srun': SrunLauncher}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def job(kind: str, tmp_path: Path) -> Job:
    return Job(tmp_path, kind)


def lines(ended: subprocess.CompletedProcess[str], start: str) -> list[str]:
    return sorted(line for line in ended.stdout.splitlines() if line.startswith(start))


def test_one_manager_on_each_node(kind: str, job: Job) -> None:
    ended = job.run(KINDS[kind](), 'echo "at $FAKE_NODE"')
    assert lines(ended, 'at ') == ['at n1', 'at n2']
    assert (ended.returncode, ended.stderr) == (0, '')


def test_several_managers_where_they_are_asked_for(kind: str, job: Job) -> None:
    assert lines(job.run(KINDS[kind](), 'echo "at $FAKE_NODE"', managers=2), 'at ') == ['at n1', 'at n1', 'at n2', 'at n2']


def test_nothing_is_written_where_the_job_starts(kind: str, job: Job) -> None:
    job.run(KINDS[kind](node_init='true'), 'true')
    assert not list(job.home.iterdir())
    assert {path.name.partition('_')[0] for path in job.scripts.iterdir()} >= {'job', 'node'}


def test_the_command_expands_on_its_node_and_keeps_its_quotes(kind: str, job: Job) -> None:
    job.before = 'export SET=by_init FAKE_NODE=first'
    command = """printf 'at %s\\n' "$FAKE_NODE,$(hostname),$SET,`echo back`,\\\\,it's"; echo 'at $HOME "x"'"""
    assert lines(job.run(KINDS[kind](), command), 'at ') == [
        'at $HOME "x"',
        'at $HOME "x"',
        "at n1,n1,by_init,back,\\,it's",
        "at n2,n2,by_init,back,\\,it's",
    ]


def test_a_command_may_hold_the_word_that_ends_it(kind: str, job: Job) -> None:
    ended = job.run(KINDS[kind](node_init='cat > /dev/null << END_OF_NODE_SCRIPT\nx\nEND_OF_NODE_SCRIPT'), 'echo "at $FAKE_NODE"')
    assert lines(ended, 'at ') == ['at n1', 'at n2']


def test_each_node_is_set_up_once_before_its_manager(kind: str, job: Job) -> None:
    launcher = KINDS[kind](node_init='export MPS="pipe of $(hostname)"\necho "init $FAKE_NODE"\n')
    ended = job.run(launcher, 'echo "at $FAKE_NODE: $MPS"')
    assert lines(ended, 'init ') == ['init n1', 'init n2']
    assert lines(ended, 'at ') == ['at n1: pipe of n1', 'at n2: pipe of n2']


@pytest.mark.parametrize('bad', ['false; true', 'echo ok && exit 7', 'exit 0', 'no_such_program -d', 'if ; then'])
def test_a_node_that_cannot_be_set_up_says_so_and_gets_no_manager(kind: str, job: Job, bad: str) -> None:
    init = f'[ "$FAKE_NODE" = n1 ] || eval {bad!r}'
    ended = job.run(KINDS[kind](node_init=init), 'echo "at $FAKE_NODE"')
    assert lines(ended, 'at ') == ['at n1']
    assert 'node_init failed on n2 with exit code' in ended.stderr
    assert 'node_init failed on n1' not in ended.stderr
    assert ended.returncode != 0


def test_a_node_is_cleaned_up_after_its_manager_whose_exit_code_stays(kind: str, job: Job) -> None:
    ended = job.run(KINDS[kind](node_exit='echo "bye $FAKE_NODE"; false'), 'echo "at $FAKE_NODE"; exit 5')
    assert lines(ended, 'bye ') == ['bye n1', 'bye n2']
    assert ended.returncode == 5


def test_a_node_is_cleaned_up_when_the_job_is_ended(kind: str, job: Job, tmp_path: Path) -> None:
    """Told twice: by the batch system, and by mpiexec."""
    up, leaving, down = (tmp_path / name for name in ('up', 'leaving', 'down'))
    launcher = KINDS[kind](node_exit=f'touch {leaving}; sleep 0.5; kill -0 "$MANAGER" 2> /dev/null || touch {down}')
    words = job.command(launcher, f'touch {up}; exec sleep 100', nodes=1)
    with subprocess.Popen(words, cwd=job.home, env=job.environment, start_new_session=True) as process:
        until(up.exists)
        os.killpg(process.pid, signal.SIGTERM)  # as a batch system does
        until(leaving.exists)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        until(down.exists)


def until(condition: Callable[[], bool], patience: float = 20.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_node_that_dies_does_not_end_the_others(kind: str, job: Job, tmp_path: Path) -> None:
    dead = tmp_path / 'dead'
    command = f'if [ "$FAKE_NODE" = n1 ]; then touch {dead}; exit 9; fi; until [ -e {dead} ]; do sleep 0.05; done; sleep 0.5; echo "at $FAKE_NODE"'
    ended = job.run(KINDS[kind](), command)
    assert lines(ended, 'at ') == ['at n2']
    assert ended.returncode == 9
    assert 'the manager on n1 ended with exit code 9' in ended.stderr
    assert 'on n2' not in ended.stderr
    assert 'a manager failed or could not be started: exit code 9' in ended.stderr


def test_the_jobs_exit_code_survives_set_e(kind: str, job: Job) -> None:
    job.before = 'set -eu'
    ended = job.run(KINDS[kind](), 'exit 4')
    assert ended.returncode == 4
    assert 'exit code 4' in ended.stderr


def test_an_option_that_the_program_does_not_know_shows_in_the_jobs_stderr(kind: str, job: Job) -> None:
    ended = job.run(KINDS[kind](overrides='--warp 9'), 'echo "at $FAKE_NODE"')
    assert 'warp' in ended.stderr
    assert ended.returncode not in (0, None)
    assert not lines(ended, 'at ')


def test_a_directory_that_the_node_does_not_see_is_named(kind: str, job: Job) -> None:
    words = job.command(KINDS[kind](), 'true')
    script = Path(words[-1])
    script.write_text(script.read_text().replace(str(job.scripts), '/nowhere/scripts'))
    ended = subprocess.run(words, cwd=job.home, env=job.environment, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert 'cannot write to /nowhere/scripts' in ended.stderr


def test_quiet_jobs_say_nothing(kind: str, job: Job) -> None:
    assert job.run(KINDS[kind](debug=False), 'true').stdout == ''
    assert 'all managers have ended' in job.run(KINDS[kind](), 'true').stdout


def test_without_a_directory_it_serves_one_node(kind: str, job: Job) -> None:
    launcher = KINDS[kind]()
    job.command(launcher, 'true')
    script = f'export JOBNAME=x TMPDIR={job.place}\n{launcher("echo at $FAKE_NODE", 1, 1)}'
    ended = subprocess.run(['/bin/bash', '-c', script], cwd=job.home, env=job.environment, capture_output=True, text=True, check=False, timeout=60)
    assert (lines(ended, 'at '), ended.returncode) == (['at n1'], 0)


def test_it_travels_to_the_engines_process(kind: str) -> None:
    launcher = KINDS[kind](node_init='true', overrides='--label')
    assert pickle.loads(pickle.dumps(launcher))('x', 1, 2, '/scripts') == launcher('x', 1, 2, '/scripts')


def test_its_representation_is_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RepresentationMixin, '_validate_repr', True)
    assert "node_init='true'" in repr(KINDS[kind](node_init='true'))


@pytest.mark.parametrize('hook', ['node_init', 'node_exit'])
def test_what_runs_once_on_a_node_wants_one_manager_there(kind: str, hook: str) -> None:
    hooks: dict[str, Any] = {hook: 'true'}
    with pytest.raises(ConfigError, match='run once on a node, but 2 managers start there'):
        KINDS[kind](**hooks)('true', 2, 1, '/scripts')
