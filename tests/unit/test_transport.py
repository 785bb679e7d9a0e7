"""Sockets between real threads of one process, over loopback, with real CURVE keys."""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import pytest
import zmq
from zmq.utils import z85

from relay_parsl.errors import ConfigError, ProtocolError
from relay_parsl.transport import MAX_FRAME, Dealer, Peer, Router, public_key
from relay_parsl.transport.dealer import STRANGE
from relay_parsl.transport.sockets import make_socket
from relay_parsl.transport.waker import Waker
from relay_parsl.wire.messages import NO_ID, Body, Goodbye, Ping, Pong, Segment, Submit, Task

ANY = 'tcp://127.0.0.1:*'


def new_key() -> bytes:
    return z85.decode(zmq.curve_keypair()[1])


@contextlib.contextmanager
def routing(admitted: set[bytes]) -> Iterator[tuple[Router, bytes]]:
    key = new_key()
    router = Router(ANY, key, admitted.__contains__)
    try:
        yield router, public_key(key)
    finally:
        router.close()


@contextlib.contextmanager
def dealing(port: int, server_key: bytes, key: bytes) -> Iterator[Dealer]:
    dealer = Dealer(f'tcp://127.0.0.1:{port}', server_key, key)
    try:
        yield dealer
    finally:
        dealer.close()


def until(check: Callable[[], object], pump: Callable[[], object], seconds: float = 30.0) -> object:
    """Call `pump` until `check` says something; both sides' threads are this one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        pump()
    raise AssertionError('waited in vain')


def test_messages_go_both_ways_and_name_their_key() -> None:
    key = new_key()
    with routing({public_key(key)}) as (router, server_key), dealing(router.port, server_key, key) as dealer:
        task = Task(b'header', Body(b'payload'))
        assert dealer.send(Submit((task, task)))
        [(peer, message)] = until(router.receive, lambda: router.wait(0.05))  # type: ignore[misc]
        assert peer.key == public_key(key)
        assert message == Submit((task, task))
        assert router.send(peer.routing, Pong())
        assert until(dealer.receive, lambda: dealer.wait(0.05)) == [Pong()]
        assert dealer.failure == ''


def test_last_words_are_heard() -> None:
    key = new_key()
    with routing({public_key(key)}) as (router, server_key):
        for _ in range(20):
            dealer = Dealer(f'tcp://127.0.0.1:{router.port}', server_key, key)
            until(lambda: dealer.handshakes, lambda: (router.wait(0.01), router.receive(), dealer.receive()))  # noqa: B023  called in this round
            dealer.send(Goodbye('done'))
            dealer.close(last_words=True)
            assert until(router.receive, lambda: router.wait(0.05))[0][1] == Goodbye('done')  # type: ignore[index]


def test_last_words_are_not_waited_for_without_end() -> None:
    key = new_key()
    with routing({public_key(key)}) as (router, server_key):
        dealer = Dealer(f'tcp://127.0.0.1:{router.port}', server_key, key)
    began = time.monotonic()
    dealer.send(Goodbye('done'))
    dealer.close(last_words=True)
    assert time.monotonic() - began < 10


@pytest.mark.attack(3)
def test_a_stranger_gets_nothing_through() -> None:
    with routing(set()) as (router, server_key), dealing(router.port, server_key, new_key()) as dealer:
        dealer.send(Ping())
        until(lambda: dealer.failure == 'unknown-key', lambda: router.wait(0.02))
        assert router.receive() == []


@pytest.mark.attack(4)
def test_another_servers_key_is_told_apart() -> None:
    key = new_key()
    with routing({public_key(key)}) as (router, _), dealing(router.port, public_key(new_key()), key) as dealer:
        dealer.send(Ping())
        until(lambda: dealer.failure == 'handshake', lambda: router.wait(0.02), 20)
        assert router.receive() == []


@pytest.mark.fault(24)
def test_a_line_too_slow_for_the_handshake_is_not_taken_for_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes it for that gives up for good: an endpoint ended, and a client failed all that it had, because packets were late."""
    for name in ('sockets', 'dealer'):
        monkeypatch.setattr(f'relay_parsl.transport.{name}.HANDSHAKE', 3.0)
    seen = set[str]()
    with socket.create_server(('127.0.0.1', 0)) as slow, dealing(slow.getsockname()[1], public_key(new_key()), new_key()) as dealer:
        until(lambda: 'unreachable' in seen, lambda: (dealer.wait(0.1), seen.add(dealer.failure)))
    assert 'handshake' not in seen


