"""`mkdir`: one new directory."""

from __future__ import annotations

import errno
from typing import Any

from relay_parsl.flows.actions.base import Description
from relay_parsl.flows.actions.instant import WORDS, InstantAction, resource, schema, spellings
from relay_parsl.flows.actions.kept import Row
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.flows.storage.place import Place


class MkdirAction(InstantAction):
    """Makes a directory whose parent exists; one that is there already is an error, as it is at Globus."""

    description = Description(
        name='mkdir',
        title='Make a directory',
        urls=spellings('mkdir'),
        synchronous=True,
        input_schema=schema({}, 'path'),
        section='collections',
    )
    writes = True

    def do(self, place: Place, row: Row, again: bool, **said: Any) -> dict[str, Any]:
        """Make it; where this very request may have made it before it could be written down, one that is there is ours."""
        if not place.store.make(place.parts) and not again:
            raise FileExistsError(errno.EEXIST, 'a directory of this name exists', place.text())
        place.store.settle([place.parts[:-1]])
        return {
            'DATA_TYPE': 'mkdir_result',
            'code': 'DirectoryCreated',
            'message': 'The directory was created successfully',
            'path': place.text(directory=True),
            'request_id': row['request_id'],
            'resource': resource(place.collection, 'mkdir'),
        }

    def failed(self, action_id: str, row: Row, code: str, description: str, **details: Any) -> ActionStatus:
        """With the longer codes that Globus has here."""
        known = code in WORDS.values() and code != 'PermissionDenied'
        return super().failed(action_id, row, f'ExternalError.MkdirFailed.{code}' if known else code, description, **details)
