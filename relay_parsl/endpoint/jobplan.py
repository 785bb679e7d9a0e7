"""Which engine a batch script becomes, with how many workers, and which GPUs and CPUs each of them has. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from relay_parsl.endpoint.directives import Settings
from relay_parsl.endpoint.joblines import spans
from relay_parsl.endpoint.jobscript import JobScript
from relay_parsl.endpoint.jobwork import Work
from relay_parsl.endpoint.launchline import Command

GPUS_OF = {'polaris': 4}
"""GPUs of a node where `system=` tells the machine and nobody counts them. Source: ALCF's user guides."""


@dataclass
class Plan:
    """What the endpoint becomes.

    Attributes:
        mpi: Whether its tasks are MPI applications, over the nodes of a block.
        workers: Of a node; of a block for MPI.
        copies: How often each command runs.
        launcher: What starts MPI applications: `mpiexec`, `srun` or `aprun`.
        masks: The GPUs of each worker; empty without.
        bindings: The CPUs of each worker; empty without.
        why: Where the number of workers comes from.
        hints: What the file should say beside it.
    """

    mpi: bool = False
    workers: int = 1
    copies: int = 1
    launcher: str = ''
    masks: list[str] = field(default_factory=list)
    bindings: list[str] = field(default_factory=list)
    why: str = ''
    hints: list[str] = field(default_factory=list)


def plan_of(script: JobScript, settings: Settings, work: Work) -> Plan:
    """Which engine with how many workers; decided by the largest step, and by whether anything starts ranks."""
    gpus = settings.gpus or GPUS_OF.get(str(settings.provider.get('system')), 0)
    commands = work.commands
    if not commands:
        return Plan(why='the script starts nothing that could be understood', hints=_spare(gpus))
    launched = [command for command in commands if starts_ranks(script, settings, command)]
    ranked = {id(command) for command in launched}
    single = [[command for command in group if id(command) not in ranked] for group in work.groups]
    widest = max(single, key=len)
    if launched and len(widest) < 2:
        return _of_launched(script, settings, work, launched, gpus)
    plan = _of_apps(widest, gpus)
    chosen = {id(command) for command in widest}
    others = [command for command in commands if id(command) not in chosen]
    plan.hints += _of_others(settings, plan, others, launched)
    alone = [command.line for command in commands if command.launcher and id(command) not in ranked]
    if alone:
        plan.hints.append(f'{spans(alone)}: the launcher and its options are left out: it started one process, and so does a task')
    return plan


def starts_ranks(script: JobScript, settings: Settings, command: Command) -> bool:
    """Whether a launcher starts it as several processes."""
    return bool(command.launcher) and ranks_of(script, settings, command)[0] != 1


def ranks_of(script: JobScript, settings: Settings, command: Command) -> tuple[int, int]:
    """How many processes the command starts, and how many on a node."""
    nodes = min(command.nodes or settings.nodes, settings.nodes)
    told = settings.ranks if script.scheduler == 'Slurm' or not command.ranks else 0
    on_node = command.per_node or (-(-command.ranks // nodes) if command.ranks else told or 1)
    return command.ranks or on_node * nodes, on_node


def _of_launched(script: JobScript, settings: Settings, work: Work, launched: Sequence[Command], gpus: int) -> Plan:
    """An MPI application, or several: copies on one node where it is all of the work, else an MPIEngine."""
    ranks, on_node = ranks_of(script, settings, launched[0])
    if len(work.commands) == 1:
        return _of_ranks(settings, launched[0], ranks, on_node, gpus)
    plan = _of_mpi(launched[0], ranks, on_node)
    together = max(map(len, work.groups))
    plan.workers = min(together, settings.nodes)
    if together > 1:
        plan.hints.append('each task has whole nodes of its own: where the script shared a node, one waits for the other')
    return plan


def _of_others(settings: Settings, plan: Plan, others: Sequence[Command], launched: Sequence[Command]) -> list[str]:
    """What to know about commands of other steps than the one that the workers are made for."""
    hints = []
    ranked = {id(command) for command in launched}
    bound = [command.line for command in others if id(command) not in ranked and plan.masks and command.mask is None]
    if bound:
        hints.append(f'{spans(bound)}: the script gave all GPUs of the node; here a task has those of its worker')
    given = set(plan.masks)
    masked = [command.line for command in others if command.mask is not None and command.mask not in given]
    if masked:
        hints.append(f'{spans(masked)}: the script gave other GPUs; here a task has those of its worker')
    if launched:
        where = 'from one node of the pool, on nodes where workers run, too' if settings.nodes > 1 else 'from a worker'
        hints.append(f'{spans(each.line for each in launched)}: is launched {where}, as it is written; for more, a pool of `type: MPIEngine`')
    if launched and plan.bindings:
        hints.append('a launched step may inherit the CPUs of its worker: see `cpu_affinity`')
    return hints


def _of_ranks(settings: Settings, command: Command, ranks: int, on_node: int, gpus: int) -> Plan:
    """One node where each rank has a GPU, or CPUs by a list, looks like independent copies; all else is MPI."""
    listed = len(command.binding) == on_node
    if settings.nodes > 1 or ranks != on_node or not (listed or (gpus and on_node % gpus == 0)):
        return _of_mpi(command, ranks, on_node)
    masks = _even(gpus, on_node) if gpus else []
    hint = f'each of the {on_node} ranks of line {command.line} becomes a task; if ranks talk to one another, write `type: MPIEngine` instead'
    bindings = list(command.binding) if listed else []
    return Plan(workers=on_node, copies=on_node, masks=masks, bindings=bindings, why=f'line {command.line} starts {on_node} on a node', hints=[hint])


def _of_mpi(command: Command, ranks: int, on_node: int) -> Plan:
    hint = f'the task of line {command.line} is one run of {ranks} ranks, {on_node} on each of {max(1, -(-ranks // on_node))} nodes'
    launcher = command.launcher if command.launcher in ('srun', 'aprun') else 'mpiexec'
    return Plan(mpi=True, launcher=launcher, why=f'line {command.line} runs an MPI application', hints=[hint])


def _even(gpus: int, workers: int) -> list[str]:
    return [str(worker * gpus // workers) for worker in range(workers)]


def _of_apps(group: Sequence[Command], gpus: int) -> Plan:
    where = spans(command.line for command in group)
    masks = [command.mask for command in group if command.mask]
    bindings = [command.cpus for command in group if command.cpus]
    if not masks and gpus and all(command.launcher == 'srun' and command.gpus for command in group) and len(group) > 1:
        masks = _even(gpus, len(group))
    plan = Plan(workers=len(group), why=f'{where}: {len(group)} at the same time' if len(group) > 1 else f'{where}: one at a time')
    if len(masks) == len(group) == 1 and re.fullmatch(r'\d+', masks[0]) and gpus > 1:
        plan.workers, plan.masks = gpus, _even(gpus, gpus)
        plan.why = f'{where} uses one GPU; a node has {gpus}, a worker for each'
    elif len(masks) == len(group):
        plan.masks = masks
    elif len(group) == 1:
        plan.hints += _spare(gpus)
    if len(bindings) == plan.workers:
        plan.bindings = bindings
    return plan


def _spare(gpus: int) -> list[str]:
    if gpus < 2:
        return []
    return [f'a task has all {gpus} GPUs of its node; for one each: `max_workers_per_node: {gpus}` and `available_accelerators: {gpus}`']
