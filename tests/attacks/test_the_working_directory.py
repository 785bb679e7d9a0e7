"""Modules that somebody has put into the directory from which an endpoint is started: none is imported, by no process of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl import interpreter
from relay_parsl.client.executor import Executor
from tests.attacks.stolen import failure
from tests.integration.commands import Commands, Short, commands

pytestmark = [pytest.mark.integration, pytest.mark.attack(22)]

PLANTED = ('relay_parsl', 'parsl', 'zmq', 'msgpack', 'cloudpickle', 'psutil', 'cryptography', 'statistics', 'planted', 'sqlite3', 'pickle')
LATER = pytest.mark.skipif(sys.version_info < (3, 11), reason='the processes that Python 3.10 starts by itself look into the working directory first')
THREADS = {'type': 'ThreadPoolEngine', 'max_workers': 1}
HTEX = {'type': 'HtexEngine', 'address': '127.0.0.1', 'max_workers_per_node': 1, 'provider': {'type': 'LocalProvider', 'max_blocks': 1}}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path / 'home', Short) as made:
        yield made


def plant(directory: Path, sung: Path) -> None:
    """A module of each name, which does what it likes when it is imported: here it leaves its name."""
    directory.mkdir()
    for name in PLANTED:
        (directory / f'{name}.py').write_text(f'import os\nos.write(os.open({str(sung)!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND), b"{name} ")\n')
    with (directory / 'planted.py').open('a') as file:
        file.write('def f():\n    return "planted"\n')
    with (directory / 'statistics.py').open('a') as file:
        file.write('def mean(numbers):\n    return "planted"\n')


@pytest.mark.parametrize('engine', [pytest.param(THREADS, id='threads'), pytest.param(HTEX, id='htex', marks=[pytest.mark.slow, LATER])])
def test_a_module_in_the_working_directory_is_not_imported(
    home: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: dict[str, Any]
) -> None:
    """One shadows a listed function, one is listed and nowhere else, others bear the names of what all processes import."""
    sung = tmp_path / 'sung'
    plant(tmp_path / 'shared', sung)
    home.relay()
    file = home.cwd / 'site.yaml'
    file.write_text(json.dumps({'engine': engine, 'function_policy': {'names': ['statistics:mean', 'planted:f']}}))
    home.ok('endpoint', 'configure', 'site', '--endpoint-config', str(file))
    start = interpreter.command('relay_parsl', 'endpoint', 'start', 'site', '--detach')
    done = subprocess.run(start, cwd=tmp_path / 'shared', env=home.environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv('RELAY_PARSL_HOME', str(home.root))
    with Executor('site', serializer='json') as executor:
        listed = executor.submit_to_registered_function('statistics:mean', ([1, 2, 6],))
        nowhere = executor.submit_to_registered_function('planted:f')
        assert listed.result(60) == 3
        assert "No module named 'planted'" in str(failure(nowhere))
    assert not sung.exists(), sung.read_text()
