"""Quotas of accounts: what is let in, what is told to wait, what makes room."""

from __future__ import annotations

from math import inf

import pytest

from relay_parsl.relay.quotas import AGAIN, BURST, Bucket, Quota
from relay_parsl.relay.records import Usage
from relay_parsl.wire import messages as m
from tests.unit.relay.stage import Party, Stage, an_id


def staged(**quota: float) -> Stage:
    return Stage(quota=Quota(**quota))


def usage(stage: Stage, name: str = 'ann') -> Usage:
    """As it is stored."""
    stage.store.begin()
    found = stage.store.usage().get(an_id(name), Usage())
    stage.store.commit()
    return found


def refusals(client: Party) -> list[m.Rejection]:
    return [each for message in client.got(m.Rejected) for each in message.tasks]


def order(stage: Stage, who: str, **args: object) -> m.Message:
    party = stage.client(who, 'orders')
    party.say(m.Admin(1, 'quota', args))
    [answer] = [each for each in party.inbox if isinstance(each, (m.Done, m.Refused))]
    return answer


def test_a_bucket_fills_at_its_rate_and_holds_a_burst() -> None:
    bucket = Bucket(2.0, 100.0)
    assert bucket.tokens(100.0) == 2 * BURST
    bucket.take(20, 100.0)
    assert bucket.wait(1, 100.0) == 0.5
    assert bucket.wait(50, 100.0) == 1.0  # a second's worth is worth a try
    assert bucket.tokens(101.5) == 3.0
    assert bucket.tokens(1e6) == 20.0
    assert bucket.tokens(5.0) == 20.0  # a clock that went back takes nothing


def test_an_accounts_own_quota_stands_in_the_place_of_the_default() -> None:
    default = Quota(tasks=10, rate=5)
    assert default.over({}) is default
    assert default.over({'tasks': -1, 'bytes': 7}) == Quota(inf, 7, 5)
    assert default.plain() == {'tasks': 10, 'rate': 5}
    assert not Quota().limited


@pytest.mark.attack(35)
def test_a_queue_that_is_full_is_a_matter_of_time() -> None:
    """A client keeps what it is told to bring again: no future fails for the tasks that wait before it."""
    stage = Stage(queue_limit=2)
    ann, bob = stage.client(), stage.client('bob')
    stage.submit(ann, 'a', 'b')
    stage.submit(ann, 'c')
    [late] = refusals(ann)
    assert (late.task_id, late.code, late.retry_after) == (an_id('c'), 'quota', AGAIN)
    stage.submit(bob, 'd', endpoint='far')
    assert bob.ids(m.Accepted) == [an_id('d')]
    stage.endpoint()  # takes what waits
    stage.submit(ann, 'c')
    assert an_id('c') in ann.ids(m.Accepted)


def test_tasks_beyond_the_quota_wait_until_others_are_over() -> None:
    stage = staged(tasks=2)
    ann, site = stage.client(), stage.endpoint()
    stage.submit(ann, 'a', 'b', 'c')
    assert ann.ids(m.Accepted) == [an_id('a'), an_id('b')]
    [late] = refusals(ann)
    assert (late.task_id, late.code, late.retry_after) == (an_id('c'), 'quota', AGAIN)
    assert '2 tasks' in late.reason
    stage.finish(site, 'a')
    stage.submit(ann, 'c')
    assert ann.ids(m.Accepted) == [an_id('c')]


def test_what_is_known_is_answered_also_beyond_the_quota() -> None:
    stage = staged(tasks=1)
    ann = stage.client()
    stage.submit(ann, 'a')
    ann.got(m.Accepted)
    stage.submit(ann, 'a', 'b')
    assert ann.ids(m.Accepted) == [an_id('a')]
    assert [each.task_id for each in refusals(ann)] == [an_id('b')]


def test_who_floods_takes_nothing_from_others() -> None:
    stage = staged(tasks=3)
    ann, bob = stage.client(), stage.client('bob')
    stage.submit(ann, *map(str, range(100)))
    assert len(refusals(ann)) == 97
    stage.submit(bob, 'one', endpoint='far')
    assert bob.ids(m.Accepted) == [an_id('one')]


def test_a_service_counts_for_the_user_who_invited_it() -> None:
    stage = staged(tasks=3)
    ann, robot = stage.client(), stage.client('robot')
    stage.submit(ann, 'a', 'b')
    stage.submit(robot, 'c', 'd')
    assert [each.task_id for each in refusals(robot)] == [an_id('d')]
    stage.submit(ann, 'e')
    assert [each.task_id for each in refusals(ann)] == [an_id('e')]
    assert isinstance(answer := order(stage, 'root', name='robot'), m.Done)
    assert (answer.result['payer'], answer.result['tasks']) == ('ann', 3)
    assert isinstance(refused := order(stage, 'root', name='robot', tasks=5), m.Refused)
    assert 'ann' in refused.reason


def test_a_rate_lets_in_so_many_a_second() -> None:
    stage = staged(rate=1.0)
    ann = stage.client()
    stage.submit(ann, *map(str, range(12)))
    late = refusals(ann)
    assert [each.task_id for each in late] == [an_id('10'), an_id('11')]
    assert {(each.code, each.retry_after) for each in late} == {('rate', 1.0)}
    stage.now += 1.0
    stage.submit(ann, '10', '11')
    assert [each.task_id for each in refusals(ann)] == [an_id('11')]


