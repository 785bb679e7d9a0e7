"""What must be reached in one run, as ratios and bounds: pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

Samples = Callable[[str, str, str, str], Sequence[float]]
"""`(suite, case, system, metric)` to what each round gave; empty where nothing was measured."""
OURS, HTEX, GLOBUS = 'relay-parsl', 'htex', 'globus-compute-engine'


@dataclass(frozen=True)
class Reached:
    """A figure: from the medians of all rounds, and the least and greatest of single rounds."""

    value: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Aim:
    """A figure of ours, divided by another system's where `peer` is one, and its bound."""

    label: str
    suite: str
    case: str
    metric: str
    sign: str
    bound: float
    peer: str = ''
    unit: str = ''
    peer_case: str = ''

    def reached(self, samples: Samples) -> Reached | None:
        """The figure; None where it was not measured. Ours and the peer's rounds took turns: each is divided by the other's of its round."""
        ours = samples(self.suite, self.case, OURS, self.metric)
        if not self.peer:
            return _spread(median(ours), ours) if ours else None
        theirs = samples(self.suite, self.peer_case or self.case, self.peer, self.metric)
        if not ours or not theirs or not min(theirs):
            return None
        return _spread(median(ours) / median(theirs), [mine / other for mine, other in zip(reversed(ours), reversed(theirs))])

    def met(self, value: float) -> bool:
        """Whether the bound is kept."""
        return bool({'≥': operator.ge, '≤': operator.le}[self.sign](value, self.bound))

    @property
    def must(self) -> str:
        """The bound, as text."""
        return f'{self.sign} {self.bound:g} {self.unit}'.strip()


def _spread(value: float, rounds: Sequence[float]) -> Reached:
    return Reached(value, min(value, *rounds), max(value, *rounds), len(rounds))


def _largest(party: str, bound: float) -> Aim:
    return Aim(f'10 MB echo, peak memory: {party}', 'payload', 'peak memory', party, '≤', bound, unit='MB')


BETWEEN = ('relay', 'endpoint', 'interchange', 'manager')
"""Parties through which payloads go, or do not."""

AIMS = (
    Aim('no-op throughput: ours / HTEX', 'throughput', 'no-op', 'tasks_per_s', '≥', 5, HTEX),
    Aim("no-op throughput: ours / Globus Compute's engine", 'throughput', 'no-op', 'tasks_per_s', '≥', 8, GLOBUS),
    Aim('round trip p50: ours / HTEX', 'latency', 'round-trip', 'p50', '≤', 2.5, HTEX),
    Aim('submit calls/s: ours / HTEX', 'throughput', 'no-op', 'submits_per_s', '≥', 2, HTEX),
    Aim('cold start: ours / HTEX', 'latency', 'cold-start', 'first_result', '≤', 1.5, HTEX),
    Aim('10 MB echo, MB/s: ours / HTEX', 'payload', '10 MB', 'rate', '≥', 3, HTEX),
    *(_largest(party, 200) for party in BETWEEN),
    *(Aim(f'1 GB argument, peak memory: {party}', 'payload', '1 GB', party, '≤', 300, unit='MB') for party in BETWEEN),
    *(Aim(f'1 GB argument, peak memory: {party}', 'payload', '1 GB', party, '≤', 1600, unit='MB') for party in ('client', 'worker', 'runner')),
    *(
        Aim(f'busy share, 10 ms tasks, accelerators: {count}', 'per_accelerator', f'{count} x 1, 10 ms', 'busy_share', '≥', 0.95)
        for count in (1, 4, 8)
    ),
    *(
        Aim(f'busy share, 100 ms tasks, accelerators: {count}', 'per_accelerator', f'{count} x 1, 100 ms', 'busy_share', '≥', 0.99)
        for count in (1, 4, 8)
    ),
    Aim('1,000,000 queued: relay', 'depth', '1000000', 'relay_memory', '≤', 300, unit='MB'),
    Aim('1,000,000 queued: restart', 'depth', '1000000', 'restart', '≤', 10, unit='s'),
    Aim('submit rate at 10^6 / at 10^4', 'depth', '1000000', 'submit_rate', '≥', 0.8, OURS, peer_case='10000'),
    Aim('1,000 idle sessions: share of a core', 'sessions', '1000', 'relay_cpu', '≤', 0.05),
    Aim('1,000 idle sessions: relay', 'sessions', '1000', 'relay_memory', '≤', 300, unit='MB'),
    Aim('1,000 flows of 5 states at once: states/s', 'flows', '1000', 'states_per_s', '≥', 5000),
    Aim('1,000 flows of 5 states at once: engine', 'flows', '1000', 'memory', '≤', 200, unit='MB'),
    Aim('@python_app: ours / HTEX, one DataFlowKernel', 'parsl_apps', 'no-op', 'tasks_per_s', '≥', 0.95, HTEX),
)
