"""One command of a batch script: its own environment, its launcher with ranks and binding, and the application that is left. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MASKS = ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES', 'ZE_AFFINITY_MASK', 'GPU_DEVICE_ORDINAL')
"""Variables that show a process its GPUs."""

LAUNCHERS = ('mpiexec', 'mpirun', 'mpiexec.hydra', 'mpirun_rsh', 'srun', 'aprun', 'ibrun', 'jsrun')

PEELED = 64
"""Variables and commands that may stand before an application."""
WORD = re.compile(r'(?:"(?:\\.|[^"\\])*"|\'[^\']*\'|`[^`]*`|\$\([^)]*\)|\$\{[^}]*\}|[^\s"\'`])+')
ASSIGNMENT = re.compile(r'([A-Za-z_]\w*)=(.*)', re.DOTALL)

RANKS = ('-n', '-np', '--np', '--ntasks', '--n')
PER_NODE = ('--ppn', '-ppn', '--ntasks-per-node', '-npernode', '--npernode', '-perhost')
DEPTH = ('--depth', '-d', '-c', '--cpus-per-task')
GPUS = ('-G', '--gpus', '--gpus-per-task', '--gpus-per-node')
VALUED = frozenset((
    *RANKS, *PER_NODE, *DEPTH, *GPUS,
    '-N', '--nodes', '--cpu-bind', '--mem-bind', '--bind-to', '-bind-to', '--map-by', '-map-by', '--hostfile', '-hostfile', '-f', '--machinefile',
    '-machinefile', '--host', '--hosts', '-host', '-H', '-w', '-x', '-p', '-A', '-t', '-J', '-o', '-e', '-i', '-m', '--rankfile', '-rf', '--env',
    '-env', '-genv', '--mca', '-mca', '--output', '--error', '--input', '--job-name', '--partition', '--account', '--time', '--nodelist',
    '--exclude', '--constraint', '-C', '--qos', '-q', '--gres', '--mem', '--mem-per-cpu', '--mpi', '--distribution', '--gpu-bind', '--export',
    '--chdir', '-D', '--wdir', '-wdir',
))  # fmt: skip
"""Options of launchers that take the next word."""
TWO = ('-env', '-genv', '--mca', '-mca')
"""Those that take two."""
COUNTS = frozenset(
    (*RANKS, *PER_NODE, '-N', '--nodes', '--hostfile', '-hostfile', '-f', '--machinefile', '-machinefile', '--host', '--hosts', '-host', '-H', '-w')
)
"""Options that say how many processes there are and where: a task of MPIEngine says that itself."""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        line: Where it stands.
        text: The application with its arguments and redirections, as the shell reads them.
        environment: What was set for it alone, without the mask.
        mask: The GPUs that it was shown, as it was written; None where nobody said.
        cpus: The CPUs that it was bound to; ''.
        background: Whether the script went on without waiting.
        launcher: `mpiexec`, `srun`, …; '' where it starts one process.
        ranks: How many processes the launcher starts, 0 where it does not say.
        per_node: How many of them on a node, 0 where it does not say.
        binding: The CPUs of each rank of a node, from `--cpu-bind list:…`.
        gpus: GPUs that each rank or step asks for, 0 where it does not say.
        nodes: Nodes that it asks for, 0 where it does not say.
        options: What else the launcher was told, as it was written; how many processes, and on which hosts, is left out.
        pals: Whether the options are those of Cray's mpiexec.
        written: All of it as the shell reads it, launcher and masks too.
        last: The line where it ends.
    """

    line: int
    text: str
    environment: dict[str, str] = field(default_factory=dict)
    mask: str | None = None
    cpus: str = ''
    background: bool = False
    launcher: str = ''
    ranks: int = 0
    per_node: int = 0
    binding: tuple[str, ...] = ()
    gpus: int = 0
    nodes: int = 0
    options: str = ''
    pals: bool = False
    written: str = ''
    last: int = 0

    @property
    def is_mpi(self) -> bool:
        """Whether it is started as several processes."""
        return bool(self.launcher) and max(self.ranks, self.per_node) != 1


