"""What must agree between the values of an endpoint file: mistakes that would else show on a node, an hour later, or never."""

from __future__ import annotations

import inspect
import math
import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from relay_parsl.config import Located, Report
from relay_parsl.endpoint.rules import affinity_groups, cpus
from relay_parsl.engines import affinity
from relay_parsl.engines.options import seconds_of
from relay_parsl.engines.words import MOST_WORKERS
from relay_parsl.providers import directives, sbatch

ON_ONE_NODE = ('SimpleLauncher', 'SingleNodeLauncher', 'WrappedLauncher')
"""Launchers that start one manager, whatever the number of nodes."""

DIRECTIVES = {'PBSProProvider': '#PBS', 'TorqueProvider': '#PBS', 'SlurmProvider': '#SBATCH', 'LSFProvider': '#BSUB', 'GridEngineProvider': '#$'}

CONFLICTS = {'PBSProProvider': directives.conflicts, 'SlurmProvider': sbatch.conflicts}

HOME = {
    'PalsMpiexecLauncher': ({'SlurmProvider', 'LSFProvider', 'GridEngineProvider'}, 'reads the hosts of a PBS job', 'SrunLauncher (Slurm)'),
    **dict.fromkeys(
        ('SrunLauncher', 'SrunMPILauncher'),
        (DIRECTIVES.keys() - {'SlurmProvider'}, "starts managers with Slurm's srun", 'PalsMpiexecLauncher (Cray) or HydraLauncher (MPICH)'),
    ),
}
"""Launchers that one scheduler's jobs have: the providers under which they fail, why, and what serves there."""

GPUS = re.compile(r'(?:\bngpus=|gpus[-_]per[-_]node[= ](?:[A-Za-z]\w*:)*|\bgpu(?::[A-Za-z]\w*)*:)(\d{1,9})')

MOST_ON_A_CORE = 100
"""Workers, where their number follows from `cores_per_worker`."""

PLACEHOLDER = re.compile(r'/path/to/|YOUR_[A-Z]|CHANGE_?ME')


def names_of(accelerators: int | list[str] | None) -> list[str]:
    """The accelerators of a node by name, as Parsl numbers them."""
    return [str(index) for index in range(accelerators)] if isinstance(accelerators, int) else list(accelerators or [])


def workers_of(options: Mapping[str, Any]) -> int | None:
    """Workers on a node, as far as the file fixes them; None where the node's own number of cores decides."""
    limits = [options.get('max_workers_per_node'), len(names_of(options.get('available_accelerators'))) or None]
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None


def check_engine(engine: str, node: Located, options: Mapping[str, Any], report: Report) -> None:
    """Everything that must agree under one engine.

    Args:
        engine: Our name of its type.
        node: Where it stands.
        options: Its values, as far as they were valid.
        report: Takes the mistakes.
    """
    _workers(node, options, report)
    _crowd(node, options, report)
    _affinity(node, options, report)
    _heartbeats(node, options, report)
    _strategy(node, options, report)
    _container(node, options, report)
    provider = node.get('provider')
    if provider is None and engine == 'HtexEngine':
        _this_host(None, node, options, report)
    if provider is not None and provider.is_mapping:
        _launcher(engine, provider, node, report)
        _home(provider, report)
        _managers(provider, options, report)
        _this_host(provider, node, options, report)
        _nodes(provider, node, options, report)
        _few_cpus(provider, options, report)
        _drain(node, options, report)
        if engine == 'HtexEngine':
            _gpus(provider, options, report)


def _at(node: Located, *keys: str) -> Located:
    """The first of the keys that is there, else the node itself."""
    return next((child for key in keys if (child := node.get(key)) is not None), node)


def _workers(node: Located, options: Mapping[str, Any], report: Report) -> None:
    most, names = options.get('max_workers_per_node'), names_of(options.get('available_accelerators'))
    if most and names and most > len(names):
        report.warn(
            _at(node, 'max_workers_per_node'),
            f'only {len(names)} of {most} workers will start, one for each accelerator; name an accelerator several times for workers that share it',
        )


def _crowd(node: Located, options: Mapping[str, Any], report: Report) -> None:
    """A tiny share of a core is meant for workers whose number is fixed."""
    share = options.get('cores_per_worker', 1.0)
    if share < 1 / MOST_ON_A_CORE and workers_of(options) is None:
        report.error(_at(node, 'cores_per_worker'), f'would start over {MOST_ON_A_CORE} workers a core; fix their number: `max_workers_per_node: 4`')


