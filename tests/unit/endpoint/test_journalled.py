"""What an endpoint knows after it was killed, and what it does while its journal refuses."""

from __future__ import annotations

import pytest

from relay_parsl.endpoint.effects import Declined, Start
from relay_parsl.endpoint.ledger import GRACE, MemoryJournal
from relay_parsl.errors import StoreError
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Attempt, Held, HeldTask, Phase, Recorded, Results, Status
from tests.unit.endpoint.desk import DAY, GRANT, Desk, only, result, sent, task, task_id


def headers(effects: list) -> list:
    return [codec.result_header(each.header) for message in sent(effects, Results) for each in message.results]


def killed(desk: Desk) -> Desk:
    """The next life over the same journal."""
    desk.journal.rollback()
    return Desk(desk.journal, now=desk.now)


def test_each_life_has_a_higher_epoch() -> None:
    desk = Desk()
    assert (desk.epoch, killed(desk).epoch) == (1, 2)


def test_a_result_older_than_a_second_outlives_the_process_and_a_younger_one_may_not() -> None:
    desk = Desk()
    desk.open()
    first, second = desk.run(task(1), task(2))
    desk.finish(first)
    desk.pass_time(1.5)
    desk.finish(second)
    again = killed(desk)
    effects = again.open()
    assert sent(effects, Held)[0].tasks == (HeldTask(task_id(1), 1, Phase.FINISHED),)
    assert [(each.task_id, each.epoch) for each in headers(effects)] == [(task_id(1), 1)]


def test_what_was_recorded_is_not_sent_again_by_the_next_life() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.finish(start)
    desk.pass_time(2)
    desk.turn(Recorded((Attempt(task_id(1), 1),)))
    desk.pass_time(2)
    assert headers(killed(desk).open()) == []


@pytest.mark.attack(14)
def test_an_at_most_once_task_is_journalled_before_its_start_leaves() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1, at_most_once=True))
    again = killed(desk)
    again.open()
    (header,) = headers(again.turn(again.dispatch(task(1, at_most_once=True), attempt=2)))
    assert (header.status, header.reason.split(':')[0]) == (Status.FAILED, 'replayed')
    assert not again.reactor.held()
    assert start.info.at_most_once


def test_the_result_of_an_at_most_once_task_is_journalled_before_it_leaves() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1, at_most_once=True))
    assert headers(desk.finish(start))
    assert [each.task_id for each in headers(killed(desk).open())] == [task_id(1)]


@pytest.mark.attack(14)
def test_a_finished_task_is_refused_whatever_the_relay_says() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.finish(start)
    desk.turn(Recorded((Attempt(task_id(1), 1),)))
    desk.pass_time(2)
    for each in (desk, killed(desk)):
        each.open(session=each.session + 1)
        effects = each.turn(each.dispatch(task(1), attempt=5))
        assert [header.reason.split(':')[0] for header in headers(effects)] == ['replayed']
        assert [each.reason.split(':')[0] for each in only(effects, Declined)] == ['replayed'], 'on record'
        each.turn(Recorded((Attempt(task_id(1), 5),)))


def test_a_task_that_was_refused_unsealed_may_come_again() -> None:
    """Nobody but the relay has vouched for that refusal: it must not be a way to have a task never run."""
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.finish(start, Status.FAILED, payload=b'')
    desk.turn(Recorded((Attempt(task_id(1), 1),)))
    assert only(desk.turn(desk.dispatch(task(1), attempt=2)), Start)


@pytest.mark.attack(14, 15)
def test_numbers_are_forgotten_when_the_last_task_of_a_grant_has_long_expired() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1, expires=2000.0))
    desk.finish(start)
    desk.pass_time(2)
    assert [each.grant for each in desk.journal.spent()] == [GRANT]
    desk.turn(Recorded((Attempt(task_id(1), 1),)))
    desk.now = 2000.0 + GRACE
    desk.pass_time(2)
    assert desk.journal.spent() == []
    for each in (desk, killed(desk)):  # and what they were for is refused by the time that is under its seal
        each.open(session=each.session + 1)
        effects = each.turn(each.dispatch(task(1, expires=2000.0), attempt=2))
        assert [(header.status, header.reason.split(':')[0]) for header in headers(effects)] == [(Status.EXPIRED, 'expired')]
        assert [each.reason.split(':')[0] for each in only(effects, Declined)] == ['expired'], 'on record'
        each.turn(Recorded((Attempt(task_id(1), 2),)))


class Failing:
    """Raises StoreError at the statement whose turn has come."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.seen = 0

    def __call__(self, _statement: str) -> None:
        self.seen += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise StoreError('disk I/O error')


def turn(desk: Desk) -> list:
    """A turn as the loop does it: after an error, roll back and try again."""
    try:
        return desk.turn()
    except StoreError:
        desk.journal.rollback()
        return desk.turn()


@pytest.mark.parametrize('at', range(8))
def test_an_error_at_any_statement_holds_everything_back_and_loses_nothing(at: int) -> None:
    failing = Failing()
    desk = Desk(MemoryJournal(failing))
    desk.open()
    starts = desk.run(task(1, at_most_once=True), task(2))
    for start in starts:
        desk.reactor.finished(result(start.info, 1, 1), desk.now)
    desk.now += 2
    desk.reactor.tick(desk.now)
    failing.left = at
    effects = turn(desk)
    failing.left = None
    assert [each.task_id for each in headers(effects)] == [task_id(1), task_id(2)]
    assert {each.task_id for each in desk.journal.results()} >= {task_id(1)}
    again = killed(desk)
    assert {each.task_id for each in headers(again.open())} == {each.task_id for each in desk.journal.results()}


def test_nothing_starts_while_the_journal_refuses() -> None:
    failing = Failing()
    desk = Desk(MemoryJournal(failing))
    desk.open()
    desk.turn(desk.dispatch(task(1, at_most_once=True)))
    desk.provide(GRANT)
    failing.left = 1
    try:
        effects = desk.provide(task(1).function)
    except StoreError:
        desk.journal.rollback()
        effects = []
    assert only(effects, Start) == []
    again = killed(desk)
    again.open()
    assert headers(again.turn(again.dispatch(task(1, at_most_once=True)))) == [], 'it never started, so it is no replay'


def test_expired_tasks_do_not_fill_the_ledger() -> None:
    desk = Desk(now=20 * DAY)
    desk.open()
    desk.turn(desk.dispatch(task(1)))
    desk.pass_time(2)
    assert desk.journal.spent() == []
