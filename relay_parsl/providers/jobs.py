"""What is known of batch jobs, and what an answer of the scheduler changes in it. Decisions only: nothing is asked here.

An ended job stays as it ended. A job that an answer does not mention keeps its last state, however often: only when it has been missing for a grace
is it asked about in another way, and only what comes of that ends it. A command that fails is no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from parsl.jobs.states import TERMINAL_STATES, JobState

YOUNG = 120.0
"""Seconds after a change of state in which more changes are to be expected."""


@dataclass(frozen=True)
class JobView:
    """A job as the scheduler tells it.

    Attributes:
        state: Parsl's word for it; UNKNOWN where the scheduler's own is none that we know.
        reason: The scheduler's words: why it waits, how it ended; '' where there are none.
        exit_code: What it ended with; None before, and where nobody knows.
    """

    state: JobState
    reason: str = ''
    exit_code: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in TERMINAL_STATES


@dataclass(frozen=True)
class Known:
    """A job as we know it.

    Attributes:
        view: The last that the scheduler told.
        since: When its state was first seen, in seconds of a clock that only goes forward.
        missing: Since when the scheduler does not mention it; None while it does.
    """

    view: JobView = field(default_factory=lambda: JobView(JobState.PENDING))
    since: float = 0.0
    missing: float | None = None


def live(known: Mapping[str, Known]) -> list[str]:
    """The jobs that are worth asking about: those that have not ended."""
    return [job for job, each in known.items() if not each.view.ended]


def merge(known: Mapping[str, Known], seen: Mapping[str, JobView] | None, now: float) -> dict[str, Known]:
    """What is known after an answer.

    Args:
        known: What was known before, of the jobs that were asked about.
        seen: The answer: what it says of the jobs that it mentions; None where the command failed.
        now: When it came.
    """
    return {job: each if seen is None else _next(each, seen.get(job), now) for job, each in known.items()}


def _next(each: Known, view: JobView | None, now: float) -> Known:
    if each.view.ended:
        return each
    if view is None:
        return replace(each, missing=now if each.missing is None else each.missing)
    if view.state == JobState.UNKNOWN:  # a word that we do not know says only that the job is there
        return replace(each, view=replace(each.view, reason=view.reason or each.view.reason), missing=None)
    return Known(view, each.since if view.state == each.view.state else now)


def overdue(known: Mapping[str, Known], now: float, grace: float) -> list[str]:
    """The jobs that have been missing for at least `grace` seconds: now they must be asked about in another way."""
    return [job for job in live(known) if (missing := known[job].missing) is not None and now - missing >= grace]


def gone(last: JobView, words: str) -> JobView:
    """A job that the scheduler has forgotten: it is not there any more, and how it ended nobody can tell.

    Args:
        last: Its last state.
        words: The scheduler's, for its forgetting.
    """
    return JobView(JobState.COMPLETED, f'{words}; when last seen it was {last.state.name}, how it ended is not known')


def restless(known: Iterable[Known], now: float) -> bool:
    """Whether a job that has not ended changed its state a short time ago."""
    return any(not each.view.ended and now - each.since < YOUNG for each in known)
