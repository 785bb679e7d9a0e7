"""What fake actions answer: what a test says, else what the real ones would about say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from relay_parsl.flows.definition import Json, StateError
from relay_parsl.flows.messages import FAILED, INACTIVE, SUCCEEDED
from relay_parsl.flows.terms import TERMS


@dataclass(frozen=True)
class Answer:
    """How one call of an action goes.

    Attributes:
        details: The provider's result.
        status: SUCCEEDED, FAILED or INACTIVE.
        after: Seconds that it takes, of the test's own clock: nobody waits.
        refusal: Where it is not empty the provider takes no such body, and `ActionUnableToRun` says this.
        then: How an INACTIVE one goes on when it is resumed.
    """

    details: Json = None
    status: str = SUCCEEDED
    after: float = 0.0
    refusal: str = ''
    then: Answer | None = None

    @classmethod
    def failed(cls, details: Json = None, after: float = 0.0) -> Answer:
        """It ends FAILED."""
        return cls(details, FAILED, after)

    @classmethod
    def refused(cls, why: str) -> Answer:
        """It never begins."""
        return cls(refusal=why)

    @classmethod
    def inactive(cls, code: str = 'ConsentRequired', then: Answer | None = None) -> Answer:
        """It waits for somebody, and once it is resumed ends as `then`: well, where nothing is said."""
        return cls({'code': code, 'description': f'somebody must mend this: {code}'}, INACTIVE, then=then or cls())

    @classmethod
    def never(cls) -> Answer:
        """It does not end by itself: `WaitTime` does that."""
        return cls(after=math.inf)


Given: TypeAlias = 'Answer | Callable[[Json], Json] | list[Json] | Json'
"""An Answer; details; a function of the body that returns one of both, or raises ActionUnableToRun; or a list of these, one for each call, of which
the last stays."""


def usual(action: str, body: Json, request_id: str) -> Json:
    """The details of an action that went well, as far as definitions are known to look into them."""
    asked = body if isinstance(body, Mapping) else {}
    made = _USUAL.get(action)
    return made(asked, request_id) if made else {}


def _hello(body: Mapping[str, Json], _request: str) -> Json:
    if body.get('required_dependent_scope'):
        return Answer({'code': 'ConsentRequired', 'required_scope': body['required_dependent_scope']}, INACTIVE, then=Answer({'Hello': 'World'}))
    return Answer({'Hello': 'World', 'hello': body.get('echo_string')}, after=float(body.get('sleep_time') or 0))


def _evaluated(body: Mapping[str, Json], _request: str) -> Json:
    """The real thing: it has no effects."""
    details: Json = {}
    try:
        for each in body.get('expressions') or [body]:
            path = str(each.get('result_path') or 'result')
            value = TERMS.evaluate(str(each.get('expression')), dict(each.get('arguments') or {}))
            details = TERMS.write(path if path.startswith('$') else f'$.{path}', details, value)
    except StateError as error:
        return Answer.failed({'code': error.error, 'description': error.cause})
    return details


def _moved(body: Mapping[str, Json], request: str) -> Json:
    items = body.get('DATA') or body.get('transfer_items') or body.get('items') or []
    count = len(items) if isinstance(items, list) else 1
    return {'task_id': request, 'status': 'SUCCEEDED', 'files': count, 'files_transferred': count, 'nice_status': 'OK', 'fatal_error': None}


def _listed(body: Mapping[str, Json], _request: str) -> Json:
    path = body.get('path') or '/'
    return {
        'DATA_TYPE': 'file_list',
        'path': path,
        'DATA': [{'name': 'fake.dat', 'type': 'file', 'size': 1}],
        'total': 1,
        'length': 1,
        'is_folder': True,
    }


def _computed(body: Mapping[str, Json], request: str) -> Json:
    tasks = body.get('tasks')
    outputs = [_output(each) for each in tasks] if isinstance(tasks, list) else [_output(body)]
    return {'result': outputs, 'results': [{'task_id': f'{request}:{index}', 'output': output} for index, output in enumerate(outputs)]}


def _output(task: Json) -> Json:
    """Two texts, so that `result[0][1]` is there, too."""
    function = task.get('function_id') or task.get('function') if isinstance(task, Mapping) else None
    return [f'output of {function}', f'second output of {function}']


def _told(body: Mapping[str, Json], _request: str) -> Json:
    """The answer of somebody who always takes the first option."""
    return {'web_input_id': body.get('web_input_id'), 'response': 'first'}


def _chosen(body: Mapping[str, Json], request: str) -> Json:
    options = body.get('options') or [{}]
    first = options[0] if isinstance(options, list) and isinstance(options[0], Mapping) else {}
    name = first.get('name', 'yes')
    return {'web_input_id': request, 'response': name, 'name': name, 'url_suffix': first.get('url_suffix', '')}


_USUAL: dict[str, Callable[[Mapping[str, Json], str], Json]] = {
    'hello_world': _hello,
    'expression_eval': _evaluated,
    'transfer': _moved,
    'delete': _moved,
    'ls': _listed,
    'stat': lambda body, _: {'name': str(body.get('path', '')).rpartition('/')[2], 'type': 'file', 'size': 1},
    'mkdir': lambda body, _: {'code': 'DirectoryCreated', 'path': body.get('path')},
    'collection_info': lambda body, _: {'id': body.get('endpoint_id') or body.get('collection_id'), 'display_name': 'fake'},
    'manage_permission': lambda body, request: {'access_id': request, **body},
    'compute': _computed,
    'notify': lambda _, request: {'notification_id': request, 'sent': True},
    'web_input_option': _chosen,
    'create_guest_collection': lambda body, request: {'id': request, 'display_name': body.get('display_name'), 'code': 'Created'},
    'search_ingest': lambda _, request: {'task_id': request, 'state': 'SUCCESS'},
    'search_delete': lambda _, request: {'task_id': request, 'state': 'SUCCESS'},
    'datacite': lambda _, request: {'data': {'id': f'10.0000/{request}'}},
    'web_input': lambda _, request: {'web_input_id': request},
    'web_input_response': _told,
}
