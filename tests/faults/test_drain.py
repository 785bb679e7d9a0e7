"""Each role is told to end while it works: it finishes or hands back, ends with 0 within its grace, and nothing is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import psutil
import pytest

import relay_parsl as rp
from tests.faults.rig import PROCESSES, Site, Work, until

pytestmark = [pytest.mark.integration, pytest.mark.fault(50)]

GRACE = 20.0
"""Seconds that `relay stop` waits by default."""
LEAVER = """
import sys
import relay_parsl as rp

def note(path, number):
    import os
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, b'%d\\n' % number)
    os.close(handle)

executor = rp.Executor('one')
for number in range(500):
    executor.submit(note, sys.argv[1], number)
"""
SCRIPT = """
import sys
import parsl
import relay_parsl as rp

def note(path, number):
    import os
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, b'%d\\n' % number)
    os.close(handle)
    return number

@parsl.join_app
def remotely(number):
    return one.submit(note, sys.argv[1], number)

with parsl.load(parsl.Config(run_dir='runs')):
    one = rp.Executor('one')
    futures = [remotely(number) for number in range(50)]
    waiting = [one.submit(note, sys.argv[1], number) for number in range(50, 80)]
    for future in waiting:
        future.accepted(60)
    print(one.task_group_id, flush=True)
    for future in [*futures, *waiting]:
        future.result()
"""


def test_a_relay_that_is_told_to_end_under_load_ends_at_once_and_loses_nothing(site: Site, work: Callable[..., Work]) -> None:
    site.whole('one')
    mine = work()
    mine.submit(range(500))
    until(lambda: len(site.runs()) > 20)
    begun = time.monotonic()
    site.running.pop('relay').stop()
    assert time.monotonic() - begun < GRACE
    mine.submit(range(500, 520))
    site.start('relay')
    mine.done()
    mine.once()
    site.check(mine.ids)


def test_a_drained_relay_has_handed_in_what_ran_keeps_what_waits_and_has_clients_wait(site: Site, work: Callable[..., Work]) -> None:
    site.start('relay')
    site.configure('one', config=PROCESSES)
    site.start('one')
    mine = work()
    mine.submit([1], seconds=2.0)
    until(lambda: site.runs()[1])
    stopping = site.cli.start('relay', 'stop', '--drain', '30')
    held = []

    def refused() -> bool:
        number = 100 + len(held)
        mine.submit([number])
        held.append(number)
        time.sleep(0.1)
        return any('draining' in str(mine.futures[each].detail.get('why')) for each in held)

    until(refused)
    assert {mine.futures[each].state() for each in held} <= {'unsent', 'waiting-for-ep', 'waiting-for-nodes', 'running', 'success'}
    out, _ = stopping.communicate(timeout=60)
    assert stopping.returncode == 0, out
    assert 'nothing is under way' in out
    assert site.running.pop('relay').process.wait(GRACE) == 0
    assert mine.futures[1].result(10) == 1, 'it was delivered before the end'
    site.start('relay')
    mine.done()
    mine.once()
    site.check(mine.ids)


@pytest.mark.slow
def test_a_relay_does_not_drain_for_ever(site: Site, work: Callable[..., Work]) -> None:
    site.start('relay')
    site.configure('one', config=PROCESSES)
    site.start('one')
    mine = work()
    mine.submit([1], seconds=8.0)
    until(lambda: site.runs()[1])
    assert '1 tasks are still at endpoints after 1 s' in site.cli.ok('relay', 'stop', '--drain', '1')
    assert site.running.pop('relay').process.wait(GRACE) == 0
    site.start('relay')
    mine.done()
    mine.once()
    site.check(mine.ids)


def test_a_script_that_ends_leaves_no_task_behind_in_its_outbox(site: Site) -> None:
    site.whole('one')
    (site.cli.cwd / 'leaver.py').write_text(LEAVER)
    done = subprocess.run(
        [sys.executable, 'leaver.py', str(site.record)],
        check=False,
        env=site.cli.environment,
        cwd=site.cli.cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    until(lambda: len(site.runs()) == 500)


@pytest.mark.slow
def test_a_parsl_script_that_is_told_to_end_is_gone_and_what_it_had_sent_is_there(site: Site) -> None:
    """Nothing of ours holds it up or catches the signal, and nothing is left of it but its tasks."""
    site.start('relay')
    site.configure('one')
    (site.cli.cwd / 'script.py').write_text(SCRIPT)
    script = subprocess.Popen(
        [sys.executable, 'script.py', str(site.record)], env=site.cli.environment, cwd=site.cli.cwd, stdout=subprocess.PIPE, text=True
    )
    assert script.stdout is not None
    with script.stdout:
        group = script.stdout.readline().strip()
        children = psutil.Process(script.pid).children(recursive=True)
        script.terminate()
        assert script.wait(GRACE) in (0, -signal.SIGTERM)
    _, alive = psutil.wait_procs(children, GRACE)
    assert alive == []
    site.start('one')
    with rp.Executor('one') as executor:
        futures = executor.reload_tasks(group)
        values = [future.result(60) for future in futures]
    assert set(range(50, 80)) <= set(values)
    assert site.runs() == Counter(values), 'each ran once, and nothing else did'
    site.check([future.task_id for future in futures])
