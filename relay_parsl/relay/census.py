"""How much there is at a relay at this moment. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from relay_parsl.relay.core import Core
from relay_parsl.relay.sessions import EndpointSession


@dataclass(frozen=True)
class Census:
    """Counts over all accounts.

    Attributes:
        stored: Tasks that the store has ever taken; `ended`: those of them that have ended.
        waiting: Tasks in queues; `leased`: tasks that live endpoints hold.
        age: Seconds that the oldest task in a queue of a live endpoint has waited.
        sessions: Live sessions by role, `client` or `endpoint`.
        full: Whether the disk is.
    """

    stored: int
    ended: int
    waiting: int
    leased: int
    age: float
    sessions: dict[str, float] = field(default_factory=dict)
    full: bool = False


def census(core: Core, now: float) -> Census:
    """Count; the cost grows with sessions, not with tasks. `now` in seconds since 1970."""
    endpoints = list(core.endpoints.values())
    ages = [age + now - each.backlog_said for each in endpoints for count, age in each.backlog.values() if count]
    roles = Counter('endpoint' if isinstance(each, EndpointSession) else 'client' for each in core.sessions.values())
    return Census(
        stored=core.number, ended=core.done, waiting=sum(core.load.values()), leased=sum(len(each.leases) for each in endpoints),
        age=max(ages, default=0.0), sessions={'client': 0, 'endpoint': 0, **roles}, full=core.full,
    )  # fmt: skip
