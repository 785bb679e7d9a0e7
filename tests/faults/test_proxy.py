"""The proxy itself: each fault is what it says, and none is there unasked."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.proxy import Proxy
from tests.integration.commands import until


def _echo(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    try:
        while data := connection.recv(65536):
            connection.sendall(data)
    except OSError:
        pass
    connection.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with closing(socket.create_server(('127.0.0.1', 0))) as listener:
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        with Proxy('127.0.0.1', listener.getsockname()[1]) as made:
            yield made
        listener.shutdown(socket.SHUT_RDWR)


def dial(proxy: Proxy) -> socket.socket:
    return socket.create_connection(('127.0.0.1', proxy.port), timeout=10)


def ask(line: socket.socket, data: bytes) -> bytes:
    line.sendall(data)
    return take(line, len(data))


def take(line: socket.socket, count: int) -> bytes:
    got = b''
    while len(got) < count:
        more = line.recv(count - len(got))
        assert more, 'the line was cut'
        got += more
    return got


def assert_cut(proxy: Proxy) -> None:
    """The kernel may tell at the first read, or while we dial."""
    with pytest.raises(ConnectionResetError), dial(proxy) as line:
        line.recv(1)


def silent(line: socket.socket, seconds: float = 0.1) -> bool:
    line.settimeout(seconds)
    try:
        line.recv(1)
    except TimeoutError:
        return True
    finally:
        line.settimeout(10)
    return False


def test_what_is_not_asked_for_does_not_happen(proxy: Proxy) -> None:
    with dial(proxy) as line:
        data = bytes(range(256)) * 4096
        sender = threading.Thread(target=line.sendall, args=(data,))
        sender.start()
        assert take(line, len(data)) == data
        sender.join()
        line.shutdown(socket.SHUT_WR)
        assert line.recv(1) == b''
    until(lambda: proxy.up.passed == proxy.down.passed == len(data))


def test_delay_and_stalls_keep_the_order(proxy: Proxy) -> None:
    proxy.up.delay = proxy.up.jitter = 0.02
    proxy.down.loss, proxy.down.stall = 0.5, 0.02
    with dial(proxy) as line:
        begun = time.monotonic()
        for number in range(50):
            line.sendall(b'%d,' % number)
            time.sleep(0.001)
        expected = b''.join([b'%d,' % number for number in range(50)])
        assert take(line, len(expected)) == expected
        assert time.monotonic() - begun >= 0.05


def test_a_pause_holds_and_lets_go(proxy: Proxy) -> None:
    with dial(proxy) as line:
        assert ask(line, b'a') == b'a'
        proxy.up.paused = True
        line.sendall(b'b')
        assert silent(line)
        proxy.up.paused = False
        assert take(line, 1) == b'b'


def test_what_is_swallowed_never_comes_and_a_new_line_is_whole(proxy: Proxy) -> None:
    with dial(proxy) as line, dial(proxy) as other:
        assert ask(line, b'a') == ask(other, b'a')
        proxy.down.swallow = True
        line.sendall(b'b')
        assert silent(line)
        proxy.heal()
        line.sendall(b'c')
        assert silent(line), 'a stream with a hole in it would be another fault'
        assert ask(other, b'd') == b'd'
        with dial(proxy) as fresh:
            assert ask(fresh, b'e') == b'e'


def test_reset_refuse_and_another_upstream(proxy: Proxy) -> None:
    with dial(proxy) as line:
        assert ask(line, b'a') == b'a'
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    proxy.refuse = True
    assert_cut(proxy)
    proxy.heal()
    home, proxy.upstream = proxy.upstream, ('127.0.0.1', 1)
    assert_cut(proxy)
    proxy.upstream = home
    with dial(proxy) as line:
        assert ask(line, b'b') == b'b'
    until(lambda: proxy.connections == 0)


def test_exactly_the_bits_that_are_meant_flip(proxy: Proxy) -> None:
    with dial(proxy) as line:
        assert ask(line, bytes(10)) == bytes(10)
        proxy.up.flip(3, 25)
        got = ask(line, bytes(30))
        assert [at for at, byte in enumerate(got) if byte] == [3, 25]
        assert all(byte.bit_count() <= 1 for byte in got)
        proxy.up.flip_every = 20
        assert [at for at, byte in enumerate(ask(line, bytes(60))) if byte] == [0, 20, 40]


@pytest.mark.parametrize('silently', [False, True])
def test_who_is_idle_is_cut_or_forgotten(proxy: Proxy, silently: bool) -> None:
    proxy.idle_cut, proxy.idle_silent = 0.15, silently
    with dial(proxy) as line:
        for _ in range(5):
            assert ask(line, b'a') == b'a'
            time.sleep(0.05)
        if silently:
            time.sleep(0.3)
            line.sendall(b'b')
            assert silent(line)
        else:
            with pytest.raises(ConnectionResetError):
                line.recv(1)
