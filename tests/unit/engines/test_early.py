"""The forked interchange, in a process of its own: forking a test runner with threads is not safe."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, subprocess, sys, time
from relay_parsl.engines.early import INTERCHANGE, Early
{before}
held, other = os.pipe()

def target(pid):
    try:
        return os.readlink(f'/proc/{{pid}}/fd/{{other}}')
    except FileNotFoundError:
        return ''

early = Early(closed=[other])
try:
    {body}
finally:
    early.configured()
    early.kill()
"""
GIVEN = """
    assert early.pid
    deadline = time.monotonic() + 20
    while target(early.pid) == target('self'):
        assert time.monotonic() < deadline, 'it keeps what is not for it'
    assert subprocess.run(early.command, input=b'no configuration').returncode == 0
    early.wait()
    assert os.waitstatus_to_exitcode(os.waitpid(early.pid, 0)[1]) == 1
    print('it could not read that')
"""
KILLED = """
    early.kill()
    early.wait()
    print('gone')
"""
NO_PROC = """
    assert early.pid == 0
    assert early.command[-1] == INTERCHANGE
    print('left to HTEX')
"""


@pytest.mark.parametrize(
    ('before', 'body', 'said'),
    [('', GIVEN, 'it could not read that'), ('', KILLED, 'gone'), ('os.path.exists = lambda path: False', NO_PROC, 'left to HTEX')],
)
def test_an_interchange_gets_what_htex_writes(before: str, body: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT.format(before=before, body=body.strip())], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr
    assert ('UnpicklingError' in done.stderr) == (said == 'it could not read that')
