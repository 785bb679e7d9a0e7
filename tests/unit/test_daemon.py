"""Pid files, detached starts and stops, with real processes."""

from __future__ import annotations

import gc
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from relay_parsl import daemon
from relay_parsl.daemon import PidFile, Process
from relay_parsl.errors import ConfigError, HomeError

SLEEPER = 'import time; print("up", flush=True); time.sleep(60)'
STUBBORN = f'import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}'


@pytest.fixture
def file(tmp_path: Path) -> PidFile:
    return PidFile(tmp_path / 'x.pid', "endpoint 'x'")


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def sleeper(children: list[subprocess.Popen[bytes]], program: str = SLEEPER) -> Process:
    process = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE)
    children.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b'up\n'
    return Process(platform.node(), process.pid, psutil.Process(process.pid).create_time())


def write(file: PidFile, process: Process) -> None:
    file.path.write_text(json.dumps(asdict(process)))


def test_a_claim_names_this_process_and_is_released(file: PidFile) -> None:
    with file.held():
        assert file.read() == Process.current()
        assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.read() is None


def test_a_second_claim_while_the_first_lives_is_refused(file: PidFile, children: list[subprocess.Popen[bytes]]) -> None:
    other = sleeper(children)
    write(file, other)
    with pytest.raises(ConfigError, match=rf"endpoint 'x' already runs as process {other.pid} on .*stop it first"):
        file.claim(take_over=True)


def test_what_a_dead_process_left_is_replaced(file: PidFile, children: list[subprocess.Popen[bytes]]) -> None:
    other = sleeper(children)
    children[0].kill()
    children[0].wait()
    write(file, other)
    assert file.running() is None
    file.claim()
    assert file.read() == Process.current()


def test_a_number_given_away_again_is_not_the_process(file: PidFile, children: list[subprocess.Popen[bytes]]) -> None:
    other = sleeper(children)
    write(file, replace(other, created=other.created - 1000))
    assert file.running() is None
    assert file.stop(1) is None
    assert children[0].poll() is None


def test_a_zombie_does_not_run(file: PidFile, children: list[subprocess.Popen[bytes]]) -> None:
    other = sleeper(children)
    children[0].kill()
    end = time.monotonic() + 10
    while psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
    write(file, other)
    assert file.running() is None


def test_another_host_cannot_be_judged_from_here(file: PidFile) -> None:
    write(file, Process('elsewhere', 1, 1.0))
    with pytest.raises(ConfigError, match=r'was started on elsewhere.*--take-over'):
        file.claim()
    with pytest.raises(ConfigError, match=r'runs on elsewhere .*stop it there'):
        file.stop(1)
    file.claim(take_over=True)
    assert file.read() == Process.current()


def test_a_damaged_file_is_named(file: PidFile) -> None:
    file.path.write_text('12')
    with pytest.raises(HomeError, match=r'x\.pid is no pid file'):
        file.read()


def test_stop_ends_a_process_and_says_which(file: PidFile, children: list[subprocess.Popen[bytes]]) -> None:
    other = sleeper(children)
    write(file, other)
    assert file.stop(10) == other
    assert not psutil.pid_exists(other.pid)
    assert file.stop(10) is None


def test_stop_reports_a_process_that_goes_on(file: PidFile, children: list[subprocess.Popen[bytes]]) -> None:
    other = sleeper(children, STUBBORN)
    write(file, other)
    with pytest.raises(TimeoutError, match=rf'still runs after 0.2 s.*kill -9 {other.pid}'):
        file.stop(0.2)


