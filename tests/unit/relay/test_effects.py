"""In which order things leave."""

from __future__ import annotations

from relay_parsl.relay.effects import Send, SpoolDelete, hurried
from relay_parsl.wire.messages import Accepted, Cancel, Deliver, Dispatch, Id, Pong, Recorded

TASK = Id(bytes(16))


def test_a_dispatch_does_not_wait_behind_a_receipt() -> None:
    receipt, dispatch = Send(b'client', Accepted((TASK,))), Send(b'site', Dispatch(1, 1, ()))
    assert hurried([receipt, dispatch]) == [dispatch, receipt]


def test_each_receiver_hears_what_it_hears_in_the_order_as_it_was() -> None:
    accepted, deliver, pong = (Send(b'client', each) for each in (Accepted((TASK,)), Deliver(()), Pong()))
    recorded, cancel, delete = Send(b'site', Recorded(())), Send(b'site', Cancel(())), SpoolDelete((TASK, 0, 'task'))
    assert hurried([recorded, delete, accepted, cancel, deliver, pong]) == [accepted, deliver, pong, recorded, delete, cancel]


def test_what_nobody_waits_for_stays_as_it_is() -> None:
    effects = [Send(b'client', Pong()), SpoolDelete((TASK, 0, 'task')), Send(b'site', Pong())]
    assert hurried(effects) is effects
