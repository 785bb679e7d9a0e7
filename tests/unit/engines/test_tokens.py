"""Frames and tokens between two ends, in one process and between two."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.engines.tokens import Inlet, Stream, Tokens
from relay_parsl.errors import ProtocolError


class Pair:
    """A worker's end and a runner's."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.tokens, self.stream = Tokens(), Stream(ours)
        reader, ringer = self.tokens.theirs()
        self.inlet = Inlet(theirs, socket.socket(fileno=os.dup(reader)), os.dup(ringer))
        self.tokens.started()

    def pour(self, frames: list[bytes]) -> None:
        self.tokens.give(len(frames))
        self.stream.put(frames)

    @property
    def rang(self) -> bool:
        return bool(select.select([self.tokens.bell], [], [], 0)[0])

    def close(self) -> None:
        self.tokens.close()
        self.stream.close()
        self.inlet.close()


@pytest.fixture(name='pair')
def _pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def ends(pair: Pair, count: int) -> list[bytes]:
    """What the runner said, waited for."""
    said: list[bytes] = []
    while len(said) < count:
        select.select([pair.stream.fileno()], [], [], 20)
        said += pair.stream.get()
    return said


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=30), st.integers(1, 40))
def test_frames_come_whole_and_in_order_however_they_are_cut(frames: list[bytes], step: int) -> None:
    near, far = socket.socketpair()
    with near, far:
        sender, reader = Stream(near), Stream(far)
        raw = b''.join(len(frame).to_bytes(4, 'big') + frame for frame in frames)
        got: list[bytes] = []
        for at in range(0, len(raw), step):
            near.sendall(raw[at : at + step])
            got += reader.get()
        assert got == frames
        assert sender.put(frames)
        assert reader.get() == frames
        assert reader.get() == []


def test_what_there_is_no_room_for_goes_out_later(pair: Pair) -> None:
    large = [bytes([n]) * 1_000_000 for n in range(3)]
    pair.pour(large)
    assert not pair.stream.push()
    got: list[bytes] = []
    reading = threading.Thread(target=lambda: got.extend(pair.inlet.recv_bytes() for _ in large))
    reading.start()
    while not pair.stream.push():
        select.select([], [pair.stream.fileno()], [], 20)
    reading.join()
    assert got == large


def test_it_rings_again_for_each_part_of_what_is_larger_than_a_socket(pair: Pair) -> None:
    large = bytes(3_000_000)
    sending = threading.Thread(target=pair.inlet.send_bytes, args=(large,), daemon=True)
    sending.start()
    got, deadline = list[bytes](), time.monotonic() + 20
    while sending.is_alive():
        assert time.monotonic() < deadline, 'nobody is told of the rest'
        if select.select([pair.tokens.bell], [], [], 0.01)[0]:
            assert pair.tokens.hush()
            while frames := pair.stream.get():
                got += frames
    assert (got or ends(pair, 1)) == [large]


def test_a_frame_starts_once_there_is_a_token_for_it_and_what_is_taken_back_never_does(pair: Pair) -> None:
    pair.pour([b'0', b'1', b'2', b'3'])
    assert pair.inlet.recv_bytes() == b'0'
    assert pair.tokens.take_back() == 3
    assert pair.tokens.take_back() == 0
    pair.pour([b'1', b'2'])
    assert pair.inlet.recv_bytes() == b'1'
    assert pair.inlet.recv_bytes() == b'2'


def test_user_code_cannot_have_the_worker_wait_for_tokens(pair: Pair) -> None:
    pair.pour([b'0', b'1'])
    os.set_blocking(pair.tokens.theirs()[0], True)  # it shares the end that both read
    assert pair.tokens.take_back() == 2
    assert pair.tokens.take_back() == 0


def test_what_is_no_frame_is_refused_and_not_waited_for() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.send(b'\xff' * 8)
        with pytest.raises(ProtocolError, match='4294967295'):
            Stream(far).get()


def test_it_rings_when_there_is_nothing_left_and_not_before(pair: Pair) -> None:
    pair.pour([b'0', b'1'])
    for frame in (b'0', b'1'):
        assert pair.inlet.recv_bytes() == frame
        pair.inlet.send_bytes(b'end ' + frame)
    assert not pair.rang
    waiting = threading.Thread(target=pair.inlet.recv_bytes)
    waiting.start()
    select.select([pair.tokens.bell], [], [], 20)
    assert pair.tokens.hush()
    assert pair.stream.get() == [b'end 0', b'end 1']
    pair.pour([b'2'])
    waiting.join()


def test_it_rings_when_its_answers_find_no_room(pair: Pair) -> None:
    answers = [bytes(200_000)] * 5
    saying = threading.Thread(target=lambda: [pair.inlet.send_bytes(each) for each in answers])
    saying.start()
    select.select([pair.tokens.bell], [], [], 20)
    assert pair.rang
    assert ends(pair, len(answers)) == answers
    saying.join()


def test_what_it_tells_is_heard_at_once(pair: Pair) -> None:
    pair.pour([b'0', b'1'])
    pair.inlet.recv_bytes()
    pair.inlet.tell(b'started')
    assert pair.rang
    assert pair.stream.get() == [b'started']


def test_the_end_of_either_is_seen_by_the_other(pair: Pair) -> None:
    pair.inlet.close()
    assert not pair.tokens.hush()
    with pytest.raises(EOFError):
        pair.stream.get()
    other = Pair()
    other.tokens.close()
    other.stream.close()
    with pytest.raises(EOFError):
        other.inlet.recv_bytes()
    other.inlet.close()