def test_release_leaves_the_file_of_another(file: PidFile, children: list[subprocess.Popen[bytes]]) -> None:
    other = sleeper(children)
    write(file, other)
    file.release()
    assert file.read() == other


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that takes the place of ours in the detached process; what it does is written by the test."""
    package = tmp_path / 'stand-in' / 'relay_parsl'
    package.mkdir(parents=True)
    (package / '__init__.py').touch()
    monkeypatch.setenv('PYTHONPATH', str(package.parent))
    monkeypatch.chdir(tmp_path)
    return package / '__main__.py'


def test_detach_returns_what_the_process_says_when_it_serves(program: Path, tmp_path: Path) -> None:
    source = Path(daemon.__file__).read_text().split('\n# -- Detached')[1].split('def detach')[0]
    program.write_text(
        f'import os, sys, time\nfrom contextlib import suppress\nREADY = {daemon.READY!r}\ntell = print\n#{source}\n'
        'print("args", *sys.argv[1:], flush=True)\nready(f"serving as {os.getpid()}\\nand well")\ntime.sleep(60)\n'
    )
    log = tmp_path / 'log'
    text = daemon.detach(['a', 'b'], log, 20)
    process = psutil.Process(int(text.split()[2]))
    try:
        assert text.endswith('\nand well')
        assert 'args a b' in log.read_text()
        assert log.stat().st_mode & 0o777 == 0o600
        assert os.getsid(process.pid) == process.pid, 'a session of its own: no terminal can end it'
    finally:
        process.kill()
        process.wait(10)


def test_detach_reports_the_last_words_of_a_failed_start(program: Path, tmp_path: Path) -> None:
    log = tmp_path / 'log'
    log.write_text('of an earlier run\n')
    program.write_text('import sys; sys.exit("error: the port is taken")')
    with pytest.raises(ConfigError, match=r'^the port is taken$'):
        daemon.detach([], log, 20)


def test_detach_reports_a_silent_end(program: Path, tmp_path: Path) -> None:
    program.write_text('raise SystemExit(7)')
    with pytest.raises(ConfigError, match='code 7'):
        daemon.detach([], tmp_path / 'log', 20)


def test_detach_does_not_wait_for_ever(program: Path, tmp_path: Path) -> None:
    program.write_text('import os, time; print(os.getpid(), flush=True); time.sleep(60)')
    log = tmp_path / 'log'
    with pytest.raises(TimeoutError, match='not ready after'):
        daemon.detach([], log, 1)
    end = time.monotonic() + 20
    while not log.read_text().strip():
        assert time.monotonic() < end
        time.sleep(0.02)
    process = psutil.Process(int(log.read_text()))
    process.kill()
    process.wait(10)


def test_in_the_foreground_ready_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(daemon.READY, raising=False)
    daemon.ready('x')


def test_signals_call_the_handler_and_are_put_back() -> None:
    called: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    with daemon.terminated_by(lambda: called.append(1)):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert called == [1, 1]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_settled_process_does_not_go_through_its_libraries_again() -> None:
    before = gc.get_threshold()
    thread = threading.Thread(target=daemon.settle)
    thread.start()
    thread.join()
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before), 'a thread is a guest in its process'
    try:
        daemon.settle()
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold() == (daemon.YOUNG, *before[1:])
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


NOBODY = 'import os\nif os.geteuid() == 0:\n    os.setgroups([])\n    os.setgid(65534)\n    os.setuid(65534)\n'
"""Root may read anything: who looks and who is looked at are nobody, once they have loaded what they need."""
HOLDER = f"""
import ctypes, resource, sys, time
from relay_parsl import daemon
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
{NOBODY}
ctypes.CDLL(None).prctl(daemon.PR_SET_DUMPABLE, 1, 0, 0, 0)  # as every process is that never changed its user
if sys.argv[1] == 'guarded':
    daemon.guard_memory()
print('up', flush=True)
time.sleep(60)
"""
PEEP = f"""
import sys
{NOBODY}
open(f'/proc/{{sys.argv[1]}}/environ', 'rb').read()
os.lseek(os.open(f'/proc/{{sys.argv[1]}}/mem', os.O_RDONLY), 0, 0)
"""


def looked_into(how: str, cwd: Path) -> tuple[str, bool]:
    """What is said to another process of the same user that looks into this one, and whether it leaves a core dump."""
    holder = subprocess.Popen([sys.executable, '-c', HOLDER, how], stdout=subprocess.PIPE, cwd=cwd)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b'up\n'
        peep = subprocess.run([sys.executable, '-c', PEEP, str(holder.pid)], check=False, capture_output=True, text=True)
        holder.send_signal(signal.SIGABRT)
        status = os.waitpid(holder.pid, 0)[1]
        holder.returncode = -signal.SIGABRT
        holder.stdout.close()
    finally:
        holder.kill()
    return peep.stderr, os.WCOREDUMP(status)


@pytest.mark.attack(29, 31)
@pytest.mark.skipif(sys.platform != 'linux', reason='prctl')
def test_no_process_of_the_same_user_looks_into_one_that_holds_keys_nor_does_a_core_dump(tmp_path: Path) -> None:
    """As it comes a process lets all of its user's others read it, and dumps core where that is allowed at all: so the refusal is the guard's."""
    tmp_path.chmod(0o777)  # for nobody's core
    assert looked_into('as it comes', tmp_path)[0] == ''
    said, dumped = looked_into('guarded', tmp_path)
    assert "Permission denied: '/proc/" in said
    assert not dumped
