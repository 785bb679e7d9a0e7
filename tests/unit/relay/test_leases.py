"""Windows, dispatches, and what an endpoint says it holds."""

from __future__ import annotations

from collections import Counter

import pytest

from relay_parsl.relay.leases import shares
from relay_parsl.wire import codec
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import Attempt, HeldTask, Phase, Status
from tests.unit.relay.stage import Party, Stage, an_id, attempts


@pytest.fixture
def stage() -> Stage:
    return Stage()


def held(name: str, phase: Phase = Phase.STARTED, attempt: int = 1) -> HeldTask:
    return HeldTask(an_id(name), attempt, phase)


def session_of(stage: Stage, party: Party) -> int:
    return stage.reactor._core.sessions[party.routing].number


def rejoin(stage: Stage, epoch: int = 1, *tasks: HeldTask, window: int = 100) -> Party:
    """The endpoint comes back, as the same process or as a later one."""
    for party in [each for each in stage.parties.values() if each.row.name == 'site']:
        stage.leave(party)
        stage.turn((party, m.Goodbye('gone')))
    return stage.endpoint(epoch=epoch, held=tasks, window=(window, 1 << 30))


def dispatched(party: Party) -> list[tuple[str, int]]:
    return [(codec.task_header(task.header).task_id.decode().strip("().,'"), task.attempt) for each in party.got(m.Dispatch) for task in each.tasks]


