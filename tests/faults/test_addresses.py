"""A relay that moves to another address, under the same name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.namespaces import with_mounts
from tests.faults.rig import Site
from tests.integration.commands import PATIENCE

pytestmark = pytest.mark.integration
NAME = 'relay.test'
CLIENT = """
import sys
import relay_parsl as rp

with rp.Executor('one') as executor:
    for line in sys.stdin:
        print(executor.submit(pow, 2, int(line)).result(60), flush=True)
"""


@pytest.mark.fault(28)
@pytest.mark.slow
def test_a_relay_that_moved_is_found_under_its_name(site: Site) -> None:
    """Client and endpoint see a file of names of the test's; who looks a name up once and keeps what it found dials the old address for ever."""
    site.start('relay')
    site.configure('one')
    hosts = site.cli.cwd / 'hosts'
    hosts.write_text(f'127.0.0.1 localhost {NAME}\n')
    site.elsewhere(NAME)
    ours = with_mounts(['--bind', str(hosts), '/etc/hosts'])
    site.before = {'one': ours}
    site.start('one')
    words = [*ours, sys.executable, '-c', CLIENT]
    with subprocess.Popen(words, env=site.cli.environment, cwd=site.cli.cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            assert client.stdin is not None
            assert client.stdout is not None
            for number, address in enumerate(('127.0.0.1', '127.0.0.2', '127.0.0.3')):
                if number:
                    site.running['relay'].stop()
                    site.address = address
                    site.start('relay')
                    hosts.write_text(f'127.0.0.1 localhost\n{address} {NAME}\n')
                client.stdin.write(f'{number}\n')
                client.stdin.flush()
                assert client.stdout.readline() == f'{2**number}\n'
            client.stdin.close()
            assert client.wait(PATIENCE) == 0
        finally:
            client.kill()
    site.running['one'].stop()
