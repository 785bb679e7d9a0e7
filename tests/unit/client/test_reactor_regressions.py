"""What the simulation has found in the client's reactor, each as small as it can be told."""

from __future__ import annotations

from relay_parsl.client.reactor import Reject
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Attempt, Rejection
from tests.unit.client.test_client_reactor import name, of, opened, sent, task


def test_a_task_accepted_after_its_rejection_was_told_is_cancelled() -> None:
    """It was sent twice; the late refusal (`full`) of the first came before the acceptance of the second, and the task would have run for nobody."""
    reactor = opened()
    reactor.submit([task(1), task(2)], 0.0)
    reactor.tick(11.0)
    reactor.take()
    reactor.receive(m.Rejected((Rejection(name(1), 'full', 'try again later'),)), 12.0)
    assert len(of(reactor, Reject)) == 1
    reactor.receive(m.Accepted((name(1), name(2))), 12.1)
    assert sent(reactor) == [m.Cancel((Attempt(name(1)),))]
