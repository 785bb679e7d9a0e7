"""Large results from a relay on the same host: linked, or by segments when that fails."""

from __future__ import annotations

from relay_parsl.client.reactor import ClientReactor, ReadBody, Send, Settle, TakeBody
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import SEGMENT, Body, Id
from tests.unit.client.test_client_reactor import name, of, result, sent

INSTANCE = Id(b'i' * 16)


def near() -> ClientReactor:
    """Its relay is a neighbour, and a large result is there."""
    reactor = ClientReactor(INSTANCE, near='here')
    reactor.connect(0.0)
    reactor.receive(m.Welcome(1, 0.0, near='here'), 0.0)
    reactor.pulls.door = '/spool'
    reactor.follow([name(1)], [], 0.0)
    reactor.take()
    reactor.receive(m.Deliver((result(1, body=3 * SEGMENT),)), 0.0)
    assert sent(reactor) == [m.Fetch(name(1), 1, 'result', 0, SEGMENT, '/spool')]
    return reactor


def test_a_neighbour_links_a_large_result() -> None:
    reactor = near()
    linked = m.Segment(name(1), 1, 'result', 0, 3 * SEGMENT, Body(b''), linked=True)
    reactor.receive(linked, 1.0)
    assert reactor.take() == [TakeBody(linked)]
    reactor.linked(name(1), 1.0, whole=True)
    assert [type(each) for each in reactor.take()] == [Settle, Send]


def test_what_is_not_where_it_was_linked_comes_by_segments() -> None:
    reactor = near()
    reactor.receive(m.Segment(name(1), 1, 'result', 0, 3 * SEGMENT, Body(b''), linked=True), 1.0)
    reactor.take()
    reactor.linked(name(1), 1.0, whole=False)
    assert sent(reactor) == [m.Fetch(name(1), 1, 'result', at * SEGMENT, SEGMENT) for at in range(3)]


def test_a_neighbour_that_cannot_link_sends_segments() -> None:
    reactor = near()
    reactor.receive(m.Segment(name(1), 1, 'result', 0, 3 * SEGMENT, Body(bytes(SEGMENT))), 1.0)
    assert sent(reactor) == [m.Fetch(name(1), 1, 'result', at * SEGMENT, SEGMENT) for at in (1, 2)]


def test_only_a_neighbour_may_say_where_to_link() -> None:
    reactor = ClientReactor(INSTANCE, near='here')
    reactor.connect(0.0)
    assert reactor.take() == [Send(m.Hello('client', INSTANCE, near='here'))]
    reactor.receive(m.Welcome(1, 0.0, near='there'), 0.0)
    assert not reactor.near
    reactor.receive(m.Fetch(name(1), 0, 'task', 0, 10, '/spool'), 0.0)
    assert of(reactor, ReadBody) == [ReadBody(m.Fetch(name(1), 0, 'task', 0, 10))]
