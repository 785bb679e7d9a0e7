"""What the simulation has found in the relay's reactor, each as small as it can be told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relay_parsl.relay.effects import SpoolDelete
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Status
from tests.unit.relay.stage import Stage, a_hash, an_id


@pytest.fixture
def stage() -> Stage:
    return Stage()


def held(*names: str) -> Sequence[m.HeldTask]:
    return tuple([m.HeldTask(an_id(name), 1, m.Phase.STARTED) for name in names])


def test_pages_of_two_declarations_are_not_taken_for_one(stage: Stage) -> None:
    """Page 1 of the first and page 0 of the second were lost; `b` had moved from page 1 to page 0, and was judged as lost."""
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a', 'b', 'c')
    session = stage.reactor._core.sessions[endpoint.routing]
    endpoint.say(m.Held(session.number, 1, False, held('a'), page=0, round=1))
    endpoint.say(m.Held(session.number, 1, True, held('c'), page=1, round=2))
    endpoint.say(m.Held(session.number, 1, False, held('a'), page=0, round=1))  # late: it does not fill the gap in the second
    assert [lease.attempt for lease in session.leases.values()] == [1, 1, 1], 'nothing was judged'
    endpoint.say(m.Held(session.number, 1, False, held('b'), page=0, round=2), m.Held(session.number, 1, True, held('c'), page=1, round=2))
    assert sorted(lease.attempt for lease in session.leases.values()) == [1, 1, 2], '`a` is not held any more'


def test_a_result_outlives_a_short_expiry(stage: Stage) -> None:
    """The client was away when the task ended; `expires` passed, and it heard `unknown` of a task that had succeeded."""
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a', expires=stage.now + 5)
    stage.leave(client)
    stage.finish(endpoint, 'a')
    stage.wait(10)
    again = stage.client(instance='two')
    again.say(m.Follow((), (an_id('a'),)))
    (delivered,) = again.one(m.Deliver).results
    assert delivered.status is Status.SUCCESS


def test_an_object_that_the_store_lost_is_asked_for_again(stage: Stage) -> None:
    """It was dropped as damaged when the endpoint asked for it; the relay still said that it had it, and tasks waited until they expired."""
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    client.got(m.Need)
    stage.store.begin()
    stage.store.drop_objects(4e9, 9)
    stage.store.commit()
    endpoint.say(m.Need((a_hash('grant'), a_hash('function'))))
    assert endpoint.got(m.Objects) == []
    client.say(m.Submit((stage.task('b'),)))
    assert set(client.one(m.Need).hashes) == {a_hash('grant'), a_hash('function')}
    stage.submit(client, 'b')
    endpoint.say(m.Need((a_hash('grant'), a_hash('function'))))
    assert len(endpoint.one(m.Objects).objects) == 2, '`a` can go on too'


@pytest.mark.parametrize('verb', ['delete-endpoint', 'revoke'])
def test_a_large_call_whose_endpoint_is_gone_when_its_body_is_here_is_not_taken(stage: Stage, verb: str) -> None:
    """It was accepted after the others had failed, and waited until it expired."""
    client = stage.client()
    stage.submit(client, 'a', body=10)
    client.one(m.Fetch)
    client.say(m.Admin(7, verb, {'id': an_id('site')}))
    client.say(m.Segment(an_id('a'), 0, 'task', 0, 10, m.Body(bytes(10))))
    stage.store.begin()
    stage.reactor.spooled((an_id('a'), 0, 'task'), stage.now)
    stage.store.commit()
    stage.wait(1)
    assert [each.code for each in client.one(m.Rejected).tasks] == ['not-found']
    assert client.got(m.Accepted) == []
    assert SpoolDelete((an_id('a'), 0, 'task')) in stage.effects


@pytest.mark.fault(39)
@pytest.mark.parametrize('total', [-1, 7])
def test_a_large_call_that_its_client_has_no_more_is_rejected(stage: Stage, total: int) -> None:
    """It was offered and asked for again, for ever."""
    client = stage.client()
    stage.submit(client, 'a', body=10)
    client.one(m.Fetch)
    client.say(m.Segment(an_id('a'), 0, 'task', 0, total, m.Body(bytes(max(total, 0)))))
    assert [(each.task_id, each.code) for each in client.one(m.Rejected).tasks] == [(an_id('a'), 'body-gone')]
    assert SpoolDelete((an_id('a'), 0, 'task')) in stage.effects
