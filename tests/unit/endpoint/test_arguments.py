"""Large arguments that cannot be had end their task."""

from __future__ import annotations

import pytest

from relay_parsl.wire import codec
from relay_parsl.wire.messages import Body, Results, Segment
from tests.unit.endpoint.desk import Desk, sent, task, task_id


def headers(effects: list) -> list:
    return [codec.result_header(each.header) for message in sent(effects, Results) for each in message.results]


@pytest.mark.fault(36)
def test_a_body_that_is_gone_and_a_spool_that_is_full_end_the_task() -> None:
    desk = Desk()
    desk.open()
    desk.turn(desk.dispatch(task(1, body=100), task(2, body=100), task(3, body=100)))
    (header,) = headers(desk.turn(Segment(task_id(1), 1, 'task', 0, -1, Body(b''))))
    assert header.reason.startswith('body-gone')
    (header,) = headers(desk.turn(Segment(task_id(3), 1, 'task', 0, 60, Body(bytes(60)))))
    assert header.reason == 'body-gone: the relay has 60 bytes of the arguments, not 100'
    desk.reactor.unspooled((task_id(2), 1, 'task'), 'full: no space', desk.now)
    (header,) = headers(desk.turn())
    assert header.reason == 'full: no space'
