"""Results on their way to the relay: sent again, and not too often."""

from __future__ import annotations

import pytest

from relay_parsl.wire import codec
from relay_parsl.wire.messages import Attempt, Ping, Pong, Recorded, Results
from tests.unit.endpoint.desk import Desk, sent, task, task_id


def headers(effects: list) -> list:
    return [codec.result_header(each.header) for message in sent(effects, Results) for each in message.results]


def test_a_result_is_sent_again_until_it_is_recorded() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    assert len(headers(desk.finish(start))) == 1
    assert len(headers(desk.pass_time(6))) == 1
    desk.turn(Pong())
    assert len(headers(desk.pass_time(6))) == 1
    assert len(headers(desk.open(session=2))) == 1
    desk.turn(Recorded((Attempt(task_id(1), 1),)))
    assert len(headers(desk.pass_time(11))) == 0


@pytest.mark.fault(18)
def test_a_relay_that_does_not_read_is_not_sent_the_same_again_and_again() -> None:
    """It would all wait in the endpoint's memory; a relay that lives answers a ping, and gets it then."""
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.finish(start)
    said = desk.pass_time(25)
    assert len(headers(said)) == 1, 'the first may be lost'
    assert sent(said, Ping)
    desk.turn(Pong())
    assert len(headers(desk.pass_time(1))) == 1