def _affinity(node: Located, options: Mapping[str, Any], report: Report) -> None:
    groups, workers = affinity_groups(options.get('cpu_affinity') or ''), workers_of(options)
    if not groups:
        return
    where = _at(node, 'cpu_affinity')
    if workers is None:
        report.error(where, f'names CPUs for {len(groups)} workers; fix their number, too: `max_workers_per_node: {len(groups)}`')
    elif workers != len(groups):
        why = 'max_workers_per_node' if options.get('max_workers_per_node') == workers else 'available_accelerators'
        report.error(where, f'names CPUs for {len(groups)} workers, but `{why}` makes {workers}: every worker needs its own list')
    _shared(where, groups, report)


def _shared(node: Located, groups: Sequence[str], report: Report) -> None:
    """Workers that are bound to the same CPUs, which nobody means who writes a list."""
    owner: dict[int, int] = {}
    for second, group in enumerate(groups):
        mine = set(cpus(group) or ())
        if taken := mine & owner.keys():
            first = min(owner[cpu] for cpu in taken)
            common = affinity.ranges(sorted(mine & set(cpus(groups[first]) or ())))
            report.warn(node, f'workers {first} and {second} would share the CPUs {common}; give each its own')
            return
        owner |= dict.fromkeys(mine, second)


def _heartbeats(node: Located, options: Mapping[str, Any], report: Report) -> None:
    period, threshold = options.get('heartbeat_period', 5), options.get('heartbeat_threshold', 60)
    if period and threshold and threshold < 2 * period:
        report.error(_at(node, 'heartbeat_threshold', 'heartbeat_period'), f'must be at least twice `heartbeat_period`, which is {period} s')
    elif threshold and threshold < 60:
        report.warn(_at(node, 'heartbeat_threshold'), 'below 60 s a stalled filesystem loses every node')


def _strategy(node: Located, options: Mapping[str, Any], report: Report) -> None:
    outer, inner = options.get('strategy'), (options.get('job_status_kwargs') or {}).get('strategy')
    if outer and inner and outer != inner:
        report.error(_at(node, 'strategy'), f'says {outer}, but `job_status_kwargs` says {inner}; keep the latter')
    elif outer:
        report.warn(_at(node, 'strategy'), 'an old place; write it under `job_status_kwargs`')


def _container(node: Located, options: Mapping[str, Any], report: Report) -> None:
    kind, uri, command = (options.get(f'container_{key}') for key in ('type', 'uri', 'cmd_options'))
    if kind == 'custom' and '{EXECUTOR_LAUNCH_CMD}' not in (command or ''):
        report.error(_at(node, 'container_type'), '`custom` needs `container_cmd_options`, with {EXECUTOR_LAUNCH_CMD} where the worker starts')
    elif kind not in (None, 'custom') and not uri and node.get('container_uri') is None:
        report.error(_at(node, 'container_type'), 'needs `container_uri`: which image?')
    elif kind is None and (uri or command):
        report.error(_at(node, 'container_uri', 'container_cmd_options'), 'needs `container_type`: docker, podman, apptainer, …?')


def _launcher(engine: str, provider: Located, node: Located, report: Report) -> None:
    launcher, nodes = provider.get('launcher'), provider.get('nodes_per_block')
    kind = launcher.get('type') if launcher is not None else None
    name = str(kind.value) if kind is not None else 'SingleNodeLauncher'
    if engine == 'MPIEngine':
        if name != 'SimpleLauncher':
            report.error(_at(provider, 'launcher'), 'MPIEngine starts ranks itself: write `launcher: {type: SimpleLauncher}`')
        most = node.get('max_workers_per_block')
        count = nodes.value if nodes is not None and isinstance(nodes.value, int) else 1
        if most is not None and isinstance(most.value, int) and most.value > count:
            report.error(most, f'{most.value} tasks at once need as many nodes; `nodes_per_block` is {count}')
        _chunks(provider, report)
    elif nodes is not None and isinstance(nodes.value, int) and nodes.value > 1 and name in ON_ONE_NODE:
        better = 'use SrunLauncher (Slurm), PalsMpiexecLauncher (PBS on Cray) or HydraLauncher (MPICH)'
        report.warn(nodes, f'{name} starts workers on the first of {nodes.value} nodes only; {better}')


def _home(provider: Located, report: Report) -> None:
    launcher, kind = provider.get('launcher'), provider.get('type')
    name = launcher.get('type') if launcher is not None else None
    foreign, why, better = HOME.get(str(name.value), ((), '', '')) if name is not None else ((), '', '')
    if name is not None and kind is not None and kind.value in foreign:
        report.error(name, f'{name.value} {why}, and {kind.value} has none: use {better}')


