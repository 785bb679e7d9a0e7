"""The control channel: what is believed of a worker, and what follows. Pure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.engines.control import (
    CLAIMS,
    KEYS,
    LARGEST,
    OVERHEAD,
    VALUE,
    Desk,
    Parcel,
    Refill,
    Running,
    detail_of,
    hear_cancel,
    hear_closed,
    hear_not_started,
    hear_parcel,
    hear_recorded,
    hear_refill,
    hear_running,
    hear_window,
    parcels,
    ports,
    say_cancel,
    say_closed,
    say_not_started,
    say_parcel,
    say_recorded,
    say_refill,
    say_running,
    say_window,
)
from relay_parsl.errors import ProtocolError
from relay_parsl.wire import codec
from relay_parsl.wire.items import Leased
from relay_parsl.wire.messages import Body, Dispatch, Id, Ping, Result, Results, State, States, TaskState, Window

TASK = b'\x07' * 16
RANGE = (49152, 65535)
ids = st.binary(min_size=16, max_size=16)
details = st.dictionaries(st.sampled_from(KEYS), st.text(st.characters(codec='ascii', categories=['L', 'N', 'P']), max_size=VALUE))


@given(st.builds(Running, ids, st.integers(0, 2**40), details))
def test_what_a_worker_says_is_what_is_heard(running: Running) -> None:
    assert hear_running(codec.decode(codec.encode(say_running(running)))) == [running]


def through(message: Any) -> Any:
    return codec.decode(codec.encode(message))


shifts, counts = st.integers(1, 2**63 - 1), st.integers(0, 2**40)
ends_of_a_shift = st.lists(st.tuples(st.integers(0, 99), st.binary(max_size=50)), max_size=30)


@given(shifts, counts, st.none() | st.floats(0, 1e6), st.binary(max_size=200), st.lists(st.tuples(ids, counts), max_size=5))
def test_what_is_said_of_a_shift_is_what_is_heard(
    shift: int, serial: int, seconds: float | None, chunk: bytes, keys: list[tuple[bytes, int]]
) -> None:
    refill = Refill(shift, serial, seconds, chunk, tuple(number for _, number in keys))
    assert hear_refill(through(say_refill(refill))) == refill
    assert hear_window(through(say_window(shift, 7, 4096))) == (shift, 7, 4096)
    assert hear_recorded(through(say_recorded(shift, [serial]))) == [(shift, serial)]
    assert hear_not_started(through(say_not_started(shift, serial, keys))) == (shift, serial, keys)
    assert hear_closed(through(say_closed(shift, serial))) == (shift, serial)


@given(shifts, ends_of_a_shift)
def test_a_parcel_brings_the_ends_by_their_places(shift: int, ends: list[tuple[int, bytes]]) -> None:
    said = [hear_parcel(through(say_parcel(each)), lambda number: 100 * (number == shift)) for each in parcels(shift, 3, ends)]
    assert [end for parcel in said for end in parcel.ends] == ends
    assert all(parcel.shift == shift and parcel.ends for parcel in said)
    assert [parcel.number for parcel in said] == list(range(3, 3 + len(said)))


def test_parcels_are_not_larger_than_the_other_side_takes() -> None:
    ends = [(place, bytes(LARGEST // 3)) for place in range(7)]
    said = parcels(1, 0, ends)
    assert len(said) > 1
    assert all(sum(len(part) for part in codec.encode(say_parcel(each))) <= LARGEST + OVERHEAD for each in said)
    assert [end for each in said for end in each.ends] == ends


def test_a_worker_has_ended_only_what_its_shift_was_given() -> None:
    said = say_parcel(Parcel(5, 0, [(3, b'end')]))
    for count in (0, 3):
        with pytest.raises(ProtocolError):
            hear_parcel(said, lambda shift, count=count: count)  # type: ignore[misc]
    assert hear_parcel(said, lambda shift: None).ends == []
    assert hear_parcel(said, lambda shift: 4).ends == [(3, b'end')]


@pytest.mark.parametrize('header', [b'', b'\xc1', codec.pack([1]), codec.pack(['1', 1]), codec.pack([1, 2, 3]), codec.pack({})])
def test_a_parcel_names_its_shift(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        hear_parcel(Results((Result(header, Body(b'')),)), lambda shift: 9)
    with pytest.raises(ProtocolError):
        hear_parcel(Results(()), lambda shift: 9)


@pytest.mark.parametrize('pools', [{}, {'1': (1, 1), '2': (1, 1)}, {'': (1, 1)}, {'-1': (1, 1)}, {'\u0661': (1, 1)}, {'9' * 21: (1, 1)}])
def test_a_window_is_that_of_one_shift(pools: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(ProtocolError):
        hear_window(Window(pools))


@pytest.mark.parametrize(
    'tasks',
    [(), *[(Leased(0, codec.pack(said), Body(b'')),) for said in (1.0, [], ['soon'], [1.0, 'x'])], (Leased(0, codec.pack([1.0]), Body(b'')),) * 2],
)
def test_a_refill_is_one_chunk_with_a_time(tasks: tuple[Leased, ...]) -> None:
    with pytest.raises(ProtocolError):
        hear_refill(Dispatch(1, 1, tasks))


@given(ids, st.integers(0, 2**40))
def test_what_shall_end_is_what_is_heard(task_id: bytes, attempt: int) -> None:
    assert hear_cancel(codec.decode(codec.encode(say_cancel((task_id, attempt))))) == [(task_id, attempt)]


@pytest.mark.parametrize(
    'detail',
    [
        {},
        {'attempt': '1'},
        {'attempt': True},
        {'attempt': -1},
        {'attempt': 1, 'host': 3},
        {'attempt': 1, 'host': 'x' * (VALUE + 1)},
        {'attempt': 1, 'host': 'a\x1b[31m'},
        {'attempt': 1, 'host': 'two\nlines'},
        {'attempt': 1, 'status': 'success'},
    ],
)
def test_a_worker_may_not_say_anything_else(detail: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        hear_running(States((TaskState(Id(TASK), State.RUNNING, detail),)))


def test_nor_in_other_words() -> None:
    good = TaskState(Id(TASK), State.RUNNING, {'attempt': 1})
    for message in (Ping(), say_cancel((TASK, 1)), States((TaskState(Id(TASK), State.SUCCESS, {'attempt': 1}),)), States((good,) * (CLAIMS + 1))):
        with pytest.raises(ProtocolError):
            hear_running(message)
    with pytest.raises(ProtocolError):
        hear_cancel(say_running(Running(TASK, 1)))
    with pytest.raises(ProtocolError):
        detail_of(['host'])


@given(st.lists(st.binary(max_size=100), max_size=3))
def test_any_bytes_are_heard_or_refused(frames: list[bytes]) -> None:
    try:
        hear_running(codec.decode(frames))
    except ProtocolError:
        return
    raise AssertionError('chance alone does not make a message')


def test_a_cancel_reaches_who_runs_it_now_or_says_so_later() -> None:
    desk = Desk()
    desk.enter([1], [(TASK, 1)])
    assert desk.running(b'w', Running(TASK, 1)) == (1, [])
    assert desk.running(b'w', Running(TASK, 1)) == (1, [])
    assert desk.cancel(1) == [(b'w', (TASK, 1))]
    desk.enter([2], [(TASK, 2)])
    assert desk.cancel(2) == []
    assert desk.running(b'v', Running(TASK, 2)) == (2, [(b'v', (TASK, 2))])


def test_what_is_not_inside_is_nobodys_business() -> None:
    desk = Desk()
    assert desk.running(b'w', Running(TASK, 1)) == (None, [])
    assert desk.cancel(1) == []
    desk.enter([1], [(TASK, 1)])
    desk.leave([1])
    desk.leave([1])
    assert desk.running(b'w', Running(TASK, 1)) == (None, [])
    assert desk.cancel(1) == []
    assert len(desk) == 0


def test_a_liar_takes_no_cancel_from_who_really_runs_it() -> None:
    desk = Desk()
    desk.enter([1], [(TASK, 1)])
    desk.running(b'honest', Running(TASK, 1))
    desk.running(b'liar', Running(TASK, 1))
    assert [routing for routing, _ in desk.cancel(1)] == [b'honest', b'liar']


def test_nothing_is_kept_of_what_has_ended() -> None:
    desk = Desk()
    for number in range(100):
        desk.enter([number], [(TASK, number)])
        for worker in range(10):
            desk.running(bytes([worker]), Running(TASK, number))
        desk.cancel(number)
        desk.leave([number])
    assert len(desk) == 0


def test_a_task_that_comes_again_under_the_same_attempt_starts_unmarked() -> None:
    desk = Desk()
    desk.enter([1], [(TASK, 1)])
    desk.cancel(1)
    desk.leave([1])
    desk.enter([2], [(TASK, 1)])
    desk.leave([1])
    assert desk.running(b'w', Running(TASK, 1)) == (2, [])


def test_ports_are_those_of_the_range() -> None:
    assert ports(10, 12, [0.0, 0.5, 0.99999, 0.2]) == [10, 11, 12]
    assert ports(7, 7, [0.3, 0.9]) == [7]
