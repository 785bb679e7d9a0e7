"""What goes in and out of the machine: events and commands, and the run between them. All frozen, all plain JSON inside.

Every event is written to the journal before its commands are carried out; the same events in the same order make the same run, which is how a run
goes on after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from relay_parsl.flows.definition import Json

ACTIVE, INACTIVE, SUCCEEDED, FAILED, ENDED = 'ACTIVE', 'INACTIVE', 'SUCCEEDED', 'FAILED', 'ENDED'
"""The statuses of a run; an action has all but ENDED. ENDED: cancelled."""


@dataclass(frozen=True, slots=True)
class ActionStatus:
    """How an action stands: the document of a Globus action provider, without what only its service knows.

    Attributes:
        action_id: The provider's name for it.
        status: ACTIVE, INACTIVE, SUCCEEDED or FAILED.
        details: The provider's result; while it is ACTIVE, its progress; when it is INACTIVE, `code` and what would let it go on.
        start_time: Seconds since 1970, as all times here.
        completion_time: None while it is not through.
    """

    action_id: str
    status: str
    details: Json = None
    display_status: str = ''
    start_time: float = 0.0
    completion_time: float | None = None


# Events: what happened.


@dataclass(frozen=True, slots=True)
class Started:
    """The run begins; its body is the first payload."""

    body: Json


@dataclass(frozen=True, slots=True)
class ActionReported:
    """An action changed its status: INACTIVE, ACTIVE again, or an end."""

    request_id: str
    status: ActionStatus


@dataclass(frozen=True, slots=True)
class ActionRefused:
    """The provider took no such body: `ActionUnableToRun`."""

    request_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time that `SetTimer` named has come.

    Attributes:
        timer: Its name; one that is no longer wanted is ignored.
        status: What the awaited action said last, where there is one and the engine knows it: part of what `ActionTimeout` tells.
    """

    timer: str
    status: ActionStatus | None = None


@dataclass(frozen=True, slots=True)
class Continued:
    """The run had more steps to take at once than one turn is given; it goes on."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody ends the run."""

    by: str = ''


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """Somebody mended what made the run INACTIVE."""

    by: str = ''


Event: TypeAlias = Started | ActionReported | ActionRefused | TimerFired | Continued | CancelRequested | ResumeRequested


# Commands: what is to be done, in this order. The journal has them before they are carried out.


@dataclass(frozen=True, slots=True)
class RunAction:
    """Call an action provider.

    Attributes:
        request_id: `run:state:visit`; the provider does the same request once, however often it is asked.
        action: The name in the catalogue.
        deadline: Seconds since 1970 when the machine will give it up.
        run_as: The role that the definition names; every role of ours is the account itself.
    """

    request_id: str
    action: str
    body: Json
    label: str
    deadline: float
    run_as: str = 'User'


@dataclass(frozen=True, slots=True)
class CancelAction:
    """The result is no longer wanted; advisory. No `ReleaseAction` follows: release it when it has ended, whatever its end."""

    request_id: str


@dataclass(frozen=True, slots=True)
class ResumeAction:
    """Try an INACTIVE action again."""

    request_id: str


@dataclass(frozen=True, slots=True)
class ReleaseAction:
    """The result is in the run: the provider may forget the action."""

    request_id: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire `timer` at `at`, seconds since 1970. A run has one timer: a new one replaces it."""

    timer: str
    at: float


@dataclass(frozen=True, slots=True)
class Log:
    """An entry of the event log, with Globus's codes. Private fields have been taken out of `details`."""

    code: str
    description: str
    details: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Continue:
    """Hand in `Continued` when the others had their turn."""


Command: TypeAlias = RunAction | CancelAction | ResumeAction | ReleaseAction | SetTimer | Log | Continue


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run waits for: an action (`request_id`), or a time (`timer`), or both."""

    request_id: str = ''
    timer: str = ''
    deadline: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use: settings of the engine, written down when the run starts so that its replay is the same.

    Attributes:
        steps: States that it may enter.
        state_bytes: Its payload as JSON. The hosted service's limit is 200 KB.
        duration: Seconds from its start to its end. The hosted service's limit is a year.
        log_bytes: What its log may hold of inputs and outputs; entries after that say how much they leave out. The last output is always there.
    """

    steps: int = 100_000
    state_bytes: int = 200_000
    duration: float = 366 * 86_400.0
    log_bytes: int = 50_000_000


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the machine knows it; the journal keeps it as JSON.

    Attributes:
        context: `_context`, which definitions may read and not write: flow_id, run_id, username, email, user_id, identities, token_info.
        state: The name of the current state; '' before the start and after the end.
        visits: How often each state was entered: the last part of a request id.
        details: Why the run is INACTIVE, FAILED or ENDED: `code`, `description` and what the action said.
        payload_bytes: The payload as JSON is no longer than this; measured anew only where that might be over the limit.
        logged_bytes: Inputs and outputs in the log so far.
    """

    run_id: str
    label: str
    context: Mapping[str, Json]
    limits: Limits = field(default_factory=Limits)
    status: str = ACTIVE
    payload: Json = None
    state: str = ''
    visits: Mapping[str, int] = field(default_factory=dict)
    steps: int = 0
    waiting: Waiting = field(default_factory=Waiting)
    details: Json = None
    start_time: float = 0.0
    completion_time: float | None = None
    payload_bytes: int = 0
    logged_bytes: int = 0
