"""Directives of a batch script as keys of a provider. What has no key stays a directive; what an endpoint cannot do is named. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from relay_parsl.endpoint.jobscript import Directive, JobScript

OUTPUT = 'each block has output files of its own, in the directory of the endpoint'
MANY = 'an endpoint has no job arrays: each index becomes a task, and `max_blocks` says how many jobs there are at once'
MPI = 'told by the task, not by the block'


@dataclass
class Settings:
    """What the directives mean.

    Attributes:
        name: Of the job; '' where it has none.
        provider: Keys of the provider with their values.
        lines: Where each key comes from; a number for its line.
        kept: Directives that have no key.
        notes: What was left out or changed, and why: (line, words).
        chdir: The directory that the script asked for; ''.
        nodes: Nodes of a job.
        gpus: GPUs of a node, 0 where nobody says.
        cpus: CPUs of a node, 0 where nobody says.
        ranks: Tasks of a node as the directives count them, 0 where they do not.
        array: The indices of an array job; ''.
    """

    name: str = ''
    provider: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    kept: list[Directive] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    chdir: str = ''
    nodes: int = 1
    gpus: int = 0
    cpus: int = 0
    ranks: int = 0
    array: str = ''

    def put(self, key: str, value: Any, line: int) -> None:
        """Set a key of the provider; the last one holds, as with the schedulers."""
        self.provider[key] = value
        self.lines[key] = line

    def note(self, given: Directive, why: str) -> None:
        """Say of a directive what became of it."""
        self.notes.append((given.line, f'`{given.text}`: {why}'))


def settings_of(script: JobScript) -> Settings:
    """All directives of a script, in their order."""
    found = Settings()
    for directive in script.directives:
        (_pbs if script.scheduler == 'PBS' else _slurm)(found, directive)
    if script.scheduler == 'Slurm':
        _shares(found)
    return found


def clock(seconds: int) -> str:
    """Seconds as `HH:MM:SS`."""
    return f'{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}'


def _number(text: str | None) -> int:
    """The first whole number in it, 0 without."""
    match = re.search(r'\d+', text or '')
    return int(match[0]) if match else 0


# --- PBS ---------------------------------------------------------------------------------------------------------------------------------------

PBS_DROPPED = {
    '-o': OUTPUT, '-e': OUTPUT, '-j': OUTPUT,
    '-I': 'an endpoint has no interactive jobs', '-X': 'an endpoint has no interactive jobs',
    '-h': 'a block that is held never runs', '-a': 'blocks are asked for when there are tasks',
    '-z': 'the endpoint needs the id of its job', '-f': 'the endpoint needs the id of its job',
    '-S': 'the script that the endpoint submits is one for bash',
}  # fmt: skip
PBS_KEYS = {'-A': 'account', '-q': 'queue', '-k': 'keep'}


def _pbs(found: Settings, given: Directive) -> None:
    if given.option == '-l' and given.value:
        for part in _resources(given.value):
            _pbs_resource(found, given, *part)
    elif given.option in PBS_KEYS and given.value:
        found.put(PBS_KEYS[given.option], given.value, given.line)
    elif given.option == '-N':
        found.name = given.value or ''
    elif given.option == '-r':
        found.put('rerunnable', (given.value or 'y').lower().startswith('y'), given.line)
    elif given.option == '-J':
        _array(found, given)
    elif given.option == '-W' and (given.value or '').startswith(('depend', 'block')):
        found.note(given, 'blocks wait for no other jobs; order tasks in your Parsl script, by their futures')
    elif given.option in PBS_DROPPED:
        found.note(given, PBS_DROPPED[given.option])
    else:
        _keep(found, given)


def _keep(found: Settings, given: Directive) -> None:
    if given.option.startswith('-') or not given.text.startswith('#PBS'):
        found.kept.append(given)
    else:
        found.note(given, 'is no option of qsub; left out')


def _array(found: Settings, given: Directive) -> None:
    found.array = given.value or ''
    found.note(given, MANY)


def _resources(value: str) -> list[tuple[str, str]]:
    """`select=2:ncpus=4,walltime=1:00` as pairs. A list like `place=scatter:excl` has no comma of its own."""
    parts = [part.partition('=') for part in value.split(',')]
    return [(name.strip(), rest.strip()) for name, _, rest in parts if name.strip()]


def _pbs_resource(found: Settings, given: Directive, name: str, value: str) -> None:
    simple = {'filesystems': 'filesystems', 'fs': 'filesystems', 'place': 'place', 'system': 'system'}
    if name == 'select':
        _select(found, given, value)
    elif name == 'walltime':
        found.put('walltime', pbs_time(value), given.line)
    elif name in simple:
        found.put(simple[name], value, given.line)
    elif name in ('nodes', 'ncpus', 'ngpus'):
        _old(found, given, name, value)
    else:
        found.kept.append(Directive(given.line, '-l', f'{name}={value}', f'#PBS -l {name}={value}'))


def pbs_time(value: str) -> str:
    """`[[HH:]MM:]SS` as `HH:MM:SS`; what is none stays, for `check` to refuse."""
    if not re.fullmatch(r'\d+(:\d+){0,2}(\.\d+)?', value):
        return value
    seconds = 0
    for part in value.partition('.')[0].split(':'):
        seconds = 60 * seconds + int(part)
    return clock(seconds)


def _select(found: Settings, given: Directive, value: str) -> None:
    chunks = value.split('+')
    if len(chunks) > 1:
        found.note(given, 'nodes of several kinds: all become like the first; write a pool for each kind')
    counts = [int(chunk.split(':')[0]) if chunk.split(':')[0].isdigit() else 1 for chunk in chunks]
    found.nodes = max(1, sum(counts))
    resources = [part for part in chunks[0].split(':') if not part.isdigit()]
    options: list[str] = []
    for name, _, amount in (part.partition('=') for part in resources):
        if name == 'ncpus':
            found.cpus = _number(amount)
            found.put('cpus_per_node', found.cpus, given.line)
        elif name == 'mpiprocs':
            found.ranks = _number(amount)
            found.note(given, f'`mpiprocs={amount}`: {MPI}')
        elif name == 'ompthreads':
            found.note(given, f'`ompthreads={amount}`: set OMP_NUM_THREADS in `worker_init`')
        elif name == 'system':
            found.put('system', amount, given.line)
        else:
            found.gpus = _number(amount) if name == 'ngpus' else found.gpus
            options.append(f'{name}={amount}' if amount else name)
    found.put('nodes_per_block', found.nodes, given.line)
    if options:
        found.put('select_options', ':'.join(options), given.line)


def _old(found: Settings, given: Directive, name: str, value: str) -> None:
    """The ways of asking from before `select`."""
    if name == 'nodes':
        found.nodes = _number(value) if value[:1].isdigit() else 1
        found.put('nodes_per_block', found.nodes, given.line)
    cpus = _number(value.partition('ppn=')[2]) if name == 'nodes' else _number(value) if name == 'ncpus' else 0
    if cpus:
        found.cpus = cpus
        found.put('cpus_per_node', cpus, given.line)
    if name == 'ngpus':
        found.gpus = _number(value)
        found.put('select_options', f'ngpus={value}', given.line)
    found.note(given, f'`{name}={value}` is an old form; it is asked for by `select` now')


# --- Slurm -------------------------------------------------------------------------------------------------------------------------------------

SLURM_KEYS = {'account': 'account', 'partition': 'partition', 'qos': 'qos', 'constraint': 'constraint', 'clusters': 'clusters', 'cluster': 'clusters'}
SLURM_DROPPED = {
    'output': OUTPUT, 'error': OUTPUT, 'input': 'a block reads nothing', 'open-mode': OUTPUT,
    'dependency': 'blocks wait for no other jobs; order tasks in your Parsl script, by their futures',
    'hold': 'a block that is held never runs', 'begin': 'blocks are asked for when there are tasks',
    'deadline': 'blocks are asked for when there are tasks', 'wait': 'the endpoint waits for nobody',
    'parsable': 'the endpoint reads what sbatch prints',
    'test-only': 'it would submit nothing', 'gpu-bind': 'each worker has its own GPU by `available_accelerators`',
    'quiet': 'the endpoint reads what sbatch prints', 'verbose': 'the endpoint reads what sbatch prints',
    'distribution': MPI, 'ntasks-per-core': MPI, 'ntasks-per-socket': MPI, 'ntasks-per-gpu': MPI, 'overcommit': MPI,
}  # fmt: skip


def _slurm(found: Settings, given: Directive) -> None:
    own = SLURM_OWN.get(given.option)
    if own is not None:
        own(found, given)
    elif given.option in SLURM_KEYS and given.value:
        found.put(SLURM_KEYS[given.option], given.value, given.line)
    elif given.option in SLURM_DROPPED:
        found.note(given, SLURM_DROPPED[given.option])
    else:
        found.kept.append(given)


def slurm_time(value: str) -> str:
    """`MM`, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS` as `HH:MM:SS`; what is none stays, for `check` to refuse."""
    match = re.fullmatch(r'(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?', value)
    if match is None:
        return value
    days, *rest = match.groups()
    numbers = [int(part or 0) for part in rest]
    if days is not None or rest[2] is not None:
        hours, minutes, seconds = numbers
        return clock(((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds)
    return clock(numbers[0] * 60 + numbers[1])


def _time(found: Settings, given: Directive) -> None:
    found.put('walltime', slurm_time(given.value or ''), given.line)


def _nodes(found: Settings, given: Directive) -> None:
    numbers = [int(each) for each in re.findall(r'\d+', given.value or '')] or [1]
    if len(numbers) > 1:
        found.note(given, f'blocks have a fixed number of nodes: {numbers[-1]}')
    found.nodes = numbers[-1]
    found.put('nodes_per_block', found.nodes, given.line)


def _name(found: Settings, given: Directive) -> None:
    found.name = given.value or ''


def _exclusive(found: Settings, given: Directive) -> None:
    if given.value in (None, ''):
        found.put('exclusive', True, given.line)
    else:
        found.put('exclusive', False, given.line)
        found.kept.append(given)


def _memory(found: Settings, given: Directive) -> None:
    match = re.fullmatch(r'(\d+)([KMGT]?)B?', (given.value or '').upper())
    size = int(match[1]) * {'K': 1 / (1 << 20), '': 1 / 1024, 'M': 1 / 1024, 'G': 1.0, 'T': 1024.0}[match[2]] if match else 0.0
    if size >= 1 and size == int(size):
        found.put('mem_per_node', int(size), given.line)
    else:
        found.kept.append(given)


def _gpus(found: Settings, given: Directive) -> None:
    """`--gpus-per-node=a100:4`, `--gpus=8`, `--gpus-per-task=1`."""
    number = _number((given.value or '').rpartition(':')[2])
    kind = (given.value or '').rpartition(':')[0]
    if given.option == 'gpus-per-node':
        found.gpus = number
    elif given.option == 'gpus':
        found.gpus = max(1, number // max(1, found.nodes)) if number else 0
        found.note(given, f'asked for as {found.gpus} of each node')
    else:
        found.gpus = found.gpus or -number  # for each task: multiplied when the number of tasks is known
        found.note(given, 'counted as GPUs of a node')
        return
    if kind:
        found.kept.append(Directive(given.line, 'gpus-per-node', given.value, f'#SBATCH --gpus-per-node={kind}:{found.gpus}'))
    else:
        found.put('gpus_per_node', found.gpus, given.line)


def _gres(found: Settings, given: Directive) -> None:
    match = re.search(r'(?:^|,)gpu(?::[A-Za-z]\w*)*(?::(\d+))?(?=,|$|\()', given.value or '')
    if match is not None:
        found.gpus = int(match[1] or 1)
    found.put('gres', given.value, given.line)


def _tasks(found: Settings, given: Directive) -> None:
    number = _number(given.value)
    found.ranks = number if given.option == 'ntasks-per-node' else -number  # a total is divided when the nodes are known
    found.note(given, MPI)


def _cpus(found: Settings, given: Directive) -> None:
    found.cpus = -_number(given.value)  # of a task: multiplied when the number of tasks is known
    found.lines['cores_per_node'] = given.line


def _chdir(found: Settings, given: Directive) -> None:
    found.chdir = given.value or ''
    found.note(given, 'the tasks below run there')


def _requeue(found: Settings, given: Directive) -> None:
    if given.option == 'requeue':
        found.put('requeue', True, given.line)
    else:
        found.note(given, 'is the default of the provider')


SLURM_OWN: dict[str, Callable[[Settings, Directive], None]] = {
    'time': _time, 'nodes': _nodes, 'job-name': _name, 'exclusive': _exclusive, 'mem': _memory, 'gpus-per-node': _gpus, 'gpus': _gpus,
    'gpus-per-task': _gpus, 'gres': _gres, 'ntasks': _tasks, 'ntasks-per-node': _tasks, 'cpus-per-task': _cpus, 'chdir': _chdir, 'array': _array,
    'requeue': _requeue, 'no-requeue': _requeue, 'no-kill': _requeue,
}  # fmt: skip


def _shares(found: Settings) -> None:
    """What was said of each task or of all, for a node: the number of tasks is known only when all directives are read."""
    if found.ranks < 0:
        found.ranks = max(1, -found.ranks // found.nodes)
    if found.gpus < 0:
        found.gpus = -found.gpus * max(1, found.ranks)
        found.put('gpus_per_node', found.gpus, 0)
    found.provider.setdefault('exclusive', False)
    if found.cpus < 0:
        found.cpus = -found.cpus * max(1, found.ranks)
        if not found.provider['exclusive']:
            found.put('cores_per_node', found.cpus, found.lines['cores_per_node'])
        else:
            found.notes.append((found.lines['cores_per_node'], '`cpus-per-task`: an exclusive node is there with all its CPUs'))
