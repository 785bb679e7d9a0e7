"""Who reaches for what is not theirs is refused, and that is on record; whose a session is follows from its key alone."""

from __future__ import annotations

import pytest

from relay_parsl.relay import refusals
from relay_parsl.relay.effects import Audit
from relay_parsl.relay.records import TaskInfo
from relay_parsl.relay.refusals import Refusals
from relay_parsl.wire import messages as m
from tests.unit.relay.stage import Party, Stage, an_id, attempts


@pytest.fixture
def stage() -> Stage:
    return Stage()


def on_record(stage: Stage, event: str, name: str) -> list[dict[str, object]]:
    lines = [each for each in stage.effects if isinstance(each, Audit)]
    return [dict(each.fields) for each in lines if (each.event, each.account) == (event, an_id(name))]


def stored(stage: Stage, *names: str) -> list[TaskInfo]:
    stage.store.begin()
    found = stage.store.find([an_id(name) for name in names])
    stage.store.commit()
    return found


def works(party: Party) -> bool:
    """The service is up: a session is answered."""
    party.say(m.Ping())
    return bool(party.got(m.Pong))


@pytest.mark.attack(6)
@pytest.mark.parametrize(('name', 'role'), [('ann', 'endpoint'), ('site', 'client'), ('ann', 'relay'), ('root', 'endpoint'), ('robot', 'endpoint')])
def test_a_role_that_is_not_ones_own_is_refused_on_record(stage: Stage, name: str, role: str) -> None:
    other, party = stage.client('bob'), stage.party(name)
    party.say(m.Hello(role, an_id('i'), 1), m.Ping())
    assert party.one(m.Refused).code == 'denied'
    assert party.one(m.Goodbye).hello, 'there is no session'
    assert on_record(stage, 'refused', name) == [{'role': role}]
    assert works(other)


