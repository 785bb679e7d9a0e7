"""What transfers and deletes have in common: a row that says how they stand, a thread that does them, a way to stop."""

from __future__ import annotations

import threading
import traceback
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from relay_parsl.errors import StoreError
from relay_parsl.flows.actions.base import Records
from relay_parsl.flows.messages import ACTIVE, FAILED, INACTIVE, SUCCEEDED, ActionStatus
from relay_parsl.flows.storage.copying import AtSource
from relay_parsl.flows.storage.faults import Fault, Stopped, fault_of
from relay_parsl.flows.storage.place import Storage
from relay_parsl.flows.storage.progress import Progress, Standing, short

TICK = 0.5
"""Seconds between two reports of progress, and between two rows of what is done."""

FIRST_WAIT, LAST_WAIT = 0.5, 60.0
"""Seconds between the first two tries of a file, which double, and the most that they come to."""


def task_id_of(request_id: str) -> str:
    """The id of the task of this request: the same at each repetition."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f'relay-parsl:task:{request_id}'))


@dataclass(frozen=True)
class Head:
    """The row of a task.

    Attributes:
        counts: Of `Progress`, when it was written last.
        planned: What the walk through the source found, once it is through: how many rows hold it.
        fatal: Why it FAILED, or is INACTIVE: `code` and `description`.
    """

    task_id: str
    request_id: str
    body: Any
    context: Mapping[str, Any]
    label: str
    time: float
    deadline: float
    status: str = ACTIVE
    completion_time: float | None = None
    fatal: Mapping[str, str] | None = None
    planned: Mapping[str, Any] | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)

    def standing(self) -> Standing:
        """For the document."""
        owner = str(self.context.get('username') or '')
        return Standing(self.task_id, self.status, self.label, self.time, self.deadline, self.completion_time, self.fatal, owner)


@dataclass(frozen=True)
class Tools:
    """What a task works with."""

    storage: Storage
    records: Records
    report: Callable[[str], None]
    clock: Callable[[], float]


class GivenUp(Exception):
    """A fault that ends the task. `args[0]` is the `Fault`."""


class Task(ABC):
    """One action at work in this process.

    Args:
        head: Its row.
        key: The key of that row; what else it writes down begins so, too.
    """

    fail_when_full = False

    def __init__(self, head: Head, key: str, tools: Tools) -> None:
        self.head, self.key, self.tools = head, key, tools
        self.progress = Progress(**dict(head.counts))
        self.stopped, self.halt, self.through = threading.Event(), threading.Event(), threading.Event()
        self.cancelled = False
        self._unclaimed = threading.Lock()

    def claim(self) -> bool:
        """Whether the caller is the one to `run` it: the first who asks is."""
        return self._unclaimed.acquire(blocking=False)

    @abstractmethod
    def work(self) -> None:
        """Do it all. Raises GivenUp or Stopped."""

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """The details."""

    @abstractmethod
    def clean(self) -> None:
        """It ended: remove what only it needed. Must not raise OSError."""

    def run(self) -> None:
        """In a thread: work, and write down how it ended. Where the process only stops, nothing is written: the next one goes on."""
        try:
            self._end(*self._worked())
        finally:
            self.through.set()
            self.tools.report(self.head.task_id)

    def _worked(self) -> tuple[str, Mapping[str, str] | None]:
        try:
            self.progress.well()
            if not self.stopped.is_set():
                self.work()
            if not self.stopped.is_set():
                return SUCCEEDED, None
        except GivenUp as error:
            fault: Fault = error.args[0]
            return INACTIVE if fault.full and not self.fail_when_full else FAILED, {'code': fault.code, 'description': short(fault.description)}
        except Stopped:
            pass
        except StoreError:
            raise
        except Exception:  # noqa: BLE001  a fault of ours must end the action, not leave it ACTIVE for ever
            return FAILED, {'code': 'INTERNAL_ERROR', 'description': traceback.format_exc(limit=-4)}
        return (FAILED, {'code': 'CANCELED', 'description': 'cancelled'}) if self.cancelled else (ACTIVE, None)

    def _end(self, status: str, fatal: Mapping[str, str] | None) -> None:
        if status == ACTIVE:
            return
        if status in (SUCCEEDED, FAILED):
            self.clean()
        if status == INACTIVE:
            self.save(status=status, fatal=fatal)
        else:
            self.save(status=status, fatal=fatal, completion_time=self.tools.clock(), planned=None)

    def save(self, **changes: Any) -> None:
        """Write the row, with the counts of now. Nobody hears of what is not written: an end that a crash takes back, say."""
        head = replace(self.head, counts=self.progress.counts(), **changes)
        self.tools.records.put(self.key, asdict(head))
        self.head = head

    def stop(self, cancel: bool) -> None:
        """End soon: for good, or until the next process."""
        self.cancelled = self.cancelled or cancel
        self.stopped.set()
        self.halt.set()

    def check(self) -> None:
        """Raises Stopped where it is to end: by `stop`, or because a part of it was given up."""
        if self.halt.is_set():
            raise Stopped

    def patiently(self, path: str, step: Callable[[], Any], may_pass: bool = False) -> Any:
        """Do one step; where it fails in a way that may pass, again, later and later.

        Args:
            path: What it is about.
            step: Does it; raises OSError, AtSource, LookupError.
            step: Does it; raises OSError, AtSource, LookupError.
            may_pass: Whether a fault of the source may be passed over: the answer is then None.

        Raises:
            GivenUp: it will not be done.
        """
        tries = 0
        while True:
            try:
                result = step()
                if tries:
                    self.progress.well()
                return result
            except AtSource as error:
                fault, source = fault_of(error.args[0]), True
            except OSError as error:
                fault, source = fault_of(error), False
            except LookupError as error:
                fault, source = Fault('ENDPOINT_NOT_FOUND', str(error)), False
            tries += 1
            self.progress.fault(path, fault, self.tools.clock())
            if fault.full or 0 < fault.tries <= tries:
                if source and may_pass and not fault.full:
                    self.progress.well()
                    return None
                raise GivenUp(fault)
            self.halt.wait(min(FIRST_WAIT * 2 ** (tries - 1), LAST_WAIT))
            self.check()

    def status(self) -> ActionStatus:
        """As the engine wants it."""
        head = self.head
        return ActionStatus(head.task_id, head.status, self.document(), self.display(), head.time, head.completion_time)

    def display(self) -> str:
        """A word for people."""
        return str((self.head.fatal or {}).get('code') or (self.progress.nice if self.progress.nice != 'OK' else self.head.status))
