"""What a client does when the relay has no room: it keeps the task, waits as long as it is told, and offers about as much as there was room for."""

from __future__ import annotations

from relay_parsl.client.outbox import FLIGHT_TASKS, LEAST
from relay_parsl.client.reactor import Accept, ClientReactor, Hold, Reject, Settle
from relay_parsl.wire import messages as m
from relay_parsl.wire.codec import task_header
from relay_parsl.wire.messages import Rejection, Status
from tests.unit.client.test_client_reactor import name, of, opened, result, sent, task


def refuse(reactor: ClientReactor, *numbers: int, code: str = 'rate', seconds: float = 2.0, now: float = 0.0) -> None:
    reactor.receive(m.Rejected(tuple([Rejection(name(number), code, 'no room', seconds) for number in numbers])), now)


def submitted(reactor: ClientReactor) -> list[int]:
    messages = [each for each in sent(reactor) if isinstance(each, m.Submit)]
    return [int.from_bytes(task_header(each.header).task_id, 'big') for message in messages for each in message.tasks]


def test_a_held_task_is_sent_again_when_its_time_has_come_and_not_before() -> None:
    reactor = opened()
    reactor.submit([task(1), task(2), task(3)], 0.0)
    sent(reactor)
    refuse(reactor, 2, 3)
    assert [each for each in reactor.take() if isinstance(each, (Hold, Reject))] == [Hold((name(2), name(3)), 'rate', 'no room')]
    reactor.submit([task(4)], 0.5)
    for now in (0.5, 1.0, 1.9):
        reactor.tick(now)
    assert submitted(reactor) == []
    reactor.tick(2.1)
    assert submitted(reactor) == [2, 3, 4], 'in their order'
    reactor.receive(m.Accepted((name(2), name(3), name(4))), 2.2)
    assert of(reactor, Accept) == [Accept((name(2), name(3), name(4)))]


def test_after_a_hold_it_offers_what_there_was_room_for_and_more_when_that_is_taken() -> None:
    reactor = opened()
    reactor.submit([task(number) for number in range(FLIGHT_TASKS)], 0.0)
    assert len(submitted(reactor)) == FLIGHT_TASKS
    reactor.receive(m.Accepted(tuple(map(name, range(50)))), 0.1)
    refuse(reactor, *range(50, FLIGHT_TASKS), now=0.1)
    reactor.tick(2.2)
    assert submitted(reactor) == list(range(50, 100))
    reactor.receive(m.Accepted(tuple(map(name, range(50, 100)))), 2.3)
    assert submitted(reactor) == list(range(100, 200)), 'there is more room than one thought'
    refuse(reactor, *range(100, 200), now=2.4)
    reactor.tick(9.0)
    assert submitted(reactor) == list(range(100, 150))


def test_a_relay_that_takes_nothing_is_offered_little() -> None:
    reactor = opened()
    reactor.submit([task(number) for number in range(1000)], 0.0)
    submitted(reactor)
    for turn in range(3):
        refuse(reactor, *range(1000), code='draining', now=10.0 * turn)
        reactor.tick(10.0 * turn + 5)
        assert len(submitted(reactor)) <= max(LEAST, 0)


def test_the_end_of_a_task_makes_room_at_once_where_tasks_are_counted() -> None:
    reactor = opened()
    reactor.submit([task(1), task(2)], 0.0)
    reactor.receive(m.Accepted((name(1),)), 0.1)
    refuse(reactor, 2, code='quota', seconds=50.0)
    sent(reactor)
    reactor.receive(m.Deliver((result(1),)), 0.2)
    assert submitted(reactor) == [2]


def test_the_end_of_a_task_does_not_shorten_the_wait_for_a_rate() -> None:
    reactor = opened()
    reactor.submit([task(1), task(2)], 0.0)
    reactor.receive(m.Accepted((name(1),)), 0.1)
    refuse(reactor, 2, code='rate', seconds=50.0)
    sent(reactor)
    reactor.receive(m.Deliver((result(1),)), 0.2)
    reactor.tick(1.0)
    assert submitted(reactor) == []


def test_a_held_task_can_be_cancelled_and_is_not_sent_again() -> None:
    reactor = opened()
    reactor.submit([task(1), task(2)], 0.0)
    reactor.cancel([name(2)], 0.0)  # on its way: the relay must answer first
    refuse(reactor, 1, 2)
    [settled] = of(reactor, Settle)
    assert (settled.delivered.task_id, settled.delivered.status) == (name(2), Status.CANCELLED)
    reactor.cancel([name(1)], 0.1)
    assert [each.delivered.task_id for each in of(reactor, Settle)] == [name(1)]
    reactor.tick(5.0)
    assert submitted(reactor) == []
    reactor.receive(m.Accepted((name(1),)), 5.1)  # of a copy that was sent twice
    assert m.Cancel((m.Attempt(name(1)),)) in sent(reactor)


def test_a_new_session_asks_at_once() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    refuse(reactor, 1, code='draining', seconds=50.0)
    sent(reactor)
    reactor.connect(1.0)
    reactor.receive(m.Welcome(2, 0.0), 1.1)
    assert submitted(reactor) == [1]


def test_a_refusal_without_a_time_is_one_for_good() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    refuse(reactor, 1, code='quota', seconds=0.0)
    assert [each.rejection.task_id for each in of(reactor, Reject)] == [name(1)]
    assert len(reactor.outbox) == 0
