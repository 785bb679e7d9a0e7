"""What people are told of their tasks, also while an endpoint is away."""

from __future__ import annotations

import pytest

from relay_parsl.relay import watch
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import HeldTask, Phase, State, TaskState
from tests.unit.relay.stage import Party, Stage, an_id


@pytest.fixture
def stage() -> Stage:
    return Stage()


def told(client: Party) -> dict[m.Id, TaskState]:
    """The newest word of each task."""
    return {each.task_id: each for message in client.got(m.States) for each in message.tasks}


def go(stage: Stage, party: Party) -> None:
    stage.leave(party)
    stage.turn((party, m.Goodbye('gone')))


def ask_after(stage: Stage, client: Party, seconds: float, *names: str) -> dict[m.Id, TaskState]:
    """How these stand then; clients ask again now and then, as this one does."""
    stage.now += seconds
    client.say(m.Watch(tuple(map(an_id, names))))
    return told(client)


@pytest.mark.parametrize(
    ('when', 'text'),
    [
        (0.0, '1970-01-01 00:00:00 UTC'), (951782399.9, '2000-02-28 23:59:59 UTC'), (951782400, '2000-02-29 00:00:00 UTC'),
        (1709251199, '2024-02-29 23:59:59 UTC'), (4107542400, '2100-03-01 00:00:00 UTC'), (1767225600, '2026-01-01 00:00:00 UTC'),
    ],
)  # fmt: skip
def test_times_are_told_in_words(when: float, text: str) -> None:
    assert watch.utc(when) == text


def test_what_waits_for_an_absent_endpoint_says_since_when(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a')
    client.say(m.Watch((an_id('a'),)))
    assert told(client)[an_id('a')].detail['why'] == 'the endpoint has not been connected yet'
    first = stage.endpoint(window=(0, 0))
    client.say(m.Watch((an_id('a'),)))
    assert told(client)[an_id('a')].detail['why'] == 'its turn has not come'
    stage.now += 61
    first.say(m.Pong())
    go(stage, first)
    client.say(m.Watch((an_id('a'),)))
    state = told(client)[an_id('a')]
    assert (state.state, state.detail['why']) == (State.WAITING_FOR_EP, 'the endpoint has not been connected since 1970-01-01 00:17:41 UTC')


def test_what_an_absent_endpoint_holds_keeps_its_state_and_says_why(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'runs', 'queued')
    client.say(m.Watch((an_id('runs'), an_id('queued'))))
    first.say(m.States((TaskState(an_id('runs'), State.RUNNING, {'host': 'x1'}),)))
    told(client)
    go(stage, first)
    states = told(client)
    assert {key: each.state for key, each in states.items()} == {an_id('runs'): State.RUNNING, an_id('queued'): State.WAITING_FOR_NODES}
    assert states[an_id('runs')].detail['host'] == 'x1'
    assert {each.detail['why'] for each in states.values()} == {'the endpoint has not been connected since 1970-01-01 00:16:40 UTC'}
    assert ask_after(stage, client, watch.SILENT - 1, 'runs', 'queued')[an_id('runs')].state is State.RUNNING
    states = ask_after(stage, client, 1, 'runs', 'queued')
    assert {each.state for each in states.values()} == {State.WAITING_FOR_EP}
    again = stage.endpoint(held=[HeldTask(an_id(name), 1, Phase.STARTED) for name in ('runs', 'queued')])
    states = told(client)
    assert {key: each.state for key, each in states.items()} == {an_id('runs'): State.RUNNING, an_id('queued'): State.WAITING_FOR_NODES}
    assert not any('why' in each.detail for each in states.values())
    stage.finish(again, 'runs', 'queued')
    assert {each.state for each in told(client).values()} == {State.SUCCESS}
    assert stage.reactor._core.said == {}


def test_what_was_said_of_a_lost_attempt_is_forgotten(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    first.say(m.States((TaskState(an_id('a'), State.RUNNING, {'host': 'x1'}),)))
    go(stage, first)
    stage.endpoint(epoch=2)
    client.say(m.Watch((an_id('a'),)))
    assert told(client)[an_id('a')] == TaskState(an_id('a'), State.WAITING_FOR_NODES, {'attempt': 2})


def test_a_relay_that_was_away_itself_does_not_blame_the_endpoint_at_once(stage: Stage) -> None:
    client, _ = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    stage.now += 2 * watch.SILENT
    stage.restart()
    client = stage.client()
    client.say(m.Watch((an_id('a'),)))
    assert told(client)[an_id('a')].state is State.WAITING_FOR_NODES
    assert ask_after(stage, client, watch.SILENT, 'a')[an_id('a')].state is State.WAITING_FOR_EP


def test_an_endpoints_tasks_are_watched_those_of_ones_own_that_are_not_over(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint(window=(2, 1 << 30))
    stage.submit(client, 'done', 'leased', 'queued')
    stage.finish(endpoint, 'done')
    stage.submit(client, 'more', pool='')
    client.say(m.Watch((an_id('done'),), an_id('site')))
    assert set(told(client)) == {an_id(name) for name in ('done', 'leased', 'queued', 'more')}
    stage.finish(endpoint, 'leased')
    assert told(client)[an_id('leased')].state is State.SUCCESS
    bob = stage.client('bob')
    bob.say(m.Watch((), an_id('site')), m.Watch((), an_id('nowhere')))
    assert told(bob) == {}
    client.say(m.Watch(()))
    assert stage.reactor._core.watchers == {}


def test_an_endpoints_tasks_are_watched_up_to_a_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, 'OF_ENDPOINT', 3)
    client = stage.client()
    stage.submit(client, *'abcde')
    stage.submit(client, 'f', pool='gpu')
    client.say(m.Watch((), an_id('site')))
    assert set(told(client)) == {an_id(name) for name in 'abc'}


PENDING = {'block': '0', 'job': '7', 'state': 'PENDING', 'reason': 'AssocGrpCPUMinutesLimit'}


@pytest.mark.parametrize(
    ('status', 'why'),
    [
        ({'workers': 0, 'reason': '3 blocks in a row ended'}, '3 blocks in a row ended'),
        ({'workers': 2, 'reason': '3 blocks in a row ended'}, None),
        ({'workers': 0, 'detail': {'blocks': [PENDING]}}, 'block 0 (job 7) waits: AssocGrpCPUMinutesLimit'),
        ({'workers': 0, 'detail': {'blocks': [{**PENDING, 'state': 'FAILED'}, 3]}}, None),
        ({'workers': 0, 'detail': {'blocks': 'x'}}, None),
        ({}, None),
        ('x', None),
    ],
)
def test_what_waits_for_nodes_says_what_its_pool_waits_for(stage: Stage, status: object, why: str | None) -> None:
    client, site = stage.client(), stage.endpoint(window=(1, 1 << 30))
    stage.submit(client, 'leased')
    stage.submit(client, 'queued')
    site.say(m.Report({'pools': {'': status}}))
    states = ask_after(stage, client, 0.0, 'leased', 'queued')
    assert states[an_id('leased')].state == State.WAITING_FOR_NODES
    assert states[an_id('leased')].detail.get('why') == why
    assert states[an_id('queued')].detail['why'] == (why or 'its turn has not come')
