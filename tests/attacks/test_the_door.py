"""Who comes to the relay's port without a key that it knows: a real relay, real sockets."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from zmq.utils import z85

from relay_parsl.errors import ConfigError
from relay_parsl.relay.server import RelayServer
from relay_parsl.transport import Dealer, router, sockets
from relay_parsl.transport.sockets import make_socket, new_key
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from tests.integration.relay_site import LOOPBACK, Party, Site, an_id, site_in

pytestmark = pytest.mark.integration

HANDSHAKE = 5.0
"""Seconds that libzmq is given for a handshake here."""
LONGEST = 15.0
"""And otherwise, at most."""
GREETING = b'\xff\0\0\0\0\0\0\0\1\x7f\3\1'
STRANGE = {
    'nothing': b'',
    'random bytes': bytes(range(7, 256)) * 8,
    'HTTP': b'GET / HTTP/1.1\r\nHost: relay\r\n\r\n',
    'TLS hello': bytes.fromhex('16030100c8010000c40303') + bytes(190),
    'half a greeting': GREETING[:10],
    'a greeting of ZMTP 1.0': b'\x01\0',
    'a greeting without a handshake': GREETING + b'CURVE'.ljust(20, b'\0') + bytes(32),
    'a greeting for NULL': GREETING + b'NULL'.ljust(20, b'\0') + bytes(32) + b'\4\x19\5READY',
    'a frame of 2**63 bytes': GREETING + b'CURVE'.ljust(20, b'\0') + bytes(32) + b'\6\x7f' + b'\xff' * 7,
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path / 'home')


@pytest.fixture
def door(site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RelayServer, Party]]:
    """A relay and a client of it, who is served before and after."""
    assert sockets.HANDSHAKE <= LONGEST
    monkeypatch.setattr(sockets, 'HANDSHAKE', HANDSHAKE)
    caplog.set_level(logging.INFO)
    with site.serving() as server, site.client('ann', server.port) as ann:
        yield server, ann
        ann.say(m.Ping())
        ann.one(m.Pong)
    assert [each for each in caplog.records if each.exc_info or each.levelno >= logging.ERROR] == []


def read_to_the_end(strange: socket.socket) -> int:
    """How many bytes came until the other side hung up; fails if it did not."""
    size = 0
    strange.settimeout(3 * HANDSHAKE)
    try:
        while data := strange.recv(4096):
            size += len(data)
    except ConnectionResetError:
        pass
    return size


@pytest.mark.attack(1)
def test_what_is_no_zmtp_is_dropped_in_time(door: tuple[RelayServer, Party]) -> None:
    server, ann = door
    began = time.monotonic()
    strangers = {name: socket.create_connection(('127.0.0.1', server.port)) for name in STRANGE}
    try:
        for name, each in strangers.items():
            each.sendall(STRANGE[name])
        ann.say(m.Ping())
        ann.one(m.Pong)
        said = {name: read_to_the_end(each) for name, each in strangers.items()}
    finally:
        for each in strangers.values():
            each.close()
    assert time.monotonic() - began < 2 * HANDSHAKE
    assert max(said.values()) <= 64 + 64, 'a greeting, and a word about an error at most'


def failure(stranger: Any, port: int, message: bytes) -> int:
    """What libzmq says of the first handshake of this socket, in which it has something to say."""
    monitor = stranger.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    try:
        stranger.connect(f'tcp://127.0.0.1:{port}')
        stranger.send(message)
        assert monitor.poll(3 * HANDSHAKE * 1000), 'the handshake did not end'
        return int(router.happened(monitor)[0])
    finally:
        stranger.disable_monitor()
        monitor.close(0)
        stranger.close(0)


def strangers(context: zmq.Context[Any], server_key: bytes) -> dict[str, Any]:
    """Sockets that lack what it takes: a mechanism, or a key."""
    made = {name: make_socket(context, zmq.DEALER) for name in ('null', 'plain', 'curve')}
    made['plain'].plain_username, made['plain'].plain_password = b'ann', b'secret'
    made['curve'].curve_serverkey = z85.encode(server_key)
    made['curve'].curve_publickey, made['curve'].curve_secretkey = zmq.curve_keypair()
    return made


@pytest.mark.attack(2, 3)
def test_other_mechanisms_and_unknown_keys_do_not_get_through_the_handshake(
    site: Site, door: tuple[RelayServer, Party], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server, _ = door
    heard: list[object] = []
    monkeypatch.setattr(server._reactor, 'receive', lambda peer, message, now: heard.append(message))
    hello = codec.encode(m.Hello('client', an_id(1)))[0]
    with zmq.Context() as context:
        ends = {name: failure(each, server.port, hello) for name, each in strangers(context, site.relay_key).items()}
    monkeypatch.undo()
    assert ends == {
        'null': zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        'plain': zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        'curve': zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    }
    assert heard == [], 'the application sees nothing of them'
    [line] = [each.getMessage() for each in caplog.records if 'refused a connection' in each.getMessage()]
    assert line.endswith('127.0.0.1'), 'the one that could be a party is on record with its address'


@pytest.mark.attack(3)
def test_a_key_of_another_relay_is_a_stranger_here(site: Site, door: tuple[RelayServer, Party], tmp_path: Path) -> None:
    """Mallory is an operator somewhere else, and has the public key of this relay."""
    server, _ = door
    mallory = site_in(tmp_path / 'other').people['root']
    dealer = Dealer(f'tcp://127.0.0.1:{server.port}', site.relay_key, mallory.keys.curve)
    try:
        dealer.send(m.Hello('client', an_id(1)))
        end = time.monotonic() + 3 * HANDSHAKE
        while dealer.failure != 'unknown-key':
            assert time.monotonic() < end
            dealer.wait(0.05)
        assert dealer.receive() == []
    finally:
        dealer.close()


@pytest.mark.attack(4)
def test_a_client_says_nothing_to_a_relay_with_another_key_than_the_pinned_one(site: Site, tmp_path: Path) -> None:
    """Somebody has taken the relay's address. He knows the public key of the client, and admits it."""
    ann, heard = site.people['ann'], []
    impostor = router.Router(LOOPBACK, new_key(), lambda key: key == ann.keys.curve_public)
    with_pin = Dealer(f'tcp://127.0.0.1:{impostor.port}', new_key(), ann.keys.curve)
    try:
        with_pin.send(m.Hello('client', an_id(1)))
        end = time.monotonic() + 3 * HANDSHAKE
        while with_pin.failure != 'handshake':
            assert time.monotonic() < end
            with_pin.wait(0.02)
            impostor.wait(0.02)
            heard += impostor.receive()
        assert heard == []
        assert with_pin.receive() == []
    finally:
        with_pin.close()
        impostor.close()


@pytest.mark.attack(5)
@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('relay_parsl.transport.router._ZAP', 'inproc://elsewhere'),
        ('relay_parsl.relay.accounts.Directory.admits', lambda _directory, _key, _now: True),
    ],
    ids=['nobody is asked', 'everybody is admitted'],
)
def test_a_relay_without_a_guard_does_not_open(site: Site, monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    """Its guard is taken away: it finds that out by a key that it makes up, and does not start."""
    monkeypatch.setattr(name, value)
    server = RelayServer(site.home, LOOPBACK, bootstrap=site.founders)
    try:
        with pytest.raises(ConfigError, match=r'self-test failed.*will not open its port'):
            server.start()
    finally:
        server.stop()
