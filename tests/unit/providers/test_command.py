"""Commands of a scheduler: no shell, an end for those that hang, any bytes."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from relay_parsl.providers.command import NOT_FOUND, run


def test_arguments_are_what_they_are() -> None:
    ran = run(['printf', '%s|', '*', '$HOME', '1[].x; exit 3', ''], 20)
    assert (ran.code, ran.stdout, ran.stderr) == (0, '*|$HOME|1[].x; exit 3||', '')
    assert ran.ok


def test_errors_are_said_on_one_line() -> None:
    ran = run(['sh', '-c', 'echo out; echo " two" >&2; echo lines >&2; exit 170'], 20)
    assert (ran.code, ran.ok, ran.said) == (170, False, 'two lines')
    assert run(['sh', '-c', 'echo out'], 20).said == 'out'


def test_a_program_that_is_not_there() -> None:
    ran = run(['no-such-qsub'], 20)
    assert ran.code == NOT_FOUND
    assert ran.said == 'no-such-qsub cannot be started: No such file or directory'


def test_one_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    ran = run(['sh', '-c', f'sleep 600 & echo $! > {tmp_path}/child; wait'], 3)
    assert time.monotonic() - started < 60
    assert ran.code is None
    assert ran.said == 'sh did not answer within 3 s'
    child = int((tmp_path / 'child').read_text())
    deadline = time.monotonic() + 20
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert run(['printf', r'a\377b'], 20).stdout == 'a\ufffdb'


def test_it_runs_where_it_shall(tmp_path: Path) -> None:
    assert run(['pwd'], 20, str(tmp_path)).stdout.strip() == str(tmp_path.resolve())