def _managers(provider: Located, options: Mapping[str, Any], report: Report) -> None:
    """More than one on a node."""
    launcher = provider.get('launcher')
    count = launcher.get('ppn') if launcher is not None else None
    if launcher is None or count is None or not isinstance(count.value, int) or count.value < 2:
        return
    if launcher.get('node_init') is not None or launcher.get('node_exit') is not None:
        report.error(count, 'must be 1 with `node_init` and `node_exit`, which run once on a node')
    elif options.get('available_accelerators'):
        report.warn(count, f'each of {count.value} managers on a node starts all workers: they share every accelerator')


def _chunks(provider: Located, report: Report) -> None:
    """PBS names a node as often as it has ranks by its chunk, and Parsl takes each name for a node of its own."""
    select = provider.get('select_options')
    ranks = re.search(r'\bmpiprocs=(\d{1,9})', str(select.value)) if select is not None else None
    if select is not None and ranks is not None and int(ranks[1]) > 1:
        report.error(select, f'`{ranks[0]}` makes {ranks[1]} nodes of each for Parsl; take it out: every task says its own `ranks_per_node`')


def _this_host(provider: Located | None, node: Located, options: Mapping[str, Any], report: Report) -> None:
    """Parsl starts no more workers than a node has cores for, and says nothing. Without a provider the node is this host, too."""
    kind = provider.get('type') if provider is not None else None
    if provider is not None and (kind is None or kind.value != 'LocalProvider'):
        return
    most, cores, share = workers_of(options), os.cpu_count() or 1, options.get('cores_per_worker', 1.0)
    there = math.floor(cores / share)
    if most is not None and most > there:
        where = _at(node, 'max_workers_per_node', 'available_accelerators')
        enough = math.floor(100 * cores / most) / 100 or cores / most
        report.warn(where, f'this host has {cores} cores: only {there} of {most} workers would start; write `cores_per_worker: {enough:g}` for all')
    if provider is not None and not _stays(provider):
        return
    if affinity.workers_on(affinity.cores_here(), None, share) < 1:
        report.error(_at(node, 'cores_per_worker'), f'{share:g} is more than this host has, which is {affinity.cores_here()}: no worker would start')
    elif not options.get('mem_per_worker'):
        _binding(node, options, report)


def _nodes(provider: Located, node: Located, options: Mapping[str, Any], report: Report) -> None:
    """The same of nodes elsewhere, as far as the file knows them; a mistake shows there as workers that die again and again, or as none."""
    kind = provider.get('type')
    known = next((child for key in ('cores_per_node', 'cpus_per_node') if (child := provider.get(key)) is not None), None)
    if known is None or type(known.value) is not int or known.value < 1 or (kind is not None and kind.value == 'LocalProvider'):
        return
    cores, share, name = known.value, options.get('cores_per_worker', 1.0), known.path.rpartition('.')[2]
    if affinity.workers_on(cores, None, share) < 1:
        where = _at(node, 'cores_per_worker')
        say = report.error if name == 'cores_per_node' else report.warn  # the manager may see the whole node, where ncpus counts the job's share
        say(where, f'{share:g} is more than `{name}`, which is {cores}: no worker would start')
    elif workers_of(options) is not None or not affinity_groups(options.get('cpu_affinity') or ''):
        _binding(node, options, report, cores)


def _few_cpus(provider: Located, options: Mapping[str, Any], report: Report) -> None:
    """Fewer CPUs of a node than its workers need: PBS gives one where nobody says how many."""
    kind, given = provider.get('type'), _provider(options)
    key = next((key for key in ('cores_per_node', 'cpus_per_node') if given.get(key)), '')
    most, share = workers_of(options), options.get('cores_per_worker', 1.0)
    if kind is None or kind.value == 'LocalProvider':
        return
    if key and most and 1 <= math.floor(given[key] / share) < most:
        report.warn(_at(provider, key), f'only {math.floor(given[key] / share)} of {most} workers would start, by `cores_per_worker: {share:g}`')
    silent = kind.value == 'PBSProProvider' and not key and 'ncpus=' not in given.get('select_options', '')
    if silent and (most is None or most * share > 1):
        wish = f'`cpus_per_node: {math.ceil(most * share)}` or more' if most else '`cpus_per_node`, as many as a node has'
        report.warn(kind, f'PBS gives 1 CPU of a node where nobody says how many, to {"all" if most is None else most} workers; write {wish}')


