"""`delete`: files and directories of a collection."""

from __future__ import annotations

from relay_parsl.flows.actions.base import Call, Description
from relay_parsl.flows.actions.tasks import TaskAction
from relay_parsl.flows.storage.deletion import Deletion, check_delete
from relay_parsl.flows.storage.request import delete_request
from relay_parsl.flows.storage.task import Task

_TEXT = {'type': 'string', 'minLength': 1}
_FLAG = {'type': ['boolean', 'null']}

SCHEMA = {
    'type': 'object',
    'properties': {
        'endpoint': _TEXT,
        'endpoint_id': _TEXT,
        'DATA': {'type': 'array', 'minItems': 1, 'items': {'type': ['object', 'string']}},
        'items': {'type': 'array', 'minItems': 1, 'items': {'type': ['object', 'string']}},
        'label': {'type': ['string', 'null']},
        'recursive': _FLAG,
        'ignore_missing': _FLAG,
        'interpret_globs': _FLAG,
    },
}
"""Both forms, which may be mixed. What is missing `check` says."""


class DeleteAction(TaskAction):
    """Removes files and directories; the body is that of Globus's action provider, the result its task document."""

    description = Description(
        name='delete',
        title='Delete files',
        urls=(
            'https://transfer.actions.globus.org/delete',
            'https://actions.globus.org/transfer/delete',
            'https://actions.automate.globus.org/transfer/delete',
        ),
        input_schema=SCHEMA,
        destructive=True,
        section='collections',
    )
    task: type[Task] = Deletion

    def check(self, call: Call) -> None:
        """Collection and paths, as far as the body alone can be judged."""
        check_delete(self.storage, delete_request(call.body), call.context)
