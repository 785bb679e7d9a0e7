from __future__ import annotations

import pytest

from relay_parsl.client.outbox import FLIGHT_TASKS
from relay_parsl.client.pulls import IN_FLIGHT
from relay_parsl.client.reactor import Accept, Answer, Changed, ClientReactor, Got, ReadBody, Reconnect, Refuse, Reject, Send, Settle, WriteBody
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import SEGMENT, Body, Delivered, Hash, Id, Object, Rejection, ResultHeader, Status, Task, TaskHeader

GROUP, ENDPOINT = Id(b'g' * 16), Id(b'e' * 16)
GRANT, FUNCTION = Hash(b'G' * 32), Hash(b'F' * 32)
OBJECTS = (Object(GRANT, 'grant', Body(b'grant')), Object(FUNCTION, 'function', Body(b'function')))


def name(number: int) -> Id:
    return Id(number.to_bytes(16, 'big'))


def task(number: int, payload: bytes = b'sealed') -> Task:
    header = TaskHeader(GRANT, number, name(number), GROUP, ENDPOINT, FUNCTION, expires=1e9)
    return Task(codec.encode_header(header), Body(payload))


def result(number: int, *, body: int = 0, attempt: int = 1) -> Delivered:
    header = ResultHeader(GRANT, number, name(number), ENDPOINT, 1, attempt, Status.SUCCESS, body=body)
    return Delivered(name(number), Status.SUCCESS, codec.encode_header(header), '', Body(b'sealed'))


def word(number: int, status: Status) -> Delivered:
    return Delivered(name(number), status, b'', 'said the relay', Body(b''))


def sent(reactor: ClientReactor) -> list[m.Message]:
    return [each.message for each in reactor.take() if isinstance(each, Send)]


def of(reactor: ClientReactor, kind: type) -> list:
    return [each for each in reactor.take() if isinstance(each, kind)]


def opened() -> ClientReactor:
    reactor = ClientReactor(Id(b'i' * 16), versions={'python': '3.11'})
    reactor.connect(0.0)
    assert sent(reactor) == [m.Hello('client', Id(b'i' * 16), versions={'python': '3.11'})]
    reactor.receive(m.Welcome(1, 0.0), 0.0)
    reactor.take()
    reactor.provide(OBJECTS)
    return reactor


def accepted(*numbers: int) -> ClientReactor:
    reactor = opened()
    reactor.submit([task(number) for number in numbers], 0.0)
    reactor.receive(m.Accepted(tuple(name(number) for number in numbers)), 0.0)
    assert of(reactor, Accept) == [Accept(tuple(name(number) for number in numbers))]
    return reactor


def test_nothing_but_hello_is_said_before_welcome() -> None:
    reactor = ClientReactor(Id(b'i' * 16))
    reactor.provide(OBJECTS)
    reactor.submit([task(1)], 0.0)
    assert reactor.take() == []
    reactor.connect(0.0)
    reactor.take()
    reactor.receive(m.Welcome(7, 0.0), 0.0)
    assert sent(reactor) == [m.Window({'': (1000, 64 << 20)}), m.Objects(OBJECTS), m.Submit((task(1),))]
    assert reactor.connected


def test_objects_go_once_a_session_and_again_on_need() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    assert sent(reactor) == [m.Objects(OBJECTS), m.Submit((task(1),))]
    reactor.submit([task(2)], 0.0)
    assert sent(reactor) == [m.Submit((task(2),))]
    reactor.receive(m.Need((FUNCTION, Hash(b'?' * 32))), 0.0)
    assert sent(reactor) == [m.Objects(OBJECTS[1:]), m.Submit((task(1), task(2)))]


def test_withdrawn_objects_stay_while_a_task_needs_them() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    reactor.withdraw([FUNCTION])
    reactor.take()
    reactor.receive(m.Need((FUNCTION,)), 0.0)
    assert m.Objects(OBJECTS[1:]) in sent(reactor)
    reactor.receive(m.Accepted((name(1),)), 0.0)
    reactor.take()
    reactor.receive(m.Need((FUNCTION,)), 0.0)
    assert sent(reactor) == []


def test_unanswered_tasks_are_sent_again() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    reactor.take()
    reactor.receive(m.Pong(), 9.0)
    reactor.tick(9.0)
    assert sent(reactor) == []
    reactor.tick(10.0)
    assert sent(reactor) == [m.Submit((task(1),))]
    reactor.receive(m.Accepted((name(1),)), 11.0)
    reactor.receive(m.Accepted((name(1),)), 11.0)
    assert of(reactor, Accept) == [Accept((name(1),))]


