"""How much there is at an endpoint at this moment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Census:
    """How much there is at an endpoint: tasks in engines and queues, results that wait, whether a session is live, and whether it takes no more."""

    held: int
    started: int
    outbox: int
    live: bool
    paused: bool
    draining: bool
    pools: Mapping[str, int] = field(default_factory=dict)
    """Tasks held, by pool."""
