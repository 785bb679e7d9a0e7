"""What an endpoint file means for its nodes: how many workers, and which of them gets which accelerator and which CPUs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay_parsl.endpoint.checks import gpus_of, names_of, workers_of
from relay_parsl.endpoint.rules import affinity_groups
from relay_parsl.endpoint.spec import EngineSpec
from relay_parsl.engines.accelerators import HIERARCHY, Node, shares
from relay_parsl.engines.affinity import shares as bound

ON_NODES = ('HtexEngine', 'MPIEngine')
"""Engines whose workers are on the nodes of blocks; those of the others are processes or threads of the endpoint's host."""


@dataclass(frozen=True)
class WorkerRow:
    """One worker of a node: its number, the accelerator that it sees ('' without), its CPUs ('' where the node decides)."""

    worker: int
    accelerator: str
    cpus: str


@dataclass(frozen=True)
class PoolSummary:
    """One pool of an endpoint file, in plain values.

    Attributes:
        pool: '' for the one `engine:`.
        engine: Our name of its type.
        provider: Its type; '' for an engine without blocks.
        launcher: Its type; '' where the provider's default serves.
        queue: Queue, partition or QOS.
        account: Who pays.
        nodes: Where the workers of the rows are, in words: `each of 2 nodes`.
        nodes_per_block: Nodes of one batch job.
        blocks: How many at first, at least, at most.
        walltime: `HH:MM:SS`, '' where the provider's default serves.
        affinity: 'none', 'block', 'block-reverse', 'alternating' or 'list'.
        workers_per_node: None where the node's number of cores decides.
        workers: A row for each worker of a node, as far as their number is known.
    """

    pool: str
    engine: str
    provider: str
    launcher: str
    queue: str
    account: str
    nodes: str
    nodes_per_block: int
    blocks: tuple[int, int, int]
    walltime: str
    affinity: str
    workers_per_node: int | None
    workers: tuple[WorkerRow, ...]


def summarize(spec: EngineSpec) -> PoolSummary:
    """The pool in plain values."""
    options = spec.spec.options
    provider = spec.provider.options if spec.provider is not None else {}
    affinity = str(options.get('cpu_affinity', 'none'))
    workers = options.get('max_workers') or options.get('max_workers_per_block') or workers_of(options)
    return PoolSummary(
        pool=spec.pool,
        engine=spec.kind,
        provider=spec.provider.name if spec.provider is not None else '',
        launcher=spec.launcher.name if spec.launcher is not None else '',
        queue=str(provider.get('queue') or provider.get('partition') or provider.get('qos') or ''),
        account=str(provider.get('account') or ''),
        nodes=_nodes(spec),
        nodes_per_block=provider.get('nodes_per_block', 1),
        blocks=(provider.get('init_blocks', 1), provider.get('min_blocks', 0), provider.get('max_blocks', 1)),
        walltime=provider.get('walltime', ''),
        affinity=affinity.partition(':')[0],
        workers_per_node=workers,
        workers=_rows(workers, shares(names_of(options.get('available_accelerators')), workers or 0, _node(provider)), _cpus(spec, workers or 0)),
    )


def _nodes(spec: EngineSpec) -> str:
    if spec.kind not in ON_NODES:
        return 'this host'
    number = spec.provider.options.get('nodes_per_block', 1) if spec.provider is not None else 1
    if number == 1:
        return 'this host' if spec.is_local else 'the node of a block'
    return f'each of {number} nodes' if spec.kind == 'HtexEngine' else f'{number} nodes, shared by the tasks'


def _cpus(spec: EngineSpec, workers: int) -> list[str]:
    """The CPUs of each worker, where the file tells them, or how many a node has."""
    affinity = str(spec.spec.options.get('cpu_affinity', 'none'))
    provider = spec.provider.options if spec.provider is not None else {}
    there = provider.get('cpus_per_node') or provider.get('cores_per_node')
    here = sorted(os.sched_getaffinity(0)) if spec.is_local and spec.kind in ON_NODES and hasattr(os, 'sched_getaffinity') else []
    return affinity_groups(affinity) or bound(affinity, range(there) if there else here, workers)


def _node(provider: Mapping[str, Any]) -> Node:
    """What the file says of its nodes' accelerators. A worker looks for itself; this is for those who read the file elsewhere."""
    if hierarchy := re.search(rf'\b{HIERARCHY}=["\']?(\w+)', str(provider.get('worker_init'))):
        return Node('intel', hierarchy=hierarchy[1].upper())
    return Node(devices=gpus_of(provider)[1])


def _rows(workers: int | None, accelerators: list[str], groups: list[str]) -> tuple[WorkerRow, ...]:
    rows = range(workers or 0)
    return tuple(WorkerRow(row, accelerators[row] if row < len(accelerators) else '', groups[row] if row < len(groups) else '') for row in rows)


def describe(pool: PoolSummary) -> str:
    """The pool in one line of words."""
    each = ('task', 'block') if pool.engine == 'MPIEngine' else ('worker', 'node')
    workers = f'{_count(pool.workers_per_node, each[0])} a {each[1]}' if pool.workers_per_node else 'a worker for each core'
    first, least, most = pool.blocks
    jobs = (
        f'{pool.provider} {pool.queue}'.rstrip() + f': {least} to {_count(most, "block")} of {_count(pool.nodes_per_block, "node")}, {first} at first'
    )
    parts = [pool.engine, workers, *([jobs] if pool.provider else []), *([f'walltime {pool.walltime}'] if pool.walltime else [])]
    parts += [pool.launcher] if pool.launcher else []
    return (f'pool {pool.pool}: ' if pool.pool else '') + ', '.join(parts)


def placed(pool: PoolSummary) -> list[dict[str, str]]:
    """Who gets which node, GPU and CPUs, in words: a row for each worker of a node; one for all where their number is not known."""
    rows = pool.workers or (WorkerRow(-1, '', ''),)
    return [
        {
            'worker': str(row.worker) if row.worker >= 0 else 'one for each core',
            'node': pool.nodes,
            'GPU': row.accelerator,
            'CPUs': row.cpus or ('any' if pool.affinity == 'none' else f'by {pool.affinity}'),
        }
        for row in rows
    ]


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}' + ('' if number == 1 else 's')
