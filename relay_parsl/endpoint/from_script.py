"""A batch script becomes a commented endpoint file: directives a provider, masks of GPUs accelerators, what runs a Python function. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from relay_parsl.endpoint.directives import Settings, settings_of
from relay_parsl.endpoint.jobscript import JobScript, read_script
from relay_parsl.endpoint.jobwork import Work, work_of
from relay_parsl.endpoint.launchline import Command
from relay_parsl.endpoint.snippet import snippet
from relay_parsl.endpoint.spec import slug

GPUS_OF = {'polaris': 4}
"""GPUs of a node where `system=` tells the machine and nobody counts them. Source: ALCF's user guides."""
PLAIN = re.compile(r'[A-Za-z_/][\w./@=+: -]*')
WORDS_OF_YAML = frozenset(['true', 'false', 'yes', 'no', 'on', 'off', 'null', 'y', 'n', '~'])


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


def from_script(data: bytes, name: str) -> str:
    """The endpoint file that a batch script means, with the comments that a person needs to trust it.

    Args:
        data: The script.
        name: What it is called, without directories.

    Raises:
        ConfigError: It is no batch script of PBS or Slurm; says what it is.
    """
    script = read_script(data, name)
    settings = settings_of(script)
    work = work_of(script, settings.nodes)
    return '\n'.join(_file(script, settings, work, plan_of(script, settings, work), name)) + '\n'


# --- what it becomes ---------------------------------------------------------------------------------------------------------------------------


def plan_of(script: JobScript, settings: Settings, work: Work) -> Plan:
    """Which engine with how many workers; decided by the largest group of commands that run at the same time."""
    group = max(work.groups, key=len, default=[])
    gpus = settings.gpus or GPUS_OF.get(str(settings.provider.get('system')), 0)
    if not group:
        return Plan(why='the script starts nothing that could be understood', hints=_spare(gpus))
    first = group[0]
    if len(group) == 1 and first.launcher:
        ranks, on_node = _ranks(script, settings, first)
        if ranks != 1:
            return _of_ranks(settings, first, ranks, on_node, gpus)
    return _of_apps(group, gpus)


