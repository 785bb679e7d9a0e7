"""All breaks."""

from __future__ import annotations

from tests.mutations import doors, endpoint, gate, grants, intake, leases, server, wire

_LISTS = (server, doors, intake, leases, endpoint, gate, grants, wire)
MUTATIONS = tuple(mutation for each in _LISTS for mutation in each.MUTATIONS)
