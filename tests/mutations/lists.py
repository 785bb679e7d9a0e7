"""All breaks."""

from __future__ import annotations

from tests.mutations import endpoint, gate, grants, relay, wire

MUTATIONS = (*relay.MUTATIONS, *grants.MUTATIONS, *wire.MUTATIONS, *gate.MUTATIONS, *endpoint.MUTATIONS)
