"""Networks that part, stall, forget, flip and reset, between real processes: it goes on, nothing is lost, nothing runs twice.

A client in this process dials the relay through `Net.near`, the endpoint through `Net.far`, each a chaos proxy. Silence is noticed after 3 s here
instead of 30, but in the slow twins whose faults last longer than every timer of the product.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from relay_parsl.client import link
from tests.faults.proxy import Proxy, Way
from tests.faults.rig import QUICK, Site, Work, until

pytestmark = pytest.mark.integration

FIRST = 10**6
"""The number of the task that goes first."""
NOTICED = 10.0
"""Seconds within which silence is noticed: after 3 s of it somebody pings or greets, and gives up soon after."""
PAST_ALL = 75.0
"""Seconds that are past every timer that is not a quota's: 30 s of silence on either side, 30 s of a client's refresh, 10 s of a resend."""


class Net:
    """A relay, an endpoint and a client, and the lines between them."""

    def __init__(self, site: Site, near: Proxy, far: Proxy, work: Callable[..., Work], patch: pytest.MonkeyPatch) -> None:
        self.site, self.near, self.far, self._work, self._patch = site, near, far, work, patch

    def begin(self, settings: tuple[str, ...] = QUICK) -> Work:
        """All are there, and a task has gone all the way."""
        if settings:
            self._patch.setattr(link, 'QUIET', 1.0)
            self._patch.setattr(link, 'DEAD', 3.0)
        self.site.public = self.near.port
        self.site.start('relay', settings=settings)
        self.site.configure('one')
        self.site.route('one', self.far.port)
        self.site.start('one', settings=settings)
        mine = self._work()
        mine.submit([FIRST])
        mine.done()
        assert self.near.accepted, 'the client dials the proxy'
        assert self.far.accepted, 'and so does the endpoint'
        return mine

    def end(self, mine: Work) -> None:
        """The faults are over: everything is right."""
        self.near.heal()
        self.far.heal()
        mine.done()
        mine.once()
        self.site.check(mine.ids)


@pytest.fixture
def net(site: Site, work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    with Proxy('127.0.0.1', site.port, seed=1) as near, Proxy('127.0.0.1', site.port, seed=2) as far:
        yield Net(site, near, far, work, monkeypatch)


def part(line: Proxy) -> None:
    """What is there is cut, and nobody comes through."""
    line.refuse = True
    line.reset()


@pytest.mark.slow
@pytest.mark.fault(21)
@pytest.mark.parametrize('seconds', [5.0, PAST_ALL])
def test_a_client_that_is_parted_from_the_relay_sends_what_waited_afterwards(net: Net, seconds: float) -> None:
    mine = net.begin(QUICK if seconds < PAST_ALL else ())
    part(net.near)
    mine.submit(range(20))
    time.sleep(seconds)
    assert not any(mine.futures[number].done() or mine.futures[number].is_accepted for number in range(20))
    net.end(mine)


@pytest.mark.fault(22)
@pytest.mark.parametrize('seconds', [0.0, pytest.param(PAST_ALL, marks=pytest.mark.slow)])
def test_an_endpoint_that_is_parted_from_the_relay_works_on_and_delivers_later(net: Net, seconds: float) -> None:
    mine = net.begin(QUICK if seconds < PAST_ALL else ())
    mine.submit(range(20), seconds=0.2)
    until(lambda: len(net.site.runs()) > 3)
    part(net.far)
    until(lambda: len(net.site.runs()) == 21)
    time.sleep(seconds)
    assert not all(future.done() for future in mine.futures.values()), 'the last results wait at the endpoint'
    net.end(mine)


@pytest.mark.slow
@pytest.mark.fault(20, 23)
@pytest.mark.parametrize('side', ['near', 'far'])
@pytest.mark.parametrize('way', ['up', 'down', 'both'])
def test_a_line_that_has_lost_one_way_or_both_is_noticed_and_made_anew(net: Net, side: str, way: str) -> None:
    """Nobody is told: what is sent vanishes, as with a peer that is gone without a word."""
    mine = net.begin()
    line: Proxy = getattr(net, side)
    ways: list[Way] = [line.up, line.down] if way == 'both' else [getattr(line, way)]
    before = line.accepted
    mine.submit(range(10), seconds=0.05)
    for each in ways:
        each.swallow = True
    mine.submit(range(10, 20))
    began = time.monotonic()
    until(lambda: line.accepted > before, NOTICED)
    assert time.monotonic() - began < NOTICED
    net.end(mine)


@pytest.mark.slow
@pytest.mark.fault(25)
@pytest.mark.parametrize('seconds', [10.0, 60.0])
def test_resets_twice_a_second_leave_nothing_over(net: Net, seconds: float) -> None:
    mine = net.begin()
    processes = [psutil.Process(each.pid) for each in net.site.running.values()] + [psutil.Process()]

    def held() -> list[tuple[int, int]]:
        return [(each.num_fds(), each.num_threads()) for each in processes]

    number, before, end = 0, held(), time.monotonic() + seconds
    while time.monotonic() < end:
        mine.submit(range(number, number + 10))
        number += 10
        time.sleep(0.5)
        net.near.reset()
        net.far.reset()
    net.near.heal()
    mine.done()
    until(lambda: all(fds <= least + 4 and threads <= few for (fds, threads), (least, few) in zip(held(), before, strict=True)))
    assert net.near.cuts + net.far.cuts > 2 * seconds
    net.end(mine)


@pytest.mark.slow
@pytest.mark.fault(26)
def test_bits_that_flip_on_the_way_never_make_a_wrong_result(net: Net) -> None:
    """CURVE's own MAC cuts the connection; what was on its way is sent again on the next."""
    mine = net.begin()
    number = 0
    for line in (net.near, net.far):
        for way in (line.up, line.down):
            before = line.accepted
            for lot in range(1, 4):
                way.flip(50 * lot)  # soon, in the middle of some frame
                mine.submit(range(number, number + 40))
                number += 40
                until(lambda way=way: not way._flips)  # type: ignore[misc]  # bound early
            until(lambda line=line, before=before: line.accepted > before)  # type: ignore[misc]
    net.end(mine)