# -- Windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault(29)
def test_no_more_than_the_window_is_leased(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint(window=(2, 1 << 30))
    stage.submit(client, 'a', 'b', 'c', 'd')
    assert [name for name, _ in dispatched(endpoint)] == ['a', 'b']
    stage.finish(endpoint, 'a')
    assert [name for name, _ in dispatched(endpoint)] == ['c']
    endpoint.say(m.Window({'': (3, 1 << 30)}), m.Window({'': (3, 1 << 30)}))
    assert [name for name, _ in dispatched(endpoint)] == ['d']


def test_a_window_of_nothing_drains(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint(window=(0, 1 << 30))
    stage.submit(client, 'a')
    assert dispatched(endpoint) == []


@pytest.mark.fault(29)
def test_bytes_count_and_one_task_always_fits(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint(window=(10, 1000))
    stage.submit(client, 'a', 'b', payload=bytes(5000))
    assert [name for name, _ in dispatched(endpoint)] == ['a']
    stage.finish(endpoint, 'a')
    assert [name for name, _ in dispatched(endpoint)] == ['b']


def test_pools_have_windows_of_their_own(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    endpoint.say(m.Window({'gpu': (1, 1 << 30), '': (0, 0)}))
    stage.submit(client, 'a', 'b', pool='gpu')
    stage.submit(client, 'c')
    assert [name for name, _ in dispatched(endpoint)] == ['a']
    endpoint.say(m.Window({'gpu': (1, 1 << 30), '': (1, 1 << 30)}))
    assert [name for name, _ in dispatched(endpoint)] == ['c']


def test_priority_goes_before_age(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', 'b')
    stage.submit(client, 'c', priority=-1)
    stage.submit(client, 'd', priority=1)
    assert [name for name, _ in dispatched(stage.endpoint())] == ['c', 'a', 'b', 'd']


def test_large_batches_are_cut(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, *[f't{number}' for number in range(450)])
    endpoint = stage.endpoint(window=(1000, 1 << 30))
    batches = endpoint.got(m.Dispatch)
    assert [len(each.tasks) for each in batches] == [200, 200, 50]
    assert [each.serial for each in batches] == [1, 2, 3]


def test_accounts_have_equal_shares(stage: Stage) -> None:
    stage.rows['site'] = stage.rows['site'].__class__(**{**_fields(stage.rows['site']), 'shared': (an_id('bob'),)})
    stage.store.begin()
    stage.store.put_account(stage.rows['site'])
    stage.store.commit()
    stage.restart()
    ann, bob = stage.client('ann'), stage.client('bob')
    stage.submit(ann, *[f'a{number}' for number in range(20)])
    stage.submit(bob, *[f'b{number}' for number in range(20)])
    endpoint = stage.endpoint(window=(10, 1 << 30))
    assert Counter(name[0] for name, _ in dispatched(endpoint)) == {'a': 5, 'b': 5}


def _fields(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}  # type: ignore[attr-defined]


def test_shares_level_out_what_is_held() -> None:
    a, b, c = an_id('a'), an_id('b'), an_id('c')
    assert shares(Counter({a: 9}), Counter(), 4) == {a: 4}
    assert shares(Counter({a: 9, b: 9}), Counter({a: 3}), 5) == {a: 1, b: 4}
    assert shares(Counter({a: 1, b: 9}), Counter(), 6) == {a: 1, b: 5}
    assert shares(Counter({a: 1, b: 1, c: 1}), Counter(), 9) == {a: 1, b: 1, c: 1}


# -- Held ------------------------------------------------------------------------------------------------------------


def test_nothing_is_dispatched_before_all_pages_of_what_is_held(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'a', 'b', 'c')
    dispatched(first)
    stage.leave(first)
    stage.turn((first, m.Goodbye('gone')))
    again = stage.party('site')
    again.say(m.Hello('endpoint', an_id('site', 1), 1))
    session = again.one(m.Welcome).session
    again.say(m.Window({'': (100, 1 << 30)}), m.Held(session, 0, False, (held('b'),), page=1))
    again.say(m.Held(session, 0, True, (held('c'),), page=2))
    assert dispatched(again) == []
    again.say(m.Held(session, 0, False, (held('a'),), page=0))
    assert dispatched(again) == []
    again.say(m.Held(session, 0, True, (held('c'),), page=2), m.Held(session, 0, True, (held('c'),), page=2))
    assert dispatched(again) == []
    stage.finish(again, 'a', 'b', 'c')
    assert len(client.ids(m.Deliver)) == 3


def test_nothing_is_dispatched_before_anything_was_said_of_what_is_held(stage: Stage) -> None:
    stage.submit(stage.client(), 'a')
    endpoint = stage.party('site')
    endpoint.say(m.Hello('endpoint', an_id('site', 1), 1))
    endpoint.say(m.Window({'': (100, 1 << 30)}))
    assert dispatched(endpoint) == []
    endpoint.say(m.Held(endpoint.one(m.Welcome).session, 0, True, ()))
    assert dispatched(endpoint) == [('a', 1)]


def test_what_is_absent_in_the_same_epoch_never_started(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'kept', 'lost')
    stage.submit(client, 'once', at_most_once=True)
    dispatched(first)
    again = rejoin(stage, 1, held('kept'))
    assert dispatched(again) == [('lost', 2), ('once', 1)]


def test_what_is_absent_in_a_later_epoch_may_have_started(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'lost')
    stage.submit(client, 'once', at_most_once=True)
    dispatched(first)
    again = rejoin(stage, 2)
    assert dispatched(again) == [('lost', 2)]
    [result] = client.one(m.Deliver).results
    assert (result.task_id, result.status, result.header) == (an_id('once'), Status.FAILED, b'')
    assert 'lost' in result.reason


def test_a_later_word_judges_only_what_it_could_know(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    stage.submit(client, 'b')
    dispatched(endpoint)
    endpoint.say(m.Held(session_of(stage, endpoint), 1, True, (held('a'),)))
    assert dispatched(endpoint) == []
    endpoint.say(m.Held(session_of(stage, endpoint), 2, True, (held('a'),)))
    assert dispatched(endpoint) == [('b', 2)]
    endpoint.say(m.Held(session_of(stage, endpoint) - 1, 9, True, ()))
    assert dispatched(endpoint) == []


def test_a_lost_dispatch_is_found_by_ping(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    stage.wait(11)
    assert endpoint.got(m.Ping)[-1].serial == 1
    endpoint.say(m.Ping())
    assert endpoint.one(m.Pong).serial == 1


def test_what_it_should_not_hold_is_cancelled(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'a', 'b')
    dispatched(first)
    again = rejoin(stage, 1, held('a', attempt=7), held('strange'), held('done', Phase.FINISHED), held('b'))
    assert {(each.task_id, each.attempt) for each in again.one(m.Cancel).tasks} == {(an_id('a'), 7), (an_id('strange'), 1)}
    assert dispatched(again) == [('a', 2)]


def test_a_marked_lease_that_is_absent_ends_as_cancelled(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'a', 'b')
    stage.leave(first)
    stage.turn((first, m.Goodbye('gone')))
    client.say(m.Cancel((Attempt(an_id('a')), Attempt(an_id('b')))))
    again = rejoin(stage, 2, held('b'))
    assert dispatched(again) == []
    assert [(each.task_id, each.status) for each in client.one(m.Deliver).results] == [(an_id('a'), Status.CANCELLED)]
    assert [each.task_id for each in again.one(m.Cancel).tasks] == [an_id('b')]


# -- Returned --------------------------------------------------------------------------------------------------------


def test_a_returned_task_keeps_its_attempt_and_is_answered(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint(window=(1, 1 << 30))
    stage.submit(client, 'a')
    dispatched(endpoint)
    word = m.Returned(attempts('a'), session_of(stage, endpoint), 1)
    endpoint.say(m.Window({'': (0, 0)}), word)
    assert endpoint.one(m.Recorded).tasks == attempts('a')
    assert dispatched(endpoint) == []
    endpoint.say(m.Window({'': (1, 1 << 30)}))
    assert dispatched(endpoint) == [('a', 1)]
    endpoint.say(word)
    endpoint.one(m.Recorded)
    assert dispatched(endpoint) == [], 'a late copy does not give back the newer lease'


def test_a_returned_task_that_its_client_cancelled_is_over(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    client.say(m.Cancel(attempts('a', attempt=0)))
    assert endpoint.one(m.Cancel).tasks == attempts('a')
    endpoint.say(m.Returned(attempts('a'), session_of(stage, endpoint), 1))
    assert [each.status for each in client.one(m.Deliver).results] == [Status.CANCELLED]


# -- Results of any attempt ------------------------------------------------------------------------------------------


def test_an_older_attempts_result_is_taken_and_the_newer_one_cancelled(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    dispatched(first)
    again = rejoin(stage, 2)
    assert dispatched(again) == [('a', 2)]
    stage.finish(again, 'a', attempt=1)
    assert again.one(m.Recorded).tasks == attempts('a')
    assert again.one(m.Cancel).tasks == attempts('a', attempt=2)
    assert client.ids(m.Deliver) == [an_id('a')]
    stage.finish(again, 'a', attempt=2, payload=b'other')
    assert again.one(m.Recorded).tasks == attempts('a', attempt=2)
    client.say(m.Follow(ids=(an_id('a'),)))
    assert client.got(m.Deliver) == []


def test_a_result_of_a_task_that_is_queued_again_is_taken(stage: Stage) -> None:
    client, first = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    again = rejoin(stage, 2, window=0)
    assert dispatched(again) == []
    stage.finish(again, 'a', attempt=1)
    assert client.ids(m.Deliver) == [an_id('a')]
    again.say(m.Window({'': (9, 1 << 30)}))
    assert dispatched(again) == []
    assert first.inbox != again.inbox


def test_unneeded_and_malformed_results_are_answered(stage: Stage) -> None:
    endpoint = stage.endpoint()
    stage.finish(endpoint, 'never')
    assert endpoint.one(m.Recorded).tasks == attempts('never')
    endpoint.say(m.Results((m.Result(b'junk', m.Body(b'')), stage.result('a', attempt=0), stage.result('a', attempt=10**9))))
    assert [each.code for each in endpoint.got(m.Refused)] == ['malformed'] * 3


def test_a_result_in_the_name_of_another_endpoint_ends_nothing(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    endpoint.say(m.Results((stage.result('a', endpoint='far'),)))
    assert (client.got(m.Deliver), endpoint.got(m.Recorded)) == ([], [])


def test_a_result_too_large_fails_its_task(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a', 'b')
    stage.finish(endpoint, 'a', payload=bytes(1 << 19))
    stage.finish(endpoint, 'b', body=1 << 50)
    assert [(each.status, 'larger' in each.reason) for message in client.got(m.Deliver) for each in message.results] == [(Status.FAILED, True)] * 2
    assert len(endpoint.ids(m.Recorded)) == 2


# -- Cancel, backlog -------------------------------------------------------------------------------------------------


def test_cancelling_what_waits_ends_it_at_once(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a')
    client.say(m.Cancel(attempts('a', 'never', attempt=0)))
    assert [(each.status, each.header) for each in client.one(m.Deliver).results] == [(Status.CANCELLED, b'')]
    assert client.ids(m.Rejected) == [an_id('never')]
    assert dispatched(stage.endpoint()) == []


def test_a_cancel_is_repeated_until_the_endpoint_obeys(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    client.say(m.Cancel(attempts('a', attempt=0)))
    endpoint.got(m.Cancel)
    stage.now += 11
    endpoint.say(m.Pong())
    stage.turn(tick=True)
    assert endpoint.one(m.Cancel).tasks == attempts('a')
    stage.finish(endpoint, 'a')
    assert [each.status for each in client.one(m.Deliver).results] == [Status.SUCCESS], 'the first terminal state stands'


def test_the_backlog_is_told_on_change_and_now_and_then(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint(window=(1, 1 << 30))
    stage.submit(client, 'a', 'b', 'c')
    assert endpoint.got(m.Backlog)[-1].pools == {'': (2, 0.0)}
    stage.wait(5)
    endpoint.say(m.Pong())
    assert endpoint.got(m.Backlog) == []
    stage.submit(client, 'd')
    stage.wait(1)
    assert endpoint.one(m.Backlog).pools == {'': (3, 6.0)}
    for _ in range(3):
        stage.wait(8)
        endpoint.say(m.Pong())
    assert len(endpoint.got(m.Backlog)) == 1
    stage.finish(endpoint, 'a')
    stage.finish(endpoint, 'b')
    stage.finish(endpoint, 'c')
    assert endpoint.got(m.Backlog)[-1].pools == {'': (0, 0.0)}


def test_pools_that_are_empty_are_forgotten(stage: Stage) -> None:
    client = stage.client()
    for number in range(300):
        stage.submit(client, f't{number}', pool=f'pool {number}')
    endpoint = stage.party('site')
    endpoint.say(m.Hello('endpoint', an_id('i'), 1))
    endpoint.say(m.Held(endpoint.one(m.Welcome).session, 0, True, ()))
    assert len(endpoint.got(m.Backlog)[-1].pools) == 128
    client.say(m.Cancel(attempts(*[f't{number}' for number in range(300)], attempt=0)))
    assert stage.reactor._core.waiting[an_id('site')] == {}


def test_a_large_backlog_goes_out_over_several_turns(stage: Stage) -> None:
    client = stage.client()
    names = [f't{number}' for number in range(300)]
    for start in range(0, 300, 20):
        stage.submit(client, *names[start : start + 20], payload=bytes(250_000))
    endpoint = stage.endpoint(window=(1000, 1 << 30))
    assert 130 <= len(endpoint.ids(m.Dispatch)) < 150
    assert stage.reactor.busy
    rest = 0
    while stage.reactor.busy:
        stage.turn(tick=True)
        rest += len(endpoint.ids(m.Dispatch))
    assert rest > 150
