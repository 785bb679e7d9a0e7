"""Who brings more than may wait is cut, also while nobody reads."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import pytest

from relay_parsl.transport import Dealer, Router, public_key
from relay_parsl.transport.lookout import Lookout
from relay_parsl.transport.sockets import new_key
from relay_parsl.wire.messages import NO_ID, Body, Ping, Segment

MIB = 1 << 20
UNREAD = 48 * MIB


def test_it_looks_again_and_again_until_it_is_closed() -> None:
    looks, twice = 0, threading.Event()

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks > 1:
            twice.set()

    lookout = Lookout(look)
    assert twice.wait(30)
    lookout.close()
    before = looks
    time.sleep(0.2)
    assert looks == before


def test_in_a_turn_without_end_who_floods_is_cut_and_the_other_is_not(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is read after the handshakes, as in a turn that waits for a disk. What was whole by then is read afterwards."""
    caplog.set_level(logging.WARNING)
    ours, theirs = new_key(), new_key()
    with contextlib.ExitStack() as stack:
        router = Router('tcp://127.0.0.1:0', ours, public_key(theirs).__eq__, unread=UNREAD)
        stack.callback(router.close)
        quick, slow = (Dealer(f'tcp://127.0.0.1:{router.port}', public_key(ours), theirs) for _ in range(2))
        for each in (quick, slow):
            stack.callback(each.close)
        end = time.monotonic() + 60
        while not (quick.handshakes and slow.handshakes):
            assert time.monotonic() < end
            router.wait(0.02)
            for each in (quick, slow):
                each.receive()
        assert slow.send(Ping())
        for _ in range(4 * UNREAD // MIB):
            quick.send(Segment(NO_ID, 1, 'task', 0, MIB, Body(bytes(MIB))))
        while not caplog.records:
            assert time.monotonic() < end, 'nobody was cut'
            time.sleep(0.01)
        [line] = [each.getMessage() for each in caplog.records]
        assert line == 'a connection from 127.0.0.1 was cut: it sends faster than is read'
        heard: list[object] = []
        while Ping() not in heard:
            assert time.monotonic() < end
            router.wait(0.05)
            heard += [message for _, message in router.receive()]
        slow.receive()
        assert slow.handshakes == 1