def test_flight_is_bounded() -> None:
    reactor = opened()
    reactor.submit([task(number) for number in range(FLIGHT_TASKS + 10)], 0.0)
    batches = [each for each in sent(reactor) if isinstance(each, m.Submit)]
    assert sum(len(each.tasks) for each in batches) == FLIGHT_TASKS
    reactor.receive(m.Accepted(tuple(name(number) for number in range(20))), 0.0)
    assert [len(each.tasks) for each in sent(reactor) if isinstance(each, m.Submit)] == [10]
    assert len(reactor.outbox) == FLIGHT_TASKS - 10


def test_a_huge_task_goes_alone() -> None:
    reactor = opened()
    reactor.submit([task(1), task(2, bytes(20 << 20)), task(3)], 0.0)
    assert [len(each.tasks) for each in sent(reactor) if isinstance(each, m.Submit)] == [1]
    reactor.receive(m.Accepted((name(1),)), 0.0)
    assert [len(each.tasks) for each in sent(reactor) if isinstance(each, m.Submit)] == [1]


def test_each_task_settles_once_and_each_delivery_is_answered() -> None:
    reactor = accepted(1)
    for _ in range(2):
        reactor.receive(m.Deliver((result(1), result(99))), 1.0)
    effects = reactor.take()
    assert [each.delivered.task_id for each in effects if isinstance(each, Settle)] == [name(1)]
    assert [each.message for each in effects if isinstance(each, Send)] == [m.Received((name(1), name(99), name(1), name(99)))]


def test_a_result_implies_acceptance() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    reactor.take()
    reactor.receive(m.Deliver((result(1),)), 0.0)
    assert [type(each) for each in reactor.take()] == [Accept, Settle, Send]
    assert not reactor.outbox
    assert not reactor.open


def test_rejected_tasks_end() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    reactor.take()
    rejection = Rejection(name(1), 'full', 'the disk is full')
    reactor.receive(m.Rejected((rejection, rejection)), 0.0)
    assert reactor.take() == [Reject(rejection)]


def test_an_accepted_task_that_the_relay_does_not_know_is_lost() -> None:
    reactor = accepted(1)
    reactor.receive(m.Rejected((Rejection(name(1), 'full', ''),)), 0.0)
    assert reactor.take() == []
    reactor.receive(m.Rejected((Rejection(name(1), 'unknown', ''),)), 0.0)
    (settled,) = reactor.take()
    assert settled.delivered.status is Status.FAILED
    assert settled.delivered.reason.startswith('lost')


def test_a_followed_task_that_does_not_exist_is_rejected() -> None:
    reactor = opened()
    reactor.follow([name(5)], [], 0.0)
    assert sent(reactor) == [m.Follow((), (name(5),))]
    rejection = Rejection(name(5), 'unknown', '')
    reactor.receive(m.Rejected((rejection,)), 0.0)
    assert reactor.take() == [Reject(rejection)]


def test_a_new_session_is_told_everything() -> None:
    reactor = accepted(1, 2)
    reactor.submit([task(3)], 0.0)
    reactor.cancel([name(2), name(3)], 0.0)
    reactor.watch([name(1)], 0.0)
    reactor.request(m.List(1, 'tasks'), 0.0)
    reactor.request(m.Admin(2, 'stop'), 0.0)
    reactor.take()
    reactor.receive(m.Goodbye('who are you', hello=True), 1.0)
    assert [type(each) for each in sent(reactor)] == [m.Hello]
    reactor.receive(m.Welcome(2, 0.0), 1.0)
    assert sent(reactor) == [
        m.Window({'': (1000, 64 << 20)}),
        m.Follow((GROUP,)),
        m.Follow((), (name(1), name(2))),
        m.Objects(OBJECTS),
        m.Submit((task(3),)),
        m.Cancel((m.Attempt(name(2)),)),
        m.Watch((name(1),)),
        m.List(1, 'tasks'),
    ]
    reactor.receive(m.Welcome(2, 0.0), 1.0)
    assert sent(reactor) == []


def test_cancel_of_what_never_left_ends_at_once() -> None:
    reactor = ClientReactor(Id(b'i' * 16))
    reactor.submit([task(1)], 0.0)
    reactor.cancel([name(1)], 0.0)
    (settled,) = reactor.take()
    assert settled.delivered.status is Status.CANCELLED
    assert not reactor.outbox


def test_cancel_follows_its_submit_until_the_task_is_terminal() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    reactor.cancel([name(1)], 0.0)
    assert not [each for each in sent(reactor) if isinstance(each, m.Cancel)]
    reactor.receive(m.Accepted((name(1),)), 0.0)
    cancel = m.Cancel((m.Attempt(name(1)),))
    assert cancel in sent(reactor)
    reactor.tick(10.0)
    assert cancel in sent(reactor)
    reactor.receive(m.Deliver((word(1, Status.CANCELLED),)), 11.0)
    reactor.take()
    reactor.tick(30.0)
    assert cancel not in sent(reactor)


