"""Results on their way to clients, large bodies, what time brings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay_parsl.relay import delivery
from relay_parsl.relay.effects import Audit, SpoolDelete, SpoolSend, SpoolSync, SpoolWrite
from relay_parsl.relay.pulls import AT_ONCE
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import SEGMENT, Body, Fetch, Segment, State, Status, TaskState
from tests.unit.relay.stage import Party, Stage, an_id, attempts


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- Delivering ------------------------------------------------------------------------------------------------------


@pytest.mark.fault(30)
def test_no_more_than_the_clients_window_is_on_its_way(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    client.say(m.Window({'': (2, 1 << 20)}))
    stage.submit(client, 'a', 'b', 'c')
    stage.finish(endpoint, 'a', 'b', 'c')
    assert client.ids(m.Deliver) == [an_id('a'), an_id('b')]
    client.say(m.Received((an_id('a'), an_id('a'))))
    assert client.ids(m.Deliver) == [an_id('c')]


def test_bytes_count_and_one_result_always_fits(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    client.say(m.Window({'': (9, 100)}))
    stage.submit(client, 'a', 'b')
    stage.finish(endpoint, 'a', 'b', payload=bytes(1000))
    assert client.ids(m.Deliver) == [an_id('a')]
    client.say(m.Received((an_id('a'),)))
    assert client.ids(m.Deliver) == [an_id('b')]


def test_a_window_of_nothing_holds_everything_back(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    client.say(m.Window({'': (0, 0)}))
    stage.submit(client, 'a')
    stage.finish(endpoint, 'a')
    assert client.got(m.Deliver) == []
    client.say(m.Window({'': (5, 5000)}))
    assert client.ids(m.Deliver) == [an_id('a')]


def test_what_is_not_received_comes_again(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a', 'b')
    stage.finish(endpoint, 'a', 'b')
    client.got(m.Deliver)
    client.say(m.Received((an_id('a'),)))
    stage.wait(5)
    assert client.ids(m.Deliver) == [an_id('b')]
    stage.wait(4)
    assert client.got(m.Deliver) == []


@pytest.mark.fault(30)
def test_who_does_not_read_is_not_sent_the_same_again_and_again(stage: Stage) -> None:
    """It would all wait in the relay's memory; who lives answers a ping, and gets it then."""
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a')
    stage.finish(endpoint, 'a')
    client.got(m.Deliver)
    stage.wait(5)
    assert client.ids(m.Deliver) == [an_id('a')], 'the first may be lost'
    for _ in range(3):
        stage.wait(5)
        assert client.got(m.Deliver) == []
    assert client.got(m.Ping)
    client.say(m.Pong())
    stage.wait(1)
    assert client.ids(m.Deliver) == [an_id('a')]


def test_every_session_that_follows_has_its_own(stage: Stage) -> None:
    one, two, endpoint = stage.client(), stage.client(instance='two'), stage.endpoint()
    stage.submit(one, 'a')
    two.say(m.Follow((an_id('group'),)))
    stage.finish(endpoint, 'a')
    one.say(m.Received((an_id('a'),)))
    assert (one.ids(m.Deliver), two.ids(m.Deliver)) == ([an_id('a')], [an_id('a')])
    stage.wait(5)
    assert (one.ids(m.Deliver), two.ids(m.Deliver)) == ([], [an_id('a')])


def test_of_too_many_groups_the_first_one_is_forgotten_until_it_is_followed_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'FOLLOWED', 2)
    client, endpoint = stage.client(), stage.endpoint()
    for name in ('a', 'b', 'c'):
        stage.submit(client, name, group=f'of {name}')
    stage.finish(endpoint, 'a', 'b', 'c')
    assert client.ids(m.Deliver) == [an_id('b'), an_id('c')]
    client.say(m.Follow((an_id('of a'),), (an_id('a'),)))
    assert client.ids(m.Deliver) == [an_id('a')]
    assert client.got(m.Refused) == []


def test_a_group_that_goes_on_is_not_the_one_that_is_forgotten(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'FOLLOWED', 2)
    client, endpoint = stage.client(), stage.endpoint()
    for name, group in (('a', 'long'), ('b', 'short'), ('c', 'long'), ('d', 'new')):
        stage.submit(client, name, group=group)
    stage.finish(endpoint, 'a', 'b', 'c', 'd')
    assert client.ids(m.Deliver) == [an_id('a'), an_id('c'), an_id('d')]


