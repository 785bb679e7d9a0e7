"""The life of a task in an endpoint: leased, made ready, started, ended, recorded."""

from __future__ import annotations

import pytest

from relay_parsl.endpoint.effects import CancelWork, Fail, Keep, SpoolDelete, SpoolSend, SpoolSync, SpoolWrite, Start
from relay_parsl.endpoint.outcomes import back_off
from relay_parsl.wire import codec
from relay_parsl.wire.messages import (
    SEGMENT,
    Attempt,
    Body,
    Cancel,
    Fetch,
    Hash,
    Held,
    HeldTask,
    Need,
    Object,
    Objects,
    Phase,
    Recorded,
    Results,
    Segment,
    Status,
)
from tests.unit.endpoint.desk import DAY, FUNCTION, GRANT, Desk, failed, only, result, sent, task, task_id


def headers(effects: list) -> list:
    return [codec.result_header(each.header) for message in sent(effects, Results) for each in message.results]


# -- In --------------------------------------------------------------------------------------------------------------


def test_a_task_waits_for_its_objects_and_starts_when_they_are_usable() -> None:
    desk = Desk()
    desk.open()
    effects = desk.turn(desk.dispatch(task(1)))
    assert {each for need in sent(effects, Need) for each in need.hashes} == {GRANT, FUNCTION}
    assert only(effects, Start) == []
    assert only(desk.provide(GRANT), Start) == []
    (start,) = only(desk.provide(FUNCTION), Start)
    assert (start.info, start.attempt, start.payload, start.tries) == (task(1), 1, b'sealed call', 0)
    assert only(desk.turn(desk.dispatch(task(2))), Start), 'what is known is not asked for again'


def test_an_unanswered_need_is_repeated() -> None:
    desk = Desk()
    desk.open()
    desk.turn(desk.dispatch(task(1)))
    assert sent(desk.turn(), Need) == []
    assert len(sent(desk.pass_time(5), Need)) == 1
    assert len(sent(desk.open(session=2), Need)) == 1


def test_an_unusable_object_ends_what_waits_for_it_with_its_reason_and_no_seal() -> None:
    desk = Desk()
    desk.open()
    desk.turn(desk.dispatch(task(1), task(2)))
    (keep,) = only(desk.turn(Objects((Object(GRANT, 'grant', Body(b'bad')),))), Keep)
    desk.reactor.unusable(keep.object.hash, 'denied: signer', desk.now)
    effects = desk.turn()
    assert [(each.reason, each.status) for each in headers(effects)] == [('denied: signer', Status.FAILED)] * 2
    assert all(each.payload == b'' for each in sent(effects, Results)[0].results)


def test_objects_that_nobody_wants_are_dropped() -> None:
    desk = Desk()
    desk.open()
    assert only(desk.turn(Objects((Object(GRANT, 'grant', Body(b'?')),))), Keep) == []


def test_unused_objects_make_room_and_used_ones_stay() -> None:
    desk = Desk(stock=15)
    desk.open()
    (start,) = desk.run(task(1))
    desk.finish(start)
    desk.turn(Recorded((Attempt(task_id(1), 1),)))
    effects = desk.turn(desk.dispatch(task(2, function=Hash(b'F' * 32))))
    assert {each for need in sent(effects, Need) for each in need.hashes} == {b'F' * 32} | ({GRANT} if not _has(desk, GRANT) else set())


def _has(desk: Desk, name: Hash) -> bool:
    return desk.reactor._books.stock.has(name)


def test_a_doubled_dispatch_does_nothing() -> None:
    desk = Desk()
    desk.open()
    dispatch = desk.dispatch(task(1))
    desk.turn(dispatch, dispatch)
    assert len(desk.provide(GRANT, FUNCTION)) == len([1 for _ in (GRANT, FUNCTION)]) + 1
    assert only(desk.turn(dispatch), Start) == []
    assert desk.reactor.held() == [(task_id(1), 1)]


def test_a_doubled_dispatch_of_a_recorded_task_does_nothing() -> None:
    desk = Desk()
    desk.open()
    dispatch = desk.dispatch(task(1))
    desk.turn(dispatch)
    (start,) = only(desk.provide(GRANT, FUNCTION), Start)
    desk.finish(start)
    desk.turn(Recorded((Attempt(task_id(1), 1),)))
    assert desk.turn(dispatch) == []


