"""Functions that do to their worker what they like: the next task is none the worse for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from relay_parsl.errors import RemoteError, SerializationError
from relay_parsl.wire import payload
from tests.integration.conftest import _rigs  # noqa: F401  the fixture `rigs`
from tests.integration.engine_rig import Rig, eventually

pytestmark = pytest.mark.integration
QUICK = {'address': '127.0.0.1', 'max_workers_per_node': 1}


@pytest.fixture
def rig(rigs: Callable[..., Rig]) -> Rig:
    return rigs(**QUICK)


def surroundings() -> tuple[str, int, list[str]]:
    """What a task finds: directory, umask, and what its descriptors 0 to 2 are."""
    import os
    import sys

    mask = os.umask(0)
    os.umask(mask)
    for stream in (sys.stdout, sys.stderr):
        stream.write('seen\n')
        stream.flush()
    return os.getcwd(), mask, [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]


# -- Row 51 ----------------------------------------------------------------------------------------------------------


def go_elsewhere() -> str:
    import os

    os.chdir('/')
    os.umask(0o777)
    return 'gone'


def close_everything() -> str:
    import os

    os.closerange(0, 3)
    return 'closed'


def redirect_everything() -> str:
    import os

    for number in range(3):
        os.dup2(os.open('/dev/zero', os.O_RDWR), number)
    return 'redirected'


def close_the_streams() -> str:
    import sys

    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()
    return 'streams'


def close_all_descriptors() -> str:
    import os

    os.closerange(0, 4096)
    return 'closed'


def leave_a_daemon(mark: str) -> int:
    import os
    import time
    from pathlib import Path

    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            Path(mark).write_text(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    while not Path(mark).exists() or not Path(mark).read_text():
        time.sleep(0.01)
    return int(Path(mark).read_text())


def print_much(megabytes: int) -> int:
    import sys

    line = 'x' * 1023 + '\n'
    for stream in (sys.stdout, sys.stderr):
        for _ in range(megabytes * 512):
            stream.write(line)
    return megabytes


@pytest.mark.fault(51)
def test_a_task_finds_what_the_first_one_found_whatever_was_done_before_it(rig: Rig) -> None:
    first = rig.call(surroundings)
    assert rig.call(go_elsewhere) == 'gone'
    assert rig.call(surroundings) == first
    for function in (close_everything, close_the_streams, redirect_everything):
        assert rig.call(function)
        assert rig.call(surroundings) == first, function
    assert rig.lost(rig.submit(close_all_descriptors)).cause == 'worker'
    assert rig.call(surroundings)[:2] == first[:2], 'whoever was cut off has a successor'


@pytest.mark.fault(51)
def test_a_daemon_holds_up_nobody(rig: Rig, tmp_path: Path) -> None:
    daemon = rig.call(leave_a_daemon, str(tmp_path / 'daemon'))
    try:
        assert rig.call(pow, 2, 10) == 1024
        rig.engine.stop()
    finally:
        for process in [each for each in psutil.process_iter() if each.pid == daemon]:
            process.kill()


@pytest.mark.fault(51)
@pytest.mark.parametrize('megabytes', [32, pytest.param(1024, marks=pytest.mark.slow)])
def test_what_a_task_prints_costs_no_memory(rig: Rig, megabytes: int) -> None:
    rig.call(pow, 2, 10)
    before = sum(memory(rig))
    task = rig.submit(print_much, megabytes)
    peak = before
    while not [event for event in rig.events if getattr(event, 'outcome', None) and event.task_id == task]:
        peak = max(peak, sum(memory(rig)))
    assert payload.load_outcome(rig.outcome(task).data) == megabytes
    assert peak - before < 30 << 20, f'{(peak - before) >> 20} MB more'
    assert rig.call(pow, 2, 10) == 1024
    assert max([path.stat().st_size for path in rig.run_dir.rglob('*') if path.is_file()], default=0) >= megabytes << 19, 'it is in the logs'


def memory(rig: Rig) -> list[int]:
    """Of every process of the engine."""
    from relay_parsl.engines import leash

    found = []
    for pid in leash.marked(rig.token):
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(pid).memory_info().rss)
    return found


# -- Row 14 ----------------------------------------------------------------------------------------------------------


def eat(gigabytes: int) -> int:
    """With a limit of its own address space, as batch systems set it."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    return len(bytearray(gigabytes << 30))


def die_of_the_kernel() -> None:
    """What the kernel does to who takes too much."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.fault(14)
def test_who_runs_out_of_memory_fails_alone_and_says_so(rig: Rig) -> None:
    with pytest.raises(MemoryError):
        rig.call(eat, 4)


@pytest.mark.fault(14)
def test_who_is_killed_for_its_memory_is_told_so_and_the_worker_goes_on(rig: Rig) -> None:
    lost = rig.lost(rig.submit(die_of_the_kernel))
    assert lost.cause == 'worker'
    assert 'was killed by SIGKILL (out of memory?)' in lost.evidence
    assert rig.call(pow, 2, 10) == 1024


# -- Row 52 ----------------------------------------------------------------------------------------------------------


def a_lock() -> Any:
    import threading

    return threading.Lock()


def a_bad_reduce() -> Any:
    class Bad:
        def __reduce__(self) -> Any:
            raise ZeroDivisionError('in __reduce__')

    return Bad()


def raise_what_cannot_travel() -> None:
    class Stubborn(Exception):
        def __reduce__(self) -> Any:
            raise ZeroDivisionError('in __reduce__')

        def __str__(self) -> str:
            raise ZeroDivisionError('in __str__')

    raise Stubborn


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1)


def deep_value() -> Any:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.fault(52)
def test_results_and_errors_that_cannot_travel_are_failures_with_a_text(rig: Rig) -> None:
    for function in (a_lock, a_bad_reduce, deep_value):
        with pytest.raises((SerializationError, RemoteError)) as raised:
            rig.call(function)
        assert str(raised.value)
    with pytest.raises(RemoteError, match='Stubborn'):
        rig.call(raise_what_cannot_travel)
    with pytest.raises(RecursionError):
        rig.call(recurse)
    assert rig.call(pow, 2, 10) == 1024
    eventually(lambda: rig.engine.status().capacity)
