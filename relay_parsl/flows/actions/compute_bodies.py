"""What a compute request says: the bodies of the hosted action's two versions, and of what they grew from, as one. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.definition import Json

TEXT_OR_LIST = {'type': ['array', 'string', 'null']}
TEXT_OR_OBJECT = {'type': ['object', 'string', 'null']}
_TASK = {
    'endpoint': {'type': 'string', 'description': "An endpoint's name or UUID."},
    'endpoint_id': {'type': 'string'},
    'function': {'type': 'string', 'description': 'The UUID of a registered function, or `package.module:function`.'},
    'function_id': {'type': 'string'},
    'args': {**TEXT_OR_LIST, 'description': 'A list, or JSON text of one.'},
    'kwargs': {**TEXT_OR_OBJECT, 'description': 'An object, or JSON text of one.'},
    'payload': {**TEXT_OR_OBJECT, 'description': 'The older name of kwargs.'},
}
SCHEMA: Json = {
    'type': 'object',
    'properties': {
        **_TASK,
        'tasks': {'type': 'array', 'minItems': 1, 'items': {'type': 'object', 'properties': _TASK}},
        'task_group_id': {'type': ['string', 'null']},
        'user_endpoint_config': {'type': ['object', 'null']},
        'resource_specification': {'type': ['object', 'null']},
        'create_queue': {'type': ['boolean', 'null'], 'description': 'Of the cloud: nothing is done with it.'},
    },
}


@dataclass(frozen=True)
class Work:
    """One call. `endpoint` and `function` are ours: names, UUIDs, importable names."""

    endpoint: str
    function: str
    args: tuple[Json, ...]
    kwargs: Mapping[str, Json]


@dataclass(frozen=True)
class Job:
    """A request: its calls, in order, and what they share. `group` is '' where the request does not say."""

    works: tuple[Work, ...]
    group: str = ''
    user_endpoint_config: Mapping[str, Json] | None = None
    resource_specification: Mapping[str, Json] | None = None


class Names:
    """Whom theirs are here: `endpoints` and `functions` of the settings. UUIDs in any case of letters; what is not among them stands for itself."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._endpoints = _lowered(settings.get('endpoints') or {})
        self._functions = _lowered(settings.get('functions') or {})

    def endpoint(self, name: str) -> str:
        """Ours."""
        return self._endpoints.get(name.lower(), name)

    def function(self, name: str) -> str:
        """Ours."""
        return self._functions.get(name.lower(), name)


def _lowered(names: Mapping[str, Any]) -> dict[str, str]:
    return {str(theirs).lower(): str(ours) for theirs, ours in names.items()}


def read_job(body: Json, names: Names) -> Job:
    """The request. Raises ActionUnableToRun with everything that is wrong."""
    fields = Fields(body)
    if 'tasks' in fields:
        works = [_work(each, fields, names) for each in fields.objects('tasks', least=1)]
        for name in ('args', 'kwargs', 'payload', 'function', 'function_id'):
            if name in fields:
                fields.fault(name, 'stands in each of `tasks` where there are tasks')
            fields.any(name)
    else:
        works = [_work(fields, fields, names)]
        fields.any('tasks')
    job = Job(tuple(works), _group(fields), _options(fields, 'user_endpoint_config'), _options(fields, 'resource_specification'))
    fields.flag('create_queue', False)
    fields.only()
    fields.done()
    return job


def _work(fields: Fields, outer: Fields, names: Names) -> Work:
    """One call; the endpoint may be that of all."""
    endpoint = _either(fields, 'endpoint', 'endpoint_id') or (_either(outer, 'endpoint', 'endpoint_id') if fields is not outer else '')
    function = _either(fields, 'function', 'function_id')
    if not endpoint:
        fields.fault('endpoint', "is missing: an endpoint's name or UUID (in version 3: endpoint_id)")
    if not function:
        fields.fault('function', 'is missing: the UUID of a registered function, or package.module:function (in version 3: function_id)')
    args, kwargs, payload = _parsed(fields, 'args', list), _parsed(fields, 'kwargs', dict), _parsed(fields, 'payload', dict)
    if kwargs and payload:
        fields.fault('payload', 'is the older name of kwargs: give one of them')
    if fields is not outer:
        fields.only()
    return Work(names.endpoint(endpoint), names.function(function), tuple(args), kwargs or payload)


def _either(fields: Fields, one: str, other: str) -> str:
    first, second = fields.text(one, ''), fields.text(other, '')
    if first and second and first != second:
        fields.fault(one, f'and {other} are two names of one thing, with two values')
    return first or second


def _parsed(fields: Fields, name: str, wanted: type) -> Any:
    """A list or an object, or JSON text of one: flows of the second version have it so."""
    value = fields.any(name)
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            fields.fault(name, f'is text that is no JSON: {value[:60]!r}')
            return wanted()
    if value is None or value == '':
        return wanted()
    if not isinstance(value, wanted):
        fields.fault(name, f'is {"a list" if wanted is list else "an object"}, or JSON text of one, not {type(value).__name__}')
        return wanted()
    return value


def _group(fields: Fields) -> str:
    text = fields.text('task_group_id', '')
    try:
        return str(uuid.UUID(text)) if text else ''
    except ValueError:
        fields.fault('task_group_id', f'is a UUID, not {text[:60]!r}')
        return ''


def _options(fields: Fields, name: str) -> dict[str, Json] | None:
    return fields.mapping(name, {}) or None
