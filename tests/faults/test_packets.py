"""A real relay, a real endpoint and a real client with a wire between them on which packets are lost, late and out of order."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.packets import Wire
from tests.faults.rig import Site

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]
TASKS = 60
CLIENT = """
import os, sys
import relay_parsl as rp

def note(path, number):
    import os
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, b'%d\\n' % number)
    os.close(handle)
    return number * number

with rp.Executor('one') as executor:
    futures = [executor.submit(note, sys.argv[1], number) for number in range(int(sys.argv[2]))]
    assert [each.result(300) for each in futures] == [number * number for number in range(len(futures))]
    print(*[each.task_id for each in futures])
"""


@pytest.mark.fault(24)
@pytest.mark.parametrize('ends', [{0}, {1}, {0, 1}], ids=['from the relay', 'to the relay', 'both ways'])
def test_a_wire_that_loses_and_delays_and_reorders_is_slower_and_right(site: Site, ends: set[int]) -> None:
    site.start('relay')
    site.configure('one')
    site.running.pop('relay').stop()
    with Wire() as wire:
        site.address, site.before = wire.ADDRESSES[0], {'relay': wire.inside(0), 'one': wire.inside(1)}
        site.start('relay')
        site.elsewhere(site.address)
        wire.bad, wire.loss, wire.delay, wire.jitter = ends, 0.2, 0.5, 0.3
        site.start('one')
        words = [*wire.inside(1), sys.executable, '-c', CLIENT, str(site.record), str(TASKS)]
        done = subprocess.run(words, env=site.cli.environment, cwd=site.cli.cwd, capture_output=True, text=True, timeout=350, check=False)
        assert done.returncode == 0, done.stderr
        assert set(site.runs().values()) == {1}
        assert len(site.runs()) == TASKS
        assert wire.lost > 0
        assert wire.overtaken > 0
        wire.loss = wire.delay = wire.jitter = 0.0
        site.check(done.stdout.split())
