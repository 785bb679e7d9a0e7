"""The future of one task: a real `concurrent.futures.Future` that also knows its task."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from relay_parsl.client.quiet import QuietFuture
from relay_parsl.errors import TaskCancelled, TaskExpired
from relay_parsl.wire.messages import Id, State

FIRST_WORD = 1.0
"""Seconds that `state` waits for the relay's first word on a task."""


class Tracker(Protocol):
    """What a future needs of the session that carries its task."""

    def cancel(self, task_id: Id) -> None:
        """Ask for the end of the task, again and again until it has ended."""

    def observe(self, task_id: Id) -> None:
        """Have the relay tell the task's states from now on."""

    def wait_for(self, happened: Callable[[], bool], timeout: float | None) -> bool:
        """Until something happened, at most `timeout` seconds; whether it did."""

    def changed(self) -> None:
        """Something happened that somebody may wait for."""

    def trouble(self, seconds: float) -> str:
        """Why the relay has said nothing for so long; '' while there is a session with it."""


class TaskFuture(QuietFuture):
    """The result of a task that runs elsewhere.

    `cancel` settles it with `TaskCancelled` as its *exception*: a future that is cancelled in the sense of `concurrent.futures` hangs a
    Parsl `join_app` that waits for it.
    """

    is_accepted = False
    seen: State | None = None
    detail: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, task_id: Id, tracker: Tracker, owner: object = None) -> None:
        """Made by `Executor.submit`; `owner` is that executor."""
        self.id = task_id
        self.owner = owner
        self._tracker = tracker

    def __repr__(self) -> str:
        return f'<TaskFuture {self.task_id} {self._known().value}>'

    @property
    def task_id(self) -> str:
        """The task's UUID."""
        return str(uuid.UUID(bytes=bytes(self.id)))

    @property
    def parsl_executor_task_id(self) -> str:
        """What Parsl logs beside its own number of the task."""
        return self.task_id

    def state(self) -> str:
        """Where the task stands: `unsent`, `waiting-for-ep`, `waiting-for-nodes`, `running`, `success`, `failed`, `cancelled`, `expired`.

        The relay is asked on the first call, which may take up to a second; it tells of changes from then on.
        """
        if not self.done() and self.is_accepted:
            self._tracker.observe(self.id)
            self._tracker.wait_for(lambda: self.seen is not None or self.done(), FIRST_WORD)
        return self._known().value

    def accepted(self, timeout: float | None = None) -> None:
        """Return when the relay has the task on disk: from then on no crash of anything loses it.

        Args:
            timeout: seconds; None waits for as long as it takes.

        Raises:
            TimeoutError: it has not come to that within `timeout`.
            TaskError: the task ended before, by a refusal for example.
        """
        if not self._tracker.wait_for(lambda: self.is_accepted or self.done(), timeout):
            why = self.why_unsent or self._tracker.trouble(timeout or 0.0)
            raise TimeoutError(f'task {self.task_id} was not accepted within {timeout:g} s' + (f': {why}' if why else ''))
        error = None if self.is_accepted else self.exception()
        if error is not None:
            raise error

    @property
    def why_unsent(self) -> str:
        """Why the relay has not taken it yet, as far as it has said so."""
        return str(self.detail.get('why', ''))

    def cancel(self) -> bool:
        """Settle the future with `TaskCancelled` now and have the task ended; the request outlives crashes. False: it is done already."""
        if not self.fail(TaskCancelled(f'task {self.task_id} was cancelled')):
            return False
        self._tracker.cancel(self.id)
        return True

    def cancelled(self) -> bool:
        """Whether it ended in `TaskCancelled`, by whoever's wish."""
        return isinstance(self._exception, TaskCancelled)

    def running(self) -> bool:
        """Whether the relay's last word was that it runs."""
        return not self.done() and self.seen is State.RUNNING

    def succeed(self, value: Any) -> bool:
        """Settle it, if it is not. Callbacks run in this thread."""
        settled = self.settle(value, None)
        self._tracker.changed()
        return settled

    def fail(self, error: BaseException) -> bool:
        """Settle it, if it is not. Callbacks run in this thread."""
        settled = self.settle(None, error)
        self._tracker.changed()
        return settled

    def _known(self) -> State:
        if not self.done():
            return (self.seen or State.WAITING_FOR_EP) if self.is_accepted else State.UNSENT
        if self.cancelled():
            return State.CANCELLED
        if isinstance(self._exception, TaskExpired):
            return State.EXPIRED
        return State.FAILED if self._exception else State.SUCCESS
