"""Parsl's monitoring of tasks that run behind a relay: what a worker measures must reach the database. `make conformance` runs it.

It needs `parsl[monitoring]`, which our own environment does not have, so its name keeps it out of `make test`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import parsl
import pytest
from parsl.config import Config
from parsl.monitoring import MonitoringHub
from parsl.monitoring.radios.filesystem import FilesystemRadio
from parsl.monitoring.radios.udp import UDPRadio

from relay_parsl.executors.relay import RelayExecutor
from relay_parsl.local import local

RADIOS = ('udp', 'filesystem')


def work(seconds: float) -> float:
    import time

    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))
    return seconds


def fail() -> None:
    raise ValueError('why')


def run(radio: str) -> None:
    """On the executor of this radio: a task that works for a second, one that fails twice."""
    busy = parsl.python_app(work, executors=[radio])(1.0)
    bad = parsl.python_app(fail, executors=[radio])()
    assert busy.result() == 1.0
    assert isinstance(bad.exception(), ValueError)


@pytest.fixture(scope='module')
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """What one script has left whose executors report by different radios."""
    directory = tmp_path_factory.mktemp('monitoring')
    file: Path = directory / 'monitoring.db'
    hub = MonitoringHub(logging_endpoint=f'sqlite:///{file}', resource_monitoring_interval=0.2)
    radios = dict(zip(RADIOS, (UDPRadio(address='127.0.0.1', atexit_timeout=1), FilesystemRadio())))
    with local(workers=2) as relay:
        executors = [RelayExecutor('local', label=name, relay=relay, remote_monitoring_radio=radio) for name, radio in radios.items()]
        with parsl.load(Config(executors=executors, monitoring=hub, retries=1, strategy='none', run_dir=str(directory))):
            for name in RADIOS:
                run(name)
    with closing(sqlite3.connect(file)) as connection:
        yield connection


@pytest.mark.parametrize('radio', RADIOS)
def test_tasks_and_their_tries(database: sqlite3.Connection, radio: str) -> None:
    tasks = database.execute(
        'SELECT task_func_name, try_id, hostname, block_id, task_try_time_running, task_try_time_returned'
        ' FROM task JOIN try USING (run_id, task_id) WHERE task_executor = ? ORDER BY task_id, try_id',
        [radio],
    ).fetchall()
    assert [task[:2] for task in tasks] == [('work', 0), ('fail', 0), ('fail', 1)]
    assert all(all(task[2:]) for task in tasks), tasks
    states = database.execute(
        'SELECT count(*) FROM status JOIN try USING (run_id, task_id, try_id) WHERE task_executor = ? AND task_status_name = "running"', [radio]
    ).fetchone()
    assert states == (3,), 'the worker says when each try begins'


@pytest.mark.parametrize('radio', RADIOS)
def test_resources_of_the_worker(database: sqlite3.Connection, radio: str) -> None:
    count, processor, memory = database.execute(
        'SELECT count(*), max(psutil_process_time_user), max(psutil_process_memory_resident)'
        ' FROM resource JOIN task USING (run_id, task_id) JOIN try USING (run_id, task_id, try_id)'
        ' WHERE task_executor = ? AND task_func_name = "work"',
        [radio],
    ).fetchone()
    assert count >= 3, 'a second of work, looked at five times a second'
    assert 0.1 < processor < 60
    assert memory > 1 << 20
