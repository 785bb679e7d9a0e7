"""Actions as rows: written down when they begin, with their ends when they end, so that any later process knows them."""

from __future__ import annotations

import hashlib
import json
import threading
from abc import abstractmethod
from dataclasses import fields, replace
from typing import Any, ClassVar

from relay_parsl.flows.actions.base import Action, ActionConflict, ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.definition import Json
from relay_parsl.flows.messages import ACTIVE, FAILED, INACTIVE, SUCCEEDED, ActionStatus

FIELDS = fields(ActionStatus)
STRIPES = 16
"""Locks, each for the actions whose ids fall to it."""
Row = dict[str, Any]
"""Of one action: `digest`, `body` and `time` of its request, `ended` (its last status) once it has, and what its provider adds."""


class Kept(Action):
    """The five methods over rows in `records`. A subclass says what it takes (`check`), does it (`begin`), and how it stands (`standing`).

    Rows are read and written under a lock of their action, which is free again while nothing is asked.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._locks = [threading.RLock() for _ in range(STRIPES)]

    # -- What a provider says -------------------------------------------------------------------------------------------

    @abstractmethod
    def check(self, call: Call) -> Row:
        """What is to be kept of a request that can be carried out, beside its body, or as `body` in its place. Raises ActionUnableToRun."""

    @abstractmethod
    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Do it, or start to. `again`: an earlier call may have done it already, wholly or in part, in this process or in one that died."""

    def standing(self, action_id: str, row: Row) -> ActionStatus:
        """How one stands that has not ended, as far as is known."""
        return self.active(action_id, row)

    def stop(self, action_id: str, row: Row) -> ActionStatus:
        """What `cancel` does with one that has not ended. By default that is all: it ends FAILED."""
        return self.failed(action_id, row, 'ActionCanceled', 'the action was cancelled')

    def again(self, action_id: str, row: Row) -> ActionStatus:
        """What `resume` does with an INACTIVE one."""
        return self.begin(action_id, row, again=True)

    def id_of(self, call: Call) -> str:
        """The action's id: it follows from the request."""
        return call.request_id

    # -- The five methods -----------------------------------------------------------------------------------------------

    def run(self, call: Call) -> ActionStatus:
        """Begin, or find what an earlier call began. Raises ActionUnableToRun."""
        action_id = self.id_of(call)
        with self.lock(action_id):
            row, digest = self.find(action_id), digest_of(call.body)
            if row is None:
                row = {'digest': digest, 'body': call.body, 'time': call.time, **self.check(call)}
                self.keep(action_id, row)
                return self._seen(action_id, row, self.begin(action_id, row, again=False))
            if row['digest'] != digest:
                raise ActionUnableToRun(f'request_id {call.request_id} was used with another body: a request id is of one body for ever')
            return self._ended(row) or self._seen(action_id, row, self.begin(action_id, row, again=True))

    def status(self, action_id: str) -> ActionStatus:
        """How it stands. Raises KeyError."""
        with self.lock(action_id):
            row = self._row(action_id)
            return self._ended(row) or self._seen(action_id, row, self.standing(action_id, row))

    def cancel(self, action_id: str) -> ActionStatus:
        """Ask it to end. Raises KeyError."""
        with self.lock(action_id):
            row = self._row(action_id)
            return self._ended(row) or self._seen(action_id, row, self.stop(action_id, row))

    def resume(self, action_id: str) -> ActionStatus:
        """Try an INACTIVE one again. Raises KeyError."""
        with self.lock(action_id):
            row = self._row(action_id)
            stands = self._ended(row) or self.standing(action_id, row)
            return self._seen(action_id, row, self.again(action_id, row)) if stands.status == INACTIVE else stands

    def release(self, action_id: str) -> ActionStatus:
        """Forget an ended one. Raises KeyError, ActionConflict."""
        with self.lock(action_id):
            stands = self.status(action_id)
            if stands.completion_time is None:
                raise ActionConflict(f'action {action_id} is {stands.status}: only an ended one is released')
            self.surroundings.records.delete(self._key(action_id))
            return stands

    def tell(self, action_id: str) -> None:
        """Report an action that may have come further; one that has ended or was released has nothing to say."""
        row = self.find(action_id)
        if row is not None and not row.get('ended'):
            self.surroundings.report(action_id)

    # -- Rows -----------------------------------------------------------------------------------------------------------

    def lock(self, action_id: str) -> threading.RLock:
        """Hold it while a row is read, decided on and written."""
        return self._locks[hash(action_id) % STRIPES]

    def find(self, action_id: str) -> Row | None:
        """The row, None where there is none."""
        found: Row | None = self.surroundings.records.get(self._key(action_id))
        return found

    def keep(self, action_id: str, row: Row) -> None:
        """Write it."""
        self.surroundings.records.put(self._key(action_id), row)

    def _key(self, action_id: str) -> str:
        """Other providers may keep rows beside ours."""
        return f'{self.description.name}/action/{action_id}'

    def _row(self, action_id: str) -> Row:
        row = self.find(action_id)
        if row is None:
            raise KeyError(action_id)
        return row

    def _ended(self, row: Row) -> ActionStatus | None:
        return ActionStatus(**row['ended']) if row.get('ended') else None

    def _seen(self, action_id: str, row: Row, status: ActionStatus) -> ActionStatus:
        """An end is written down when it is first seen: it is the same for ever."""
        if status.completion_time is not None:
            row['ended'] = {each.name: getattr(status, each.name) for each in FIELDS}  # `asdict` copies the result, which may be large
            self.keep(action_id, row)
        return status

    # -- Statuses -------------------------------------------------------------------------------------------------------

    def active(self, action_id: str, row: Row, details: Json = None, display: str = ACTIVE) -> ActionStatus:
        """It goes on."""
        return ActionStatus(action_id, ACTIVE, details, display, row['time'])

    def inactive(self, action_id: str, row: Row, details: Json) -> ActionStatus:
        """It waits for somebody: `details` have its `code`."""
        return ActionStatus(action_id, INACTIVE, details, str(details['code']), row['time'])

    def succeeded(self, action_id: str, row: Row, details: Json, at: float | None = None) -> ActionStatus:
        """It ended well, at `at` or now."""
        return self._end(ActionStatus(action_id, SUCCEEDED, details, SUCCEEDED, row['time']), at)

    def failed(self, action_id: str, row: Row, code: str, description: str, **details: Json) -> ActionStatus:
        """It ended badly, now."""
        return self._end(ActionStatus(action_id, FAILED, {'code': code, 'description': description, **details}, FAILED, row['time']), None)

    def _end(self, status: ActionStatus, at: float | None) -> ActionStatus:
        return replace(status, completion_time=max(status.start_time, self.surroundings.clock() if at is None else at))


class Confidential(Kept):
    """With fields that no row may have: `secrets`. They are there while `run` is, in `given`, and in each later call of it."""

    secrets: ClassVar[tuple[str, ...]] = ()

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._bodies: dict[str, Json] = {}

    def run(self, call: Call) -> ActionStatus:
        """With the secrets of this call. Raises ActionUnableToRun."""
        action_id = self.id_of(call)
        with self.lock(action_id):
            self._bodies[action_id] = call.body
            try:
                return super().run(call)
            finally:
                del self._bodies[action_id]

    def given(self, action_id: str, row: Row) -> Json:
        """The body with its secrets, or without where `run` was not called."""
        return self._bodies.get(action_id, row['body'])

    def open_part(self, body: Json) -> Json:
        """What may be kept of a body."""
        return {name: value for name, value in body.items() if name not in self.secrets}


def digest_of(body: Json) -> str:
    """By which one body is told from another."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(',', ':')).encode()).hexdigest()
