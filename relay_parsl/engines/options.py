"""What an endpoint file may say of an `HtexEngine`, checked before anything starts."""

from __future__ import annotations

import inspect
import os
import pickle
import re
from collections.abc import Mapping
from typing import Any

from parsl.addresses import address_by_route
from parsl.executors import HighThroughputExecutor, MPIExecutor
from parsl.providers.base import ExecutionProvider

from relay_parsl.engines import affinity, launch, words
from relay_parsl.engines.blocks import Htex
from relay_parsl.errors import ConfigError

HEARTBEAT = {'heartbeat_period': 5, 'heartbeat_threshold': 60}
"""Seconds. A short period tells quickly of a dead worker; a shorter threshold expires every manager when a filesystem stalls."""
OURS = {
    'self': 'no option',
    'label': 'made of the name of the endpoint and the `label` of the engine',
    'provider': 'an option of the engine itself',
    'address': 'an option of the engine itself: Parsl would ask an outside service',
    'encrypted': "an option of the engine itself, true by default: MPIExecutor's own is false",
    'working_dir': "an option of the engine itself, and where tasks run; Parsl's is where its data manager puts files",
    'storage_access': 'refused: there is no data manager at an endpoint',
    'remote_monitoring_radio': 'refused: there is no monitoring hub at an endpoint',
}
"""Parameters of Parsl's executors that are not given through, and why."""
MARGIN = (120, 600)
"""Seconds of a walltime in which no task begins any more, at least and at most; else a tenth of it, and never more than half. A manager counts from
its own start, and `worker_init` ran before it."""
JOB_STATUS = ('strategy', 'max_idletime', 'strategy_period')
LOOPBACK = '127.0.0.1'


def job_status(given: Mapping[str, Any] | None, strategy: str | None) -> dict[str, Any]:
    """Scaling's own settings. Raises ConfigError."""
    settings = {**(given or {}), **({'strategy': strategy} if strategy is not None else {})}
    for name in settings.keys() - set(JOB_STATUS):
        raise ConfigError(f'job_status_kwargs: no {name!r}; there are {", ".join(JOB_STATUS)}')
    if settings.get('strategy', 'simple') not in words.STRATEGIES:
        raise ConfigError(f'strategy: {settings["strategy"]!r} is none of {", ".join(words.STRATEGIES)}')
    for name in ('max_idletime', 'strategy_period'):
        value = settings.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise ConfigError(f'job_status_kwargs: {name} is a number of seconds, not {value!r}')
    return settings


def per_minute(value: Any) -> int:
    """The cap on submissions. Raises ConfigError."""
    if type(value) is not int or value < 1:
        raise ConfigError(f'max_blocks_per_minute: a whole number, at least 1, not {value!r}')
    return value


def container(kind: str | None, uri: str | None, options: str | None) -> dict[str, str]:
    """The container that managers run in; empty when there is none. Raises ConfigError."""
    if kind is None:
        return {}
    if kind not in words.CONTAINERS:
        raise ConfigError(f'container_type: {kind!r} is none of {", ".join(words.CONTAINERS)}')
    if kind == 'custom' and '{EXECUTOR_LAUNCH_CMD}' not in (options or ''):
        raise ConfigError('container_cmd_options: for a custom container the whole command, with {EXECUTOR_LAUNCH_CMD} in it')
    if kind != 'custom' and not uri:
        raise ConfigError('container_uri: which image?')
    if why := words.fault(uri) if uri else '':
        raise ConfigError(f'container_uri: {uri!r} {why}')
    if why := words.brace(options or ''):
        raise ConfigError(f'container_cmd_options: {options!r} {why}')
    return {'type': kind, 'uri': uri or '', 'options': options or ''}


def drain(provider: ExecutionProvider) -> dict[str, int]:
    """When managers take no more tasks: some time before their batch job is killed. Nothing for providers without a walltime."""
    seconds = seconds_of(getattr(provider, 'walltime', None))
    if seconds is None:
        return {}
    margin = min(max(seconds / 10, MARGIN[0]), MARGIN[1])
    return {'drain_period': max(1, int(seconds - min(margin, seconds / 2)))}


def seconds_of(walltime: Any) -> int | None:
    """`1-02:00:00` or `26:00:00` as seconds; None for anything else, which schedulers read each in its own way."""
    match = re.fullmatch(r'(?:(\d+)-)?(\d+):(\d+):(\d+)', str(walltime))
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def parsls(kind: type[Htex]) -> type[HighThroughputExecutor]:
    """Parsl's executor behind ours."""
    return MPIExecutor if issubclass(kind, MPIExecutor) else HighThroughputExecutor


