"""What every store promises, for all of them: each test runs over each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay_parsl.errors import StoreError
from relay_parsl.relay.records import Ended, Forgotten, FunctionRow, InviteRow, ObjectRow, Stage, Standing, TaskInfo, Usage
from relay_parsl.relay.sqlite import SqliteStore
from relay_parsl.relay.store import EVICTED, MemoryStore, Store
from relay_parsl.wire.messages import Hash, Id, Status
from tests.contract.stores import ANN, BOB, FAR, GROUP, OTHER, SITE, account, an_id, find, finish, lease, task

STORES = ['memory', 'sqlite']


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = MemoryStore() if request.param == 'memory' else SqliteStore(tmp_path / 'relay.db')
    made.begin()
    for row in (account('ann'), account('bob'), account('site', 'endpoint'), account('far', 'endpoint')):
        made.put_account(row)
    yield made
    made.rollback()
    if isinstance(made, SqliteStore):
        made.close()


def turn(store: Store) -> None:
    """End this one, begin the next."""
    store.commit()
    store.begin()


# -- Turns -----------------------------------------------------------------------------------------------------------


def test_what_is_rolled_back_never_was(store: Store) -> None:
    store.add([task(1)])
    turn(store)
    lease(store, 1, session=9)
    store.add([task(2)])
    finish(store, 1, 1)
    store.put_account(account('ann', 'operator'))
    store.put_invite(InviteRow(b'c' * 32, b't' * 32, 'new', 'user', ANN, 1.0))
    store.put_objects([ObjectRow(Hash(b'h' * 32), 'grant', ANN, b'data', 10.0)])
    store.put_function(FunctionRow(ANN, an_id('f'), 1.0, 4, b'data'))
    store.rollback()
    store.begin()
    assert store.queued() == [(SITE, '', ANN, 1)]
    assert store.last() == (1, 0)
    assert [row.id for row in store.waiting(SITE, '', ANN, 10, 1 << 30)] == [an_id('task 1')]
    assert [row.role for row in store.accounts() if row.name == 'ann'] == ['user']
    assert store.invites() == []
    assert store.known_objects([Hash(b'h' * 32)], ANN) == {}
    assert store.functions(ANN, an_id(''), 9) == []
    assert store.leases(SITE) == []
    assert store.results([an_id('task 1')]) == []


def test_rollback_may_come_at_any_time(store: Store) -> None:
    store.rollback()
    store.rollback()
    store.begin()
    store.commit()
    store.rollback()
    store.begin()


def test_a_task_that_is_asked_for_twice_is_found_once(store: Store) -> None:
    store.add([task(1), task(2)])
    found = store.find([an_id('task 1'), an_id('task 2'), an_id('task 1'), an_id('nobody')])
    assert sorted(info.number for info in found) == [1, 2]


def test_starts_are_counted(store: Store) -> None:
    assert store.start() == 1
    turn(store)
    assert store.start() == 2


def test_a_new_store_has_nothing(store: Store) -> None:
    assert store.last() == (0, 0)
    assert store.queued() == []
    assert store.leases(SITE) == []
    assert store.due(1e12, 10) == []
    assert store.find([]) == []
    assert store.results([]) == []
    assert store.find([an_id('nobody')]) == []
    assert store.size() >= 0


# -- Accounts, invitations, objects ----------------------------------------------------------------------------------


def test_accounts_come_back_whole(store: Store) -> None:
    row = account('new', 'endpoint', owner=ANN, mac=b'mac', standing=Standing.REVOKED, shared=(BOB,), epoch=3, instance=an_id('i'), seen=2.5,
                  versions={'python': '3.11'}, report={'pools': {'a': [1, b'x', None, 2.5]}})  # fmt: skip
    store.put_account(row)
    turn(store)
    assert {each.name: each for each in store.accounts()}['new'] == row
    store.put_account(replace(row, epoch=4))
    assert sorted(each.epoch for each in store.accounts()) == [0, 0, 0, 0, 4]


def test_invites_come_and_go(store: Store) -> None:
    row = InviteRow(b'c' * 32, b't' * 32, 'new', 'endpoint', ANN, 77.5)
    store.put_invite(row)
    turn(store)
    assert store.invites() == [row]
    ends = replace(row, curve=b'e' * 32, until=99.5)
    store.put_invite(ends)
    assert sorted(each.until for each in store.invites()) == [0.0, 99.5]
    store.drop_invite(ends.curve)
    store.drop_invite(row.curve)
    store.drop_invite(row.curve)
    assert store.invites() == []


def test_objects_are_kept_as_long_as_the_longest_wish(store: Store) -> None:
    one, two = Hash(b'1' * 32), Hash(b'2' * 32)
    store.put_objects([ObjectRow(one, 'grant', ANN, b'one', 10.0), ObjectRow(two, 'function', ANN, b'', 20.0)])
    store.put_objects([ObjectRow(one, 'grant', ANN, b'one', 99.0)])
    assert store.objects([one], [ANN, BOB]) == [ObjectRow(one, 'grant', ANN, b'one', 10.0)]
    store.keep_objects([one, Hash(b'3' * 32)], ANN, 30.0)
    store.keep_objects([one], ANN, 5.0)
    assert store.known_objects([one, two, Hash(b'3' * 32)], ANN) == {one: 30.0, two: 20.0}
    assert store.drop_objects(20.0, 10) == 1
    assert store.known_objects([one, two], ANN) == {one: 30.0}
    assert store.drop_objects(30.0, 0) == 0


@pytest.mark.attack(9)
def test_an_object_of_one_account_is_nothing_to_another(store: Store) -> None:
    """The same bytes, of two: each has its own time, its own kind, its own bytes in the count."""
    same = Hash(b'1' * 32)
    store.put_objects([ObjectRow(same, 'function', BOB, b'bytes', 10.0)])
    assert store.known_objects([same], ANN) == {}
    store.keep_objects([same], ANN, 99.0)
    store.put_objects([ObjectRow(same, 'grant', ANN, b'bytes', 20.0)])
    turn(store)
    assert [store.known_objects([same], each) for each in (ANN, BOB)] == [{same: 20.0}, {same: 10.0}]
    assert {row.account: row.kind for row in store.objects([same], [ANN, BOB])} == {ANN: 'grant', BOB: 'function'}
    assert [row.account for row in store.objects([same], {BOB})] == [BOB]
    assert store.objects_size() == {ANN: 5, BOB: 5}
    assert store.drop_objects(15.0, 10) == 1
    assert [store.known_objects([same], each) for each in (ANN, BOB)] == [{same: 20.0}, {}]


def test_functions_are_kept_for_their_account_alone(store: Store) -> None:
    row = FunctionRow(ANN, an_id('f'), 1.5, 4, b'data')
    store.put_function(row)
    store.put_function(FunctionRow(BOB, an_id('f'), 2.5, 3, b'bob'))
    turn(store)
    assert store.function(ANN, an_id('f')) == row
    assert store.function(BOB, an_id('f')) == FunctionRow(BOB, an_id('f'), 2.5, 3, b'bob')
    assert store.function(ANN, an_id('g')) is None
    store.put_function(FunctionRow(ANN, an_id('f'), 9.5, 6, b'sealed'))
    assert store.function(ANN, an_id('f')) == FunctionRow(ANN, an_id('f'), 1.5, 6, b'sealed'), 'it is registered since the first time'
    assert store.drop_function(ANN, an_id('f'))
    assert not store.drop_function(ANN, an_id('f'))
    turn(store)
    assert store.function(ANN, an_id('f')) is None
    assert store.function(BOB, an_id('f')) is not None


def test_functions_are_listed_in_pages_and_counted(store: Store) -> None:
    names = [an_id(f'f{number}') for number in range(5)]
    for name in reversed(names):
        store.put_function(FunctionRow(ANN, name, 1.0, 10, bytes(10)))
    store.put_function(FunctionRow(BOB, an_id('f2'), 1.0, 7, bytes(7)))
    assert store.functions(ANN, Id(bytes(16)), 2) == [FunctionRow(ANN, name, 1.0, 10) for name in names[:2]]
    assert [row.id for row in store.functions(ANN, names[1], 9)] == names[2:]
    assert store.functions(SITE, Id(bytes(16)), 9) == []
    assert (store.functions_size(ANN, names[0]), store.functions_size(ANN, an_id('g')), store.functions_size(SITE, an_id('g'))) == (40, 50, 0)


# -- Tasks -----------------------------------------------------------------------------------------------------------


def test_a_task_comes_back_whole(store: Store) -> None:
    row = task(1, pool='gpu', priority=-3, at_most_once=True, body=7, attempt=2)
    assert store.add([row]) == set()
    turn(store)
    assert store.waiting(SITE, 'gpu', ANN, 10, 1 << 30) == [row]
    size = len(row.header) + len(row.payload) + 7
    expected = TaskInfo(1, row.id, ANN, GROUP, SITE, 'gpu', True, 5.0, size, 7, Stage.QUEUED, 2, priority=-3, expires=1001.0)
    assert find(store, 1) == expected
    assert store.tasks(0, 10) == ([(expected, row.header)], 0)


def test_a_known_task_stays_as_it_is(store: Store) -> None:
    store.add([task(1)])
    assert store.add([task(2, id=an_id('task 1'), account=BOB, payload=b'other'), task(3)]) == {an_id('task 1')}
    assert find(store, 1).account == ANN
    assert [row.payload for row in store.waiting(SITE, '', ANN, 10, 1 << 30)] == [b'call', b'call']
    assert store.waiting(SITE, '', BOB, 10, 1 << 30) == []
    assert store.queued() == [(SITE, '', ANN, 2)]


def test_what_waits_comes_by_priority_then_age_and_by_its_own_queue(store: Store) -> None:
    store.add([task(1, priority=5), task(2), task(3), task(4, priority=-1), task(5, pool='gpu'), task(6, endpoint=FAR), task(7, account=BOB)])
    assert [row.number for row in store.waiting(SITE, '', ANN, 10, 1 << 30)] == [4, 2, 3, 1]
    assert [row.number for row in store.waiting(SITE, '', ANN, 2, 1 << 30)] == [4, 2]
    assert set(store.queued()) == {(SITE, '', ANN, 4), (SITE, 'gpu', ANN, 1), (FAR, '', ANN, 1), (SITE, '', BOB, 1)}


def test_what_waits_comes_by_bytes_too_and_one_always_does(store: Store) -> None:
    store.add([task(number, payload=bytes(100)) for number in range(1, 6)])
    assert [len(store.waiting(SITE, '', ANN, 10, size)) for size in (0, 1, 100, 101, 250, 1000)] == [1, 1, 1, 2, 3, 5]


def test_leases_begin_and_end(store: Store) -> None:
    store.add([task(1, attempt=4), task(2)])
    lease(store, 1, session=1 << 40, serial=7, epoch=3)
    turn(store)
    info = find(store, 1)
    assert (info.stage, info.attempt, info.session, info.serial, info.epoch, info.cancel) == (Stage.LEASED, 4, 1 << 40, 7, 3, False)
    assert store.leases(SITE) == [info]
    assert store.leases(FAR) == []
    assert [row.number for row in store.waiting(SITE, '', ANN, 10, 1 << 30)] == [2]
    store.ask_cancel([1])
    assert find(store, 1).cancel
    store.requeue([(1, 5)])
    assert store.leases(SITE) == []
    assert [(row.number, row.attempt) for row in store.waiting(SITE, '', ANN, 10, 1 << 30)] == [(1, 5), (2, 1)]


def test_unfinished_tasks_of_an_endpoint(store: Store) -> None:
    store.add([task(1), task(2), task(3), task(4, endpoint=FAR)])
    lease(store, 1)
    finish(store, 2, 1)
    assert {info.number for info in store.unfinished(SITE, 10)} == {1, 3}
    assert len(store.unfinished(SITE, 1)) == 1


def test_tasks_are_listed_in_pages(store: Store) -> None:
    store.add([task(number, account=ANN if number % 2 else BOB) for number in range(1, 8)])
    finish(store, 3, 1)
    found, after = store.tasks(0, 3, account=ANN)
    assert [info.number for info, _ in found] == [1, 3, 5]
    assert found[1][0].status == Status.SUCCESS
    assert [info.number for info, _ in store.tasks(after, 3, account=ANN)[0]] == [7]
    assert [info.number for info, _ in store.tasks(0, 9, id=an_id('task 4'))[0]] == [4]
    assert store.tasks(0, 9, id=an_id('task 4'), account=ANN)[0] == []
    assert store.tasks(0, 9, group=OTHER)[0] == []
    assert store.tasks(0, 9, endpoint=FAR)[0] == []


# -- Results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('leased', [False, True])
def test_a_finished_task_has_its_result_and_no_place_in_a_queue(store: Store, leased: bool) -> None:
    store.add([task(1)])
    if leased:
        lease(store, 1)
    finish(store, 1, 8, body=9, reason='because')
    turn(store)
    [row] = store.results([an_id('task 1'), an_id('task 2')])
    assert (row.id, row.account, row.done, row.status, row.header, row.payload) == (
        an_id('task 1'),
        ANN,
        8,
        Status.SUCCESS,
        b'result header',
        b'outcome',
    )
    assert (row.body, row.attempt, row.reason, row.damaged) == (9, 1, 'because', False)
    assert find(store, 1).stage == Stage.DONE
    assert (store.queued(), store.leases(SITE), store.last()) == ([], [], (1, 8))


def test_a_tasks_end_may_change_when_it_is_forgotten(store: Store) -> None:
    store.add([task(1), task(2)])
    finish(store, 1, 1, until=5000.0)
    finish(store, 2, 2)
    assert (find(store, 1).expires, find(store, 2).expires) == (5000.0, 1002.0)


def test_a_groups_ends_come_in_order_after_a_cursor(store: Store) -> None:
    store.add([task(1), task(2), task(3, group=OTHER), task(4), task(5, account=BOB)])
    for number, done in ((2, 1), (1, 2), (3, 3), (4, 4), (5, 5)):
        finish(store, number, done)
    assert [row.done for row in store.ended_after(ANN, GROUP, 0, 10)] == [1, 2, 4]
    assert [row.done for row in store.ended_after(ANN, GROUP, 1, 1)] == [2]
    assert store.ended_after(ANN, GROUP, 4, 10) == []
    assert [row.done for row in store.ended_after(BOB, GROUP, 0, 10)] == [5]


def test_what_is_due_and_forgotten(store: Store) -> None:
    store.add([task(1), task(2, body=3), task(3), task(4, expires=9999.0)])
    finish(store, 2, 1, body=5)
    lease(store, 3)
    assert store.due(1000.0, 10) == []
    assert {info.number: info.stage for info in store.due(1003.0, 10)} == {1: Stage.QUEUED, 2: Stage.DONE, 3: Stage.LEASED}
    assert len(store.due(1003.0, 2)) == 2
    assert store.forget([2]) == [Forgotten(an_id('task 2'), True, 1, ANN, 25)]
    assert store.find([an_id('task 2')]) == []
    assert store.results([an_id('task 2')]) == []
    assert store.ended_after(ANN, GROUP, 0, 10) == []
    assert store.add([task(9, id=an_id('task 2'))]) == set()


def test_received_results_make_room_oldest_first(store: Store) -> None:
    store.add([task(number) for number in range(1, 5)])
    for number in range(1, 5):
        finish(store, number, number, body=10 * (number == 2))
    store.received(ANN, [3, 2, 1, 2])
    assert store.evict(2) == [Forgotten(an_id('task 1'), False, 0, ANN, 20), Forgotten(an_id('task 2'), False, 1, ANN, 30)]
    turn(store)
    assert {row.id: (row.header, row.payload, row.body) for row in store.results([an_id('task 1'), an_id('task 2')])} == {
        an_id('task 1'): (b'', b'', 0),
        an_id('task 2'): (b'', b'', 0),
    }
    assert store.results([an_id('task 1')])[0].reason == EVICTED
    assert store.results([an_id('task 1')])[0].status == Status.SUCCESS
    assert [row.payload for row in store.results([an_id('task 3'), an_id('task 4')])] == [b'outcome'] * 2
    assert [each.id for each in store.evict(9)] == [an_id('task 3')]
    assert store.evict(9) == []


def test_received_results_of_one_account_make_room(store: Store) -> None:
    store.add([task(1, account=BOB), task(2), task(3)])
    for number in range(1, 4):
        finish(store, number, number)
    store.received(ANN, [3, 2])
    store.received(BOB, [1])
    assert [each.id for each in store.evict(1, ANN)] == [an_id('task 2')]
    assert [each.id for each in store.evict(9, ANN)] == [an_id('task 3')]
    assert store.evict(9, ANN) == []
    assert [(each.id, each.account) for each in store.evict(9)] == [(an_id('task 1'), BOB)]


def test_no_more_makes_room_than_there_is_need_for(store: Store) -> None:
    store.add([task(number) for number in range(1, 6)])
    for number in range(1, 6):
        finish(store, number, number, body=10 * (number == 2))
    store.received(ANN, [5, 4, 3, 2, 1])
    assert [(each.id, each.size) for each in store.evict(9, ANN, 21)] == [(an_id('task 1'), 20), (an_id('task 2'), 30)]
    assert [each.id for each in store.evict(9, ANN, 20)] == [an_id('task 3')]
    assert store.evict(9, ANN, 0) == []
    assert [each.id for each in store.evict(1, ANN, 1000)] == [an_id('task 4')]
    assert [each.id for each in store.evict(9, ANN, 1000)] == [an_id('task 5')]


def test_what_accounts_have_is_kept(store: Store) -> None:
    assert store.usage() == {}
    store.put_usage({ANN: Usage(2, 30), BOB: Usage(1, 5)})
    store.put_usage({ANN: Usage(3, 40)})
    turn(store)
    assert store.usage() == {ANN: Usage(3, 40), BOB: Usage(1, 5)}
    assert store.objects_size() == {}
    store.put_objects([ObjectRow(Hash(bytes([each]) * 32), 'grant', owner, b'data', 10.0) for each, owner in enumerate((ANN, ANN, BOB))])
    assert store.objects_size() == {ANN: 8, BOB: 4}


def test_many_at_once(store: Store) -> None:
    """More than any batch of placeholders."""
    store.add([task(number) for number in range(1, 1300)])
    ids = [an_id(f'task {number}') for number in range(1, 1300)]
    assert len(store.find(ids)) == 1299
    lease(store, *range(1, 1300))
    store.finish([Ended(info, Status.FAILED, info.number) for info in store.leases(SITE)])
    assert len(store.results(ids)) == 1299


@pytest.mark.attack(9)
def test_tasks_are_found_for_an_account_alone(store: Store) -> None:
    store.add([task(1), task(2, account=BOB), task(3)])
    ids = [an_id(f'task {number}') for number in (1, 2, 3, 4)]
    assert [info.number for info in store.find(ids, ANN)] == [1, 3]
    assert [info.number for info in store.find(ids, BOB)] == [2]
    assert store.find(ids, an_id('nobody')) == []


# -- The memory store's own ------------------------------------------------------------------------------------------


def test_the_memory_store_fails_when_told_and_then_takes_nothing_more() -> None:
    store = MemoryStore()

    def fail(statement: str) -> None:
        if statement == 'add':
            raise StoreError('full')

    store.fail = fail
    store.begin()
    store.put_account(account('ann'))
    with pytest.raises(StoreError):
        store.add([task(1)])
    with pytest.raises(AssertionError, match='after an error'):
        store.find([])
    store.rollback()
    store.begin()
    assert store.accounts() == []
