"""Messages that are none, from an enrolled party to a real relay, a million of them: each is refused, and nobody is the worse for it."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgpack
import psutil
import pytest

from relay_parsl.home import Credentials
from relay_parsl.transport import Dealer
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import PROTOCOL, Id
from tests.faults.rig import Site, Work
from tests.integration.relay_site import Party

pytestmark = [pytest.mark.integration, pytest.mark.fault(47)]

BATCH = 500
"""Messages between two looks at the answers: the queues of the sockets hold as many."""
FLAT = 16 << 20
"""Bytes by which the relay may grow, whatever comes."""
KNOWN = [name for name in codec._READERS if name not in ('Ping', 'Pong', 'Received', 'Goodbye', 'Hello')]
Draw = random.Random


def header(name: Any, values: Any, *, major: int = PROTOCOL[0]) -> bytes:
    return msgpack.packb([major, PROTOCOL[1], name, values])


def rubbish(draw: Draw) -> list[bytes]:
    return [b'\xc1' + draw.randbytes(draw.randrange(60)), draw.randbytes(draw.randrange(60))]


def a_type_of_nobody(draw: Draw) -> list[bytes]:
    return [header(f'Later{draw.randrange(1 << 40)}', {'x': draw.randrange(1 << 60)}), draw.randbytes(draw.randrange(60))]


def a_type_that_is_none(draw: Draw) -> list[bytes]:
    return [header(draw.choice((None, 7, [], b'Submit')), {}), b'']


def a_frame_that_is_missing(draw: Draw) -> list[bytes]:
    return [header(draw.choice(KNOWN), {})]


def frames_too_many(draw: Draw) -> list[bytes]:
    return [header('Ping', {}), *(draw.randbytes(9) for _ in range(draw.randrange(2, 6)))]


def fields_that_are_missing_or_wrong(draw: Draw) -> list[bytes]:
    return [header('Submit', draw.choice(({}, {'tasks': 7}, {'tasks': [[b'h', 1 << 62]]}, {'tasks': [[]]}, [], None))), b'']


def a_message_cut_off(draw: Draw) -> list[bytes]:
    whole = header('Follow', {'groups': [draw.randbytes(16)], 'ids': [draw.randbytes(16)]})
    return [whole[: draw.randrange(len(whole))], b'']


def a_body_of_another_length(draw: Draw) -> list[bytes]:
    return [header('Ping', {}), draw.randbytes(draw.randrange(1, 99))]


def of_another_protocol(draw: Draw) -> list[bytes]:
    return [header('Ping', {}, major=PROTOCOL[0] + draw.randrange(1, 99)), b'']


def a_field_of_a_later_version(draw: Draw) -> list[bytes]:
    return [header('Ping', {f'later{draw.randrange(1 << 40)}': [draw.random()]}), b'']


NONE = (rubbish, a_type_of_nobody, a_type_that_is_none, a_frame_that_is_missing, frames_too_many, fields_that_are_missing_or_wrong,
        a_message_cut_off, a_body_of_another_length, of_another_protocol)  # fmt: skip
KINDS: dict[Callable[[Draw], list[bytes]], str] = {**dict.fromkeys(NONE, 'Refused'), a_field_of_a_later_version: 'Pong'}
"""With what each is answered."""


class Sender(Party):
    """A client that says what it likes, and counts the answers."""

    def throw(self, frames: list[bytes]) -> None:
        self.dealer._socket.send_multipart(frames)

    def answers(self, count: int) -> Counter[str]:
        heard: Counter[str] = Counter()
        while heard.total() < count:
            assert self.dealer.wait(60), f'{count - heard.total()} messages had no answer: {self.dealer.failure}'
            for message in self.dealer.receive(BATCH):
                if isinstance(message, m.Ping):
                    self.say(m.Pong())
                elif isinstance(message, (m.Refused, m.Pong)):
                    heard[type(message).__name__] += 1
                else:
                    assert not isinstance(message, m.Goodbye), message
        return heard


def storm(sender: Sender, count: int, draw: Draw) -> None:
    """So many, each answered as it should be."""
    for _ in range(0, count, BATCH):
        kinds = [draw.choice(list(KINDS)) for _ in range(BATCH)]
        for kind in kinds:
            sender.throw(kind(draw))
        assert sender.answers(BATCH) == Counter(KINDS[kind] for kind in kinds)


@pytest.mark.parametrize('count', [2_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_messages_that_are_none_are_refused_and_sessions_live(site: Site, work: Callable[..., Work], count: int) -> None:
    site.start('relay')
    site.configure('one')
    mine = work()
    mine.submit([0])
    mine.flush()
    alice = Credentials.load(site.home.root / 'accounts' / 'alice.key')
    relay = Credentials.load(site.home.root / 'relay' / 'relay.key').keys.curve_public
    with closing(Dealer(f'tcp://127.0.0.1:{site.port}', relay, alice.keys.curve)) as dealer:
        sender = Sender(alice, dealer)
        sender.say(m.Hello('client', Id(os.urandom(16))))
        sender.one(m.Welcome)
        draw = random.Random(47)
        storm(sender, 1_000, draw)
        process = psutil.Process(site.running['relay'].pid)
        before = process.memory_info().rss
        storm(sender, count, draw)
        assert process.memory_info().rss - before < FLAT
        mine.submit(range(1, 20))
        mine.flush()
        assert dealer.handshakes == 1, 'it was never cut off'
    log = site.running['relay'].log
    assert log.stat().st_size < 1 << 20, 'who sends rubbish does not fill the log'