def test_bytes_are_those_of_tasks_then_of_results_and_stay_right_to_the_end() -> None:
    stage = Stage(keep=0.0)
    ann, site = stage.client(), stage.endpoint()
    stage.submit(ann, 'a', payload=b'x' * 1000)
    size = 1000 + len(stage.task('a').header)
    assert usage(stage) == Usage(1, size)
    stage.finish(site, 'a', payload=b'y' * 10)
    assert usage(stage) == Usage(0, 10 + len(stage.result('a').header))
    stage.restart()
    ann = stage.client()
    stage.wait(2000)  # it is forgotten
    assert usage(stage) == Usage(0, 0)


def test_beyond_its_bytes_an_account_loses_what_it_received_before_it_is_refused_for_long() -> None:
    stage = staged(bytes=3000)
    ann, site = stage.client(), stage.endpoint()
    for name in ('a', 'b'):
        stage.submit(ann, name)
        stage.finish(site, name, payload=b'y' * 1000)
        stage.wait(1)
    ann.say(m.Received((an_id('a'),)))
    stage.wait(3)
    stage.submit(ann, 'c', payload=b'x' * 1000)
    [late] = refusals(ann)
    assert (late.code, late.retry_after) == ('quota', AGAIN)
    stage.wait(2)
    stage.submit(ann, 'c', payload=b'x' * 1000)
    assert ann.ids(m.Accepted)[-1] == an_id('c')
    stage.store.begin()
    kept = {row.id: len(row.payload) for row in stage.store.results([an_id('a'), an_id('b')])}
    stage.store.commit()
    assert kept == {an_id('a'): 0, an_id('b'): 1000}, 'what was not received stays'


def test_it_loses_no_more_than_there_is_need_for() -> None:
    stage = staged(bytes=3000)
    ann, site = stage.client(), stage.endpoint()
    stage.submit(ann, 'a', 'b', 'c')
    for name in ('a', 'b', 'c'):
        stage.finish(site, name, payload=b'y' * 1500)
        stage.wait(1)
    ann.say(m.Received((an_id('a'), an_id('b'), an_id('c'))))
    stage.wait(3)
    stage.submit(ann, 'd', payload=b'x' * 500)
    stage.wait(2)
    stage.store.begin()
    kept = {row.id: len(row.payload) for row in stage.store.results([an_id(name) for name in 'abc'])}
    stage.store.commit()
    assert kept == {an_id('a'): 0, an_id('b'): 0, an_id('c'): 1500}, 'results are always taken in: so two must go, and the third stays'


def test_a_task_that_never_fits_is_refused_for_good() -> None:
    stage = staged(bytes=500)
    ann = stage.client()
    stage.submit(ann, 'vast', payload=b'x' * 1000)
    [refusal] = refusals(ann)
    assert (refusal.code, refusal.retry_after) == ('too-large', 0.0)


def test_bodies_on_their_way_count() -> None:
    stage = staged(bytes=4000)
    ann = stage.client()
    stage.provide(ann)
    ann.say(m.Submit((stage.task('large', body=3000),)))
    ann.one(m.Fetch)
    ann.say(m.Submit((stage.task('other', body=3000),)))
    assert [each.task_id for each in refusals(ann)] == [an_id('other')]
    assert not ann.got(m.Fetch)


def test_only_operators_set_quotas_and_they_outlast_a_restart() -> None:
    stage = staged(tasks=5)
    assert isinstance(order(stage, 'ann', tasks=100), m.Refused)
    assert isinstance(order(stage, 'root', name='ann', tasks='many'), m.Refused)
    assert isinstance(order(stage, 'root', name='ann', tasks=1, rate=-1), m.Done)
    stage.restart()
    answer = order(stage, 'ann')
    assert isinstance(answer, m.Done)
    assert (answer.result['quota'], answer.result['own']) == ({'tasks': 1}, {'tasks': 1, 'rate': -1})
    answer = order(stage, 'root', name='ann', default=True)
    assert isinstance(answer, m.Done)
    assert answer.result['quota'] == {'tasks': 5}


@pytest.mark.parametrize('name', ['tasks', 'rate'])
def test_a_quota_of_nothing_refuses_for_good(name: str) -> None:
    stage = staged(**{name: 0})
    ann = stage.client()
    stage.submit(ann, 'a')
    [refusal] = refusals(ann)
    assert refusal.retry_after == 0.0


def test_a_draining_relay_takes_no_tasks_and_gives_none_out_and_results_pass() -> None:
    stage = Stage()
    ann, site, root = stage.client(), stage.endpoint(window=(1, 1 << 20)), stage.client('root')
    stage.submit(ann, 'a', 'b')
    assert site.ids(m.Dispatch) == [an_id('a')]
    root.say(m.Admin(1, 'drain'))
    assert root.one(m.Done).result == {'leases': 1, 'draining': True}
    stage.submit(ann, 'c')
    [late] = refusals(ann)
    assert (late.code, late.retry_after) == ('draining', AGAIN)
    stage.finish(site, 'a')
    assert ann.ids(m.Deliver) == [an_id('a')]
    assert site.ids(m.Dispatch) == []
    root.say(m.Admin(2, 'drain', {'off': True}))
    assert site.ids(m.Dispatch) == [an_id('b')]
