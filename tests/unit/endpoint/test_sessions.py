"""Greeting, declaring, windows, refusals, drains: what an endpoint says of itself."""

from __future__ import annotations

import pytest

from relay_parsl.endpoint.effects import Demand, Exit, Reconnect, Start, Withdraw
from relay_parsl.wire.messages import (
    Attempt,
    Backlog,
    Goodbye,
    Held,
    HeldTask,
    Hello,
    Id,
    Phase,
    Ping,
    Pong,
    Recorded,
    Refused,
    Report,
    Results,
    Returned,
    State,
    States,
    Welcome,
    Window,
)
from tests.unit.endpoint.desk import Desk, exits, only, sent, task, task_id


def test_a_session_begins_with_hello_and_then_says_what_is_held_and_wanted() -> None:
    desk = Desk(versions={'python': '3.11'})
    effects = desk.open()
    assert [type(each.message) for each in effects] == [Hello, Held, Window]
    assert sent(effects, Hello) == [Hello('endpoint', Id(b'I' * 16), 1, False, {'python': '3.11'})]
    assert sent(effects, Held) == [Held(1, 0, True, ())]
    assert sent(effects, Window) == [Window({'': (10, 1 << 20)})]


def test_hello_is_repeated_until_it_is_answered() -> None:
    desk = Desk()
    desk.reactor.connect(desk.now)
    assert len(sent(desk.turn() + desk.pass_time(11), Hello)) == 3


def test_what_is_held_is_declared_whole_after_each_reconnect_the_outbox_included() -> None:
    desk = Desk()
    desk.open()
    starts = desk.run(task(1), task(2))
    desk.finish(starts[0])
    desk.turn(desk.dispatch(task(3, function=b'x' * 32)))
    held = sent(desk.open(session=2), Held)
    assert held == [
        Held(2, 0, True, (HeldTask(task_id(1), 1, Phase.FINISHED), HeldTask(task_id(2), 1, Phase.STARTED), HeldTask(task_id(3), 1, Phase.QUEUED)))
    ]


def test_a_long_declaration_comes_in_numbered_pages() -> None:
    desk = Desk(held_page=2)
    desk.open()
    desk.run(*[task(number) for number in range(5)])
    held = sent(desk.open(session=2), Held)
    assert [(each.page, each.complete, len(each.tasks)) for each in held] == [(0, False, 2), (1, False, 2), (2, True, 1)]


def test_in_a_quiet_session_it_declares_again_with_the_highest_serial_and_asks_for_the_last() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    effects = [effect for _ in range(5) for effect in [*desk.pass_time(8), *desk.turn(Pong(1, 1))]]
    assert sent(effects, Held) == [Held(1, 1, True, (HeldTask(task_id(1), 1, Phase.STARTED),), round=1)]
    assert sent(effects, Window) == [Window({'': (10, 1 << 20)})]


def test_a_lost_last_dispatch_is_declared_as_not_held() -> None:
    desk = Desk()
    desk.open()
    late = desk.dispatch(task(1))
    assert sent(desk.turn(Pong(1, 1)), Held) == [Held(1, 1, True, (), round=1)]
    assert not desk.reactor.held()
    desk.turn(late)
    assert not desk.reactor.held(), 'what was declared as not held stays so'


@pytest.mark.parametrize('message', [Pong(7, 3), Ping(7, 3), Pong(1, 0)])
def test_serials_of_other_sessions_mean_nothing(message: Ping) -> None:
    desk = Desk()
    desk.open()
    assert sent(desk.turn(message), Held) == []


def test_a_dispatch_of_another_session_is_dropped_and_the_greeting_repeated() -> None:
    desk = Desk()
    desk.open()
    desk.now += 6
    desk.session = 9
    effects = desk.turn(desk.dispatch(task(1)), desk.dispatch(task(2)))
    assert len(sent(effects, Hello)) == 1
    assert not desk.reactor.held()


def test_an_older_welcome_does_not_bring_back_an_older_session() -> None:
    desk = Desk()
    desk.open(session=5)
    assert desk.turn(Welcome(4, desk.now)) == []
    assert sent(desk.turn(Welcome(6, desk.now)), Held) == [Held(6, 0, True, ())]


def test_silence_is_asked_about_and_then_ends_the_connection() -> None:
    desk = Desk()
    desk.open()
    effects = desk.pass_time(30)
    assert len(sent(effects, Ping)) >= 2
    assert only(effects, Reconnect) == [Reconnect()]
    assert sent(desk.open(session=2), Held) == [Held(2, 0, True, ())]


def test_a_ping_is_answered() -> None:
    desk = Desk()
    desk.open()
    assert sent(desk.turn(Ping()), Pong) == [Pong()]


def test_goodbye_with_hello_greets_again() -> None:
    desk = Desk()
    desk.open()
    assert len(sent(desk.turn(Goodbye('who are you?', hello=True)), Hello)) == 1


def test_goodbye_of_a_relay_that_shuts_down_is_waited_out() -> None:
    desk = Desk()
    desk.open()
    assert desk.turn(Goodbye('shutting down')) == []
    assert len(sent(desk.pass_time(6), Hello)) == 1


