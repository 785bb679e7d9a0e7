"""Whether the parameters of CreateWebInput and AwaitWebInput are right, as far as they stand in the definition and not in a run."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from relay_parsl.flows.definition import Json
from relay_parsl.flows.language.faults import Faults, shown, under
from relay_parsl.flows.language.templates import PRIVATE, bare

STYLES = {'Table': 'Rows', 'Text': 'Text'}
"""`PresentationStyle`, and the field of `Context` that it shows."""


def check_create(parameters: Mapping[str, Json], path: str, faults: Faults) -> None:
    """Note what is wrong with the parameters of a CreateWebInput."""
    _fields(parameters, ('InputType', 'Context', 'Options', 'RespondentUrns'), ('ViewerUrns',), path, faults)
    if 'InputType' in parameters and parameters['InputType'] != 'Selection':
        faults.fault(under(path, 'InputType'), f'must be "Selection", not {shown(parameters["InputType"])}')
    if 'Context' in parameters:
        _context(parameters['Context'], under(path, 'Context'), faults)
    if 'Options' in parameters:
        _options(parameters['Options'], under(path, 'Options'), faults)
    for key in ('RespondentUrns', 'ViewerUrns'):
        if key in parameters:
            _urns(parameters[key], under(path, key), faults, some=key == 'RespondentUrns')


def check_await(parameters: Mapping[str, Json], path: str, faults: Faults) -> None:
    """Note what is wrong with the parameters of an AwaitWebInput."""
    _fields(parameters, ('web_input_id',), (), path, faults)
    if 'web_input_id' in parameters and not isinstance(parameters['web_input_id'], str):
        faults.fault(under(path, 'web_input_id'), f'must be the id of a web input, as a text, not {shown(parameters["web_input_id"])}')


def _fields(given: Mapping[str, Json], needed: Collection[str], others: Collection[str], path: str, faults: Faults) -> None:
    names = {bare(key): key for key in given if key != PRIVATE}
    for name in needed:
        if name not in names:
            faults.fault(path, f'needs `{name}`')
    for name, key in names.items():
        if name not in needed and name not in others:
            faults.warn(under(path, key), f'is not known here, and has no effect{faults.near(name, [*needed, *others])}')


def _context(context: Json, path: str, faults: Faults) -> None:
    if not isinstance(context, dict):
        faults.fault(path, f'must be an object, not {shown(context)}')
        return
    _fields(context, ('PresentationStyle',), ('Title', 'Rows', 'Text'), path, faults)
    style = context.get('PresentationStyle', 'Text')
    if not isinstance(style, str) or style not in STYLES:
        faults.fault(under(path, 'PresentationStyle'), f'must be "Table" or "Text", not {shown(style)}')
    elif 'PresentationStyle' in context and STYLES[style] not in {bare(key) for key in context}:
        faults.fault(path, f'a {style} needs `{STYLES[style]}`')
    for key in ('Title', 'Text'):
        if not isinstance(context.get(key, ''), str):
            faults.fault(under(path, key), f'must be a text, not {shown(context[key])}')
    if 'Rows' in context:
        _items(context['Rows'], ('Field', 'Value'), (), under(path, 'Rows'), faults)


def _options(options: Json, path: str, faults: Faults) -> None:
    _items(options, ('Value',), ('Label', 'Description'), path, faults)
    seen: set[str] = set()
    for index, option in enumerate(options if isinstance(options, list) else ()):
        value = json.dumps(option.get('Value')) if isinstance(option, dict) else 'null'
        if value != 'null' and value in seen:
            faults.fault(under(under(path, index), 'Value'), f'{shown(option["Value"])} stands twice: an answer would not say which is meant')
        seen.add(value)


def _items(items: Json, needed: Collection[str], others: Collection[str], path: str, faults: Faults) -> None:
    if not isinstance(items, list) or not items:
        faults.fault(path, f'must be a list with at least one object, not {shown(items)}')
        return
    for index, item in enumerate(items):
        if isinstance(item, dict):
            _fields(item, needed, others, under(path, index), faults)
        else:
            faults.fault(under(path, index), f'must be an object, not {shown(item)}')


def _urns(urns: Json, path: str, faults: Faults, *, some: bool) -> None:
    if not isinstance(urns, list) or (some and not urns) or not all(isinstance(urn, str) for urn in urns):
        faults.fault(path, f'must be a list of URNs, `urn:globus:auth:identity:…`, not {shown(urns)}')
