"""The engine process that is started before anybody needs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.endpoint import ahead
from relay_parsl.endpoint.plugins import ALIASES, BEHIND
from relay_parsl.engines import spawn


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    spawn.discard()


def test_it_is_the_one_that_the_engine_takes(tmp_path: Path) -> None:
    file = tmp_path / 'endpoint.yaml'
    file.write_text('engine: {type: GlobusComputeEngine}')
    ahead.start_engine_process(file)
    (spare,) = spawn._spare
    assert spawn.take() is spare
    spare.kill()
    spare.connection.close()


def test_not_for_engines_in_this_process_nor_for_no_file(tmp_path: Path) -> None:
    file = tmp_path / 'endpoint.yaml'
    ahead.start_engine_process(file)
    file.write_text('engine: {type: ThreadPoolEngine}')
    ahead.start_engine_process(file)
    assert spawn._spare == []


def test_every_name_of_such_an_engine_is_known() -> None:
    names = [name for name, engine in {**ALIASES, **{name: name for name in BEHIND}}.items() if engine in ('HtexEngine', 'MPIEngine')]
    assert all(any(known in name.encode() for known in ahead.ON_HTEX) for name in names)


def test_it_imports_nothing_heavy() -> None:
    program = 'import sys, relay_parsl.endpoint.ahead; print(sorted({"parsl", "zmq", "yaml", "cryptography", "psutil"} & sys.modules.keys()))'
    assert subprocess.run([sys.executable, '-c', program], capture_output=True, check=True, text=True).stdout == '[]\n'
