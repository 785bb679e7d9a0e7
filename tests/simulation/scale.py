"""How large a world is, and the bounds of the reactors in it: small, so that a hundred tasks fill pages, batches and segments."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from types import ModuleType

from relay_parsl.client import outbox as client_outbox
from relay_parsl.client import pulls as client_pulls
from relay_parsl.client import reactor as client_reactor
from relay_parsl.endpoint import announce, outcomes
from relay_parsl.endpoint import outbox as endpoint_outbox
from relay_parsl.endpoint import pulls as endpoint_pulls
from relay_parsl.relay import calendar, core, delivery, heads, leases
from relay_parsl.relay import pulls as relay_pulls

SEGMENT, BATCH, PAGE = 256, 25, 20
_LARGER = {'BATCH_TASKS': 4, 'FLIGHT_TASKS': 8, 'PAGE': 10, 'STATES_AT_ONCE': 10, 'SLICE': 10, 'TURN_TASKS': 10, 'ROWS': 100}
Bounds = tuple[tuple[ModuleType, str, int], ...]
SMALL: Bounds = (
    (client_outbox, 'BATCH_TASKS', BATCH), (client_outbox, 'FLIGHT_TASKS', 60), (client_pulls, 'SEGMENT', SEGMENT), (client_pulls, 'IN_FLIGHT', 3),
    (client_reactor, 'PAGE', PAGE), (endpoint_outbox, 'BATCH_TASKS', BATCH), (announce, 'STATES_AT_ONCE', 10), (outcomes, 'SEGMENT', SEGMENT),
    (outcomes, 'SLACK', 0), (endpoint_pulls, 'SEGMENT', SEGMENT), (endpoint_pulls, 'AT_ONCE', 3), (calendar, 'SLICE', 7),
    (core, 'BATCH_TASKS', BATCH), (delivery, 'BATCH_TASKS', BATCH), (leases, 'BATCH_TASKS', BATCH),
    (leases, 'TURN_TASKS', 30), (relay_pulls, 'SEGMENT', SEGMENT),
    (relay_pulls, 'AT_ONCE', 2), (heads, 'ROWS', 40), (heads, 'PAGE', 7),
)  # fmt: skip
"""Module, name, value."""
LARGE: Bounds = tuple((module, name, value * _LARGER.get(name, 1)) for module, name, value in SMALL)
"""Bounds of a world in which every batch holds many tasks."""


@dataclass(frozen=True)
class Scale:
    """What a world is made of. Of each choice a seed takes one."""

    name: str = 'small'
    tasks: int = 110
    """Tasks of one seed, about."""
    bounds: Bounds = field(default=SMALL, repr=False)
    submits: tuple[int, ...] = (1, 3, 10, 25, 50)
    """Tasks that a user submits at once."""
    means: tuple[float, ...] = (0.05, 0.5, 2.0)
    """Seconds that a task takes on the average."""
    capacities: tuple[int, int] = (1, 5)
    """Workers of a pool, from and to."""
    windows: tuple[int, ...] = (2, 8, 40)
    """Tasks that a pool wants to hold."""
    bytes: tuple[int, ...] = (1000, 1 << 20)
    results: tuple[int, ...] = (3, 20, 1000)
    """Results that a client takes at once."""
    result_bytes: tuple[int, ...] = (300, 5000, 1 << 20)
    large: float = 0.04
    """Share of tasks, and of results, whose bytes are pulled in segments."""
    fused: float = 0.3
    """Share of pools with workers that fuse."""
    short: float = 0.04
    """Share of tasks that expire soon."""
    store: tuple[int, ...] = (3000, 1 << 30)
    """Bytes beyond which the relay makes room."""
    lags: tuple[float, ...] = (0.0005, 0.005, 0.05)
    turn: float = 0.001
    """Seconds between the first message and the turn that takes it, with what came meanwhile."""
    sample: int = 1
    """One dispatch in so many is held against the sum of all leases."""


SCALES = {
    'small': Scale(),
    'dense': Scale(
        'dense', 8_000, LARGE, submits=(100, 400, 1000), means=(0.02, 0.1), capacities=(50, 200), windows=(100, 400, 1000),
        bytes=(40_000, 1 << 20), results=(200, 1000), result_bytes=(60_000, 1 << 20), large=0.004, short=0.01, store=(300_000, 1 << 30),
        lags=(0.0005, 0.005), turn=0.01, sample=10,
    ),
}  # fmt: skip
"""Small worlds are dense in faults, for each task; dense ones in tasks, for each fault."""
DENSE = 1_000_001
"""The first seed whose world is dense."""


def scale_of(seed: int) -> Scale:
    """How large the world of a seed is."""
    return SCALES['dense' if seed >= DENSE else 'small']


def sets_clocks(seed: int) -> bool:
    """Whether the clocks of its hosts are set. By dice of its own: all others fall as without it."""
    return Random(f'clocks {seed}').random() < 0.15
