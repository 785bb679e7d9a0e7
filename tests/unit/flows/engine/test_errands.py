"""What an engine does with one action, decided apart from doing it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay_parsl.flows.engine.errands import LONGEST_WAIT, TRIES, Errand, Outcome, judge, next_call
from relay_parsl.flows.journal.book import Deed
from relay_parsl.flows.messages import ACTIVE, FAILED, INACTIVE, SUCCEEDED, ActionRefused, ActionReported, ActionStatus, RunAction, RunRecord, Waiting

REQUEST = 'run:State:1'


def errand(status: str = '', wish: str = '', **more: bool) -> Errand:
    """An action in an engine's hands."""
    found = ActionStatus('id', status) if status else None
    given = {'attached': bool(status), 'asked': bool(status), **more}
    return Errand(Deed(1, RunAction(REQUEST, 'ls', {}, '', 100.0), 0.0, found, wish), RunRecord('run', '', {}), **given)


def run(status: str = ACTIVE) -> RunRecord:
    """The run that waits for it."""
    return RunRecord('run', '', {}, status=status, waiting=Waiting(REQUEST, REQUEST, 100.0))


def heard(each: Errand, call: str, status: str, of: RunRecord | None) -> list[str]:
    """The statuses that the run is told of."""
    events = judge(Outcome(each, call, ActionStatus('id', status)), of).events
    return [event.status.status for event in events if isinstance(event, ActionReported)]


def test_an_end_is_told_and_progress_is_not() -> None:
    assert heard(errand(), 'run', SUCCEEDED, run()) == [SUCCEEDED]
    assert heard(errand(), 'run', ACTIVE, run()) == []
    assert heard(errand(ACTIVE), 'status', ACTIVE, run()) == []
    assert heard(errand(ACTIVE), 'status', INACTIVE, run()) == [INACTIVE]
    assert heard(errand(INACTIVE), 'status', INACTIVE, run(INACTIVE)) == []


@pytest.mark.parametrize('call', ['run', 'status'])
def test_what_was_mended_is_resumed_before_anybody_hears_that_it_was_inactive(call: str) -> None:
    """After a crash between the resume and its call the provider says what it said before."""
    each = errand(INACTIVE, 'resume', attached=call == 'status', again=True)
    each.poked = call == 'status'
    assert each.unheard
    assert heard(each, call, INACTIVE, run()) == []
    assert next_call(each) == 'resume'
    assert heard(each, 'resume', INACTIVE, run()) == [INACTIVE]
    assert not each.unheard


def test_an_action_of_an_earlier_engine_is_unheard_until_it_was_asked() -> None:
    assert errand(again=True).unheard
    assert not errand().unheard
    each = errand(ACTIVE, attached=False, again=True)
    assert heard(each, 'run', SUCCEEDED, run()) == [SUCCEEDED]
    assert not each.unheard


def test_what_nobody_waits_for_is_released_when_it_ends() -> None:
    each = errand(ACTIVE, 'cancel')
    assert heard(each, 'cancel', FAILED, None) == []
    assert next_call(each) == 'release'


def test_a_run_that_went_on_to_something_else_hears_nothing_of_it() -> None:
    elsewhere = RunRecord('run', '', {}, status=ACTIVE, waiting=Waiting('run:9', 'run:9', 100.0))
    each = errand(ACTIVE)
    assert heard(each, 'status', SUCCEEDED, elsewhere) == []
    assert next_call(each) == 'release'


def test_a_call_that_raises_is_made_again_and_then_counts() -> None:
    each = errand()
    for _ in range(TRIES - 1):
        assert judge(Outcome(each, 'run', error='OSError: x'), run()).again is not None
    verdict = judge(Outcome(each, 'run', error='OSError: x'), run())
    assert verdict.events == [ActionRefused(REQUEST, 'OSError: x')]
    assert each.deed == replace(errand().deed, settled=True)


def test_an_action_that_goes_on_is_not_given_up_because_it_cannot_be_asked_after_a_restart() -> None:
    """A week-long action outlives a provider whose server is away when the engine starts."""
    each = errand(ACTIVE, attached=False, again=True)
    for _ in range(100):
        verdict = judge(Outcome(each, 'run', error='x: OSError: away'), run())
        assert verdict.events == []
        assert verdict.again is not None
        assert 0 < verdict.again <= LONGEST_WAIT
    assert heard(each, 'run', SUCCEEDED, run()) == [SUCCEEDED]


def test_a_provider_that_has_lost_an_action_ends_it() -> None:
    (event,) = judge(Outcome(errand(ACTIVE), 'status', missing=True), run()).events
    assert isinstance(event, ActionReported)
    assert (event.status.status, event.status.details['code']) == (FAILED, 'NotFound')


def test_a_postponed_call_counts_for_nothing() -> None:
    each = errand()
    for _ in range(3 * TRIES):
        verdict = judge(Outcome(each, 'run', postponed=True), run())
        assert (verdict.events, each.tries) == ([], 0)
        assert verdict.again
