"""`transfer`: files from one collection to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from relay_parsl.flows.actions.base import Call, Description
from relay_parsl.flows.actions.keys import Fault
from relay_parsl.flows.actions.tasks import TaskAction
from relay_parsl.flows.storage.collections import placed
from relay_parsl.flows.storage.request import transfer_request
from relay_parsl.flows.storage.task import Task
from relay_parsl.flows.storage.transfer import Transfer, check_transfer

_TEXT = {'type': 'string', 'minLength': 1}
_ITEM = {
    'type': 'object',
    'required': ['source_path', 'destination_path'],
    'properties': {'source_path': _TEXT, 'destination_path': _TEXT, 'recursive': {'type': ['boolean', 'null']}},
}
_ITEMS = {'type': 'array', 'minItems': 1, 'items': _ITEM}

SCHEMA = {
    'type': 'object',
    'properties': {
        'source_endpoint': _TEXT,
        'destination_endpoint': _TEXT,
        'DATA': _ITEMS,
        'source_endpoint_id': _TEXT,
        'destination_endpoint_id': _TEXT,
        'transfer_items': _ITEMS,
        'label': {'type': ['string', 'null']},
        'sync_level': {'enum': [None, 0, 1, 2, 3, 'exists', 'size', 'mtime', 'checksum']},
    },
}
"""Both forms: that of today and that of 2020, which may be mixed. What is missing `check` says, in better words than 'any of' has."""


class TransferAction(TaskAction):
    """Copies files and directories; the body is that of Globus's action provider, the result its task document."""

    description = Description(
        name='transfer',
        title='Transfer files',
        urls=(
            'https://transfer.actions.globus.org/transfer',
            'https://actions.globus.org/transfer/transfer',
            'https://actions.automate.globus.org/transfer/transfer',
        ),
        input_schema=SCHEMA,
        section='collections',
    )
    task: type[Task] = Transfer

    @classmethod
    def settings_faults(cls, settings: Mapping[str, Any]) -> Iterable[Fault]:
        """Of all collections."""
        return placed(settings)

    def check(self, call: Call) -> None:
        """Collections and paths, as far as the body alone can be judged."""
        check_transfer(self.storage, transfer_request(call.body), call.context)