@pytest.mark.attack(6)
def test_tasks_from_an_endpoint_and_results_from_a_client_are_refused_on_record(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    endpoint.say(m.Submit((stage.task('a'),)), m.Admin(7, 'revoke', {'name': 'ann'}))
    client.say(m.Results((stage.result('a'),)), m.Held(1, 0, True, ()), m.Returned(attempts('a')))
    assert {each.code for party in (client, endpoint) for each in party.got(m.Refused)} == {'denied'}
    assert [each['verb'] for each in on_record(stage, 'denied', 'site')] == ['Submit', 'Admin']
    assert [each['verb'] for each in on_record(stage, 'denied', 'ann')] == ['Results', 'Held', 'Returned']
    assert stored(stage, 'a') == []
    assert works(client)
    assert works(endpoint)


@pytest.mark.attack(7)
def test_a_session_is_of_the_key_that_opened_it_whatever_the_routing_id(stage: Stage) -> None:
    ann = stage.client('ann')
    stage.submit(ann, 'a')
    ann.inbox.clear()
    thief = Party(stage, stage.rows['bob'], ann.routing)
    thief.say(m.Cancel(attempts('a', attempt=0)), m.List(1, 'tasks'), m.Admin(2, 'share', {'name': 'site', 'account': an_id('bob')}))
    assert [type(each) for each in ann.inbox] == [m.Goodbye], 'asked to say who it is; and neither a list nor an act'
    assert [info.cancel or info.status for info in stored(stage, 'a')] == [None]
    ann.inbox.clear()
    assert works(ann)


@pytest.mark.attack(7)
def test_the_instance_or_epoch_of_another_account_ends_nothing_of_it(stage: Stage) -> None:
    ann, site = stage.client('ann', 'one'), stage.endpoint('site', epoch=5)
    bob, far = stage.party('bob'), stage.party('far')
    bob.say(m.Hello('client', an_id('ann', 'one')))
    far.say(m.Hello('endpoint', an_id('site', 5), 5, takeover=True))
    assert bob.one(m.Welcome).session != far.one(m.Welcome).session
    assert [works(each) for each in (ann, site, bob)] == [True] * 3
    assert [each.got(m.Goodbye) for each in (ann, site)] == [[], []]
    stage.submit(ann, 'a')
    assert site.ids(m.Dispatch) == [an_id('a')]
    assert far.got(m.Dispatch) == []


@pytest.mark.attack(8)
def test_a_second_process_of_an_endpoint_is_on_record_refused_or_fenced(stage: Stage) -> None:
    first, second, old = stage.endpoint(epoch=5), stage.party('site'), stage.party('site')
    second.say(m.Hello('endpoint', an_id('second'), 6))
    stage.now += 0.1
    first.say(m.Pong())
    assert second.one(m.Refused).code == 'duplicate'
    old.say(m.Hello('endpoint', an_id('old'), 3, takeover=True))
    assert old.one(m.Refused).code == 'fenced'
    assert on_record(stage, 'duplicate', 'site') == [{}]
    assert on_record(stage, 'fenced', 'site') == [{'epoch': 3}]
    assert works(first)


@pytest.mark.attack(9)
def test_a_task_of_another_account_is_as_one_that_is_not_there(stage: Stage) -> None:
    ann, bob, endpoint = stage.client('ann'), stage.client('bob'), stage.endpoint()
    stage.submit(ann, 'theirs')
    said = []
    for name in ('theirs', 'absent'):
        bob.inbox.clear()
        task_id = an_id(name)
        bob.say(
            m.Follow((an_id('group'),), (task_id,)), m.Cancel(attempts(name, attempt=0)), m.Watch((task_id,)), m.List(1, 'tasks', {'id': task_id})
        )
        bob.say(m.Fetch(task_id, 1, 'result', 0, 100), m.Received((task_id,)))
        said.append(repr(bob.inbox).replace(repr(task_id), 'ID'))
    assert said[0] == said[1]
    lines = on_record(stage, 'unknown', 'bob')
    assert [each['verb'] for each in lines] == ['Follow', 'Cancel', 'Watch', 'List', 'Fetch'] * 2
    assert [each['tasks'] for each in lines] == [1] * 10, 'the log does not tell them apart either'
    stage.finish(endpoint, 'theirs')
    assert ann.ids(m.Deliver) == [an_id('theirs')]
    stage.wait(10)
    assert [each for each in bob.inbox if isinstance(each, (m.Deliver, m.States))] == []


@pytest.mark.attack(10)
@pytest.mark.parametrize('endpoint', ['far', 'nowhere', 'bob'])
def test_a_task_for_an_endpoint_that_is_not_granted_is_never_stored(stage: Stage, endpoint: str) -> None:
    ann, far = stage.client('ann'), stage.endpoint('far')
    stage.submit(ann, 'a', 'b', endpoint=endpoint)
    assert [each.code for each in ann.one(m.Rejected).tasks] == ['not-found'] * 2
    assert on_record(stage, 'denied', 'ann') == [{'verb': 'Submit', 'why': 'not-found', 'tasks': 2}]
    assert stored(stage, 'a', 'b') == []
    stage.wait(5)
    assert far.got(m.Dispatch) == []
    assert works(ann)


@pytest.mark.attack(9, 10)
def test_a_task_id_of_another_account_is_refused_on_record(stage: Stage) -> None:
    ann, bob = stage.client('ann'), stage.client('bob')
    stage.submit(ann, 'a')
    before = stored(stage, 'a')
    stage.submit(bob, 'a', endpoint='far')
    assert [each.code for each in bob.one(m.Rejected).tasks] == ['denied']
    assert bob.got(m.Accepted) == []
    assert on_record(stage, 'denied', 'bob') == [{'verb': 'Submit', 'why': 'denied', 'tasks': 1}]
    assert stored(stage, 'a') == before


# -- How many lines --------------------------------------------------------------------------------------------------


def test_refusals_without_end_do_not_fill_the_disk(stage: Stage) -> None:
    endpoint, client = stage.endpoint(), stage.client()
    for _ in range(2 * refusals.LINES):
        endpoint.say(m.Submit(()))
    client.say(m.Results(()))
    assert len(on_record(stage, 'denied', 'site')) == refusals.LINES
    assert len(on_record(stage, 'denied', 'ann')) == 1, "one account's flood does not hide what another does"
    stage.wait(refusals.PERIOD)
    endpoint.say(m.Hello('endpoint', an_id('site', 1), 1), m.Submit(()))
    assert on_record(stage, 'denied', 'site')[-1]['left_out'] == refusals.LINES


def test_a_clock_that_goes_back_begins_a_new_period() -> None:
    counts = Refusals()
    assert [counts.line(an_id('a'), 1000.0) for _ in range(refusals.LINES + 1)][-1] is None
    assert counts.line(an_id('a'), 10.0) == {'left_out': 1}
    assert counts.line(an_id('a'), 10.0) == {}


@pytest.mark.attack(9)
def test_an_endpoint_that_fetches_arguments_of_others_is_on_record_and_one_that_lost_its_lease_is_not(stage: Stage) -> None:
    ann, site, far = stage.client('ann'), stage.endpoint(), stage.endpoint('far')
    stage.submit(ann, 'a')
    for name in ('a', 'absent'):
        far.say(m.Fetch(an_id(name), 1, 'task', 0, 10))
        assert far.one(m.Segment).total == -1
    assert on_record(stage, 'unknown', 'far') == [{'verb': 'Fetch', 'tasks': 1}] * 2
    stage.finish(site, 'a')
    site.say(m.Fetch(an_id('a'), 1, 'task', 0, 10))
    assert site.one(m.Segment).total == -1
    assert on_record(stage, 'unknown', 'site') == []


@pytest.mark.attack(9)
def test_ones_own_tasks_leave_no_such_line(stage: Stage) -> None:
    ann, site = stage.client('ann'), stage.endpoint()
    stage.submit(ann, 'a')
    stage.finish(site, 'a')
    ann.say(m.Watch((an_id('a'),)), m.List(1, 'tasks', {'id': an_id('a')}), m.List(2, 'tasks', {'group': an_id('none')}), m.Watch(()))
    ann.say(m.Fetch(an_id('a'), 1, 'result', 0, 10))
    assert on_record(stage, 'unknown', 'ann') == []
