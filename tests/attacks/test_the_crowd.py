"""Thousands of connections to a real relay that say nothing, begin a handshake, or come in with a key and open no session."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from relay_parsl.relay.descriptors import outside
from relay_parsl.transport import Dealer
from relay_parsl.wire import messages as m
from tests.attacks.test_the_door import GREETING
from tests.integration.commands import until
from tests.integration.relay_site import Party, Site, leases, site_in, submit
from tests.integration.test_relay_failures import process

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != 'linux', reason='/proc and prlimit')]

FILES = 4096
"""That the relay may open."""
SLACK = 40
"""Files that it has open beside connections without a session."""
BACKLOG = 1024
"""Connections that wait to be accepted, and may all come in while it does something else."""
BOUND = outside(FILES) * 9 // 8 + SLACK + BACKLOG
OPENINGS = {
    'nothing': b'',
    'half a greeting': GREETING[:10],
    'a greeting': GREETING + b'CURVE'.ljust(20, b'\0') + bytes(32),
    'a hello that is none': GREETING + b'CURVE'.ljust(20, b'\0') + bytes(32) + b'\4\xc8\5HELLO' + bytes(194),
}


@pytest.fixture
def many() -> Iterator[int]:
    """As many connections as this process may have open, 10,000 at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield min(10_000, most - 400)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


def descriptors(pid: int) -> int:
    return len(os.listdir(f'/proc/{pid}/fd'))


def works(party: Party) -> None:
    """It is answered, in the session that it has."""
    party.say(m.Ping())
    party.one(m.Pong)
    assert party.dealer.handshakes == 1, 'it was never cut'


@pytest.mark.slow
@pytest.mark.attack(34)
@pytest.mark.parametrize('source', ['127.0.0.1', '127.0.0.2'], ids=['from the same host', 'from another host'])
def test_ten_thousand_connections_take_no_more_than_their_share_and_others_are_served(site: Site, many: int, source: str) -> None:
    assert many > FILES, 'this process may open too few files for a flood: raise its limit (ulimit -Hn)'
    with process(site, ['prlimit', f'--nofile={FILES}:{FILES}']) as (relay, port), site.client('ann', port) as ann, site.endpoint(port) as endpoint:
        before, memory = descriptors(relay.pid), psutil.Process(relay.pid).memory_info().rss
        peak = 0
        with contextlib.ExitStack() as crowd:
            for number in range(many):
                each = crowd.enter_context(socket.create_connection(('127.0.0.1', port), timeout=30, source_address=(source, 0)))
                with contextlib.suppress(ConnectionError):
                    each.sendall(list(OPENINGS.values())[number % len(OPENINGS)])
                if number % 200 == 199:
                    works(ann)
                    peak = max(peak, descriptors(relay.pid))
                if number % 2000 == 1999:
                    submit(ann, [site.task(number)])
                    assert len(leases(endpoint, 1)) == 1
                    with site.client('root', port) as late:
                        works(late)
        assert outside(FILES) // 2 < peak < BOUND, 'there was a crowd, and it was kept small'
        assert psutil.Process(relay.pid).memory_info().rss - memory < 64 << 20
        until(lambda: descriptors(relay.pid) <= before + 2)
        works(ann)


@pytest.mark.attack(34)
def test_an_account_that_opens_connections_and_no_session_leaves_room_for_others(site: Site) -> None:
    """It has a key: the handshake succeeds, and nothing ends the connection by itself."""
    with process(site, ['prlimit', '--nofile=512:512']) as (relay, port), contextlib.ExitStack() as stack:
        ann = stack.enter_context(site.client('ann', port))
        mute = [Dealer(f'tcp://127.0.0.1:{port}', site.relay_key, site.people['ann'].keys.curve) for _ in range(4 * outside(512))]
        for each in mute:
            stack.callback(each.close)
        until(lambda: sum(each.receive() == [] and each.handshakes > 0 for each in mute) > 2 * outside(512))
        until(lambda: descriptors(relay.pid) <= outside(512) * 9 // 8 + SLACK)
        works(ann)
        with site.client('root', port) as late:
            works(late)