@pytest.mark.parametrize('message', [Goodbye('superseded'), Goodbye('revoked'), Refused('fenced', 'epoch 2'), Refused('revoked', 'it was revoked')])
def test_who_was_replaced_or_revoked_ends_with_a_code_of_its_own(message: Goodbye) -> None:
    desk = Desk()
    desk.open()
    assert exits(desk.turn(message)) == [3]


def test_a_twin_is_waited_for_and_then_named() -> None:
    desk = Desk()
    desk.reactor.connect(desk.now)
    effects = desk.turn(Refused('duplicate', 'another instance is connected'))
    for _ in range(20):
        effects += desk.pass_time(2)
        effects += desk.turn(Refused('duplicate', 'another instance is connected'))
        if exits(effects):
            break
    assert exits(effects) == [2]
    assert 4 <= desk.now - 1000 <= 6
    assert 'take-over' in only(effects, Exit)[0].reason
    assert len(sent(effects, Hello)) >= 3


def test_a_twin_that_dies_makes_way() -> None:
    desk = Desk()
    desk.reactor.connect(desk.now)
    desk.turn(Refused('duplicate', 'another instance is connected'))
    desk.pass_time(20)
    assert sent(desk.turn(Welcome(3, desk.now)), Held) == [Held(3, 0, True, ())]
    assert not exits(desk.pass_time(5))


def test_take_over_is_said_once() -> None:
    desk = Desk(takeover=True)
    assert sent(desk.open(), Hello)[0].takeover
    assert not sent(desk.open(session=2), Hello)[0].takeover


def test_the_window_follows_the_capacity() -> None:
    desk = Desk()
    desk.open()
    desk.reactor.capacity('', 100, desk.now)
    assert sent(desk.turn(), Window) == [Window({'': (200, 1 << 20)})]
    assert sent(desk.turn(), Window) == []


def test_demand_is_what_is_held_and_what_waits_until_the_session_is_long_lost() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    assert only(desk.turn(Backlog({'': (41, 3.0)})), Demand) == [Demand('', 42)]
    desk.turn(Goodbye('shutting down'))
    assert only(desk.pass_time(58), Demand) == []
    assert only(desk.pass_time(4), Demand) == [Demand('', 1)]


def test_reports_go_out_on_change_each_minute_and_in_each_session() -> None:
    desk = Desk()
    desk.reactor.report({'workers': 1})
    assert sent(desk.open(), Report) == [Report({'workers': 1})]
    desk.reactor.report({'workers': 1})
    assert sent(desk.turn(), Report) == []
    desk.reactor.report({'workers': 2})
    assert sent(desk.turn(), Report) == [Report({'workers': 2})]
    effects = []
    for _ in range(7):
        effects += desk.pass_time(9) + desk.turn(Pong())
    assert sent(effects, Report) == [Report({'workers': 2})]
    assert sent(desk.open(session=2), Report) == [Report({'workers': 2})]


def test_running_tasks_are_shown_and_shown_again_in_a_new_session() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    began = desk.now
    desk.reactor.running(task_id(1), 1, {'host': 'nid0001'}, began)
    desk.reactor.running(task_id(2), 1, {'host': 'nid0002'}, desk.now)
    assert sent(desk.turn(), States) == []
    for effects in (desk.pass_time(1), desk.open(session=2) + desk.pass_time(1)):
        states = sent(effects, States)
        assert [(each.task_id, each.state, each.detail) for each in states[0].tasks] == [
            (task_id(1), State.RUNNING, {'host': 'nid0001', 'since': began})
        ]


def test_a_guess_takes_no_word_back() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    for said in ({}, {'host': 'nid0001'}, {}):
        desk.reactor.running(task_id(1), 1, said, desk.now)
    states = sent(desk.pass_time(1), States)
    assert [each.detail for each in states[0].tasks] == [{'host': 'nid0001', 'since': 1000.0}]


def test_nobody_hears_that_a_task_ran_which_has_ended() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.reactor.running(task_id(1), 1, {'host': 'nid0001'}, desk.now)
    desk.finish(start)
    assert sent(desk.pass_time(2), States) == []


# -- Drain -----------------------------------------------------------------------------------------------------------


def test_a_drain_gives_back_what_waits_finishes_what_runs_and_says_goodbye_last() -> None:
    desk = Desk(pools={'': (1, 1 << 20)})
    desk.open()
    (start,) = desk.run(task(1), task(2))
    desk.reactor.drain(desk.now)
    effects = desk.turn()
    assert sent(effects, Window) == [Window({'': (0, 0)})]
    assert sent(effects, Returned) == [Returned((Attempt(task_id(2), 1),), 1, 1)]
    assert sent(desk.turn(desk.dispatch(task(3))), Returned) == [Returned((Attempt(task_id(3), 1),), 1, 2)]
    assert sent(desk.finish(start), Results)
    assert not exits(desk.turn())
    assert not sent(desk.turn(Recorded((Attempt(task_id(1), 1), Attempt(task_id(2), 1)))), Held), 'the second return was not heard yet'
    effects = desk.turn(Recorded((Attempt(task_id(3), 1),)))
    assert sent(effects, Held) == [Held(1, 2, True, (), round=1)]
    assert len(sent(effects, Ping)) == 1
    effects = desk.turn(Pong(1, 2))
    assert exits(effects) == [0]
    assert sent(effects, Goodbye) == [Goodbye('drained')]


