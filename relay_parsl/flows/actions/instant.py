"""Actions on collections that end at once: what is asked and what came of it are one row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.kept import Kept, Row
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.flows.storage.access import who_of
from relay_parsl.flows.storage.collections import Collection
from relay_parsl.flows.storage.faults import fault_of
from relay_parsl.flows.storage.paths import parse
from relay_parsl.flows.storage.place import Place, Storage

WORDS = {
    'FILE_NOT_FOUND': 'NotFound',
    'PERMISSION_DENIED': 'PermissionDenied',
    'NOT_A_DIRECTORY': 'NotDirectory',
    'IS_A_DIRECTORY': 'IsDirectory',
    'EXISTS': 'Exists',
    'CONNECTION_FAILED': 'EndpointError',
    'ENDPOINT_ERROR': 'EndpointError',
    'QUOTA_EXCEEDED': 'QuotaExceeded',
}
"""The codes of Globus's file operations, by those of its tasks."""


class InstantAction(Kept):
    """A subclass reads the body (`fields`) and does it (`do`). What goes wrong with files ends the action as FAILED, with `details.code`."""

    writes = False
    """Whether the place is to be changed."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.storage = Storage(surroundings)

    def fields(self, fields: Fields) -> dict[str, Any]:
        """What the body says beside the collection and the path, as keywords of `do`."""
        return {}

    @abstractmethod
    def do(self, place: Place, row: Row, again: bool, **said: Any) -> dict[str, Any]:
        """Do it. Raises OSError."""

    def check(self, call: Call) -> Row:
        """Collection, path and options, as far as the body alone can be judged."""
        fields = Fields(call.body)
        key, path = self.where(fields)
        said = self.fields(fields)
        fields.done()
        collection = self.known(key)
        try:
            self.storage.check(collection, parse(path, collection.home), who_of(call.context), self.writes)
        except OSError as error:
            raise ActionUnableToRun(f'path: {error}') from error
        return {'context': dict(call.context), 'key': key, 'path': path, 'said': said, 'request_id': call.request_id}

    def known(self, key: str) -> Collection:
        """The collection of this name or UUID. Raises ActionUnableToRun."""
        try:
            return self.storage.find(key)
        except (LookupError, OSError) as error:
            raise ActionUnableToRun(str(error.args[0])) from error

    def where(self, fields: Fields) -> tuple[str, str]:
        """The collection and the path."""
        return endpoint(fields), fields.text('path')

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Do it, now."""
        try:
            place = self.storage.place(row['key'], row['path'], row['context'], self.writes)
            return self.succeeded(action_id, row, self.do(place, row, again, **row['said']))
        except LookupError as error:
            return self.failed(action_id, row, 'EndpointNotFound', str(error.args[0]))
        except OSError as error:
            fault = fault_of(error)
            return self.failed(action_id, row, WORDS.get(fault.code, fault.code), fault.description, message=fault.description)

    def close(self) -> None:
        """Let go of connections."""
        self.storage.close()


def endpoint(fields: Fields) -> str:
    """The collection, under the names that bodies of both forms have for it."""
    for name in ('endpoint_id', 'endpoint', 'collection_id'):
        if name in fields:
            return fields.text(name)
    return fields.text('endpoint_id')


TEXT = {'type': 'string', 'minLength': 1}
WHERE: Mapping[str, Any] = {'endpoint_id': TEXT, 'endpoint': TEXT, 'collection_id': TEXT, 'path': TEXT}


def schema(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """The schema of a body of one collection and, mostly, a path. That the collection is missing `check` says, for it has several names."""
    return {
        'type': 'object',
        'properties': {**WHERE, **properties},
        'required': list(required),
    }


def spellings(*names: str) -> tuple[str, ...]:
    """The hosted URLs of an action, of today and of before; later names are what it was called before."""
    old = [f'https://{host}/transfer/{name}' for name in names for host in ('actions.globus.org', 'actions.automate.globus.org')]
    return (*(f'https://transfer.actions.globus.org/{name}' for name in names), *old)


def resource(collection: Collection, what: str) -> str:
    """What Globus's results call the thing that was asked."""
    return f'/operation/endpoint/{collection.id}/{what}'
