"""What a task of an MPI engine asks for, checked before Parsl sees it, and the variables by which user code learns what it got.

Parsl 2026.10 checks little: a sum that does not come out is a fraction ('2.0') in the launcher's command, a task without `num_nodes` ends its
manager's thread, and one for more nodes than the block has waits for ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

KEYS = ('num_nodes', 'ranks_per_node', 'num_ranks', 'launcher_options', 'priority')
"""What a resource specification may hold."""
VARIABLES = (
    'PARSL_MPI_PREFIX',
    'PARSL_MPIEXEC_PREFIX',
    'PARSL_SRUN_PREFIX',
    'PARSL_APRUN_PREFIX',
    'PARSL_MPI_NODELIST',
    'PARSL_NUM_NODES',
    'PARSL_NUM_RANKS',
    'PARSL_RANKS_PER_NODE',
    'PARSL_LAUNCHER_OPTIONS',
)
"""What Parsl's worker sets for each task of an MPI engine, and never takes back."""


class BadSpecification(ValueError):
    """A resource specification cannot be met; the text says why, and what to write."""


def resolve(specification: Mapping[str, Any], nodes: int) -> dict[str, Any]:
    """The whole specification that Parsl is given: whole numbers that agree.

    Args:
        specification: the task's; without `priority`.
        nodes: nodes of a block.

    Raises:
        BadSpecification: it is empty, has other keys or values, does not come out, or wants more nodes than a block has.
    """
    if foreign := sorted(str(key) for key in specification if key not in KEYS):
        raise BadSpecification(f'no {", ".join(foreign)}; there are {", ".join(KEYS)}')
    given = {key: _whole(key, specification[key]) for key in KEYS[:3] if specification.get(key) is not None}
    per_node, ranks = given.get('ranks_per_node'), given.get('num_ranks')
    count = given.get('num_nodes') or (math.ceil(ranks / per_node) if ranks and per_node else None)
    if count is None:
        raise BadSpecification("how many nodes? An MPIEngine needs `resource_specification={'num_nodes': 2, 'ranks_per_node': 4}` of each task")
    if count > nodes:
        raise BadSpecification(f'{count} nodes are more than a block has: `nodes_per_block` is {nodes}')
    per_node = per_node or math.ceil((ranks or count) / count)
    ranks = ranks or count * per_node
    if not (count - 1) * per_node < ranks <= count * per_node:
        raise BadSpecification(f'{ranks} ranks do not fill {count} nodes with {per_node} ranks each: write two of the three numbers')
    return {'num_nodes': count, 'ranks_per_node': per_node, 'num_ranks': ranks, **_options(specification.get('launcher_options'))}


def _whole(key: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise BadSpecification(f'{key} is a whole number, at least 1, not {str(value)[:80]!r}')
    return value


def _options(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, str) or not (value.isprintable()):
        raise BadSpecification(f'launcher_options is one line of text, not {str(value)[:80]!r}')
    return {'launcher_options': value}


def taken(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Take out what was set for this task: the next one may want less."""
    return {name: environment.pop(name) for name in VARIABLES if name in environment}
