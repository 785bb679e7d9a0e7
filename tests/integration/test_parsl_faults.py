"""Faults of Parsl around its processes, each checked on Parsl's and on ours: what outlives a driver, what needs PATH, what needs PYTHONPATH."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.integration

PATIENCE = 30.0
PARSLS = """
import parsl, sys, time
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
if __name__ == '__main__':
    executor = HighThroughputExecutor(address='127.0.0.1', provider=LocalProvider(init_blocks=1), max_workers_per_node=1)
    parsl.load(parsl.Config(executors=[executor], run_dir='runinfo', strategy_period=0.2))
    assert parsl.python_app(pow)(2, 5).result() == 32
    print('serves', flush=True)
    time.sleep(600)
"""
OURS = """
import sys, time
from pathlib import Path
from relay_parsl.engines.base import Finished, Work
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.wire import payload
if __name__ == '__main__':
    Path('spool').mkdir()
    engine, events = HtexEngine(max_workers_per_node=1), []
    engine.start(events.append, Path('run'), 'driver')
    arguments = payload.dump_arguments((2, 5), {})
    engine.submit(Work(bytes(16), 1, b'a', payload.dump_function(pow), arguments, None, {}, str(Path('spool').absolute())))
    engine.flush()
    while not any(isinstance(event, Finished) and event.ok for event in events):
        time.sleep(0.05)
    print('serves', flush=True)
    time.sleep(600)
"""
Drive = Callable[..., 'Driver']


class Driver:
    """A process with an executor in it, that was started with a mark in its environment, which all that it starts inherits."""

    def __init__(self, directory: Path, script: str, environment: dict[str, str]) -> None:
        directory.mkdir()
        (directory / 'driver.py').write_text(textwrap.dedent(script))
        self.mark = str(directory)
        self.process = subprocess.Popen(
            [sys.executable, 'driver.py'],
            cwd=directory,
            env={**os.environ, 'FAULT_TEST': self.mark, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def serves(self) -> bool:
        """Whether its first task has run; False when it ends instead."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip() == 'serves'

    def left(self) -> list[psutil.Process]:
        """What it has started and what is still there."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get('FAULT_TEST') == self.mark and process.pid != self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:  # noqa: PERF203  it has ended, or is somebody else's
                continue
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        while left := self.left():  # before the rest of the output is read: they may have inherited it
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        self.process.communicate()


@pytest.fixture(name='drive')
def _drive(tmp_path: Path) -> Iterator[Drive]:
    drivers: list[Driver] = []

    def drive(script: str, **environment: str) -> Driver:
        drivers.append(Driver(tmp_path / str(len(drivers)), script, environment))
        return drivers[-1]

    yield drive
    for driver in drivers:
        driver.end()


def nothing_outlives_its_driver(drive: Drive, script: str) -> None:
    driver = drive(script)
    assert driver.serves()
    assert driver.left() != []
    driver.process.kill()
    driver.process.wait()
    deadline = time.monotonic() + 10.0
    while driver.left() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert driver.left() == []


def programs_are_found_without_path(drive: Drive, script: str) -> None:
    assert drive(script, PATH='/usr/bin:/bin').serves()


@pytest.mark.parametrize('check', [nothing_outlives_its_driver, programs_are_found_without_path], ids=['15', '16'])
def test_faults_15_and_16_are_parsls_and_not_ours(drive: Drive, check: Callable[[Drive, str], None]) -> None:
    check(drive, OURS)
    with pytest.raises(AssertionError):
        check(drive, PARSLS)


SENDER = {
    'parsl': """
        from parsl.serialize import pack_apply_message
        from my_analysis import triple
        sys.stdout.buffer.write(pack_apply_message(triple, (14,), {}))
    """,
    'ours': """
        from relay_parsl.wire import codec, payload
        from my_analysis import triple
        sys.stdout.buffer.write(codec.pack([payload.dump_function(triple), payload.dump_arguments((14,), {})]))
    """,
}
NODE = {
    'parsl': """
        from parsl.serialize import unpack_apply_message
        function, args, kwargs = unpack_apply_message(sys.stdin.buffer.read())
        print(function(*args, **kwargs))
    """,
    'ours': """
        from relay_parsl.wire import codec, payload
        function, arguments = codec.unpack(sys.stdin.buffer.read())
        args, kwargs = payload.load_arguments(arguments)
        print(payload.load_function(function)(*args, **kwargs))
    """,
}


def python(script: str, data: bytes = b'', **environment: str) -> bytes:
    command = [sys.executable, '-c', f'import sys\n{textwrap.dedent(script)}']
    return subprocess.run(command, input=data, capture_output=True, env={**os.environ, **environment}, timeout=PATIENCE, check=False).stdout


def a_module_beside_the_script_need_not_be_on_the_nodes(whose: str, directory: Path) -> None:
    (directory / 'my_analysis.py').write_text('FACTOR = 3\n\ndef triple(x):\n    return FACTOR * x\n')
    sent = python(SENDER[whose], PYTHONPATH=str(directory))
    assert sent
    assert python(NODE[whose], sent).strip() == b'42'


def test_fault_17_is_parsls_and_not_ours(tmp_path: Path) -> None:
    a_module_beside_the_script_need_not_be_on_the_nodes('ours', tmp_path)
    with pytest.raises(AssertionError):
        a_module_beside_the_script_need_not_be_on_the_nodes('parsl', tmp_path)
