"""Whether Parsl can bind the workers of this host, or of a node, to CPUs: it asserts so in each worker only, where nobody sees it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

WORDS = ('', 'none', 'block', 'block-reverse', 'alternating')


def cores_here() -> int:
    """Cores that a manager on this host shares out."""
    return int(os.environ.get('PARSL_CORES') or os.cpu_count() or 1)


def workers_on(cores: int, most: int | None, share: float) -> int:
    """Workers that a manager starts.

    Args:
        cores: of its node.
        most: the limit of `max_workers_per_node` and `available_accelerators`, if there is one.
        share: `cores_per_worker`.
    """
    there = math.floor(cores / share)
    return there if most is None else min(there, most)


def fault(affinity: str, most: int | None, share: float, cores: int | None = None) -> str:
    """Why workers would die at once, with the remedy; '' when they would not.

    Args:
        affinity: `cpu_affinity` as Parsl takes it.
        most: as in `workers_on`.
        share: as in `workers_on`.
        cores: of a node; None asks about this host.
    """
    if affinity not in WORDS and not affinity.startswith('list:'):
        return f'{affinity!r} is none of {", ".join(filter(None, WORDS))}, and no `list:`'
    if affinity in ('', 'none') or (cores is None and not hasattr(os, 'sched_getaffinity')):
        return ''
    cpus = len(os.sched_getaffinity(0)) if cores is None else cores
    workers = workers_on(cores_here() if cores is None else cores, most, share)
    groups, where = len(affinity.split(':')) - 1, 'here' if cores is None else 'on a node'
    if workers > cpus:
        whose = f'this process may use {cpus} CPUs' if cores is None else f'it has {cpus} CPUs'
        return f'{workers} workers would start {where}, but {whose}, and each worker is bound to its own: {_remedy(cpus)}'
    if affinity.startswith('list') and groups != workers:
        return (
            f'names CPUs for {groups} workers, but {workers} would start {where}: {_remedy(groups)} and enough cores, or a list for each of {workers}'
        )
    return ''


def _remedy(workers: int) -> str:
    return f'write `max_workers_per_node: {workers}`' if workers > 0 else 'write `cpu_affinity: none`'


def shares(affinity: str, cpus: Sequence[int], workers: int) -> list[str]:
    """Which of a node's CPUs each worker is bound to, as Parsl's workers divide them: `['0-15', '16-31', …]`; empty where they are not bound so.

    Args:
        affinity: `block`, `block-reverse` or `alternating`; anything else binds by other rules, or not at all.
        cpus: Those that a manager may use, in order.
        workers: How many it starts.
    """
    if not 0 < workers <= len(cpus):
        return []
    size = len(cpus) // workers
    blocks = [ranges(cpus[size * worker : size * (worker + 1)]) for worker in range(workers)]
    ways = {'block': blocks, 'block-reverse': blocks[::-1], 'alternating': [ranges(cpus[worker::workers]) for worker in range(workers)]}
    return ways.get(affinity, [])


def ranges(cpus: Sequence[int]) -> str:
    """Numbers in order, as people write them: `0-3,8`."""
    there = set(cpus)
    firsts = [cpu for cpu in cpus if cpu - 1 not in there]
    lasts = [cpu for cpu in cpus if cpu + 1 not in there]
    return ','.join(str(first) if first == last else f'{first}-{last}' for first, last in zip(firsts, lasts))
