"""Sessions, and the life of a task through the relay's reactor."""

from __future__ import annotations

import pytest

from relay_parsl.relay.reactor import Audit
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Status
from tests.unit.relay.stage import Stage, a_hash, an_id, attempts


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- The life of a task ----------------------------------------------------------------------------------------------


def test_a_task_goes_there_and_its_result_comes_back(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a', 'b')
    assert client.ids(m.Accepted) == [an_id('a'), an_id('b')]
    dispatch = endpoint.one(m.Dispatch)
    assert [(each.attempt, each.payload) for each in dispatch.tasks] == [(1, b'call'), (1, b'call')]
    assert dispatch.serial == 1
    assert dispatch.tasks[0].header == stage.task('a').header, 'headers are forwarded as they came'
    stage.finish(endpoint, 'a')
    assert endpoint.one(m.Recorded).tasks == attempts('a')
    [result] = client.one(m.Deliver).results
    assert (result.task_id, result.status, result.header, result.payload) == (an_id('a'), Status.SUCCESS, stage.result('a').header, b'outcome')
    client.say(m.Received((an_id('a'),)))
    stage.wait(30)
    assert client.got(m.Deliver) == []


def test_a_task_waits_for_an_endpoint_that_is_away_and_for_a_relay_that_restarts(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a')
    stage.restart()
    endpoint = stage.endpoint()
    assert endpoint.ids(m.Dispatch) == [an_id('a')]
    client.say(m.Ping())
    assert client.one(m.Goodbye).hello
    stage.finish(endpoint, 'a')
    client.say(m.Hello('client', an_id('ann', 'one')))
    client.say(m.Follow(ids=(an_id('a'), an_id('never'))))
    assert client.ids(m.Deliver) == [an_id('a')]
    assert [(each.task_id, each.code) for each in client.one(m.Rejected).tasks] == [(an_id('never'), 'unknown')]


def test_submitted_twice_it_runs_once(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    stage.submit(client, 'a', 'a')
    assert client.ids(m.Accepted) == [an_id('a')] * 2
    assert endpoint.ids(m.Dispatch) == [an_id('a')]
    stage.finish(endpoint, 'a')
    client.got(m.Deliver)
    client.say(m.Received((an_id('a'),)))
    stage.submit(client, 'a')
    assert client.ids(m.Accepted) == [an_id('a')]
    assert client.ids(m.Deliver) == [an_id('a')], 'a task that is finished is answered with its result'
    assert endpoint.ids(m.Dispatch) == []


def test_missing_objects_are_asked_for_and_nothing_is_accepted_before(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    client.say(m.Submit((stage.task('a'),)))
    assert set(client.one(m.Need).hashes) == {a_hash('grant'), a_hash('function')}
    assert client.got(m.Accepted) == []
    stage.submit(client, 'a')
    assert client.ids(m.Accepted) == [an_id('a')]
    endpoint.say(m.Need((a_hash('grant'), a_hash('nothing'))))
    assert [each.data for each in endpoint.one(m.Objects).objects] == [b'g']


@pytest.mark.attack(15)
@pytest.mark.parametrize(
    ('more', 'code'),
    [
        ({'endpoint': 'nowhere'}, 'not-found'),
        ({'endpoint': 'far'}, 'not-found'),
        ({'expires': 999.0}, 'expired'),
        ({'expires': 1e12}, 'limit'),
        ({'payload': bytes(1 << 19)}, 'too-large'),
        ({'body': 1 << 40}, 'too-large'),
        ({'body': -1}, 'too-large'),
        ({'priority': 1 << 40}, 'malformed'),
        ({'pool': 'x' * 5000}, 'malformed'),
    ],
)
def test_what_cannot_be_taken_is_rejected_with_the_reason(stage: Stage, more: dict[str, object], code: str) -> None:
    client = stage.client()
    stage.submit(client, 'a', **more)
    [rejection] = client.one(m.Rejected).tasks
    assert (rejection.task_id, rejection.code) == (an_id('a'), code)
    assert client.got(m.Accepted) == []


def test_a_header_that_is_none_is_rejected_alone(stage: Stage) -> None:
    client = stage.client()
    stage.provide(client)
    client.say(m.Submit((m.Task(b'junk', m.Body(b'')), stage.task('a'))))
    assert client.ids(m.Accepted) == [an_id('a')]
    assert [each.code for each in client.one(m.Rejected).tasks] == ['malformed']


@pytest.mark.fault(35)
def test_a_full_disk_refuses_what_is_new_and_knows_what_is_old(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    client.got(m.Accepted)
    stage.reactor.full = True
    stage.submit(client, 'a', 'b')
    assert client.ids(m.Accepted) == [an_id('a')]
    [rejection] = client.one(m.Rejected).tasks
    assert (rejection.task_id, rejection.code) == (an_id('b'), 'full')
    assert rejection.retry_after > 0, 'its client keeps it until there is room'
    stage.finish(endpoint, 'a')
    assert client.ids(m.Deliver) == [an_id('a')]


@pytest.mark.attack(9)
def test_another_accounts_id_is_denied_and_its_tasks_are_as_if_absent(stage: Stage) -> None:
    ann, bob, endpoint = stage.client('ann'), stage.client('bob'), stage.endpoint()
    stage.submit(ann, 'a')
    stage.submit(bob, 'a', endpoint='far')
    assert [each.code for each in bob.one(m.Rejected).tasks] == ['denied']
    bob.say(m.Follow((an_id('group'),), (an_id('a'),)), m.Cancel(attempts('a', attempt=0)), m.Watch((an_id('a'),)), m.Received((an_id('a'),)))
    assert [each.code for each in bob.got(m.Rejected)[0].tasks] == ['unknown']
    stage.finish(endpoint, 'a')
    stage.wait(20)
    assert bob.got(m.Deliver) == []
    assert bob.got(m.States) == []
    assert ann.ids(m.Deliver)[0] == an_id('a')


@pytest.mark.attack(9)
def test_another_endpoint_can_neither_end_nor_fetch_a_task(stage: Stage) -> None:
    client, endpoint, far = stage.client(), stage.endpoint(), stage.endpoint('far')
    stage.submit(client, 'a')
    stage.finish(far, 'a')
    far.say(
        m.Results((stage.result('a', endpoint='site'),)), m.Returned(attempts('a')), m.Need((a_hash('grant'),)), m.Fetch(an_id('a'), 1, 'task', 0, 10)
    )
    assert client.got(m.Deliver) == []
    assert far.got(m.Objects) == []
    assert far.one(m.Segment).total == -1
    stage.finish(endpoint, 'a')
    assert client.ids(m.Deliver) == [an_id('a')]


# -- Sessions --------------------------------------------------------------------------------------------------------


def test_anything_before_hello_is_answered_with_goodbye(stage: Stage) -> None:
    party = stage.party('ann')
    party.say(m.Submit(()), m.Ping())
    assert party.one(m.Goodbye).hello


def test_a_key_that_is_nobodys_gets_a_goodbye(stage: Stage) -> None:
    party = stage.party('ann')
    stage.rows['stranger'] = stage.rows['ann'].__class__(an_id('x'), 'x', 'user', b'', bytes(32), 4e9)
    party.row = stage.rows['stranger']
    party.say(m.Hello('client', an_id('i')))
    assert not party.one(m.Goodbye).hello
    assert not stage.reactor.admits(bytes(32), stage.now)
    assert stage.reactor.admits(stage.rows['ann'].curve, stage.now)
    assert not stage.reactor.admits(stage.rows['ann'].curve, 5e9)


@pytest.mark.parametrize(('name', 'role'), [('ann', 'endpoint'), ('site', 'client'), ('ann', 'relay'), ('root', 'endpoint')])
def test_a_role_that_is_not_ones_own_is_refused(stage: Stage, name: str, role: str) -> None:
    party = stage.party(name)
    party.say(m.Hello(role, an_id('i'), 1))
    assert party.one(m.Refused).code == 'denied'


@pytest.mark.attack(44)
def test_an_operator_may_not_submit(stage: Stage) -> None:
    root = stage.client('root')
    stage.submit(root, 'a')
    assert [each.code for each in root.one(m.Rejected).tasks] == ['denied']


def test_a_service_submits_to_its_owners_endpoint(stage: Stage) -> None:
    robot, _ = stage.client('robot'), stage.endpoint()
    stage.submit(robot, 'a')
    assert robot.ids(m.Accepted) == [an_id('a')]


def test_messages_of_the_other_role_are_refused_and_the_session_lives(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    client.say(m.Results(()), m.Ping())
    assert client.one(m.Refused).code == 'denied'
    client.one(m.Pong)
    endpoint.say(m.Submit(()), m.Admin(7, 'stop'), m.Ping())
    assert {each.request for each in endpoint.got(m.Refused)} == {0, 7}
    endpoint.one(m.Pong)


def test_a_session_is_pinged_and_then_dead(stage: Stage) -> None:
    client = stage.client()
    stage.wait(11)
    client.one(m.Ping)
    client.say(m.Pong())
    stage.wait(31)
    assert client.got(m.Ping)
    assert client.one(m.Goodbye).hello


def test_doubled_hello_is_the_same_session(stage: Stage) -> None:
    client = stage.client()
    client.say(m.Hello('client', an_id('ann', 'one')), m.Hello('client', an_id('ann', 'one')))
    assert len({each.session for each in client.got(m.Welcome)}) == 1


@pytest.mark.attack(26)
def test_revoking_ends_live_sessions_and_stops_dispatching(stage: Stage) -> None:
    client, root = stage.client(), stage.client('root')
    stage.submit(client, 'a')
    client.inbox = root.inbox = together = list[m.Message]()
    root.say(m.Admin(1, 'revoke', {'name': 'ann'}))
    assert [type(each) for each in together] == [m.Goodbye, m.Done], 'in this order'
    root.one(m.Done)
    assert client.one(m.Goodbye).reason == 'revoked'
    client.say(m.Ping())
    assert client.one(m.Goodbye).reason == 'revoked'
    assert not stage.reactor.admits(stage.rows['ann'].curve, stage.now)
    assert stage.endpoint().got(m.Dispatch) == []
    stage.restart()
    assert not stage.reactor.admits(stage.rows['ann'].curve, stage.now)
    assert [each.event for each in stage.effects if isinstance(each, Audit)].count('revoke') == 1


@pytest.mark.attack(34)
def test_an_accounts_sessions_and_objects_are_limited() -> None:
    stage = Stage(sessions=2, objects_daily=10)
    one, _ = stage.client(instance='one'), stage.client(instance='two')
    third = stage.party('ann')
    third.say(m.Hello('client', an_id('three')))
    assert third.one(m.Refused).code == 'limit'
    stage.client('bob')
    stage.client(instance='one')
    objects = m.Objects((m.Object(a_hash('grant'), 'grant', m.Body(bytes(8))),))
    one = stage.client(instance='two')
    one.say(objects)
    assert one.got(m.Refused) == []
    one.say(objects)
    assert one.one(m.Refused).code == 'limit'
    stage.now += 86400
    again = stage.client(instance='two')
    again.say(objects)
    assert again.got(m.Refused) == []


# -- One process an endpoint -----------------------------------------------------------------------------------------


@pytest.mark.attack(8)
def test_a_second_process_is_refused_while_the_first_answers(stage: Stage) -> None:
    first = stage.endpoint()
    second = stage.party('site')
    second.say(m.Hello('endpoint', an_id('second'), 2))
    assert second.inbox == []
    first.one(m.Ping)
    stage.now += 0.1
    first.say(m.Pong())
    assert second.one(m.Refused).code == 'duplicate'
    assert first.got(m.Goodbye) == []


def test_a_copy_that_says_the_epoch_of_the_live_process_is_a_second_start(stage: Stage) -> None:
    first, copy = stage.endpoint(), stage.party('site')
    copy.say(m.Hello('endpoint', an_id('copy'), 1))
    assert copy.inbox == [], 'the live one is asked first, and at once'
    first.one(m.Ping)
    stage.now += 0.1
    first.say(m.Pong())
    refused = copy.one(m.Refused)
    assert (refused.code, '--take-over' in refused.reason) == ('duplicate', True)
    assert first.got(m.Goodbye) == []


@pytest.mark.parametrize('silent', [False, True])
def test_a_copy_with_the_epoch_of_another_process_never_comes_in(stage: Stage, silent: bool) -> None:
    first, copy = stage.endpoint(), stage.party('site')
    if not silent:
        stage.leave(first)
    copy.say(m.Hello('endpoint', an_id('copy'), 1))
    stage.wait(6)
    assert copy.got(m.Welcome) == []
    refused = copy.one(m.Refused)
    assert (refused.code, 'start it again' in refused.reason) == ('fenced', True)
    again = stage.party('site')
    again.say(m.Hello('endpoint', an_id('again'), 2))
    stage.wait(6)
    assert again.one(m.Welcome)


def test_an_epoch_that_two_share_cannot_be_taken_over(stage: Stage) -> None:
    first, copy = stage.endpoint(), stage.party('site')
    copy.say(m.Hello('endpoint', an_id('copy'), 1, takeover=True))
    refused = copy.one(m.Refused)
    assert (refused.code, 'start it again with --take-over' in refused.reason) == ('fenced', True)
    assert first.got(m.Goodbye) == []


@pytest.mark.attack(8)
def test_a_lower_epoch_is_fenced_at_once_and_does_not_disturb_who_waits(stage: Stage) -> None:
    first = stage.endpoint(epoch=5)
    second, old = stage.party('site'), stage.party('site')
    second.say(m.Hello('endpoint', an_id('second'), 6))
    old.say(m.Hello('endpoint', an_id('old'), 3))
    refused = old.one(m.Refused)
    assert (refused.code, 'invite and join' in refused.reason) == ('fenced', True)
    stage.leave(first)
    stage.wait(6)
    assert second.one(m.Welcome)


def test_a_second_process_comes_in_when_the_first_is_unreachable(stage: Stage) -> None:
    first = stage.endpoint()
    stage.leave(first)
    second = stage.party('site')
    second.say(m.Hello('endpoint', an_id('second'), 2))
    stage.turn()
    assert second.one(m.Welcome)


def test_a_second_process_comes_in_when_the_first_is_silent_and_fences_it(stage: Stage) -> None:
    first = stage.endpoint()
    second = stage.party('site')
    second.say(m.Hello('endpoint', an_id('second'), 2))
    stage.wait(6)
    second.one(m.Welcome)
    assert first.got(m.Goodbye)[0].reason == 'superseded'
    first.say(m.Results(()))
    assert first.one(m.Goodbye).hello
    first.say(m.Hello('endpoint', an_id('site', 1), 1))
    assert first.one(m.Refused).code == 'fenced'


def test_takeover_supersedes_at_once(stage: Stage) -> None:
    first = stage.endpoint()
    second = stage.party('site')
    second.say(m.Hello('endpoint', an_id('second'), 2, takeover=True))
    second.one(m.Welcome)
    assert first.one(m.Goodbye).reason == 'superseded'


def test_an_epoch_belongs_to_one_process_also_after_a_restart(stage: Stage) -> None:
    first = stage.endpoint()
    stage.leave(first)
    stage.restart()
    for instance, epoch in (('copy', 1), ('old', 0)):
        other = stage.party('site')
        other.say(m.Hello('endpoint', an_id(instance), epoch, takeover=True))
        assert other.one(m.Refused).code == 'fenced'
    assert stage.endpoint()


def test_the_same_process_replaces_its_own_session(stage: Stage) -> None:
    first = stage.endpoint()
    again = stage.endpoint()
    assert first.got(m.Refused) == []
    first.say(m.Ping())
    assert first.one(m.Goodbye).hello
    again.say(m.Ping())
    again.one(m.Pong)


def test_an_endpoint_that_never_says_what_it_holds_is_asked_again(stage: Stage) -> None:
    party = stage.party('site')
    party.say(m.Hello('endpoint', an_id('i'), 1), m.Window({'': (10, 1000)}))
    stage.submit(stage.client(), 'a')
    assert party.got(m.Dispatch) == []
    stage.wait(10)
    assert party.one(m.Goodbye).hello


def test_junk_is_refused_and_the_session_lives(stage: Stage) -> None:
    client = stage.client()
    stage.reactor.junk(client, 'Nonsense')
    stage.turn()
    assert client.one(m.Refused).code == 'malformed'
    client.say(m.Ping())
    client.one(m.Pong)


def test_every_header_in_these_tests_is_real(stage: Stage) -> None:
    assert codec.task_header(stage.task('a').header).task_id == an_id('a')