def test_silence_is_asked_and_then_given_up() -> None:
    reactor = opened()
    reactor.tick(9.0)
    assert sent(reactor) == []
    reactor.tick(10.0)
    reactor.tick(11.0)
    assert sent(reactor) == [m.Ping()]
    reactor.tick(30.0)
    assert Reconnect() in reactor.take()
    reactor.connect(30.0)
    reactor.take()
    reactor.tick(35.0)
    assert [type(each) for each in sent(reactor)] == [m.Hello]
    reactor.tick(60.0)
    assert reactor.take() == [Reconnect()]


def test_ping_is_answered() -> None:
    reactor = opened()
    reactor.receive(m.Ping(), 0.0)
    assert sent(reactor) == [m.Pong()]


def test_refused_for_good() -> None:
    reactor = ClientReactor(Id(b'i' * 16))
    reactor.connect(0.0)
    reactor.take()
    reactor.receive(m.Refused('denied', 'no such account'), 0.0)
    assert reactor.take() == [Refuse('denied', 'no such account')]
    reactor.connect(1.0)
    assert reactor.take() == []


def test_revoked_in_the_middle() -> None:
    reactor = opened()
    reactor.receive(m.Goodbye('revoked'), 0.0)
    (refuse,) = reactor.take()
    assert refuse.code == 'revoked'


def test_requests_are_answered_once_and_asked_again() -> None:
    reactor = opened()
    reactor.request(m.List(1, 'tasks'), 0.0)
    reactor.request(m.Admin(2, 'status'), 0.0)
    reactor.take()
    reactor.tick(10.0)
    assert m.List(1, 'tasks') in sent(reactor)
    for _ in range(2):
        reactor.receive(m.Listing(1, ({'name': 'x'},)), 10.0)
        reactor.receive(m.Refused('denied', 'no', 2), 10.0)
    assert [each.request for each in of(reactor, Answer)] == [1, 2]


def test_large_arguments_are_served_and_not_sent_again_meanwhile() -> None:
    reactor = opened()
    reactor.submit([task(1)], 0.0)
    reactor.take()
    fetch = m.Fetch(name(1), 0, 'task', 0, SEGMENT)
    reactor.receive(fetch, 9.0)
    reactor.tick(12.0)
    assert reactor.take() == [ReadBody(fetch)]


@pytest.mark.attack(16)
@pytest.mark.parametrize('body', [-1, (1 << 40) + 1, (1 << 63) - 1])
def test_a_result_that_is_said_to_be_endless_is_not_asked_for(body: int) -> None:
    """Its segments would have been counted into memory: a stolen relay could end every client by that."""
    reactor = accepted(1)
    reactor.receive(m.Deliver((result(1, body=body),)), 0.0)
    assert [each.delivered.task_id for each in of(reactor, Settle)] == [name(1)], 'it ends, by its seal that does not hold'


def test_large_results_are_pulled_before_they_settle() -> None:
    reactor = accepted(1)
    reactor.receive(m.Deliver((result(1, body=SEGMENT + 5),)), 0.0)
    assert sent(reactor) == [m.Fetch(name(1), 1, 'result', 0, SEGMENT), m.Fetch(name(1), 1, 'result', SEGMENT, 5)]
    last = m.Segment(name(1), 1, 'result', SEGMENT, SEGMENT + 5, Body(b'12345'))
    reactor.receive(last, 1.0)
    reactor.receive(last, 1.0)
    assert reactor.take() == [WriteBody(last)]
    reactor.tick(10.0)
    assert m.Fetch(name(1), 1, 'result', 0, SEGMENT) in sent(reactor)
    first = m.Segment(name(1), 1, 'result', 0, SEGMENT + 5, Body(bytes(SEGMENT)))
    reactor.receive(m.Segment(name(1), 1, 'result', 0, SEGMENT + 5, Body(b'short')), 11.0)
    assert reactor.take() == []
    reactor.receive(first, 11.0)
    effects = reactor.take()
    assert [type(each) for each in effects] == [WriteBody, Settle, Send]
    assert effects[1].header.body == SEGMENT + 5