def test_a_drain_asks_the_engines_for_what_waits_in_them_but_not_for_what_may_run_only_once() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1), task(2, at_most_once=True))
    desk.reactor.drain(desk.now)
    assert only(desk.turn(), Withdraw) == [Withdraw(task_id(1), 1, '')]
    desk.reactor.withdrawn(task_id(1), 1, desk.now)
    assert sent(desk.turn(), Returned) == [Returned((Attempt(task_id(1), 1),), 1, 1)]


def test_a_drain_waits_until_its_results_are_recorded() -> None:
    desk = Desk()
    desk.open()
    (start,) = desk.run(task(1))
    desk.reactor.drain(desk.now)
    assert not sent([*desk.finish(start), *desk.turn()], Ping)
    assert len(sent(desk.turn(Recorded((Attempt(task_id(1), 1),))), Ping)) == 1


def test_what_is_lost_during_a_drain_goes_back_as_the_next_attempt() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    desk.reactor.drain(desk.now)
    desk.turn()
    desk.reactor.lost(task_id(1), 1, 'manager', 'gone', desk.now)
    effects = desk.turn()
    assert sent(effects, Returned) == [], 'it has begun'
    assert sent(effects, Held) == [Held(1, 1, True, (), round=1)], 'the relay calls it lost'
    assert only(effects, Start) == []
    assert exits(desk.turn(Pong(1, 1))) == [0]


def test_a_drain_does_not_call_a_task_not_begun_that_waits_for_its_next_try() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    desk.reactor.lost(task_id(1), 1, 'worker', 'gone', desk.now)
    desk.reactor.drain(desk.now)
    effects = desk.turn()
    assert sent(effects, Returned) == []
    assert sent(effects, Held) == [Held(1, 1, True, (), round=1)]


def test_what_was_given_back_is_said_again_with_the_same_words_until_it_is_heard() -> None:
    desk = Desk(pools={'': (1, 1 << 20)})
    desk.open()
    desk.run(task(1), task(2))
    desk.reactor.drain(desk.now)
    first = sent(desk.turn(), Returned)
    desk.turn(desk.dispatch(task(3)))
    assert first[0] in sent(desk.pass_time(6), Returned)
    desk.turn(Recorded((Attempt(task_id(2), 1), Attempt(task_id(3), 1))))
    assert sent(desk.pass_time(6), Returned) == []


def test_a_dispatch_that_was_lost_during_a_drain_is_declared_before_the_end() -> None:
    desk = Desk()
    desk.open()
    desk.reactor.drain(desk.now)
    desk.turn()
    effects = desk.turn(Pong(1, 4))
    assert Held(1, 4, True, (), round=2) in sent(effects, Held)
    assert not exits(effects)
    assert exits(desk.turn(Pong(1, 4))) == [0]


def test_the_grace_ends_a_drain_and_results_are_kept_for_the_next_life() -> None:
    desk = Desk(grace=10.0)
    desk.open()
    first, _ = desk.run(task(1), task(2))
    desk.reactor.drain(desk.now)
    desk.finish(first)
    effects = desk.pass_time(10)
    assert exits(effects) == [0]
    assert '1 tasks' in only(effects, Exit)[0].reason
    assert [each.task_id for each in desk.journal.results()] == [task_id(1)]


def test_a_result_that_has_just_come_is_kept_too_when_the_grace_ends() -> None:
    desk = Desk(grace=10.0)
    desk.open()
    (start,) = desk.run(task(1))
    desk.reactor.drain(desk.now)
    desk.pass_time(9.5)
    desk.finish(start)
    assert desk.journal.results() == []
    assert exits(desk.pass_time(0.5)) == [0]
    assert [each.task_id for each in desk.journal.results()] == [task_id(1)]


def test_a_second_stop_waits_for_nothing() -> None:
    desk = Desk()
    desk.open()
    desk.run(task(1))
    desk.reactor.drain(desk.now)
    assert not exits(desk.turn())
    desk.reactor.drain(desk.now, 0.0)
    assert exits(desk.turn()) == [0]


def test_a_second_stop_may_give_more_time_from_then_on() -> None:
    desk = Desk(grace=10.0)
    desk.open()
    desk.run(task(1))
    desk.reactor.drain(desk.now)
    assert not exits(desk.pass_time(9))
    desk.reactor.drain(desk.now, 20.0)
    assert not exits(desk.pass_time(19))
    assert exits(desk.pass_time(1)) == [0]


def test_a_drain_without_a_relay_ends_soon() -> None:
    desk = Desk()
    desk.reactor.connect(desk.now)
    desk.reactor.drain(desk.now)
    assert exits(desk.turn() + desk.pass_time(4)) == []
    assert exits(desk.pass_time(2)) == [0]