def test_a_newer_lease_of_a_held_task_is_noted_and_nothing_runs_twice() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    assert only(desk.turn(desk.dispatch(task(1), attempt=3)), Start) == []
    assert sent(desk.open(session=2), Held)[0].tasks == (HeldTask(task_id(1), 3, Phase.STARTED),)
    assert [each.attempt for each in headers(desk.finish(start))] == [1]
    desk.turn(Recorded((Attempt(task_id(1), 3),)))
    assert sent(desk.open(session=3), Held)[0].tasks == ()


def test_a_task_whose_result_waits_is_answered_with_it() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.finish(start)
    effects = desk.turn(desk.dispatch(task(1), attempt=2))
    assert only(effects, Start) == []
    assert [each.attempt for each in headers(effects)] == [1]


def test_the_most_urgent_starts_first_and_the_engine_gets_what_it_has_room_for() -> None:
    desk = Desk(pools={'': (2, 1 << 20)})
    desk.open()
    desk.run(task(0))
    tasks = [task(1, priority=5), task(2, priority=-1), task(3, priority=5), task(4)]
    (second,) = only(desk.turn(desk.dispatch(*tasks)), Start)
    order = [second.info.sequence]
    while second:
        found = only(desk.finish(second), Start)
        order += [each.info.sequence for each in found]
        second = found[0] if found else None
    assert order == [2, 4, 1, 3]


def test_what_may_start_only_once_does_not_wait_inside_the_engine() -> None:
    desk = Desk(margin=4)
    desk.open()
    desk.reactor.capacity('', 1, desk.now)
    starts = desk.run(task(1), task(2, priority=1), task(3, priority=2, at_most_once=True), task(4, priority=3))
    assert [each.info.sequence for each in starts] == [1, 2]
    assert only(desk.finish(starts[0]), Start) == []
    assert [each.info.sequence for each in only(desk.finish(starts[1]), Start)] == [3, 4]


def test_pools_do_not_stand_in_each_others_way() -> None:
    desk = Desk(pools={'cpu': (1, 1 << 20), 'gpu': (1, 1 << 20)})
    desk.open()
    starts = desk.run(task(1, pool='cpu'), task(2, pool='cpu'), task(3, pool='gpu'))
    assert [each.info.sequence for each in starts] == [1, 3]


def test_a_pool_that_is_not_there_and_a_task_that_expired_are_refused() -> None:
    desk = Desk(now=10 * DAY)
    desk.open()
    effects = desk.turn(desk.dispatch(task(1, pool='tpu'), task(2, expires=9 * DAY)))
    assert [(each.status, each.reason.split(':')[0]) for each in headers(effects)] == [(Status.FAILED, 'no-pool'), (Status.EXPIRED, 'expired')]


# -- Out -------------------------------------------------------------------------------------------------------------


def test_results_wait_while_there_is_no_session() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.reactor.connect(desk.now)
    assert headers(desk.finish(start)) == []


def test_more_than_may_be_on_its_way_waits_for_what_is_recorded() -> None:
    desk = Desk(pools={'': (300, 1 << 40)})
    desk.open()
    starts = desk.run(*[task(number) for number in range(200)])
    for start in starts:
        desk.reactor.finished(result(start.info, 1, 1, payload=bytes(256 * 1024)), desk.now)
    first = headers(desk.turn())
    assert 128 <= len(first) <= 130
    second = headers(desk.turn(Recorded(tuple(Attempt(each.task_id, 1) for each in first))))
    assert len(second) == 200 - len(first)


def test_results_of_unknown_attempts_are_dropped() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.reactor.finished(result(start.info, 2, 1), desk.now)
    desk.reactor.finished(result(task(9), 1, 1), desk.now)
    assert headers(desk.turn()) == []


# -- Lost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('cause', ['worker', 'manager', pytest.param('walltime', marks=pytest.mark.fault(15)), 'engine'])
def test_system_failures_are_tried_again_and_then_fail_with_their_evidence(cause: str) -> None:
    desk = Desk(max_retries_on_system_failure=2)
    desk.open()
    (start,) = desk.run(task(1))
    for tries in (1, 2):
        desk.reactor.lost(task_id(1), 1, cause, f'signal {tries}', desk.now)
        (start,) = only(desk.turn() + desk.pass_time(2), Start)
        assert start.tries == tries
    desk.reactor.lost(task_id(1), 1, cause, 'signal 3', desk.now)
    effects = desk.turn()
    assert failed(effects) == [(cause, f'{cause}: signal 1\n{cause}: signal 2\n{cause}: signal 3')]
    assert [each.status for each in headers(desk.finish(start, Status.FAILED))] == [Status.FAILED]


