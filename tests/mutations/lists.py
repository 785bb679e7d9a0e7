"""All breaks."""

from __future__ import annotations

from tests.mutations import relay, endpoint, gate, grants, wire

MUTATIONS = (*relay.MUTATIONS, *grants.MUTATIONS, *wire.MUTATIONS, *gate.MUTATIONS, *endpoint.MUTATIONS)