def _provider(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider's own values, as far as they were valid."""
    return getattr(options.get('provider'), 'options', {})


def gpus_of(provider: Mapping[str, Any]) -> tuple[str, int]:
    """The option of a provider that asks for GPUs, and how many of each node; `('', 0)` where none does."""
    for key in ('select_options', 'gpus_per_node', 'gres', 'scheduler_options'):
        if asked := GPUS.search(f'{key}={provider.get(key, "")}'):
            return key, min(int(asked[1]), MOST_WORKERS)
    return '', 0


def _gpus(provider: Located, options: Mapping[str, Any], report: Report) -> None:
    key, count = gpus_of(_provider(options))
    if count and 'available_accelerators' not in options and workers_of(options) != 1:
        wish = f'write `available_accelerators: {count}` for a worker each, or 0 where they may'
        report.warn(_at(provider, key), f'asks for {count} GPU{"s" * (count > 1)} a node, and every worker would see all of them: {wish}')


def _drain(node: Located, options: Mapping[str, Any], report: Report) -> None:
    """A node that is to take no more tasks after its job has been killed."""
    factory = getattr(options.get('provider'), 'factory', None)
    default = inspect.signature(factory).parameters.get('walltime') if factory is not None else None
    limit = seconds_of(_provider(options).get('walltime') or (default.default if default is not None else None))
    if limit is not None and options.get('drain_period', 0) >= limit:
        report.warn(
            _at(node, 'drain_period'), f'the walltime of {limit} s is over before: nodes would take tasks until they are killed; leave it out'
        )


def _stays(provider: Located) -> bool:
    """Whether managers run where the endpoint does: the other launchers may take them elsewhere, where there may be other CPUs."""
    launcher = provider.get('launcher')
    kind = launcher.get('type') if launcher is not None else None
    return launcher is None or (kind is not None and kind.value in ('SimpleLauncher', 'SingleNodeLauncher'))


def _binding(node: Located, options: Mapping[str, Any], report: Report, cores: int | None = None) -> None:
    """Parsl's workers would end where they are bound to CPUs, each time that they are started."""
    given = options.get('cpu_affinity') or ''
    if affinity_groups(given) and workers_of(options) != len(affinity_groups(given)):
        return  # that is said already
    if why := affinity.fault(given, workers_of(options), options.get('cores_per_worker', 1.0), cores):
        report.error(_at(node, 'cpu_affinity'), why)


def check_provider(name: str, node: Located, options: Mapping[str, Any], report: Report) -> None:
    """Numbers of blocks, and directives that are none.

    Args:
        name: The provider's type.
        node: Where it stands.
        options: Its values, as far as they were valid.
        report: Takes the mistakes.
    """
    most = options.get('max_blocks')
    for key in ('min_blocks', 'init_blocks'):
        if most is not None and (options.get(key) or 0) > most:
            report.error(_at(node, key), f'is more than `max_blocks`, which is {most}')
    _directives(name, node, options, report)
    for key, why in CONFLICTS[name](options.get('scheduler_options') or '', options) if name in CONFLICTS else ():
        report.error(_at(node, key), why)


def _directives(name: str, node: Located, options: Mapping[str, Any], report: Report) -> None:
    mark, others = DIRECTIVES.get(name), {*DIRECTIVES.values()} - {DIRECTIVES.get(name)}
    for text in (options.get('scheduler_options') or '').splitlines() if mark else ():
        begins = text.strip()
        where = _at(node, 'scheduler_options')
        if begins.startswith(tuple(others)):
            report.error(where, f'{begins!r} is for another scheduler; directives of {name} begin with {mark}')
        elif begins.startswith('-'):
            report.error(where, f'{begins!r} would run as a command; write {f"{mark} {begins}"!r}')
        elif name == 'SlurmProvider' and (why := sbatch.fault(text)):
            report.error(where, why)
        elif begins and not begins.startswith('#'):
            report.warn(where, f'{begins!r} is no directive ({mark} …): the batch script runs it as a command')


def check_words(node: Located, report: Report) -> None:
    """Warn of values that are still an example's, anywhere below the node."""
    children = node.value.values() if isinstance(node.value, dict) else node.value if isinstance(node.value, list) else ()
    for child in children:
        check_words(child, report)
    if isinstance(node.value, str) and (found := PLACEHOLDER.search(node.value)) is not None:
        report.warn(node, f'`{node.value[found.start() :].split()[0]}` looks like a placeholder; put your own value there')


def interfaces() -> list[str]:
    """The network interfaces of this host."""
    return [name for _, name in socket.if_nameindex()]


def check_address(name: str, node: Located, options: Mapping[str, Any], report: Report) -> None:
    """Warn of an interface that this host lacks: the file may be meant for another one."""
    here = interfaces()
    if name == 'address_by_interface' and options.get('ifname') and options['ifname'] not in here:
        report.warn(_at(node, 'ifname'), f'this host has no interface `{options["ifname"]}`, only {", ".join(here)}: it could not start here')
    if name == 'address_by_query':
        report.warn(node, 'asks an outside service which address this host has; `address_by_route` or `address_by_interface` ask nobody')