def words_of(text: str) -> list[str]:
    """Words of a shell command, quotes and all."""
    return WORD.findall(text)


def parse(line: int, text: str) -> Command:
    """Take one command apart."""
    background = text.endswith('&') and not text.endswith('&&')
    rest = text.removesuffix('&').strip() if background else text
    if background and rest.startswith('(') and rest.endswith(')'):
        rest = rest[1:-1].strip()
    command = Command(line, rest, background=background, written=rest, last=line)
    for _ in range(PEELED):
        shorter = _peel(command)
        if shorter == command:
            break
        command = shorter
    return command


def _peel(command: Command) -> Command:
    """Without the first thing in front of the application, if there is one that we know."""
    words = words_of(command.text)
    if not words:
        return command
    first, name = words[0], words[0].rpartition('/')[2]
    if (given := ASSIGNMENT.fullmatch(first)) is not None and len(words) > 1:
        return _variable(_without(command, 1), given[1], unquoted(given[2]))
    if name in ('env', 'nohup', 'time', 'exec', 'command') and len(words) > 1:
        return _without(command, 1)
    if name == 'taskset' and len(words) > 3 and words[1] in ('-c', '--cpu-list', '-ac'):
        return replace(_without(command, 3), cpus=words[2])
    if name == 'numactl':
        return _numactl(command, words)
    return _launched(command, words) if name in LAUNCHERS and not command.launcher else command


def unquoted(word: str) -> str:
    """A word without its quotes."""
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in '\'"' else word


def _variable(command: Command, name: str, value: str) -> Command:
    if name in MASKS:
        return replace(command, mask=value)
    return replace(command, environment={**command.environment, name: value})


def _without(command: Command, count: int) -> Command:
    """Without its first words; the blanks of the rest stay as they are."""
    ends = [match.end() for match in WORD.finditer(command.text)]
    return replace(command, text=command.text[ends[count - 1] :].strip())


def _numactl(command: Command, words: list[str]) -> Command:
    cpus, at = command.cpus, 1
    while at < len(words) and words[at].startswith('-'):
        option, equals, value = words[at].partition('=')
        takes = not equals and option in ('-C', '-m', '-N', '-p', '-i', '--physcpubind', '--membind', '--cpunodebind')
        value = words[at + 1] if takes and at + 1 < len(words) else value
        cpus = value if option in ('-C', '--physcpubind') else cpus
        at += 2 if takes else 1
    return replace(_without(command, at), cpus=cpus) if at < len(words) else command


def _launched(command: Command, words: list[str]) -> Command:
    options: dict[str, str] = {}
    others: list[str] = []
    at = 1
    while at < len(words) and words[at].startswith('-'):
        begin = at
        option, equals, value = words[at].partition('=')
        short = re.fullmatch(r'(-[nNcG])(\d+)', option)
        if short is not None:
            option, value = short.groups()
        elif not equals and option in VALUED:
            value = ' '.join(words[at + 1 : at + (3 if option in TWO else 2)])
            at += 2 if option in TWO else 1
        options[option] = unquoted(value)
        at += 1
        if option not in COUNTS:
            others += words[begin:at]
    if at >= len(words):
        return command
    return _with_options(replace(_without(command, at), launcher=words[0].rpartition('/')[2], options=' '.join(others)), options)


def _with_options(command: Command, options: Mapping[str, str]) -> Command:
    binding = options.get('--cpu-bind', '')
    slurm = command.launcher == 'srun'
    return replace(
        command,
        ranks=_first(options, RANKS),
        per_node=_first(options, PER_NODE) or (0 if slurm else _first(options, ('-N',))),
        nodes=_first(options, ('-N', '--nodes')) if slurm else 0,
        gpus=_first(options, GPUS) if slurm else 0,
        binding=tuple(binding.partition('list:')[2].split(':')) if 'list:' in binding else (),
        pals=not slurm and any(option in options for option in ('--ppn', '--depth', '--cpu-bind', '-d')),
    )


def _first(options: Mapping[str, str], names: tuple[str, ...]) -> int:
    value = next((options[name] for name in names if name in options), '')
    match = re.search(r'\d+$', value)
    return int(match[0]) if match else 0
