"""What an engine does with one action, and what comes of each call of its provider. Decisions only: the engine makes the calls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from relay_parsl.flows.journal.book import Deed
from relay_parsl.flows.messages import ACTIVE, INACTIVE, ActionRefused, ActionReported, ActionStatus, Event, RunRecord

TRIES = 5
"""How often a call that raises what it should not is made before that counts as the provider's word."""
FIRST_WAIT, WAITS_GROW = 0.5, 3.0
"""Seconds between the first two tries; by which factor each wait is longer than the one before. All together 20 s."""
LONGEST_WAIT = 60.0
"""Seconds between two tries to find an action again that an earlier engine began; its `WaitTime` ends that."""
PROGRESS = 0.1
"""Seconds between two looks at one action that goes on, however often it reports."""
PROVIDER_ERROR = 'ProviderError'
"""The code of an action whose provider raised what it should not."""


@dataclass
class Errand:
    """An action in the hands of an engine.

    Attributes:
        deed: As it stands; the journal may be a turn behind.
        record: The run as it was when the action was asked for: its `context`.
        attached: Whether the provider was called by this engine: it must be, after a restart.
        again: An earlier engine has asked for it: what it came to since then counts, before its time does.
        asked: Whether the provider may know of the action.
        busy: A call goes on.
        poked: It reported something.
        told: It was asked to end.
        tries: Of the present call, so far.
        not_before: Seconds since 1970.
        queued: It will be looked at then.
    """

    deed: Deed
    record: RunRecord
    attached: bool = False
    again: bool = False
    asked: bool = False
    busy: bool = False
    poked: bool = False
    told: bool = False
    tries: int = 0
    not_before: float = 0.0
    queued: bool = False

    @property
    def unheard(self) -> bool:
        """Whether an earlier engine asked for it, and this one has not heard yet how it stands."""
        return self.again and (not self.attached or self.deed.wish == 'resume')

    @property
    def over(self) -> bool:
        """Whether the action has ended, as far as is known."""
        status = self.deed.status
        return status is not None and status.status not in (ACTIVE, INACTIVE)


@dataclass
class Outcome:
    """What a call brought.

    Attributes:
        refused: Why the provider takes no such body.
        error: What it raised beside that.
        postponed: The call was not made, or could not be: it is no fault of the provider.
    """

    errand: Errand
    call: str
    status: ActionStatus | None = None
    refused: str | None = None
    error: str = ''
    missing: bool = False
    postponed: bool = False


@dataclass
class Verdict:
    """What follows from an outcome: an event of the run, and whether the call is to be made again after so many seconds."""

    events: list[Event] = field(default_factory=list)
    again: float | None = None


def next_call(errand: Errand) -> str:
    """Which of the five methods is to be called now; '' for none."""
    deed = errand.deed
    if deed.settled or errand.busy:
        return ''
    if deed.wish == 'release' and errand.over:
        return 'release'
    if deed.status is None or not errand.attached:
        return 'run'
    if errand.over:
        return ''
    if deed.wish == 'cancel':
        return '' if errand.told and not errand.poked else 'status' if errand.told else 'cancel'
    return 'resume' if deed.wish == 'resume' else 'status' if errand.poked else ''


def judge(outcome: Outcome, run: RunRecord | None) -> Verdict:
    """Take an outcome in.

    Args:
        outcome: Its errand is changed.
        run: The run as it is now; None when it has ended.
    """
    errand = outcome.errand
    if outcome.postponed:
        return Verdict(again=1.0)
    if outcome.error and (errand.tries + 1 < TRIES or _begun(outcome)):
        errand.tries += 1
        return Verdict(again=min(LONGEST_WAIT, FIRST_WAIT * WAITS_GROW ** min(errand.tries - 1, TRIES)))
    errand.tries = 0
    if outcome.call == 'release':
        errand.deed = replace(errand.deed, settled=True)
        return Verdict()
    if outcome.call == 'run' and outcome.status is None:
        errand.deed = replace(errand.deed, settled=True)
        return _heard(errand, run, ActionRefused(errand.deed.command.request_id, outcome.refused or outcome.error))
    return _stands(outcome, outcome.status or _lost(outcome), run)


def _begun(outcome: Outcome) -> bool:
    """Whether an earlier engine saw the action go on: then a provider that cannot be had just now is no reason to give it up before its time."""
    return outcome.call == 'run' and outcome.errand.deed.status is not None


def _stands(outcome: Outcome, status: ActionStatus, run: RunRecord | None) -> Verdict:
    errand, deed = outcome.errand, outcome.errand.deed
    wish = '' if deed.wish == outcome.call == 'resume' else deed.wish
    errand.attached, errand.told = True, errand.told or outcome.call == 'cancel'
    errand.deed = replace(deed, status=status, wish=wish)
    if errand.over and (wish == 'cancel' or not _awaited(errand, run)):
        errand.deed = replace(errand.deed, wish='release')  # nobody wants it any more
    if wish == 'resume' and status.status == INACTIVE:
        return Verdict()  # as it was before somebody mended it: it is resumed next, and what it says then is news
    if run is not None and status.status == run.status and (status.status == ACTIVE or status == deed.status):
        return Verdict()  # it goes on, as the run knows
    return _heard(errand, run, ActionReported(deed.command.request_id, status))


def _heard(errand: Errand, run: RunRecord | None, event: Event) -> Verdict:
    return Verdict([event] if _awaited(errand, run) else [])


def _awaited(errand: Errand, run: RunRecord | None) -> bool:
    return run is not None and run.waiting.request_id == errand.deed.command.request_id


def _lost(outcome: Outcome) -> ActionStatus:
    """Of an action that its provider cannot tell about any more."""
    code = 'NotFound' if outcome.missing else PROVIDER_ERROR
    known = outcome.errand.deed.status
    action_id = known.action_id if known else outcome.errand.deed.command.request_id
    details = {'code': code, 'description': outcome.error or f'the provider knows no action {action_id}'}
    return ActionStatus(action_id, 'FAILED', details, 'FAILED', known.start_time if known else outcome.errand.deed.intent)
