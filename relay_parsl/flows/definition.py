"""What a flow definition is once it was read: frozen states, nothing to look up twice.

The language is that of Globus Flows as of 2026 (docs.globus.org/api/flows/authoring-flows). `reading` makes these from a document and reports every
fault; what stands here has been checked, so that the machine need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A value that JSON can say: None, bool, int, float, str, list and dict of them. Mypy has no better word for it."""


PRIVATE = '__Private_Parameters'
"""Beside parameters: the names of those that logs do not show."""


class StateError(Exception):
    """An error of the language that ends a state: `Catch` may name it.

    Args:
        error: As `ErrorEquals` spells it: `States.ParameterPathFailure`, `ActionUnableToRun`, …
        cause: For people: what was wrong, and where.
    """

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause

    def __str__(self) -> str:
        return f'{self.error}: {self.cause}'


@dataclass(frozen=True, slots=True)
class Catcher:
    """One item of `Catch`: where a state goes on after certain errors."""

    error_equals: tuple[str, ...]
    next: str
    result_path: str = '$'


@dataclass(frozen=True, slots=True)
class Action:
    """Calls an action provider and waits until it is through.

    Attributes:
        url: As the definition spells it: an ActionUrl, the Url of a Handler, or the URN of a Registered API.
        action: The name of ours for it (`transfer`, `compute`), by `catalogue`.
        parameters: The body's template; None where `input_path` says it.
        wait_time: Seconds until `ActionTimeout`.
        next: None at an `End`.
    """

    name: str
    url: str
    action: str
    parameters: Json = None
    input_path: str | None = None
    result_path: str = '$'
    wait_time: float = 300
    exception_on_action_failure: bool = False
    run_as: str = 'User'
    catch: tuple[Catcher, ...] = ()
    next: str | None = None
    type: str = 'Action'


@dataclass(frozen=True, slots=True)
class Pass:
    """Writes constants and parts of the payload elsewhere in it. `result`: the field of 2022, a constant that is no template."""

    name: str
    parameters: Json = None
    input_path: str | None = None
    result: Json = None
    result_path: str = '$'
    next: str | None = None
    type: str = 'Pass'


@dataclass(frozen=True, slots=True)
class ExpressionEval:
    """A Pass whose parameters may be expressions."""

    name: str
    parameters: Json
    result_path: str = '$'
    next: str | None = None
    type: str = 'ExpressionEval'


@dataclass(frozen=True, slots=True)
class Comparison:
    """`Variable`, an operator and what it compares with: `operator` as it is spelled, `NumericLessThanPath` with a path as `value`."""

    variable: str
    operator: str
    value: Json


@dataclass(frozen=True, slots=True)
class Junction:
    """`And`, `Or` or `Not` of other rules; `Not` has one."""

    operator: str
    rules: tuple[Comparison | Junction, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Goes where the first true rule says. `choices`: pairs of a rule and the state after it."""

    name: str
    choices: tuple[tuple[Comparison | Junction, str], ...]
    default: str | None = None
    type: str = 'Choice'


@dataclass(frozen=True, slots=True)
class Wait:
    """Sleeps: exactly one of the four is set. `timestamp` is RFC 3339; the paths lead to seconds and to a timestamp."""

    name: str
    seconds: float | None = None
    seconds_path: str | None = None
    timestamp: str | None = None
    timestamp_path: str | None = None
    next: str | None = None
    type: str = 'Wait'


@dataclass(frozen=True, slots=True)
class Fail:
    """Ends the run as FAILED. `error` and `cause` are texts; the paths, where set, lead to them in the payload."""

    name: str
    error: str | None = None
    cause: str | None = None
    error_path: str | None = None
    cause_path: str | None = None
    type: str = 'Fail'


@dataclass(frozen=True, slots=True)
class CreateWebInput:
    """Asks people something, and goes on at once; the result has its `web_input_id`."""

    name: str
    parameters: Json
    result_path: str = '$'
    catch: tuple[Catcher, ...] = ()
    next: str | None = None
    type: str = 'CreateWebInput'


@dataclass(frozen=True, slots=True)
class AwaitWebInput:
    """Waits for the answer; the result has its `response`."""

    name: str
    parameters: Json
    result_path: str = '$'
    catch: tuple[Catcher, ...] = ()
    next: str | None = None
    type: str = 'AwaitWebInput'


State: TypeAlias = Action | Pass | ExpressionEval | Choice | Wait | Fail | CreateWebInput | AwaitWebInput


@dataclass(frozen=True)
class Definition:
    """A flow.

    Attributes:
        document: The definition as it was written, unwrapped: what is stored with a run and shown.
        input_schema: JSON Schema of the run's body; None takes any object.
        title: For people; '' where the file does not say.
    """

    start_at: str
    states: Mapping[str, State]
    document: Mapping[str, Json]
    input_schema: Json = None
    title: str = ''
    comment: str = field(default='', compare=False)

    @cached_property
    def discreet(self) -> tuple[State, ...]:
        """The states that keep a parameter private. Looked for once: each turn of each run asks for them."""
        return tuple(state for state in self.states.values() if _mentions(getattr(state, 'parameters', None), PRIVATE))


def _mentions(template: Json, key: str) -> bool:
    """Whether it is anywhere in a template."""
    if isinstance(template, Mapping):
        return key in template or any(_mentions(each, key) for each in template.values())
    return isinstance(template, (list, tuple)) and any(_mentions(each, key) for each in template)