def _ranks(script: JobScript, settings: Settings, command: Command) -> tuple[int, int]:
    """How many processes the command starts, and how many on a node."""
    nodes = min(command.nodes or settings.nodes, settings.nodes)
    told = settings.ranks if script.scheduler == 'Slurm' or not command.ranks else 0
    on_node = command.per_node or (-(-command.ranks // nodes) if command.ranks else told or 1)
    return command.ranks or on_node * nodes, on_node


def _of_ranks(settings: Settings, command: Command, ranks: int, on_node: int, gpus: int) -> Plan:
    """One node where each rank has a GPU, or CPUs by a list, looks like independent copies; all else is MPI."""
    listed = len(command.binding) == on_node
    if settings.nodes > 1 or ranks != on_node or not (listed or (gpus and on_node % gpus == 0)):
        hint = f'one task is one run of {ranks} ranks, {on_node} on each of {max(1, ranks // on_node)} nodes'
        launcher = command.launcher if command.launcher in ('srun', 'aprun') else 'mpiexec'
        return Plan(mpi=True, launcher=launcher, why=f'line {command.line} runs one MPI application on all nodes', hints=[hint])
    masks = _even(gpus, on_node) if gpus else []
    hint = f'each of the {on_node} ranks of line {command.line} becomes a task; if ranks talk to one another, write `type: MPIEngine` instead'
    bindings = list(command.binding) if listed else []
    return Plan(workers=on_node, copies=on_node, masks=masks, bindings=bindings, why=f'line {command.line} starts {on_node} on a node', hints=[hint])


def _even(gpus: int, workers: int) -> list[str]:
    return [str(worker * gpus // workers) for worker in range(workers)]


def _of_apps(group: Sequence[Command], gpus: int) -> Plan:
    lines = sorted({command.line for command in group})
    where = f'line {lines[0]}' if len(lines) == 1 else f'lines {lines[0]}-{lines[-1]}'
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


# --- the file ----------------------------------------------------------------------------------------------------------------------------------


def _file(script: JobScript, settings: Settings, work: Work, plan: Plan, name: str) -> Iterator[str]:
    title = settings.name or name.rpartition('.')[0] or name
    yield f'# Made from {_safe(name)} by `relay-parsl endpoint from-script`. Read it through, then `relay-parsl endpoint check` it.'
    yield from _notes(script, settings, work)
    yield f'display_name: {scalar(title)}'
    yield ''
    yield 'engine:'
    yield from _engine(plan)
    yield from _provider(script, settings, work, plan)
    yield ''
    yield from snippet(work, settings, slug(title), _ranks_of(script, settings, work) if plan.mpi else None, plan.copies)


def _ranks_of(script: JobScript, settings: Settings, work: Work) -> tuple[int, int]:
    launched = [command for group in work.groups for command in group if command.launcher]
    return _ranks(script, settings, launched[0]) if launched else (1, 1)


def _safe(text: str) -> str:
    """Text that ends no comment."""
    return ' '.join(re.sub(r'[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]', ' ', text).split())


def _notes(script: JobScript, settings: Settings, work: Work) -> Iterator[str]:
    lines = [
        *script.notes,
        *(f'line {line}: {words}' if line else words for line, words in sorted([*settings.notes, *work.notes], key=lambda note: note[0])),
    ]
    if work.verbatim:
        numbers = ', '.join(str(line.number) for line in work.verbatim)
        lines.append(f'what stands in line {numbers} only a shell can follow; it is not in this file')
    if lines:
        yield '#'
        yield '# What is not taken over as it was:'
        yield from (f'#   {_safe(line)}' for line in lines)
    yield ''


def _row(indent: int, key: str, value: str, comment: str = '') -> str:
    text = f'{" " * indent}{key}: {value}'
    return f'{text:<35} # {_safe(comment)}' if comment else text


def _engine(plan: Plan) -> Iterator[str]:
    yield f'  type: {"MPIEngine" if plan.mpi else "HtexEngine"}'
    if plan.mpi:
        yield _row(2, 'mpi_launcher', plan.launcher)
        yield _row(2, 'max_workers_per_block', '1', f'MPI applications at once in a block; {plan.why}')
    else:
        yield _row(2, 'max_workers_per_node', str(plan.workers), plan.why)
    if plan.masks:
        counted = plan.masks == [str(index) for index in range(len(plan.masks))]
        yield _row(
            2, 'available_accelerators', str(len(plan.masks)) if counted else json.dumps(plan.masks), 'worker 0 sees the first only, and so on'
        )
    if plan.bindings:
        yield _row(2, 'cpu_affinity', json.dumps('list:' + ':'.join(plan.bindings)), 'the CPUs of each worker')
    yield from (f'  # {_safe(hint)}' for hint in plan.hints)
    yield _row(2, 'max_retries_on_system_failure', '2', "a dead worker, node or job is not the task's fault")
    yield '  job_status_kwargs: {max_idletime: 300}   # s; an idle job ends after that'
    yield '  # Where compute nodes reach this host by another network than that of its default route:'
    yield '  # address: {type: address_by_interface, ifname: hsn0}'


def _provider(script: JobScript, settings: Settings, work: Work, plan: Plan) -> Iterator[str]:
    yield '  provider:'
    yield f'    type: {"PBSProProvider" if script.scheduler == "PBS" else "SlurmProvider"}'
    for key, value in {'nodes_per_block': 1, **settings.provider}.items():
        line = settings.lines.get(key)
        yield _row(4, key, scalar(value), f'line {line}' if line else 'not asked for' if key == 'exclusive' else '')
    yield _row(4, 'init_blocks', '0', 'a job is asked for when the first task is there')
    yield _row(4, 'max_blocks', '1', 'jobs at once, at most')
    if settings.kept:
        yield from _text('scheduler_options', [directive.text for directive in settings.kept], 'directives that have no key of their own')
    if work.setup:
        first, last = work.setup[0].number, work.setup[-1].number
        yield from _text('worker_init', [line.text for line in work.setup], f'lines {first}-{last}' if last > first else f'line {first}')
    yield from _launcher(script, settings, work, plan)


def _text(key: str, lines: Sequence[str], comment: str) -> Iterator[str]:
    text = '\n'.join(lines)
    if re.search(r'[^\x20-\x7e\n\u00a0-\ud7ff\ue000-\ufffd]', text):
        yield _row(4, key, scalar(text + '\n'))
        return
    yield _row(4, key, '|', comment)
    yield from (f'      {line.strip()}' for line in text.split('\n'))


def _launcher(script: JobScript, settings: Settings, work: Work, plan: Plan) -> Iterator[str]:
    commands = [command for group in work.groups for command in group]
    if plan.mpi or settings.nodes == 1:
        why = 'the engine starts ranks itself' if plan.mpi else 'a block is one node; for more, one that starts a manager on each of them'
        yield _row(4, 'launcher', '{type: SimpleLauncher}', why)
    elif script.scheduler == 'Slurm':
        yield _row(4, 'launcher', '{type: SrunLauncher}', 'a manager on each node')
    elif 'system' in settings.provider or any(command.pals for command in commands):
        yield _row(4, 'launcher', '{type: PalsMpiexecLauncher}', "a manager on each node, by Cray's mpiexec")
    else:
        yield _row(4, 'launcher', '{type: HydraLauncher}', "a manager on each node, by MPICH's mpiexec")


def scalar(value: Any) -> str:
    """A value as YAML: bare where nothing can be mistaken, else in quotes."""
    if isinstance(value, bool | int):
        return json.dumps(value)
    text = str(value)
    bare = PLAIN.fullmatch(text) and text == text.strip() and ': ' not in f'{text} ' and text.lower() not in WORDS_OF_YAML
    if bare or re.fullmatch(r'\d+:[0-5]\d:[0-5]\d', text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