def test_each_try_waits_longer_than_the_last_but_for_walltimes() -> None:
    desk = Desk(max_retries_on_system_failure=9)
    desk.open()
    desk.run(task(1))
    for pause in (1, 2, 4, 8):
        desk.reactor.lost(task_id(1), 1, 'manager', 'heartbeat', desk.now)
        assert only(desk.turn() + desk.pass_time(pause - 1), Start) == []
        assert len(only(desk.pass_time(1), Start)) == 1
    desk.reactor.lost(task_id(1), 1, 'walltime', 'TIMEOUT', desk.now)
    assert len(only(desk.turn(), Start)) == 1


def test_others_go_first_while_a_lost_one_waits() -> None:
    desk = Desk(pools={'': (1, 1 << 20)})
    desk.open()
    desk.run(task(1), task(2))
    desk.reactor.lost(task_id(1), 1, 'worker', 'signal 9', desk.now)
    (start,) = only(desk.turn(), Start)
    assert start.info.task_id == task_id(2)
    desk.pass_time(5)
    assert [each.info.task_id for each in only(desk.finish(start), Start)] == [task_id(1)]


def test_what_waits_for_its_next_try_is_cancelled_at_once() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    desk.reactor.lost(task_id(1), 1, 'worker', 'signal 9', desk.now)
    desk.turn()
    assert [cause for cause, _ in failed(desk.turn(Cancel((Attempt(task_id(1), 1),))))] == ['cancelled']
    desk.reactor.finished(result(task(1), 1, 1, Status.CANCELLED), desk.now)
    assert only(desk.turn() + desk.pass_time(5), Start) == []


@pytest.mark.parametrize(('cause', 'pauses'), [('worker', [1, 2, 4, 8, 16, 32, 60, 60]), ('walltime', [0, 0, 0])])
def test_a_pause_doubles_up_to_a_minute(cause: str, pauses: list[float]) -> None:
    assert [back_off(cause, tries + 1) for tries in range(len(pauses))] == pauses


def test_at_most_once_is_never_tried_again() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1, at_most_once=True))
    desk.reactor.lost(task_id(1), 1, 'worker', 'signal 9', desk.now)
    assert failed(desk.turn()) == [('worker', 'worker: signal 9')]


def test_a_pool_may_have_its_own_number_of_tries() -> None:
    desk = Desk(pool_retries={'': 0})
    desk.open()
    desk.run(task(1))
    desk.reactor.lost(task_id(1), 1, 'manager', 'heartbeat', desk.now)
    assert failed(desk.turn()) == [('manager', 'manager: heartbeat')]


# -- Cancel ----------------------------------------------------------------------------------------------------------


def test_what_waits_is_cancelled_at_once_and_sealed_when_it_can_be() -> None:
    desk = Desk(pools={'': (1, 1 << 20)})
    desk.open()
    desk.run(task(1), task(2))
    effects = desk.turn(Cancel((Attempt(task_id(2), 1),)))
    assert [(each.task_id, each.cause) for each in only(effects, Fail)] == [(task_id(2), 'cancelled')]
    desk.reactor.finished(result(task(2), 1, 1, Status.CANCELLED), desk.now)
    assert [each.status for each in headers(desk.turn())] == [Status.CANCELLED]


def test_what_waits_for_its_grant_is_cancelled_without_a_seal() -> None:
    desk = Desk()
    desk.open()
    desk.turn(desk.dispatch(task(1)))
    (header,) = headers(desk.turn(Cancel((Attempt(task_id(1), 0),))))
    assert (header.status, header.reason.split(':')[0]) == (Status.CANCELLED, 'cancelled')


def test_the_engine_is_asked_about_what_it_has_and_its_result_counts() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    assert only(desk.turn(Cancel((Attempt(task_id(1), 1),))), CancelWork) == [CancelWork(task_id(1), 1, task(1))]
    assert [each.status for each in headers(desk.finish(start))] == [Status.SUCCESS]


