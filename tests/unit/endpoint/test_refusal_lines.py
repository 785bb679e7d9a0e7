"""How many lines an endpoint writes of what it refuses: a relay that sends rubbish without end may not fill its disk."""

from __future__ import annotations

import pytest

from relay_parsl.endpoint.effects import Declined
from relay_parsl.endpoint.meter import Meter
from relay_parsl.endpoint.refusals import AT_ONCE, EVERY, KINDS, OTHER, Refusals, kind_of
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Dispatch, Id, Leased, Results
from tests.unit.endpoint.desk import Desk, only, sent, task

DENIED = 'denied: no such grant'


def test_the_first_have_a_line_each_and_the_others_are_counted() -> None:
    counts = Refusals()
    assert [counts.line(DENIED, 0.0) for _ in range(AT_ONCE + 100)].count(True) == AT_ONCE
    assert counts.overdue(0.0) == [], 'not yet'
    assert counts.overdue(EVERY) == [('denied', 100)]
    assert counts.overdue(2 * EVERY) == [], 'told once'


def test_what_was_left_out_is_told_before_the_next_line() -> None:
    counts = Refusals()
    for _ in range(AT_ONCE + 1):
        counts.line(DENIED, 0.0)
    assert not counts.line(DENIED, 2 * EVERY), 'its place is behind the one that was left out'
    assert counts.overdue(2 * EVERY) == [('denied', 2)]
    assert counts.line(DENIED, 2 * EVERY)


def test_one_kind_does_not_hide_another_and_a_relay_makes_no_kinds_up() -> None:
    counts = Refusals()
    for number in range(10 * AT_ONCE):
        counts.line(f'kind{number}: x', 0.0)
    assert counts.rest() == [(OTHER, 9 * AT_ONCE)]
    assert counts.line(DENIED, 0.0)
    assert {kind_of(f'{kind}: why') for kind in KINDS} == KINDS
    assert kind_of('denied') == 'denied'


def test_a_day_of_rubbish_is_a_bounded_number_of_lines() -> None:
    counts, day = Refusals(), 86_400
    written = told = 0
    for second in range(day):
        told += len(counts.overdue(float(second)))
        written += sum(counts.line(DENIED, float(second)) for _ in range(3))
    assert written + told <= AT_ONCE + day / EVERY + 1
    assert told > day / EVERY / 2, 'and the record goes on to say how many there are'


def test_a_clock_that_goes_back_gains_and_loses_nothing() -> None:
    counts = Refusals()
    assert all(counts.line(DENIED, 1000.0) for _ in range(AT_ONCE))
    assert not counts.line(DENIED, 0.0)
    assert counts.overdue(EVERY - 1) == []
    assert counts.overdue(EVERY) == [('denied', 1)]


def test_the_rest_is_told_once() -> None:
    counts = Refusals()
    for _ in range(AT_ONCE + 5):
        counts.line(DENIED, 0.0)
    assert counts.rest() == [('denied', 5)]
    assert counts.rest() == []


def test_what_has_no_line_is_counted_in_the_metrics() -> None:
    meter = Meter()
    meter.noted('refuse', {'reason': DENIED})
    meter.noted('refuse', {'reason': 'denied', 'left_out': 40})
    assert meter._refused['refuse'] == 41


@pytest.mark.attack(12)
@pytest.mark.parametrize('header', [b'', b'\xc1', b'\x90', b'\x00' * 90, b'\x9a' + b'\xc0' * 10])
def test_what_is_no_task_is_put_on_record(header: bytes) -> None:
    desk = Desk()
    desk.open()
    effects = desk.turn(Dispatch(desk.session, 1, (Leased(1, header, b''),)))  # type: ignore[arg-type]
    [declined] = [each for each in effects if isinstance(each, Declined)]
    assert declined.info is None
    assert declined.reason.startswith('malformed: ')
    assert desk.reactor.held() == []


@pytest.mark.attack(12)
@pytest.mark.parametrize('body', [-1, (1 << 40) + 1, (1 << 63) - 1])
def test_arguments_that_are_said_to_be_endless_are_refused(body: int) -> None:
    """Their segments would have been counted into memory: a stolen relay could end every endpoint by that."""
    desk = Desk()
    desk.open()
    [declined] = only(desk.turn(desk.dispatch(task(1, body=body))), Declined)
    assert declined.reason.startswith('malformed: ')
    assert desk.reactor.held() == []


@pytest.mark.attack(25)
def test_a_refusal_fits_into_what_a_relay_takes_however_long_the_name_that_it_quotes() -> None:
    """It was sent again and again, its task never ended, and the endpoint could not drain."""
    desk = Desk()
    desk.open()
    [results] = sent(desk.turn(desk.dispatch(task(1, pool='\U0001f600\n' * 500))) + desk.turn(), Results)
    assert len(results.results[0].header) < 4096


def test_a_refusal_names_the_endpoint_that_refuses_or_no_relay_would_take_it() -> None:
    """A relay's store was changed: the task is for another endpoint. The refusal was sent again and again, and the task never ended."""
    here = Id(b'H' * 16)
    desk = Desk(endpoint=here)
    desk.open()
    [results] = sent(desk.turn(desk.dispatch(task(1, pool='nowhere'))) + desk.turn(), Results)
    [result] = results.results
    assert codec.result_header(result.header).endpoint == here