@pytest.mark.fault(24)
def test_a_handshake_that_is_cut_off_is_taken_for_another_key_the_third_time_in_a_row() -> None:
    """An endpoint that came up just then ended for good, and a client failed all that it had, because a line or a restart cut one off."""
    with socket.create_server(('127.0.0.1', 0)) as server, dealing(server.getsockname()[1], public_key(new_key()), new_key()) as dealer:

        def hang_up() -> None:
            until(lambda: select.select([server], [], [], 0)[0], lambda: dealer.wait(0.02))
            assert dealer.failure != 'handshake'
            server.accept()[0].close()

        for _ in range(STRANGE):
            hang_up()
        until(lambda: dealer.failure == 'handshake', lambda: dealer.wait(0.02))


def test_who_cannot_be_made_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A context that is left over is closed by the collector, at any time, in the thread of whatever runs then."""
    with pytest.raises(ValueError, match='multiple of'):
        Dealer('tcp://127.0.0.1:7400', b'short', new_key())

    def no_files_left(*_: object) -> int:
        raise OSError(24, 'Too many open files')

    monkeypatch.setattr('os.dup', no_files_left)
    with pytest.raises(OSError, match='Too many'):
        Router(ANY, new_key(), lambda _key: False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        gc.collect()
    assert [str(each.message) for each in told if 'Context' in str(each.message)] == []


def test_nobody_there_is_told() -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
    with dealing(port, public_key(new_key()), new_key()) as dealer:
        until(lambda: dealer.failure == 'unreachable', lambda: dealer.wait(0.05))


@pytest.mark.attack(5)
def test_a_router_whose_guard_sleeps_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match='self-test'), contextlib.closing(Router(ANY, new_key(), lambda _key: True)):
        pass


def test_a_port_in_use_names_the_remedy() -> None:
    with routing(set()) as (router, _), pytest.raises(ConfigError, match=f'{router.port} is in use.*--bind'):
        Router(f'tcp://127.0.0.1:{router.port}', new_key(), lambda _key: False)


@pytest.mark.parametrize('bind', ['nonsense', 'tcp://', 'tcp://127.0.0.1:99999999', 'tcp://203.0.113.7:7400'])
def test_an_address_that_cannot_be_bound(bind: str) -> None:
    with pytest.raises(ConfigError, match='cannot listen'):
        Router(bind, new_key(), lambda _key: False)


def test_a_url_that_is_none() -> None:
    with pytest.raises(ConfigError, match='no address'):
        Dealer('relay', public_key(new_key()), new_key())


def test_unknown_peers_are_unreachable() -> None:
    with routing(set()) as (router, _):
        assert router.send(b'nobody', Ping()) is False


def test_a_full_queue_is_false_and_not_a_wait() -> None:
    with socket.create_server(('127.0.0.1', 0)) as deaf, dealing(deaf.getsockname()[1], public_key(new_key()), new_key()) as dealer:
        sent = sum(dealer.send(Ping()) for _ in range(3000))
        assert 0 < sent < 3000


def test_junk_is_an_error_in_its_place() -> None:
    key = new_key()
    with routing({public_key(key)}) as (router, server_key), dealing(router.port, server_key, key) as dealer:
        dealer._socket.send_multipart([b'junk'])
        dealer._socket.send_multipart([b'junk'] * 9)
        dealer.send(Ping())
        got: list[object] = []
        until(lambda: len(got) >= 3, lambda: (router.wait(0.05), got.extend(message for _, message in router.receive())))
        assert [type(each) for each in got] == [ProtocolError, ProtocolError, Ping]


def test_junk_from_the_relay_is_dropped() -> None:
    key = new_key()
    with routing({public_key(key)}) as (router, server_key), dealing(router.port, server_key, key) as dealer:
        dealer.send(Ping())
        [(peer, _)] = until(router.receive, lambda: router.wait(0.05))  # type: ignore[misc]
        router._socket.send_multipart([peer.routing, b'junk'])
        router.send(peer.routing, Goodbye('really'))
        assert until(dealer.receive, lambda: dealer.wait(0.05)) == [Goodbye('really')]


def test_a_message_too_long_for_the_wire_is_refused_before_it_is_sent() -> None:
    with dealing(1, public_key(new_key()), new_key()) as dealer, pytest.raises(ProtocolError, match='over'):
        dealer.send(Segment(NO_ID, 0, 'task', 0, 0, Body(bytes(MAX_FRAME + 1))))


def test_wake_ends_a_wait_from_another_thread() -> None:
    with routing(set()) as (router, server_key), dealing(router.port, server_key, new_key()) as dealer:
        for party in (router, dealer):
            timer = threading.Timer(0.05, party.wake)
            start = time.monotonic()  # before the timer's own, or the wake may come when it is not looked for yet
            timer.start()
            until(lambda start=start: time.monotonic() - start >= 0.05, lambda party=party: party.wait(20))
            assert time.monotonic() - start < 10
            timer.join()


def test_many_wakes_end_one_wait_and_the_next_wake_ends_the_next() -> None:
    waker = Waker()
    try:
        for _ in range(3):
            for _ in range(100):
                waker.wake()
            assert select.select([waker.reader], [], [], 10.0)[0]
            waker.drain()
            assert not select.select([waker.reader], [], [], 0.0)[0]
        waker.drain()
    finally:
        waker.close()
    waker.wake()


def test_a_fresh_socket_is_a_fresh_peer() -> None:
    key = new_key()
    with routing({public_key(key)}) as (router, server_key), dealing(router.port, server_key, key) as dealer:
        peers: list[Peer] = []
        for _ in range(2):
            dealer.send(Ping())
            [(peer, _)] = until(router.receive, lambda: router.wait(0.05))  # type: ignore[misc]
            peers.append(peer)
            dealer.reconnect()
        assert peers[0].key == peers[1].key
        assert peers[0].routing != peers[1].routing
        until(lambda: not router.send(peers[0].routing, Ping()), lambda: router.wait(0.02))


def test_a_router_on_the_same_port_later_is_found_again() -> None:
    key, relay = new_key(), new_key()
    first = Router(ANY, relay, {public_key(key)}.__contains__)
    port = first.port
    with dealing(port, public_key(relay), key) as dealer:
        dealer.send(Ping())
        until(first.receive, lambda: first.wait(0.05))
        first.close()
        second = Router(f'tcp://127.0.0.1:{port}', relay, {public_key(key)}.__contains__)
        try:
            until(lambda: dealer.send(Ping()) and second.receive(), lambda: second.wait(0.1))
        finally:
            second.close()


def test_who_dials_asks_whether_the_other_end_lives_and_who_listens_need_not() -> None:
    with zmq.Context() as context:
        dealer, router = make_socket(context, zmq.DEALER), make_socket(context, zmq.ROUTER)
        assert 0 < dealer.getsockopt(zmq.HEARTBEAT_IVL) < dealer.getsockopt(zmq.HEARTBEAT_TTL)
        assert router.getsockopt(zmq.HEARTBEAT_IVL) == 0
        dealer.close()
        router.close()


@pytest.mark.parametrize('party', ['relay_parsl.relay.server', 'relay_parsl.client.executor'])
def test_a_start_does_not_wait_for_libraries_that_others_use(party: str) -> None:
    program = f'import sys, {party}; print(*{{"asyncio", "parsl", "yaml"}} & set(sys.modules))'
    assert subprocess.run([sys.executable, '-c', program], check=True, capture_output=True, text=True).stdout.split() == []
