"""All breaks."""

from __future__ import annotations

from tests.mutations import (
    client,
    doors,
    endpoint,
    engines,
    flows,
    gate,
    grants,
    home,
    intake,
    leases,
    loops,
    records,
    server,
    sites,
    store,
    strangers,
    templates,
    wire,
)

_LISTS = (
    server,
    loops,
    strangers,
    doors,
    intake,
    leases,
    store,
    client,
    endpoint,
    gate,
    grants,
    wire,
    home,
    engines,
    sites,
    templates,
    flows,
    records,
)
MUTATIONS = tuple(mutation for each in _LISTS for mutation in each.MUTATIONS)
