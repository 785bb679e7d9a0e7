"""Leashes, marks and spare processes: what they start ends with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.engines import build, launch, leash, spawn

SLEEPER = """
import subprocess, sys, time
if __name__ == '__main__':
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
    open(sys.argv[1], 'w').write(f'{child.pid}\\n')
    time.sleep(float(sys.argv[2]))
"""


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, 'it did not come about'
        time.sleep(0.01)
    return value


@pytest.fixture(name='mark')
def _mark() -> Iterator[str]:
    mark = f'test-{os.getpid()}-{time.monotonic_ns()}'
    yield mark
    while STARTED:
        with STARTED.pop() as process:
            process.kill()
    assert leash.kill_marked(mark) == []


@pytest.fixture(name='watched')
def _watched() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(['sleep', '600'])
    yield process
    process.kill()
    process.wait()


STARTED: list[subprocess.Popen[bytes]] = []


def begin(mark: str, directory: Path, *arguments: str, seconds: float = 600) -> subprocess.Popen[bytes]:
    """A leash around a module that starts a process in a session of its own."""
    (directory / 'sleeper.py').write_text(SLEEPER)
    environment = {**os.environ, leash.MARK: mark, 'PYTHONPATH': str(directory)}
    command = [sys.executable, '-m', leash.__name__, *arguments, 'sleeper', str(directory / 'note'), str(seconds)]
    STARTED.append(subprocess.Popen(command, env=environment))
    return STARTED[-1]


def start(mark: str, directory: Path, *arguments: str, seconds: float = 600) -> tuple[subprocess.Popen[bytes], int]:
    """The same; waits for that process, and returns its pid too."""
    process = begin(mark, directory, *arguments, seconds=seconds)
    eventually(lambda: (directory / 'note').exists() and (directory / 'note').read_text().endswith('\n'))
    return process, int((directory / 'note').read_text())


def watch(process: subprocess.Popen[bytes]) -> str:
    return leash.identity(process.pid)


def gone(pid: int) -> bool:
    return leash.start_ticks(pid) == 0 or Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].startswith('Z')


@pytest.mark.parametrize('kernel', ['new', 'old'])
def test_all_ends_with_the_watched_process(mark: str, tmp_path: Path, watched: subprocess.Popen[bytes], kernel: str) -> None:
    if kernel == 'old':
        (tmp_path / 'sitecustomize.py').write_text('import os\ndel os.pidfd_open\n')
    process, stray = start(mark, tmp_path, '--watch', watch(watched))
    watched.kill()
    assert process.wait(10) == 1
    assert gone(stray)


def test_all_ends_with_the_module(mark: str, tmp_path: Path, watched: subprocess.Popen[bytes]) -> None:
    process, stray = start(mark, tmp_path, '--watch', watch(watched), seconds=0.1)
    assert process.wait(10) == 0
    assert gone(stray)


def test_all_ends_when_the_leash_is_asked_to(mark: str, tmp_path: Path, watched: subprocess.Popen[bytes]) -> None:
    process, stray = start(mark, tmp_path, '--watch', watch(watched))
    process.terminate()
    assert process.wait(10) == 1
    assert gone(stray)


def test_a_pid_that_was_given_to_another_process_is_not_watched(mark: str, tmp_path: Path, watched: subprocess.Popen[bytes]) -> None:
    process = begin(mark, tmp_path, '--watch', f'{watched.pid}.1.{watch(watched).split(".", 2)[2]}')
    assert process.wait(20) == 1
    assert leash.marked(mark) == []


def test_elsewhere_nothing_is_watched(mark: str, tmp_path: Path, watched: subprocess.Popen[bytes]) -> None:
    process, _ = start(mark, tmp_path, '--watch', f'{watch(watched)}.elsewhere', seconds=0.3)
    watched.kill()
    assert process.wait(10) == 0


def test_a_module_dies_with_its_parent(mark: str, tmp_path: Path) -> None:
    (tmp_path / 'sleeper.py').write_text(SLEEPER)
    inner = (
        f'import subprocess, sys; subprocess.Popen([sys.executable, "-m", "{leash.__name__}", "sleeper", {str(tmp_path / "note")!r}, "600"]).wait()'
    )
    parent = subprocess.Popen([sys.executable, '-c', inner], env={**os.environ, leash.MARK: mark, 'PYTHONPATH': str(tmp_path)})
    eventually((tmp_path / 'note').exists)
    assert len(leash.marked(mark)) == 3
    parent.kill()
    parent.wait()
    eventually(lambda: len(leash.marked(mark)) == 1)  # its child, in a session of its own, is for the sweep


def test_marks_name_what_is_below_them_only(mark: str) -> None:
    processes = [subprocess.Popen(['sleep', '600'], env={**os.environ, leash.MARK: each}) for each in (mark, f'{mark}/1', f'{mark}/1/2', f'{mark}1')]
    pids = [each.pid for each in processes]
    try:
        eventually(lambda: set(leash.marked(mark)) == set(pids[:3]))
        assert set(leash.marked(f'{mark}/1')) == set(pids[1:3])
        assert leash.kill_marked(f'{mark}/1') == []
        assert processes[0].poll() is None
        assert processes[3].poll() is None
    finally:
        for each in processes:
            each.kill()
            each.wait()


def test_a_process_that_is_gone_has_no_start() -> None:
    assert leash.start_ticks(os.getpid()) > 0
    assert leash.start_ticks(2**22 + 1) == 0


def test_a_prepared_process_is_taken_once() -> None:
    try:
        spawn.prepare()
        spawn.prepare()
        (spare,) = spawn._spare
        taken = spawn.take()
        assert taken is spare
        assert spawn._spare == []
    finally:
        spawn.discard()
    taken.kill()
    taken.connection.close()


def test_a_prepared_process_that_died_is_not_taken() -> None:
    spawn.prepare()
    (spare,) = spawn._spare
    spare.kill()
    taken = spawn.take()
    assert taken is not spare
    taken.kill()
    taken.connection.close()


def test_a_prepared_process_that_nobody_takes_is_killed() -> None:
    spawn.prepare()
    (spare,) = spawn._spare
    spawn.discard()
    assert spare.process.returncode == -signal.SIGKILL


def test_a_sweep_ends_what_a_journal_names_and_keeps_its_jobs(tmp_path: Path, mark: str) -> None:
    stray = subprocess.Popen(['sleep', '600'], env={**os.environ, leash.MARK: f'{mark}/0'})
    launch.Journal(tmp_path / f'{mark}.journal').open(mark, os.uname().nodename, ['12.server'])
    launch.Journal(tmp_path / 'elsewhere.journal').open('elsewhere', 'another-login-node', ['13.server'])
    assert sorted(build.sweep(tmp_path)) == ['12.server', '13.server']
    assert stray.wait(30) == -signal.SIGKILL
    build.forget(tmp_path, alive='elsewhere')
    assert [path.name for path in tmp_path.iterdir()] == ['elsewhere.journal']


def test_logs_of_the_last_engines_are_kept(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f'2026-{number}').mkdir()
        (tmp_path / f'2026-{number}' / 'engine.log').touch()
    (tmp_path / 'tasks_working_dir').mkdir()
    build.forget(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*(f'2026-{number}' for number in range(4, 9)), 'tasks_working_dir']
