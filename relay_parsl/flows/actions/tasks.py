"""Actions on files that take their time: transfer and delete. One row for each says how it stands; a few threads do them."""

from __future__ import annotations

import threading
from abc import abstractmethod
from contextlib import suppress
from dataclasses import asdict, replace

from relay_parsl.errors import StoreError
from relay_parsl.flows.actions.base import Action, ActionConflict, ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.actions.kept import digest_of
from relay_parsl.flows.messages import ACTIVE, INACTIVE, ActionStatus
from relay_parsl.flows.pool import Pool
from relay_parsl.flows.storage.place import Storage
from relay_parsl.flows.storage.task import Head, Task, Tools, task_id_of

AT_ONCE = 64
"""Tasks of one kind at the same time in one process: many, for some of them wait for a server. Files have a bound of their own, by collection."""
GRACE = 1.0
"""Seconds that a task may take to stop."""


class TaskAction(Action):
    """What runs a `Task` for each request, across the ends of processes."""

    task: type[Task]

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.storage = Storage(surroundings)
        self.tools = Tools(self.storage, surroundings.records, surroundings.report, surroundings.clock)
        self._live: dict[str, Task] = {}
        self._lock = threading.RLock()
        self._pool = Pool(AT_ONCE, f'flows-{self.description.name}')

    @abstractmethod
    def check(self, call: Call) -> None:
        """Raises ActionUnableToRun, LookupError or OSError for a body that cannot be done; touches no file."""

    def run(self, call: Call) -> ActionStatus:
        """Begin, or go on."""
        task_id = task_id_of(call.request_id)
        with self._lock:
            head = self._head(task_id)
            if head is None:
                head = self._begin(task_id, call)
            elif digest_of(head.body) != digest_of(call.body):
                raise ActionUnableToRun(f'request_id {call.request_id} was used with another body: a request id is of one body for ever')
            if head.status == ACTIVE and task_id not in self._live:
                self._start(head)
        return self.status(task_id)

    def _begin(self, task_id: str, call: Call) -> Head:
        if not isinstance(call.body, dict):
            raise ActionUnableToRun('the body must be an object')
        try:
            self.check(call)
        except (LookupError, OSError) as error:
            raise ActionUnableToRun(str(error.args[0] if isinstance(error, LookupError) else error)) from error
        label = str(call.body.get('label') or call.label)
        now = call.time or self.surroundings.clock()
        head = Head(task_id, call.request_id, call.body, dict(call.context), label, now, call.deadline)
        self.surroundings.records.put(self._key(task_id), asdict(head))
        return head

    def _start(self, head: Head) -> Task:
        task = self.task(head, self._key(head.task_id), self.tools)
        self._live[head.task_id] = task
        self._pool.submit(lambda: self._work(task))
        return task

    def _work(self, task: Task) -> None:
        try:
            with suppress(StoreError):  # this engine has lost the journal: the next one goes on
                if task.claim():
                    task.run()
        finally:
            self._gone(task)

    def _gone(self, task: Task) -> None:
        """It is at work no more; another one for the same request may be, since a resume."""
        with self._lock:
            if self._live.get(task.head.task_id) is task:
                del self._live[task.head.task_id]

    def _key(self, task_id: str) -> str:
        return f'{self.description.name}/{task_id}'

    def _head(self, task_id: str) -> Head | None:
        found = self.surroundings.records.get(self._key(task_id))
        return None if found is None else Head(**found)

    def _known(self, action_id: str) -> Task:
        """The task: the one at work, or one that only tells of the row."""
        with self._lock:
            live = self._live.get(action_id)
            if live is not None:
                return live
            head = self._head(action_id)
            if head is None:
                raise KeyError(action_id)
            return self.task(head, self._key(action_id), self.tools)

    def status(self, action_id: str) -> ActionStatus:
        """How it stands."""
        return self._known(action_id).status()

    def cancel(self, action_id: str) -> ActionStatus:
        """End it within about a second, and remove its parts. What was finished stays."""
        task = self._known(action_id)
        if task.head.status not in (ACTIVE, INACTIVE):
            return task.status()
        task.stop(cancel=True)
        if task.claim():  # nobody is at it yet
            task.run()
            self._gone(task)
        else:
            task.through.wait(GRACE)
        return task.status()

    def resume(self, action_id: str) -> ActionStatus:
        """Go on with what waits for room."""
        with self._lock:
            task = self._known(action_id)
            if task.head.status == INACTIVE:
                head = replace(task.head, status=ACTIVE, fatal=None, counts={**task.head.counts, 'nice': 'OK', 'nice_details': ''})
                self.surroundings.records.put(self._key(action_id), asdict(head))
                task = self._start(head)
        return task.status()

    def release(self, action_id: str) -> ActionStatus:
        """Forget an ended one."""
        with self._lock:
            status = self.status(action_id)
            if status.status in (ACTIVE, INACTIVE):
                raise ActionConflict(f'{self.description.name} {action_id} is {status.status}; cancel it, or wait for its end')
            self.surroundings.records.delete(self._key(action_id))
            return status

    def close(self) -> None:
        """Stop what is at work; the next process goes on with it."""
        with self._lock:
            tasks = list(self._live.values())
        for task in tasks:
            task.stop(cancel=False)
        self._pool.close(2 * GRACE)
        self.storage.close()