def test_a_cancelled_task_that_is_lost_is_not_tried_again() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    desk.turn(Cancel((Attempt(task_id(1), 1),)))
    desk.reactor.lost(task_id(1), 1, 'worker', 'signal 9', desk.now)
    assert [cause for cause, _ in failed(desk.turn())] == ['cancelled']


def test_another_attempt_is_not_ours_to_cancel() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    assert desk.turn(Cancel((Attempt(task_id(1), 7), Attempt(task_id(9), 1)))) == []


# -- Large bodies ----------------------------------------------------------------------------------------------------


def test_large_arguments_are_pulled_into_the_spool_before_the_start() -> None:
    desk = Desk()
    desk.open()
    size = 2 * SEGMENT + 100
    desk.turn(desk.dispatch(task(1, body=size)))
    desk.provide(GRANT, FUNCTION)
    fetches = [
        Fetch(task_id(1), 1, 'task', 0, SEGMENT),
        Fetch(task_id(1), 1, 'task', SEGMENT, SEGMENT),
        Fetch(task_id(1), 1, 'task', 2 * SEGMENT, 100),
    ]
    assert sent(desk.pass_time(10), Fetch) == fetches
    effects = []
    for each in reversed(fetches):
        segment = Segment(each.task_id, 1, 'task', each.offset, size, Body(bytes(each.length)))
        effects += desk.turn(segment, segment)
    assert sorted((each.offset, len(each.data)) for each in only(effects, SpoolWrite)) == [(0, SEGMENT), (SEGMENT, SEGMENT), (2 * SEGMENT, 100)]
    (start,) = only(effects, Start)
    assert effects.index(start) > max(effects.index(each) for each in only(effects, SpoolWrite))
    assert SpoolDelete((task_id(1), 1, 'task')) in desk.finish(start)


def test_segments_that_are_not_as_asked_for_are_dropped_and_missing_ones_asked_for_again() -> None:
    desk = Desk()
    desk.open()
    desk.turn(desk.dispatch(task(1, body=100)))
    for bad in (Segment(task_id(1), 1, 'task', 7, 99, Body(bytes(92))), Segment(task_id(1), 1, 'task', 0, 100, Body(bytes(50)))):
        assert only(desk.turn(bad), SpoolWrite) == []
    assert sent(desk.open(session=2), Fetch) == [Fetch(task_id(1), 1, 'task', 0, 100)]


def test_a_large_result_is_durable_before_it_is_spoken_of_and_served_until_recorded() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    key = (task_id(1), 1, 'result')
    effects = desk.finish(start, body=5000)
    assert only(effects, SpoolSync) == [SpoolSync(key)]
    assert headers(effects) == []
    assert sent(desk.open(session=2), Held)[0].tasks == (HeldTask(task_id(1), 1, Phase.FINISHED),)
    desk.reactor.spooled(key, desk.now)
    assert [each.body for each in headers(desk.turn())] == [5000]
    assert only(desk.turn(Fetch(task_id(1), 1, 'result', 0, 1 << 40)), SpoolSend)[0].fetch.length <= 2 * SEGMENT
    assert SpoolDelete(key) in desk.turn(Recorded((Attempt(task_id(1), 1),)))
    assert sent(desk.turn(Fetch(task_id(1), 1, 'result', 0, 10)), Segment)[0].total == -1


@pytest.mark.fault(39)
@pytest.mark.parametrize('after', [0.0, 2.0])
def test_a_large_result_that_the_disk_has_not_kept_is_lost_and_not_offered_for_ever(after: float) -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.finish(start, body=5000)
    key = (task_id(1), 1, 'result')
    desk.reactor.spooled(key, desk.now)
    desk.pass_time(after)
    assert only(desk.turn(Fetch(task_id(1), 1, 'result', 0, 5000)), SpoolSend)[0].total == 5000
    assert [desk.reactor.spoiled(key), desk.reactor.spoiled(key)] == [True, False], 'it is told once'
    effects = desk.turn()
    (header,) = headers(effects)
    assert (header.status, header.body, header.reason) == (Status.FAILED, 0, "lost: the endpoint's disk has damaged this result")
    assert SpoolDelete(key) in effects
    desk.pass_time(1.0)
    assert [codec.result_header(each.header).body for each in desk.journal.results()] == [0], 'a restart tells the same'
