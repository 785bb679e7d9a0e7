"""Each role is told to end while it works: it finishes or hands back, ends with 0 within its grace, and nothing is lost."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import relay_parsl as rp
from relay_parsl.errors import TaskLost
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


def held_until(path: str, record: str, number: int) -> int:
    """Runs until a file is there."""
    import os
    import time

    with open(record, 'a') as file:
        file.write(f'{number}\n')
    while not os.path.exists(path):
        time.sleep(0.05)
    return number


SHORT = ('relay_parsl.endpoint.endpoint:GRACE=1',)
"""An endpoint that is told no grace ends after a second."""


def test_what_runs_longer_than_an_endpoint_waits_by_itself_ends_within_the_grace_of_stop(
    site: Site, work: Callable[..., Work], tmp_path: Path
) -> None:
    site.start('relay')
    site.configure('one', config=PROCESSES)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind(str(tmp_path / 'notify'))
        endpoint = site.launch('one', settings=SHORT, environment={'NOTIFY_SOCKET': str(tmp_path / 'notify')})
        assert endpoint.ready(), endpoint.log.read_text()
        future = work().executor.submit(held_until, str(tmp_path / 'go'), str(site.record), 7)
        until(lambda: site.runs()[7])
        stopping = site.cli.start('endpoint', 'stop', 'one', '--grace', '100')
        until(lambda: 'running ones have 100 s' in endpoint.log.read_text())
        time.sleep(2.0)
        assert endpoint.alive, 'its own grace is over'
        (tmp_path / 'go').touch()
        out, _ = stopping.communicate(timeout=60)
        assert (stopping.returncode, endpoint.process.wait(GRACE)) == (0, 0), out
        assert future.result(10) == 7, 'it was recorded before the end'
        said = b'\n'.join(systemd.recv(1000) for _ in range(3))
        assert b'STOPPING=1\nEXTEND_TIMEOUT_USEC=160000000' in said, 'else systemd kills it after its own TimeoutStopSec'
    del site.running['one']
    assert site.runs() == Counter([7])
    site.check([future.task_id])


def test_what_runs_past_the_grace_is_ended_and_runs_again_but_for_what_may_run_once(site: Site, work: Callable[..., Work], tmp_path: Path) -> None:
    site.start('relay')
    site.configure('one', config=PROCESSES.replace('max_workers: 1', 'max_workers: 2'))
    endpoint = site.start('one', settings=SHORT)
    executor = work().executor
    again = executor.submit(held_until, str(tmp_path / 'go'), str(site.record), 1)
    once = executor.with_options(at_most_once=True).submit(held_until, str(tmp_path / 'go'), str(site.record), 2)
    until(lambda: site.runs() == Counter([1, 2]))
    endpoint.stop()
    assert 'the grace of 1 s is over; 2 tasks go back unfinished' in endpoint.log.read_text()
    assert not again.done()
    (tmp_path / 'go').touch()
    site.start('one')
    assert again.result(60) == 1
    with pytest.raises(TaskLost):
        once.result(60)
    assert site.runs() == Counter([1, 1, 2])
    site.check([again.task_id, once.task_id], {'success', 'failed'})


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
