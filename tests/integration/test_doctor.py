"""The doctor beside a real relay: reached, stopped, replaced, with another clock."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from relay_parsl.doctor import judge, network
from relay_parsl.doctor.facts import Facts, Relay
from relay_parsl.home import RelayEntry
from relay_parsl.relay.server import RelayServer
from tests.integration.relay_site import Site, site_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


def look(site: Site, port: int, name: str = 'ann', key: bytes = b'') -> Relay:
    entry = RelayEntry('relay', f'tcp://127.0.0.1:{port}', key or site.relay_key, '')
    return network.look(site.home, entry, site.people[name])[0]


def verdicts(relay: Relay) -> set[tuple[str, str]]:
    return {(each.check, each.verdict) for each in judge(Facts(relays=[relay]), 0.0) if each.check in ('relay', 'clock')}


def test_a_relay_that_is_well_is_told_with_its_clock_and_endpoints(site: Site) -> None:
    with site.serving() as server, site.endpoint(server.port):
        entry = RelayEntry('relay', f'tcp://127.0.0.1:{server.port}', site.relay_key, '')
        relay, endpoints = network.look(site.home, entry, site.people['ann'])
        assert relay.state == 'answers'
        assert relay.own
        assert abs(relay.skew or 9.0) < 2.0
        assert (str(os.getpid()) in relay.port_of and relay.bound == '127.0.0.1') or not Path('/proc/net/tcp').exists()
        assert [(each.name, each.online) for each in endpoints] == [('site', True)]
        assert look(site, server.port, 'site').state == 'admits', 'an endpoint is let in, and asks nothing'


def test_a_clock_that_is_wrong_is_seen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = RelayServer._now
    monkeypatch.setattr(RelayServer, '_now', lambda server: now(server) + 200.0)
    with site.serving() as server:
        relay = look(site, server.port)
    assert 195 < (relay.skew or 0) < 205
    assert ('clock', 'warning') in verdicts(relay)


def test_nobody_there_somebody_else_there_and_one_that_says_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, 'PATIENCE', 1.5)
    stranger = site_in(tmp_path / 'other')
    with site.serving() as server:
        port = server.port
        assert look(stranger, port, key=site.relay_key).state == 'unknown-key'
        assert look(site, port, key=b'\x01' * 32).state in ('handshake', 'silent')
    assert look(site, port).state == 'unreachable'
    with socket.create_server(('127.0.0.1', 0)) as mute:
        found: list[Relay] = []
        thread = threading.Thread(target=lambda: found.append(look(site, mute.getsockname()[1])))
        thread.start()
        thread.join(20)
    assert found[0].state in ('silent', 'handshake', 'unreachable')
