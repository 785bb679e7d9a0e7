"""`compute`: calls of functions on relay endpoints.

```
 run(request) ─ row: intent ─► ids of group and tasks follow from the request ─► relay (the same id is the same task) ─► results ─ row: end
```

The window between the submit and our knowing of it is closed by the ids: a process that cannot know whether an earlier one's submit has
arrived submits again, and the relay answers for a task that it knows instead of running another. Once the relay has said that it has all
tasks of a request, they are followed and no more submitted: nothing about the function need be known any more.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from relay_parsl.errors import RelayError
from relay_parsl.flows.actions import keys
from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Description, Surroundings
from relay_parsl.flows.actions.compute_bodies import SCHEMA, Names, read_job
from relay_parsl.flows.actions.compute_outcomes import outcome, progress
from relay_parsl.flows.actions.kept import Kept, Row
from relay_parsl.flows.actions.requests import group_of
from relay_parsl.flows.messages import ActionStatus

if TYPE_CHECKING:
    from relay_parsl.flows.actions.compute_tasks import Tasks


class Compute(Kept):
    """Settings: `relay` and `credentials` as for `Executor`; `endpoints` and `functions`, theirs to ours; `at_most_once`."""

    settings_keys: ClassVar[keys.Keys] = {
        'relay': keys.text,
        'credentials': keys.text,
        'endpoints': keys.Table(keys.text),
        'functions': keys.Table(keys.function),
        'at_most_once': keys.flag,
    }

    description = Description(
        name='compute',
        title='Compute on an endpoint',
        urls=(
            'https://compute.actions.globus.org',
            'https://compute.actions.globus.org/v2',
            'https://compute.actions.globus.org/v3',
            'https://compute.actions.globus.org/fxap',
            'https://automate.funcx.org',
        ),
        input_schema=SCHEMA,
    )

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._names = Names(surroundings.settings)
        self._making = threading.Lock()
        self._made: Tasks | None = None

    def id_of(self, call: Call) -> str:
        """`tg_` and the UUID of the request's task group."""
        return f'tg_{group_of(call.request_id, call.time)}'

    def check(self, call: Call) -> Row:
        """Asks the relay, if it answers, whether endpoints and functions are there. Raises ActionUnableToRun."""
        self._tasks.check(read_job(call.body, self._names))
        return {'request': call.request_id}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Hand it to the thread that submits."""
        if not self._tasks.knows(action_id):
            job = read_job(row['body'], self._names)
            self._tasks.start(action_id, job, row, again=again)
        return self.standing(action_id, row)

    def standing(self, action_id: str, row: Row) -> ActionStatus:
        """By its futures. A process that has none yet gets them."""
        if not self._tasks.knows(action_id):
            return self.begin(action_id, row, again=True)
        tasks = self._tasks.standings(action_id)
        about = {'task_group_id': read_job(row['body'], self._names).group or action_id.removeprefix('tg_')}
        if tasks and all(each.done for each in tasks):
            well, details = outcome(tasks)
            return self.succeeded(action_id, row, {**about, **details}) if well else self.failed(action_id, row, **{**about, **details})
        said = progress(tasks)
        return self.active(action_id, row, {**about, **said}, said.get('why') or ', '.join(said['tasks']) or 'submitting')

    def stop(self, action_id: str, row: Row) -> ActionStatus:
        """Ends its tasks: running functions are interrupted."""
        row['cancelled'] = True
        self.keep(action_id, row)
        if not self._tasks.knows(action_id):
            self.begin(action_id, row, again=True)
        self._tasks.cancel(action_id)
        return self.standing(action_id, row)

    def release(self, action_id: str) -> ActionStatus:
        """Forget an ended one. Raises KeyError, ActionConflict."""
        ended = super().release(action_id)
        if self._made is not None:
            self._made.forget(action_id)
        return ended

    def close(self) -> None:
        """Tasks go on."""
        with self._making:
            if self._made is not None:
                self._made.close()

    @property
    def _tasks(self) -> Tasks:
        """The client, and zmq with it, is loaded when the first request comes."""
        with self._making:
            if self._made is None:
                from relay_parsl.flows.actions.compute_tasks import Tasks  # noqa: PLC0415  see above

                try:
                    self._made = Tasks(self.surroundings.settings, self.surroundings.report, self._accepted)
                except RelayError as error:
                    raise ActionUnableToRun(f'compute cannot be used here: {error}') from None
            return self._made

    def _accepted(self, action_id: str) -> None:
        """The relay has all tasks on disk: from now on they are followed."""
        with self.lock(action_id):
            row = self.find(action_id)
            if row is not None and not row.get('sent'):
                self.keep(action_id, {**row, 'sent': True})
