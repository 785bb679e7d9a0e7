"""What goes to an engine process: in order, and never in the way of who offers it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from relay_parsl.engines.outlet import AT_ONCE, Outlet
from relay_parsl.wire import codec

FEW = [b'x' * 1000]


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = Pipe()
    yield ours, theirs
    ours.close()
    theirs.close()


def read(reader: Connection, count: int) -> list[object]:
    return [codec.unpack(reader.recv_bytes()) for _ in range(count)]


def test_an_offer_to_a_reader_that_keeps_up_is_written_at_once(ends: tuple[Connection, Connection]) -> None:
    outlet = Outlet(ends[0])
    outlet.offer(['work', FEW])
    assert not outlet.behind
    assert read(ends[1], 1) == [['work', FEW]]


@pytest.mark.parametrize('size', [10, 1000, AT_ONCE // 4, AT_ONCE - 20])
def test_nobody_waits_for_a_reader_that_reads_nothing_and_the_order_stays(ends: tuple[Connection, Connection], size: int) -> None:
    outlet, count, chunk = Outlet(ends[0]), 0, bytes(size)
    while not outlet.behind:
        outlet.offer([count, chunk])  # would hang here for ever if it waited
        count += 1
    outlet.offer([count, chunk])
    sender = threading.Thread(target=outlet.send, args=([count + 1, chunk],))
    sender.start()
    assert read(ends[1], count + 2) == [[number, chunk] for number in range(count + 2)]
    assert count > 1, 'it is written where there is room'
    sender.join()
    assert not outlet.behind


def test_what_might_not_fit_is_left_to_who_may_wait(ends: tuple[Connection, Connection]) -> None:
    outlet, large = Outlet(ends[0]), bytes(AT_ONCE)
    outlet.offer([large])
    outlet.offer(['after it'])
    assert outlet.behind
    outlet.send()
    assert not outlet.behind
    assert read(ends[1], 2) == [[large], ['after it']]


def test_a_dead_reader_troubles_nobody(ends: tuple[Connection, Connection]) -> None:
    outlet = Outlet(ends[0])
    ends[1].close()
    outlet.offer(['work'])
    outlet.send(['stop'])
    outlet.close()
