"""What an action provider is here: five methods, as a hosted one has five routes. Plug-ins: the entry point group `relay_parsl.actions`.

```python
class Echo(Action):
    description = Description(name='echo', title='Says what it was told', urls=('https://example.org/echo',), synchronous=True)

    def run(self, call):
        return ActionStatus(call.request_id, SUCCEEDED, {'echo': call.body['text']}, start_time=call.time, completion_time=call.time)
```

The one promise that everything rests on: **`run` with the same `request_id` and the same body does the thing once**, however often it is called, by
this process or by the next one after a crash. The engine calls it again, for each action that it has not seen the end of, whenever it starts.
`testing.ActionContract` holds a provider to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from relay_parsl.flows.actions.keys import Fault, Keys, faults
from relay_parsl.flows.definition import Json
from relay_parsl.flows.messages import ActionStatus


class ActionUnableToRun(Exception):
    """`run` refuses: the body is wrong, or the provider cannot do this. The text says what to mend. No action exists."""


class ActionConflict(Exception):
    """`release` of an action that goes on: cancel it, or wait for its end."""


@dataclass(frozen=True)
class Description:
    """What a provider says of itself.

    Attributes:
        name: By which the catalogue and settings know it: `transfer`.
        urls: The hosted spellings that mean it, without a trailing `/`; URNs of Registered APIs too.
        synchronous: Whether `run` returns the end.
        input_schema: JSON Schema of the body; the engine refuses what does not fit before `run`.
        destructive: Whether it removes things: `validate` warns where it follows what may have failed.
        section: The section of the settings file that it reads; '' for the one of its own name. Providers of one section share their rows, too:
            what `manage_permission` writes is what `transfer` obeys. So they begin their keys with their own names.
    """

    name: str
    title: str
    urls: tuple[str, ...] = ()
    synchronous: bool = False
    input_schema: Json = None
    destructive: bool = False
    section: str = ''


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        request_id: `run:state:visit`.
        time: When the machine asked first, seconds since 1970: the same at each repetition.
        deadline: When it will be cancelled.
        context: The run's `_context`: who asks.
    """

    request_id: str
    body: Json
    label: str = ''
    time: float = 0.0
    deadline: float = 0.0
    context: Mapping[str, Json] = field(default_factory=dict)


class Records(Protocol):
    """A provider's own rows in the journal: what it must know after a crash. Durable when a method returns; threads may share it."""

    def get(self, key: str) -> Json:
        """The value, None where there is none."""

    def put(self, key: str, value: Json) -> None:
        """Write or replace it."""

    def delete(self, key: str) -> None:
        """Forget it; nothing happens where there is none."""

    def scan(self, prefix: str = '') -> Iterator[tuple[str, Json]]:
        """All pairs whose key begins so, in the order of the keys."""


@dataclass(frozen=True)
class Surroundings:
    """What a provider is built with.

    Attributes:
        records: The rows of its section.
        settings: Its section of the settings file, checked as far as the file's shape goes.
        report: Call it with an action id, from any thread, when `status` has something new to say: nobody polls.
        clock: Seconds since 1970.
        account: The `username` that the `_context` of this account's own runs has; '' where nobody said: then whoever asks is the account.
    """

    records: Records
    settings: Mapping[str, Any]
    report: Callable[[str], None]
    clock: Callable[[], float]
    account: str = ''


class Action(ABC):
    """A provider of one kind of action. Its methods are called from several threads, one at a time for one action; none may raise but as said."""

    description: Description
    settings_keys: ClassVar[Keys] = None
    """What its section may hold, and a check for each value (`actions.keys`); None: whatever it likes."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings

    @classmethod
    def settings_faults(cls, settings: Mapping[str, Any]) -> Iterable[Fault]:
        """What is wrong with its section of the settings file; looked at whenever the file is read, before anything runs.

        Args:
            settings: The section, as plain values.

        Returns:
            Pairs: the keys that lead to the value, and what is wrong with it or what to write. By default those that `settings_keys` finds.
        """
        return () if cls.settings_keys is None else faults(settings, cls.settings_keys)

    @abstractmethod
    def run(self, call: Call) -> ActionStatus:
        """Begin, or find what an earlier call with this `request_id` began.

        Raises:
            ActionUnableToRun: nothing was begun.
        """

    @abstractmethod
    def status(self, action_id: str) -> ActionStatus:
        """How it stands.

        Raises:
            KeyError: there is no such action.
        """

    @abstractmethod
    def cancel(self, action_id: str) -> ActionStatus:
        """Ask it to end; advisory. What it says afterwards may still be ACTIVE, and even SUCCEEDED; an ended one stays as it is. Raises KeyError."""

    @abstractmethod
    def resume(self, action_id: str) -> ActionStatus:
        """Try an INACTIVE one again; nothing happens to another. Raises KeyError."""

    @abstractmethod
    def release(self, action_id: str) -> ActionStatus:
        """Forget an ended one; returns how it ended.

        Raises:
            KeyError: there is no such action.
            ActionConflict: it goes on.
        """

    def close(self) -> None:  # noqa: B027  most have nothing to let go of
        """The process ends: let go of threads and connections. Nothing is cancelled."""
