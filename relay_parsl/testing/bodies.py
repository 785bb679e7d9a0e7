"""A body for a flow that has none: what its input schema asks for, and whatever its states read besides."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from relay_parsl.flows.definition import Choice, Definition, Json
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.language import reads, rules

_BY_TYPE: dict[str, Json] = {'string': 'sample', 'integer': 1, 'number': 1.5, 'boolean': True, 'null': None}
_BY_FORMAT = {'uuid': str(uuid.UUID(int=1)), 'date-time': '2026-01-01T00:00:00Z', 'uri': 'https://example.org/', 'email': 'me@example.org'}


def sample_body(flow: Flow) -> Json:
    """Made-up input that a run can be started with: a draft, to be mended by hand where the flow does arithmetic with it.

    Raises:
        DefinitionInvalid: it is no flow.
    """
    body: dict[str, Json] = {}
    if flow.input_schema is not None:
        made = _of_schema(flow.input_schema)
        body = made if isinstance(made, dict) else {}
    definition = flow.definition
    wanted = {**dict.fromkeys(_read(definition), 'sample'), **_compared(definition)}
    for path, value in sorted(wanted.items(), key=lambda pair: len(pair[0])):
        _put(body, path, value)
    return body


def _read(definition: Definition) -> list[reads.Steps]:
    """Paths that begin at what no state writes."""
    made = {steps[0] for state in definition.states.values() if (steps := reads.writes(state))}
    found = [path for state in definition.states.values() for _, path in reads.paths(state)]
    lists = [(*reads.steps(path), '0') for path in found if path.endswith(']') and ':' in path]
    return [steps for steps in [*map(reads.steps, found), *lists] if steps and steps[0] not in made - {'input'} and steps[0] != '_context']


def _compared(definition: Definition) -> dict[reads.Steps, Json]:
    """What a Choice compares with a constant: that constant."""
    choices = [rule for state in definition.states.values() if isinstance(state, Choice) for rule, _ in state.choices]
    known = set(_read(definition))
    found = [(reads.steps(each.variable), each) for rule in choices for each in rules.comparisons(rule)]
    return {steps: each.value for steps, each in found if steps in known and not each.operator.endswith('Path') and each.operator[:2] != 'Is'}


def _of_schema(schema: Json) -> Json:
    if not isinstance(schema, Mapping):
        return {}
    for key in ('default', 'const'):
        if key in schema:
            return schema[key]
    if schema.get('enum'):
        return schema['enum'][0]
    kind = schema.get('type')
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == 'array':
        return [_of_schema(schema.get('items', {'type': 'string'})) for _ in range(max(1, int(schema.get('minItems', 1))))]
    if kind in _BY_TYPE:
        return _BY_FORMAT.get(str(schema.get('format')), _BY_TYPE[kind])
    properties = schema.get('properties', {})
    return {name: _of_schema(each) for name, each in properties.items() if isinstance(each, Mapping)}


def _put(body: Any, path: reads.Steps, value: Json) -> None:
    """Into what is not there yet; what is there stays."""
    node = body
    for step, after in zip(path, (*path[1:], None), strict=True):
        fresh: Json = value if after is None else [] if after.isdigit() else {}
        if isinstance(node, list) and step.isdigit():
            node.extend(fresh if after is None else type(fresh)() for _ in range(int(step) + 1 - len(node)))
            node = node[int(step)]
        elif isinstance(node, dict):
            if isinstance(node.get(step), str) and after is not None:
                node[step] = fresh
            node = node.setdefault(step, fresh)
        else:
            return