def test_following_a_group_starts_now_and_following_a_task_looks_back(stage: Stage) -> None:
    one, endpoint = stage.client(), stage.endpoint()
    stage.submit(one, 'a', 'b')
    stage.finish(endpoint, 'a')
    two = stage.client(instance='two')
    two.say(m.Follow((an_id('group'),)))
    assert two.got(m.Deliver) == []
    two.say(m.Follow(ids=(an_id('a'), an_id('b'))))
    assert two.ids(m.Deliver) == [an_id('a')]
    two.say(m.Follow(ids=(an_id('a'),)))
    stage.finish(endpoint, 'b')
    assert two.ids(m.Deliver) == [an_id('b')]


def test_many_results_come_in_pages_in_their_order(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint(window=(1000, 1 << 30))
    names = [f't{number}' for number in range(450)]
    stage.submit(client, *names)
    stage.finish(endpoint, *names)
    assert [len(each.results) for each in client.inbox if isinstance(each, m.Deliver)] == [200, 200, 50]
    assert client.ids(m.Deliver) == [an_id(name) for name in names]


@pytest.mark.fault(39)
def test_a_damaged_row_is_never_executed_or_believed(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', 'b')
    waiting, results = stage.store.waiting, stage.store.results
    stage.store.waiting = lambda *args: [replace(row, damaged=row.id == an_id('a')) for row in waiting(*args)]  # type: ignore[method-assign]
    stage.store.results = lambda ids: [replace(row, damaged=True) for row in results(ids)]  # type: ignore[method-assign]
    endpoint = stage.endpoint()
    assert endpoint.ids(m.Dispatch) == [an_id('b')]
    assert [(each.task_id, each.status) for each in client.one(m.Deliver).results] == [(an_id('a'), Status.FAILED)]
    stage.finish(endpoint, 'b')
    client.got(m.Deliver)
    stage.wait(5)
    assert {(each.status, each.header) for each in client.one(m.Deliver).results} == {(Status.FAILED, b'')}
    told = [each for each in stage.effects if isinstance(each, Audit) and each.event == 'damaged']
    assert told[0] == Audit('damaged', client.id, {'task': an_id('a').hex()})
    assert told[-1] == Audit('damaged', client.id, {'result': an_id('b').hex()})


# -- Watching --------------------------------------------------------------------------------------------------------


def states(client: Party) -> list[State]:
    return [each.state for message in client.got(m.States) for each in message.tasks]


def test_a_watched_tasks_states_are_told_as_they_change(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', 'b')
    client.say(m.Watch((an_id('a'), an_id('never'))))
    assert states(client) == [State.WAITING_FOR_EP]
    endpoint = stage.endpoint()
    assert states(client) == [State.WAITING_FOR_NODES]
    endpoint.say(m.States((TaskState(an_id('a'), State.RUNNING, {'host': 'x1'}), TaskState(an_id('other'), State.RUNNING))))
    [told] = client.one(m.States).tasks
    assert (told.state, told.detail) == (State.RUNNING, {'attempt': 1, 'host': 'x1'})
    client.say(m.List(1, 'tasks', {'id': an_id('a')}))
    assert client.one(m.Listing).rows[0]['state'] == 'running'
    stage.finish(endpoint, 'a', 'b')
    assert states(client) == [State.SUCCESS]
    client.say(m.Watch(()))
    assert stage.reactor._core.watchers == {}


# -- Large bodies ----------------------------------------------------------------------------------------------------


def spooling(stage: Stage, kind: type) -> list[object]:
    found = [each for each in stage.effects if isinstance(each, kind)]
    stage.effects = [each for each in stage.effects if not isinstance(each, kind)]
    return found


def answer(party: Party, total: int) -> None:
    """Every Fetch that waits."""
    for each in party.got(Fetch):
        party.say(Segment(each.task_id, each.attempt, each.direction, each.offset, total, Body(bytes(each.length))))


def test_a_large_task_is_accepted_when_its_body_is_on_the_disk(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    total = (AT_ONCE + 2) * SEGMENT + 5
    stage.submit(client, 'a', body=total)
    assert len([each for each in client.inbox if isinstance(each, Fetch)]) == AT_ONCE
    while any(isinstance(each, Fetch) for each in client.inbox):
        answer(client, total)
    assert [each.offset for each in spooling(stage, SpoolWrite)] == [SEGMENT * n for n in range(AT_ONCE + 3)]  # type: ignore[attr-defined]
    key = (an_id('a'), 0, 'task')
    assert spooling(stage, SpoolSync) == [SpoolSync(key)]
    assert client.got(m.Accepted) == []
    stage.reactor._core.store.begin()
    stage.reactor.spooled(key, stage.now)
    stage.store.commit()
    stage.turn()
    assert client.ids(m.Accepted) == [an_id('a')]
    assert endpoint.ids(m.Dispatch) == [an_id('a')]
    endpoint.say(Fetch(an_id('a'), 1, 'task', 0, SEGMENT), Fetch(an_id('a'), 1, 'task', -1, 5), Fetch(an_id('a'), 1, 'result', 0, 5))
    assert [each.key for each in spooling(stage, SpoolSend)] == [key]  # type: ignore[attr-defined]
    assert [each.total for each in endpoint.got(Segment)] == [-1, -1]
    stage.finish(endpoint, 'a')
    assert spooling(stage, SpoolDelete) == [SpoolDelete(key)]


@pytest.mark.fault(37)
def test_a_body_that_could_not_be_written_is_given_up_and_fetched_anew(stage: Stage) -> None:
    client, key = stage.client(), (an_id('a'), 0, 'task')
    stage.submit(client, 'a', body=10, expires=2000.0)
    answer(client, 10)
    assert spooling(stage, SpoolSync) == [SpoolSync(key)]
    stage.reactor.spool_failed(key)
    stage.turn()
    assert client.got(m.Accepted) == []
    assert spooling(stage, SpoolDelete) == [SpoolDelete(key)]
    stage.submit(client, 'a', body=10, expires=2000.0)
    assert [each.offset for each in client.inbox if isinstance(each, Fetch)] == [0]
    answer(client, 10)
    stage.store.begin()
    stage.reactor.spooled(key, stage.now)
    stage.store.commit()
    stage.turn()
    assert client.ids(m.Accepted) == [an_id('a')]


def test_a_body_goes_on_in_a_new_session_and_lost_pieces_are_asked_for_again(stage: Stage) -> None:
    client = stage.client()
    total = 3 * SEGMENT
    stage.submit(client, 'a', body=total, expires=2000.0)
    first = client.got(Fetch)
    client.inbox += first[:1]
    answer(client, total)
    stage.wait(11)
    assert {each.offset for each in client.got(Fetch)} == {SEGMENT, 2 * SEGMENT}
    again = stage.client()
    stage.submit(again, 'a', body=total, expires=2000.0)
    assert {each.offset for each in again.got(Fetch)} == {SEGMENT, 2 * SEGMENT}


def test_another_process_that_submits_the_task_has_another_body_of_which_every_piece_is_fetched(stage: Stage) -> None:
    old, total = stage.client(), 2 * SEGMENT
    stage.submit(old, 'a', body=total, payload=b'sealed by the first')
    answer(old, total)
    new, key = stage.client(instance='two'), (an_id('a'), 0, 'task')
    stage.submit(new, 'a', body=total, payload=b'sealed anew')
    assert [each.offset for each in new.inbox if isinstance(each, Fetch)] == [0, SEGMENT]
    stage.store.begin()
    stage.reactor.spooled(key, stage.now)  # the first one's, which was complete
    stage.store.commit()
    stage.submit(old, 'a', body=total, payload=b'sealed by the first')
    assert old.got(Fetch) == [], 'it is told that the task is accepted once the other has brought it'
    answer(new, total)
    assert new.got(m.Accepted) == []
    stage.store.begin()
    stage.reactor.spooled(key, stage.now)
    stage.store.commit()
    stage.turn()
    assert new.ids(m.Accepted) == [an_id('a')]
    [leased] = stage.endpoint().one(m.Dispatch).tasks
    assert leased.payload == b'sealed anew'


def test_a_body_that_is_gone_or_lies_about_its_size_is_given_up(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', body=10)
    client.say(Segment(an_id('a'), 0, 'task', 0, -1, Body(b'')))
    assert spooling(stage, SpoolDelete)
    stage.submit(client, 'a', body=10)
    client.say(Segment(an_id('a'), 0, 'task', 0, 10, Body(b'short')))
    assert spooling(stage, SpoolDelete)
    assert spooling(stage, SpoolWrite) == []


def test_bodies_that_nobody_offers_any_more_are_dropped(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', 'b', body=10)
    client.say(m.Cancel(attempts('b', attempt=0)))
    assert [each.key[0] for each in spooling(stage, SpoolDelete)] == [an_id('b')]  # type: ignore[attr-defined]
    stage.wait(610)
    assert [each.key[0] for each in spooling(stage, SpoolDelete)] == [an_id('a')]  # type: ignore[attr-defined]


@pytest.mark.attack(9)
def test_another_account_can_neither_feed_nor_fetch_a_body(stage: Stage) -> None:
    ann, bob, endpoint = stage.client('ann'), stage.client('bob'), stage.endpoint()
    stage.submit(ann, 'a', body=10)
    bob.say(Segment(an_id('a'), 0, 'task', 0, 10, Body(bytes(10))), Fetch(an_id('a'), 1, 'result', 0, 10))
    assert spooling(stage, SpoolWrite) == []
    stage.submit(bob, 'a', body=10, endpoint='far')
    assert bob.got(Fetch) == [], 'nor bring one of its own in the place of it'
    assert bob.one(Segment).total == -1
    assert endpoint.got(m.Dispatch) == []


# -- What time brings ------------------------------------------------------------------------------------------------


def test_what_expires_ends_wherever_it_is(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint(window=(1, 1 << 30))
    stage.submit(client, 'leased', 'waiting', expires=stage.now + 5)
    stage.submit(client, 'later')
    stage.wait(6)
    assert {(each.task_id, each.status) for message in client.got(m.Deliver) for each in message.results} == {
        (an_id('leased'), Status.EXPIRED),
        (an_id('waiting'), Status.EXPIRED),
    }
    assert endpoint.ids(m.Cancel) == [an_id('leased')]
    assert an_id('later') in endpoint.ids(m.Dispatch)


def test_what_ended_is_remembered_and_then_forgotten(stage: Stage) -> None:
    client, endpoint = stage.client(), stage.endpoint()
    stage.submit(client, 'a', expires=stage.now + 50)
    stage.finish(endpoint, 'a')
    client.say(m.Received((an_id('a'),)))
    stage.now += 86300
    stage.turn(tick=True)
    late = stage.client()
    late.say(m.Follow(ids=(an_id('a'),)))
    assert late.ids(m.Deliver) == [an_id('a')]
    stage.now += 200
    stage.turn(tick=True)
    later = stage.client()
    later.say(m.Follow(ids=(an_id('a'),)))
    assert later.ids(m.Rejected) == [an_id('a')]


def test_expiry_is_done_in_slices(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, *[f't{number}' for number in range(1200)], expires=stage.now + 5)
    stage.now += 6
    turns = 0
    while turns == 0 or stage.reactor.busy:
        stage.turn(tick=True)
        turns += 1
    assert turns == 3
    assert stage.reactor._core.waiting[an_id('site')][''] == {}


@pytest.mark.fault(30)
def test_received_bodies_go_when_the_store_is_too_large() -> None:
    stage = Stage(store_limit=5000)
    client, endpoint = stage.client(), stage.endpoint()
    names = [f't{number}' for number in range(10)]
    stage.submit(client, *names)
    stage.finish(endpoint, *names, payload=bytes(1000))
    client.say(m.Received(tuple([an_id(name) for name in names[:7]])))
    stage.wait(31)
    kept = stage.store
    kept.begin()
    sizes = [len(row.payload) for row in kept.results([an_id(name) for name in names])]
    kept.commit()
    assert sizes == [0] * 7 + [1000] * 3


def test_objects_are_kept_while_a_task_may_need_them(stage: Stage) -> None:
    client = stage.client()
    stage.submit(client, 'a', expires=stage.now + 10 * 86400)
    stage.now += 5 * 86400
    stage.turn(tick=True)
    endpoint = stage.endpoint()
    endpoint.say(m.Need((m.Hash(b'grant'.ljust(32, b'.')),)))
    assert endpoint.got(m.Objects)
    stage.now += 90 * 86400
    stage.turn(tick=True)
    stage.store.begin()
    assert stage.store.known_objects([m.Hash(b'grant'.ljust(32, b'.'))], client.id) == {}
    stage.store.commit()
