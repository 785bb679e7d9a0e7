"""A socket in a poll of one's own."""

from __future__ import annotations

import select
import time

from relay_parsl.transport import Router, new_key, public_key
from relay_parsl.transport.polled import Polled
from relay_parsl.wire.messages import Message, Ping


def test_whatever_comes_ends_a_poll_or_is_there_before_it() -> None:
    ours, theirs = new_key(), new_key()
    router = Router('tcp://127.0.0.1:0', ours, public_key(theirs).__eq__)
    dealer = Polled(f'tcp://127.0.0.1:{router.port}', public_key(ours), theirs)
    poll = select.poll()
    for number in dealer.descriptors:
        poll.register(number, select.POLLIN)
    got: list[Message] = []
    deadline = time.monotonic() + 20
    try:
        while not dealer.handshakes:
            router.wait(0.01)
            router.receive()
            dealer.receive()
        dealer.send(Ping())
        routing = b''
        while not routing:
            router.wait(0.1)
            routing = next((peer.routing for peer, _ in router.receive()), b'')
        for serial in range(200):
            router.send(routing, Ping(1, serial))
        while len(got) < 200:
            assert dealer.ready or poll.poll(20_000), 'it slept through a message'
            got += dealer.receive(limit=3)
            assert time.monotonic() < deadline
        assert not dealer.ready
    finally:
        dealer.close()
        router.close()
