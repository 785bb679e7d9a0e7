"""What the hosted service would ask each role to consent to. Nobody is asked here: it is for comparing with what runs there."""

from __future__ import annotations

from collections.abc import Mapping

from relay_parsl.flows.catalogue import canonical
from relay_parsl.flows.definition import Action, Definition

TRANSFER = 'urn:globus:auth:scope:transfer.api.globus.org:all'
"""All actions at transfer.actions.globus.org share it."""


def scopes(definition: Definition) -> Mapping[str, list[str]]:
    """By role, the scopes of its actions, as `POST /flows/validate` answers: `{'User': [...]}`."""
    found: dict[str, set[str]] = {}
    for state in definition.states.values():
        if isinstance(state, Action):
            given = definition.document['States'][state.name].get('ActionScope')
            found.setdefault(state.run_as, set()).add(given or scope(state.url))
    return {role: sorted(names) for role, names in sorted(found.items())}


def scope(url: str) -> str:
    """The scope of the action at a URL, where its state does not say it by `ActionScope`."""
    place = canonical(url)
    return TRANSFER if place.startswith(('transfer.actions.globus.org/', 'urn:globus:flows:handle:globus:transfer.')) else _named(place)


def _named(place: str) -> str:
    return f'https://auth.globus.org/scopes/{place}' if '.' in place and not place.startswith('urn:') else place