@pytest.mark.slow
@pytest.mark.fault(27)
@pytest.mark.parametrize('silent', [True, False], ids=['forgotten', 'cut'])
def test_a_firewall_that_ends_what_is_idle_is_noticed_before_there_is_work(net: Net, silent: bool) -> None:
    mine = net.begin()
    for line in (net.near, net.far):
        line.idle_cut, line.idle_silent = 0.5, silent
    before = net.near.accepted, net.far.accepted
    until(lambda: net.near.accepted > before[0] + 1 and net.far.accepted > before[1] + 1)
    for number in range(3):
        mine.submit([number])
        mine.done(3 * NOTICED)
        time.sleep(1.0)
    net.end(mine)


@pytest.mark.slow
@pytest.mark.fault(27)
@pytest.mark.timeout(240)
def test_what_is_idle_speaks_often_enough_for_a_firewall_to_remember_it(net: Net) -> None:
    """One that forgets after 20 s, and the product's own times: everybody speaks after 10 s of silence."""
    mine = net.begin(())
    lines = (net.near, net.far)
    before = [line.accepted for line in lines]
    for line in lines:
        line.idle_cut, line.idle_silent = 20.0, True
    time.sleep(PAST_ALL)
    assert [line.accepted for line in lines] == before
    mine.submit(range(10))
    net.end(mine)


@pytest.mark.slow
@pytest.mark.fault(26)
@pytest.mark.timeout(240)
def test_bits_that_flip_in_a_greeting_or_a_handshake_cost_a_connection_and_no_more(net: Net) -> None:
    """The first 600 bytes of a connection: libzmq ends some of these for good, so that only a fresh socket helps."""
    mine, dice, number = net.begin(), random.Random(26), 0
    for _ in range(20):
        line, way = dice.choice((net.near, net.far)), dice.choice(('up', 'down'))
        line.reset()
        getattr(line, way).flip(dice.randrange(600))
        mine.submit(range(number, number + 5))
        number += 5
        mine.done()
    net.end(mine)
