"""When a running attempt is told to end, killed, and spoken of: time is handed in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay_parsl.engines.patience import LONG, Patience, Step


def test_short_work_has_nothing_due_but_the_report() -> None:
    patience = Patience(0.0, 0.0, grace=3.0)
    assert patience.step(0.0) is Step.WAIT
    assert patience.pause(0.5) == LONG - 0.5
    assert patience.step(LONG) is Step.REPORT
    assert patience.step(LONG) is Step.WAIT
    assert patience.pause(LONG) is None


def test_the_clock_of_a_timeout_starts_with_the_function() -> None:
    patience = Patience(0.0, 1.0, grace=3.0)
    assert patience.step(1.5) is Step.WAIT
    patience.started(1.5)
    assert patience.pause(1.5) == 0.5
    patience.started(1.9)
    assert patience.step(2.0) is Step.REPORT
    assert patience.pause(2.0) == 0.5
    assert patience.step(2.4) is Step.WAIT
    assert patience.step(2.5) is Step.INTERRUPT
    assert patience.reason == 'timeout'
    assert patience.pause(2.5) == 3.0
    assert patience.step(5.4) is Step.WAIT
    assert patience.step(5.5) is Step.KILL
    assert patience.step(9.0) is Step.WAIT
    assert patience.pause(9.0) is None


def test_the_first_reason_stands() -> None:
    patience = Patience(0.0, 1.0, grace=3.0)
    patience.started(0.0)
    patience.interrupt('cancel')
    assert patience.step(1.0) is Step.INTERRUPT
    patience.interrupt('timeout')
    assert patience.reason == 'cancel'


@given(st.floats(0.01, 50), st.floats(0.01, 5), st.none() | st.floats(0, 60), st.lists(st.floats(0.001, 4), min_size=80, max_size=120))
def test_it_is_told_once_and_killed_once_and_never_before(limit: float, grace: float, asked: float | None, pauses: list[float]) -> None:
    patience, now, seen = Patience(0.0, limit, grace), 0.0, {}
    patience.started(0.0)
    for pause in pauses:
        if asked is not None and now >= asked:
            patience.interrupt('cancel')
        step = patience.step(now)
        if step is not Step.WAIT:
            assert step not in seen
            seen[step] = now
        due = patience.pause(now)
        assert due is None or due >= 0
        now += pause
    told, killed = seen.get(Step.INTERRUPT), seen.get(Step.KILL)
    assert told is None or told >= min(limit, limit if asked is None else asked)
    assert killed is None or (told is not None and killed >= told + grace)
    assert told is not None or now - pauses[-1] < limit