def htex(given: Mapping[str, Any], provider: ExecutionProvider, kind: type[Htex] = Htex) -> dict[str, Any]:
    """Keywords for the executor, with our defaults. Raises ConfigError for names that it does not know, and for what kills workers on this host."""
    known = inspect.signature(parsls(kind).__init__).parameters.keys() - OURS.keys()
    for name in given.keys() - known:
        raise ConfigError(f'{name}: neither an option of this engine nor one of {parsls(kind).__name__} that it gives through')
    for why in words.faults(given):
        raise ConfigError(why)
    options = {**HEARTBEAT, **drain(provider), **given}
    return _ranks(options, provider) if issubclass(kind, MPIExecutor) else _workers(options, provider)


def _ranks(options: dict[str, Any], provider: ExecutionProvider) -> dict[str, Any]:
    """Raises ConfigError for tasks that would wait for ever. That its launcher is a SimpleLauncher MPIExecutor checks itself."""
    there = allocated() if launch.stays_here(provider) else None
    if there is not None and provider.nodes_per_block > there:
        raise ConfigError(f'nodes_per_block: {provider.nodes_per_block} is more than this allocation has, which is {there}')
    most = options.get('max_workers_per_block', 1)
    if isinstance(most, int) and most > provider.nodes_per_block:
        raise ConfigError(f'max_workers_per_block: {most} tasks at once need as many nodes; `nodes_per_block` is {provider.nodes_per_block}')
    return options


def allocated() -> int | None:
    """Nodes of the batch job that this process runs in; None outside of one."""
    try:
        with open(os.environ['PBS_NODEFILE']) as nodes:
            return len({line.strip() for line in nodes if line.strip()}) or None
    except (KeyError, OSError):
        count = os.environ.get('SLURM_JOB_NUM_NODES', '')
        return int(count) if count.isdigit() and int(count) else None


def _workers(options: dict[str, Any], provider: ExecutionProvider) -> dict[str, Any]:
    if launch.stays_here(provider) and not options.get('max_workers_per_node') and not options.get('available_accelerators'):
        # What the manager will find out on this host; Parsl would guess 1 and ask for too many blocks.
        share = options.get('cores_per_worker', 1.0)
        options['max_workers_per_node'] = max(1, int((os.cpu_count() or 1) / share)) if isinstance(share, (int, float)) and share > 0 else 1
    cores = None if launch.stays_here(provider) else getattr(provider, 'cores_per_node', None)
    if launch.stays_here(provider) or isinstance(cores, int):
        _fits(options, cores)
        _binding(options, cores)
    return options


def _fits(options: Mapping[str, Any], cores: int | None) -> None:
    """Raises ConfigError when no worker would start on a node of so many cores (None: on this host)."""
    share, there = options.get('cores_per_worker', 1.0), affinity.cores_here() if cores is None else cores
    if isinstance(share, (int, float)) and share > 0 and affinity.workers_on(there, None, share) < 1:
        where = 'this host has' if cores is None else 'a node has (`cores_per_node`)'
        raise ConfigError(f'cores_per_worker: {share:g} is more than {where}, which is {there}: no worker would start')


def _binding(options: Mapping[str, Any], cores: int | None) -> None:
    """Raises ConfigError when each worker would end where Parsl binds it to CPUs. With `mem_per_worker` only the node itself knows their number."""
    accelerators, share = options.get('available_accelerators') or (), options.get('cores_per_worker', 1.0)
    limits = [options.get('max_workers_per_node'), accelerators if isinstance(accelerators, int) else len(accelerators)]
    numbers = [limit for limit in (*limits, share) if limit is not None]
    if options.get('mem_per_worker') or not all(isinstance(number, (int, float)) for number in numbers) or share <= 0:
        return  # HTEX refuses what is no number
    if why := affinity.fault(str(options.get('cpu_affinity') or ''), min(filter(None, limits), default=None), share, cores):
        raise ConfigError(f'cpu_affinity: {why}')


def expectation(provider: ExecutionProvider, options: Mapping[str, Any], address: str | None, kind: type[Htex] = Htex) -> tuple[int, int]:
    """Workers of the first blocks, and tasks that each manager takes beyond its workers.

    Builds an HTEX, so that its own checks speak. Raises ConfigError.
    """
    try:
        keywords = {name: value for name, value in options.items() if name != 'interchange_launch_cmd'}
        trial = kind(provider=provider, address=address or LOOPBACK, **keywords)
    except Exception as error:
        raise ConfigError(f'{parsls(kind).__name__} refuses its options: {error}') from error
    try:
        pickle.dumps((provider, dict(options)))
    except Exception as error:
        raise ConfigError(f'provider: {type(provider).__name__} or an option cannot be sent to the engine process: {error}') from error
    blocks = max(1, int(provider.init_blocks))
    return max(1, round(trial.workers_per_node * provider.nodes_per_block * blocks)), int(trial.prefetch_capacity)


def address_of(provider: ExecutionProvider) -> str:
    """The address at which nodes find this host: never by asking an outside service. Raises ConfigError."""
    if launch.stays_here(provider):
        return LOOPBACK
    try:
        return str(address_by_route())
    except OSError as error:
        raise ConfigError(f'address: this host has no default route ({error}); give the address that its nodes reach') from error