@pytest.mark.fault(39)
@pytest.mark.parametrize(('total', 'reason'), [(-1, 'the relay no longer has the result'), (4, "the relay's disk has damaged this result")])
def test_a_result_whose_body_is_gone_or_cut_is_lost(total: int, reason: str) -> None:
    reactor = accepted(1)
    reactor.receive(m.Deliver((result(1, body=5),)), 0.0)
    reactor.receive(m.Segment(name(1), 1, 'result', 0, total, Body(bytes(max(0, total)))), 1.0)
    *_, settled, receipt = reactor.take()
    assert (settled.delivered.reason, receipt.message) == (f'lost: {reason}', m.Received((name(1),)))


def test_a_result_that_cannot_be_kept_is_received_and_over() -> None:
    reactor = accepted(1)
    reactor.submit([task(2)], 0.0)
    delivery = m.Deliver((result(1, body=SEGMENT + 5), result(2, body=5)))
    reactor.receive(delivery, 0.0)
    reactor.take()
    for number in (1, 1, 2):
        reactor.abandon(name(number))
    assert sent(reactor) == [m.Received((name(1), name(2)))]
    assert not reactor.open
    assert not reactor.outbox.entries
    reactor.receive(delivery, 1.0)
    assert reactor.take() == [Send(m.Received((name(1), name(2))))]


def test_fetches_in_flight_are_bounded_over_all_results() -> None:
    reactor = accepted(1, 2)
    reactor.receive(m.Deliver((result(1, body=20 * SEGMENT), result(2, body=20 * SEGMENT))), 0.0)
    asked = [(each.task_id, each.offset) for each in sent(reactor) if isinstance(each, m.Fetch)]
    assert asked == [(name(1), 0), (name(2), 0), *[(name(1), at * SEGMENT) for at in range(1, IN_FLIGHT - 1)]]
    reactor.receive(m.Segment(name(1), 1, 'result', 0, 20 * SEGMENT, Body(bytes(SEGMENT))), 0.0)
    assert [(each.task_id, each.offset) for each in sent(reactor)] == [(name(1), (IN_FLIGHT - 1) * SEGMENT)]


def test_what_has_no_answer_is_repeated() -> None:
    reactor = accepted(1)
    reactor.receive(m.Pong(), 29.0)
    reactor.tick(30.0)
    assert sent(reactor) == [m.Window({'': (1000, 64 << 20)}), m.Follow((GROUP,)), m.Follow((), (name(1),))]


def test_states_are_passed_on() -> None:
    reactor = accepted(1)
    state = m.TaskState(name(1), m.State.RUNNING, {'host': 'nid1'})
    reactor.receive(m.States((state,)), 0.0)
    assert reactor.take() == [Changed(state)]


def test_objects_of_other_processes_are_asked_for_until_they_come() -> None:
    reactor = opened()
    for _ in range(2):
        reactor.need([GRANT], 0.0)
    assert sent(reactor) == [m.Need((GRANT,))]
    reactor.tick(10.0)
    assert m.Need((GRANT,)) in sent(reactor)
    for _ in range(2):
        reactor.receive(m.Objects(OBJECTS), 11.0)
    assert reactor.take() == [Got(OBJECTS[0])]


def test_a_few_small_results_are_acknowledged_together() -> None:
    reactor = opened()
    few, many = tuple(word(number, Status.EXPIRED) for number in (1, 2)), tuple(word(number, Status.EXPIRED) for number in range(100))
    reactor.receive(m.Deliver(few[:1]), 1.0)
    assert reactor.take(hold=True) == []
    reactor.receive(m.Deliver(few[1:]), 1.0)
    reactor.receive(m.Ping(), 1.0)
    assert reactor.take(hold=True) == [Send(m.Pong())]
    assert sent(reactor) == [m.Received((name(1), name(2)))]
    reactor.receive(m.Deliver(many), 1.0)
    assert reactor.take(hold=True) == [Send(m.Received(tuple(each.task_id for each in many)))]
    reactor.receive(m.Deliver((few[0]._replace(payload=Body(bytes(2 << 20))),)), 1.0)
    assert reactor.take(hold=True) == [Send(m.Received((name(1),)))]
    reactor.receive(m.Deliver(few), 1.0)
    assert reactor.take(hold=True) == []
    assert sent(reactor) == [m.Received((name(1), name(2)))]


def test_who_follows_a_task_that_came_just_now_gets_it_again() -> None:
    """The relay delivers nothing that is on its way to this session, and that is what an unacknowledged result is to it."""
    reactor = accepted(1)
    reactor.receive(m.Deliver((word(1, Status.EXPIRED),)), 1.0)
    assert [type(each) for each in reactor.take(hold=True)] == [Settle]
    reactor.follow([name(1)], [], 1.0)
    assert [each.message for each in reactor.take(hold=True) if isinstance(each, Send)] == [m.Received((name(1),)), m.Follow((), (name(1),))]
