"""Whether the body that a definition writes is one that its action takes, as far as that can be seen before a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relay_parsl.flows.catalogue import Catalogue
from relay_parsl.flows.definition import Action, Json
from relay_parsl.flows.language import schema
from relay_parsl.flows.language.faults import Fault, Faults, under
from relay_parsl.flows.language.reads import place
from relay_parsl.flows.language.templates import EXPRESSION, PATH, PRIVATE, bare


def misfits(state: Action, catalogue: Catalogue) -> Iterator[Fault]:
    """Warnings: what the action needs and the body has not, what it does not take, constants of another kind than it takes."""
    known = catalogue.descriptions.get(state.action)
    wanted = known.input_schema if known is not None else None
    if not isinstance(wanted, dict) or not isinstance(state.parameters, dict):
        return
    names = {bare(key): key for key in state.parameters if key != PRIVATE}
    properties = wanted.get('properties', {})
    for name in wanted.get('required', ()):
        if name not in names:
            yield Fault(place(state, '.Parameters'), f'`{state.action}` needs `{name}`; it will refuse this')
    closed = wanted.get('additionalProperties') is False and 'patternProperties' not in wanted
    for name, key in names.items():
        where = under(place(state, '.Parameters'), key)
        if name in properties:
            yield from _constant(properties[name], state.parameters[key], key, where)
        elif closed:
            yield Fault(where, f'`{state.action}` does not take this, and will refuse it{Faults().near(name, properties)}')


def _constant(wanted: Mapping[str, Json], value: Json, key: str, where: str) -> Iterator[Fault]:
    if key == bare(key) and _settled(value):
        for fault in schema.faults(wanted, value)[:1]:
            yield Fault(where + fault.path[1:], f'{fault.message}; the action will refuse it')


def _settled(value: Json) -> bool:
    """Whether nothing in it waits for a run."""
    if isinstance(value, dict):
        return PRIVATE not in value and all(not key.endswith((PATH, EXPRESSION)) and _settled(child) for key, child in value.items())
    return all(map(_settled, value)) if isinstance(value, list) else True
