"""Which rule each key of an engine, provider or launcher has.

The tables are needed because Parsl leaves most of it unchecked (PBSPro, Local, launchers: no types; affinity, strategies: no values)
and a mistake would show on the node, an hour later. A plug-in's own keys are held to the annotations of its constructor instead.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from functools import partial
from inspect import Parameter
from typing import Any, Union, get_args, get_origin

from relay_parsl.config import Located
from relay_parsl.endpoint.rules import (
    BLOCKS,
    CORES,
    MEMORY,
    NODES,
    YEAR,
    Invalid,
    Rule,
    accelerators,
    affinity,
    anything,
    container_options,
    count,
    filesystems,
    held,
    ip,
    keep,
    line,
    lines,
    list_of,
    number,
    one_of,
    place,
    ports,
    text,
    truth,
    walltime,
    whole,
    word,
)
from relay_parsl.engines.words import CONTAINERS, MOST_WORKERS, STRATEGIES
from relay_parsl.providers import options

STATUS: dict[str, Rule] = {
    'strategy': one_of(*STRATEGIES),
    'max_idletime': number(above=0, high=YEAR),
    'strategy_period': number(above=0, high=YEAR),
}

ENGINE: dict[str, Rule] = {
    'label': line,
    'max_workers': count(1, MOST_WORKERS),
    'max_workers_per_node': count(1, MOST_WORKERS),
    'max_workers_per_block': count(1, NODES),
    'cores_per_worker': number(low=1e-6, high=CORES),
    'mem_per_worker': number(above=0, high=MEMORY),
    'cpu_affinity': affinity,
    'available_accelerators': accelerators,
    'prefetch_capacity': count(0, NODES),
    'max_retries_on_system_failure': whole(0, 1000),
    'max_blocks_per_minute': count(1, BLOCKS),
    **dict.fromkeys(('heartbeat_period', 'heartbeat_threshold', 'drain_period', 'address_probe_timeout'), count(1, YEAR)),
    'poll_period': count(1, 3_600_000),
    'loopback_address': ip,
    'worker_port': whole(1, 65_535),
    'worker_port_range': ports,
    'interchange_port_range': ports,
    'worker_debug': truth,
    'block_error_handler': truth,
    'encrypted': truth,
    'run_in_sandbox': truth,
    'working_dir': line,
    'worker_logdir_root': word,
    'launch_cmd': line,
    'interchange_launch_cmd': list_of(line),
    'mpi_launcher': one_of('mpiexec', 'srun', 'aprun'),
    'strategy': one_of(*STRATEGIES),
    'container_type': one_of(*CONTAINERS),
    'container_uri': word,
    'container_cmd_options': container_options,
}

PROVIDER: dict[str, Rule] = {
    'nodes_per_block': count(1, NODES),
    'init_blocks': count(0, BLOCKS),
    'min_blocks': count(0, BLOCKS),
    'max_blocks': count(1, BLOCKS),
    'parallelism': number(low=0, high=MEMORY),
    'walltime': walltime,
    'cpus_per_node': count(1, CORES),
    'cores_per_node': count(1, CORES),
    'mem_per_node': count(1, MEMORY),
    'gpus_per_node': count(0, MOST_WORKERS),
    'cmd_timeout': count(1, YEAR),
    'status_batch_size': count(1, BLOCKS),
    'exclusive': truth,
    'filesystems': filesystems,
    'place': place,
    'keep': keep,
    'rerunnable': truth,
    'constraint': line,
    'regex_job_id': held(partial(options.expression, group='id')),
    **dict.fromkeys(('worker_init', 'scheduler_options'), held(options.lines, lines)),
    **dict.fromkeys(('account', 'queue', 'partition', 'qos', 'clusters', 'gres', 'select_options', 'system', 'project'), held(options.word)),
}

LAUNCHER: dict[str, Rule] = {
    'debug': truth,
    'fail_on_any': truth,
    'cpus_per_task': count(1, CORES),
    'depth': count(1, CORES),
    'ppn': count(1, MOST_WORKERS),
    'gpus_per_node': count(0, MOST_WORKERS),
    'kill_on_bad_exit': whole(0, 1),
    'bash_location': word,
    **dict.fromkeys(('bind_cmd', 'bind_to', 'cpu_bind', 'gpu_bind', 'bootstrap', 'bootstrap_exec', 'prepend'), line),
    **dict.fromkeys(('overrides', 'node_init', 'node_exit'), lines),
}

ADDRESS: dict[str, Rule] = {'ifname': line, 'timeout': number(above=0, high=YEAR)}

TABLES: dict[str, dict[str, Rule]] = {'engine': ENGINE, 'provider': PROVIDER, 'launcher': LAUNCHER, 'address': ADDRESS, 'manager_selector': {}}


def rule_for(kind: str, owner: str, parameter: Parameter) -> Rule:
    """The rule of one key: from our tables for Parsl's classes and our own (`owner` is the class's module), else from the annotation."""
    tables = TABLES[kind] if owner.startswith(('parsl.', 'relay_parsl.')) else {}
    return tables.get(parameter.name) or rule_of(parameter.annotation)


SIMPLE: Mapping[Any, Rule] = {bool: truth, int: whole(None), float: number(low=-float('inf')), str: text}


def rule_of(annotation: Any) -> Rule:
    """A rule from a constructor's annotation; whatever is not simple is left to the constructor."""
    if annotation in SIMPLE:
        return SIMPLE[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return either(*(rule_of(argument) for argument in arguments if argument is not type(None)))
    if origin is tuple and arguments == (int, int):
        return ports
    if origin is not None and arguments and isinstance(origin, type) and issubclass(origin, list):
        return list_of(rule_of(arguments[0]))
    return anything


def either(*choices: Rule) -> Rule:
    """What at least one of the rules takes."""

    def rule(node: Located) -> Any:
        said = []
        for choice in choices:
            try:
                return choice(node)
            except Invalid as invalid:  # noqa: PERF203  # two or three choices
                said.append(str(invalid))
        raise Invalid(' or '.join(said))

    return rule
