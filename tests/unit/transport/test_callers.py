"""Which connections have to go when too many have no session; and that those are cut, and no others."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator

import pytest

from relay_parsl.transport import Dealer, Router, public_key
from relay_parsl.transport.callers import Callers, fair_share
from relay_parsl.transport.sockets import new_key
from relay_parsl.wire import messages as m

GUESTS = {b'guest'}


def crowd(most: int, **groups: int) -> Callers:
    """Connections of some addresses, in this order; their descriptors count from 0."""
    made, number = Callers(most), 0
    for address, size in groups.items():
        for _ in range(size):
            made.came(number, address)
            number += 1
    return made


def test_while_there_is_room_nobody_goes() -> None:
    made = crowd(100, a=100)
    assert made.excess(GUESTS.__contains__) == []
    assert len(made) == 100


def test_the_oldest_of_the_largest_group_go_first_and_the_small_ones_stay() -> None:
    made = crowd(100, one=1, many=200, few=10)
    assert made.excess(GUESTS.__contains__) == list(range(1, 112)), 'so that 89 remain, beside 1 and 10'
    assert len(made) == 100


def test_who_has_a_session_counts_for_nothing_and_stays() -> None:
    made = crowd(10, a=50)
    for descriptor in range(40):
        made.asked(descriptor, b'guest')
    assert made.excess(GUESTS.__contains__) == []
    made.asked(45, b'refused')
    for descriptor in range(50, 53):
        made.came(descriptor, 'a')
    assert made.excess(GUESTS.__contains__) == [40, 41, 42]
    assert made.excess(set[bytes]().__contains__) == [], 'nobody has come since'


def test_who_has_shown_a_key_goes_last() -> None:
    made = crowd(10, a=15)
    made.asked(0, b'on its way')
    assert made.excess(GUESTS.__contains__) == [1, 2, 3, 4, 5]


def test_a_number_that_is_used_again_is_the_youngest() -> None:
    made = crowd(10, a=15)
    made.left(0)
    made.left(0)
    made.came(0, 'a')
    made.came(1, 'a')
    assert made.excess(GUESTS.__contains__) == [2, 3, 4, 5, 6]
    made.asked(2, b'too late')
    assert len(made) == 10


def test_it_looks_once_in_a_while() -> None:
    made, looks = crowd(800, a=800), 0

    def inside(_routing: bytes) -> bool:
        nonlocal looks
        looks += 1
        return True

    for descriptor in range(800):
        made.asked(descriptor, b'guest')
    for descriptor in range(800, 1000):
        made.came(descriptor, 'a')
        made.asked(descriptor, b'guest')
        assert made.excess(inside) == []
    assert looks < 2 * 1000


@pytest.mark.parametrize(
    ('sizes', 'most', 'share'), [([], 5, 5), ([3], 5, 5), ([9], 5, 5), ([1, 9], 5, 4), ([9, 9], 5, 2), ([1, 1, 9, 9], 10, 4), ([1] * 9, 5, 0)]
)
def test_fair_shares(sizes: list[int], most: int, share: int) -> None:
    assert fair_share(sizes, most) == share
    assert sum(min(size, share) for size in sizes) <= most


# -- At a socket -----------------------------------------------------------------------------------------------------

MOST = 16


@contextlib.contextmanager
def listening() -> Iterator[tuple[Router, bytes, bytes, set[bytes]]]:
    """A socket with room for few, its key, a key that it knows, and who has a session."""
    ours, theirs, inside = new_key(), new_key(), set[bytes]()
    router = Router('tcp://127.0.0.1:0', ours, public_key(theirs).__eq__, outside=MOST, inside=inside.__contains__)
    try:
        yield router, public_key(ours), theirs, inside
    finally:
        router.close()


def cut(connections: list[socket.socket]) -> list[int]:
    """Those that the other side has ended."""
    found = []
    for number, each in enumerate(connections):
        each.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            try:
                while each.recv(4096):
                    pass
            except ConnectionError:
                pass
            found.append(number)
    return found


def test_beyond_the_bound_connections_are_cut_and_a_session_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with listening() as (router, key, theirs, inside), contextlib.ExitStack() as stack:
        dealer = Dealer(f'tcp://127.0.0.1:{router.port}', key, theirs)
        stack.callback(dealer.close)
        dealer.send(m.Hello('client', m.NO_ID))
        heard: list[m.Hello] = []
        end = time.monotonic() + 30
        while not heard:
            assert time.monotonic() < end
            router.wait(0.05)
            for peer, message in router.receive():
                assert isinstance(message, m.Hello)
                assert peer.address == '127.0.0.1'
                inside.add(peer.routing)
                heard.append(message)
        strangers = [stack.enter_context(socket.create_connection(('127.0.0.1', router.port))) for _ in range(4 * MOST)]
        gone: list[int] = []
        with caplog.at_level(logging.WARNING):
            while len(gone) < 3 * MOST - MOST // 8 or router.connections > MOST + MOST // 8 + 1:
                assert time.monotonic() < end
                router.wait(0.05)
                gone = cut(strangers)
        assert 0 in gone
        [line] = [each.getMessage() for each in caplog.records]
        assert 'too many connections without a session' in line
        [guest] = inside
        assert router.send(guest, m.Pong())
        while not (answer := dealer.receive()):
            assert time.monotonic() < end
            dealer.wait(0.05)
        assert answer == [m.Pong()]
        assert dealer.handshakes == 1


def test_a_descriptor_that_belongs_to_somebody_else_by_now_is_left_alone() -> None:
    """libzmq has closed it, and its number was given to another connection of this process before it could be cut."""
    with listening() as (router, _, _, _), socket.create_server(('127.0.0.1', 0)) as other:
        doorway = router._doorway
        near, far = socket.create_connection(other.getsockname()), other.accept()[0]
        with near, far:
            doorway._reach(near.fileno(), ('192.0.2.1', 7))
            near.sendall(b'still here')
            assert far.recv(100) == b'still here'
            assert doorway._reach(near.fileno(), near.getpeername()) == near.getpeername()
            assert far.recv(100) == b''
        assert doorway._reach(near.fileno() if near.fileno() >= 0 else 1 << 20) is None
        file = os.open(os.devnull, os.O_RDONLY)
        assert doorway._reach(file) is None, 'no connection at all'
        os.close(file)


def test_a_close_in_the_middle_of_a_flood_comes_to_an_end() -> None:
    """libzmq would wait for whoever reads its reports, with a lock in its hand that the close needs, if they were bounded."""
    with listening() as (router, _, _, _):
        for _ in range(3000):
            socket.create_connection(('127.0.0.1', router.port)).close()


def test_without_descriptors_it_can_still_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood may have taken them all: so no call may need a new one."""

    def none_left(*_: object) -> int:
        raise OSError(24, 'Too many open files')

    with listening() as (router, _, _, _), contextlib.ExitStack() as stack:
        monkeypatch.setattr(os, 'dup', none_left)
        monkeypatch.setattr(os, 'open', none_left)
        strangers = [stack.enter_context(socket.create_connection(('127.0.0.1', router.port))) for _ in range(4 * MOST)]
        end = time.monotonic() + 30
        while len(cut(strangers)) < 2 * MOST:
            assert time.monotonic() < end
            router.wait(0.05)
