"""Shell text before and after: how it ends, what of it reaches the log, what it may leave behind."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import psutil
import pytest

from relay_parsl.endpoint import hooks


def test_its_output_is_in_the_log_and_nothing_is_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert hooks.run('endpoint_setup', 'echo one\npwd\necho two >&2', tmp_path, 30.0) == ''
    assert [record.message for record in caplog.records] == ['endpoint_setup: one', f'endpoint_setup: {tmp_path}', 'endpoint_setup: two']


def test_a_failure_comes_with_its_stderr(tmp_path: Path) -> None:
    said = hooks.run('endpoint_setup', 'echo fine; module load nonesuch; exit 7', tmp_path, 30.0)
    assert said.splitlines()[0] == 'endpoint_setup ended with exit code 7'
    assert 'module' in said
    assert 'fine' not in said


def test_a_signal_is_named(tmp_path: Path) -> None:
    assert hooks.run('endpoint_setup', 'kill -TERM $$', tmp_path, 30.0) == 'endpoint_setup was killed by SIGTERM'


@pytest.mark.parametrize('stopped', [False, True])
def test_what_takes_too_long_is_killed_with_all_that_it_started(stopped: bool, tmp_path: Path) -> None:
    note = tmp_path / 'pid'
    text = f'sleep 300 & echo $! > {note}.part; mv {note}.part {note}; wait'
    said = hooks.run('endpoint_teardown', text, tmp_path, 600.0 if stopped else 3.0, lambda: stopped and note.exists())
    assert said == 'endpoint_teardown ' + ('was stopped' if stopped else 'was killed: it took more than 3 s')
    end = time.monotonic() + 30
    while psutil.pid_exists(pid := int(note.read_text())) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_it_leaves_in_the_background_holds_up_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    assert hooks.run('endpoint_setup', f'sleep 300 & echo $! > {tmp_path}/pid', tmp_path, 60.0) == ''
    assert time.monotonic() - began < 30
    os.kill(int((tmp_path / 'pid').read_text()), 9)


def test_only_the_end_of_much_output_is_kept(tmp_path: Path) -> None:
    said = hooks.run('endpoint_setup', 'seq 1 200000 >&2; exit 1', tmp_path, 60.0)
    assert len(said) < 20_000
    assert said.endswith('\n200000')
