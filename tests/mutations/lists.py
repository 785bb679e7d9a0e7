"""All breaks."""

from __future__ import annotations

from tests.mutations import durability, sealing

MUTATIONS = (*durability.MUTATIONS, *sealing.MUTATIONS)
