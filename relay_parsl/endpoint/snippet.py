"""The work of a batch script as a Python program, for the end of an endpoint file: a comment that is a whole program. Pure."""

from __future__ import annotations

import re
import shlex
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relay_parsl.endpoint.directives import Settings
from relay_parsl.endpoint.joblines import Line, numbers_of, spans
from relay_parsl.endpoint.jobplan import Plan, ranks_of, starts_ranks
from relay_parsl.endpoint.jobscript import JobScript
from relay_parsl.endpoint.jobwork import Step, Work
from relay_parsl.endpoint.launchline import MASKS, Command

WIDTH = 100
"""Characters of a list of commands on one line."""


@dataclass(frozen=True)
class Program:
    """What the program is made of.

    Attributes:
        script: Its scheduler says how ranks are counted.
        settings: For the directory that the job asked for, and the indices of an array.
        work: The steps.
        plan: The engine.
        endpoint: The name to submit to.
    """

    script: JobScript
    settings: Settings
    work: Work
    plan: Plan
    endpoint: str

    @property
    def where(self) -> str:
        """The directory of all commands; '' for where a task runs."""
        return self.work.cwd or self.settings.chdir

    @property
    def index(self) -> str:
        """The variable that tells a job of an array which it is; '' without an array."""
        if not self.settings.array:
            return ''
        return 'SLURM_ARRAY_TASK_ID' if self.script.scheduler == 'Slurm' else 'PBS_ARRAY_INDEX'


def snippet(program: Program) -> Iterator[str]:
    """Comment lines; without their `# ` they are a program, which runs one step after the other, as the script did."""
    numbers = [number for step in program.work.steps for number in step.lines] + numbers_of(program.work.moved)
    of = f' ({spans(numbers)} of the script)' if numbers else ''
    yield f'# The work as tasks{of}, for the machine where your script or notebook runs:'
    yield '#'
    if not program.work.steps:
        yield '#     # Nothing of the work was understood; nothing is made up. Write your commands as tasks: docs/endpoint-files.md.'
        yield from (f'#     {line}' for line in _skipped(program.work.verbatim, ''))
        return
    if program.plan.mpi:
        lines = _mpi_step(program) if len(program.work.commands) == 1 and not program.index else _mpi_steps(program)
    else:
        lines = _apps(program)
    yield from (f'#     {line}'.rstrip() for text in lines for line in text.split('\n'))


def _skipped(lines: Sequence[Line], indent: str) -> Iterator[str]:
    """A comment where the script has something that was not understood."""
    yield from (f'{indent}# {spans(numbers_of([line]))} of the script: only a shell can follow it' for line in lines)


# --- one process each --------------------------------------------------------------------------------------------------------------------------


def _alone(program: Program, command: Command) -> str:
    """What a task runs, as the shell reads it: the application with its own environment; its launcher, too, where that starts several processes."""
    if program.plan.copies == 1 and starts_ranks(program.script, program.settings, command):
        return f'unset {" ".join(MASKS)}; {command.written}' if program.plan.masks else command.written
    return _with_environment(command, command.text)


def _with_environment(command: Command, text: str) -> str:
    """Variables before the application: after the `cd` in front of it, if there is one."""
    given = ' '.join(f'{name}={_value(value)}' for name, value in command.environment.items())
    if not given:
        return text
    moved = re.match(r'(?:cd \S+ && )*', text)
    at = moved.end() if moved is not None else 0
    return f'{text[:at]}{given} {text[at:]}'


def _value(value: str) -> str:
    """A value in quotes that leave variables to the shell."""
    return f'"{value}"' if '$' in value and '"' not in value else shlex.quote(value)


def _apps(program: Program) -> Iterator[str]:
    texts = [[_alone(program, command) for command in step.commands for _ in range(program.plan.copies)] for step in program.work.steps]
    yield 'import relay_parsl as rp'
    yield ''
    yield ''
    yield 'def run(command):'
    yield '    import os, subprocess'
    yield f"    done = subprocess.run(['bash', '-c', command], cwd={_directory(program.where)}, capture_output=True, text=True)"
    yield '    return done.returncode, done.stdout, done.stderr'
    yield ''
    yield ''
    if program.index:
        yield f'indices = {_indices(program.settings.array)}'
    if len(texts) == 1 and not program.work.verbatim:
        yield f'commands = {_array(program, texts[0])}'
        yield f'with rp.Executor({program.endpoint!r}) as executor:'
        yield '    for task in [executor.submit(run, command) for command in commands]:'
        yield '        print(task.result())'
        return
    yield from _listed(program, [_array(program, each) for each in texts])
    yield f'with rp.Executor({program.endpoint!r}) as executor:'
    yield '    for commands in steps:'
    yield '        for task in [executor.submit(run, command) for command in commands]:'
    yield '            print(task.result())'


def _listed(program: Program, rows: list[str]) -> Iterator[str]:
    """The steps as a Python list, each with its lines, and what was not understood as a comment between them."""
    yield 'steps = [  # one after the other: a step begins when all of the one before has ended'
    waiting = deque(program.work.verbatim)
    for step, row in zip(program.work.steps, rows):
        while waiting and waiting[0].number < step.commands[0].line:
            yield from _skipped([waiting.popleft()], '    ')
        yield f'    # {spans(step.lines)}'
        yield '    ' + row.replace('\n', '\n    ') + ','
    yield from _skipped(waiting, '    ')
    yield ']'


def _array(program: Program, texts: list[str]) -> str:
    if not program.index:
        return _list(texts)
    first = f"'export {program.index}=%d; ' % index + "
    if len(texts) == 1:
        return f'[{first}{texts[0]!r} for index in indices]'
    return f'[{first}command for index in indices for command in {_list(texts)}]'


# --- MPI ---------------------------------------------------------------------------------------------------------------------------------------


def _wanted(program: Program, command: Command) -> dict[str, int | str]:
    if not starts_ranks(program.script, program.settings, command):
        return {'num_nodes': 1, 'ranks_per_node': 1}
    ranks, on_node = ranks_of(program.script, program.settings, command)
    wanted: dict[str, int | str] = {'num_nodes': max(1, -(-ranks // on_node)), 'ranks_per_node': on_node, 'launcher_options': command.options}
    if ranks % on_node:
        wanted = {'num_nodes': wanted['num_nodes'], 'num_ranks': ranks, 'launcher_options': command.options}
    return {key: value for key, value in wanted.items() if value}


def _shell(program: Program, command: Command) -> str:
    """The text of a ShellFunction: in its directory, launched where the script launched it."""
    text = command.text
    if starts_ranks(program.script, program.settings, command):
        moved = re.match(r'(?:cd \S+ && )*', text)
        at = moved.end() if moved is not None else 0
        text = f'{text[:at]}$PARSL_MPI_PREFIX {text[at:]}'
    text = _with_environment(command, text)
    text = f'cd {program.where} && {text}' if program.where else text
    return _braces(text)


def _braces(text: str) -> str:
    """Braces that ShellFunction would take for fields of its own, doubled."""
    return text.replace('{', '{{').replace('}', '}}') if re.search(r'(?<!\$)\{[A-Za-z_]\w*|\{\{|\}\}', text) else text


def _mpi_step(program: Program) -> Iterator[str]:
    (command,) = program.work.commands
    bare = not program.where and not command.environment and not command.text.startswith('cd ')
    made = f'rp.MPIFunction({_braces(command.text)!r})' if bare else f'rp.ShellFunction({_shell(program, command)!r})'
    yield 'import relay_parsl as rp'
    yield ''
    yield f'run = {made}'
    yield f'with rp.Executor({program.endpoint!r}) as executor:'
    yield f'    executor.resource_specification = {_wanted(program, command)!r}'
    yield '    print(executor.submit(run).result())'


def _mpi_steps(program: Program) -> Iterator[str]:
    """Each command with the nodes that it wants; those without ranks run once, on the first node."""
    yield 'import relay_parsl as rp'
    yield ''
    turns = ''
    if program.index:
        yield f'indices = {_indices(program.settings.array)}'
        turns = f"export {program.index}=%d; ' % index + '"
    yield from _listed(program, [_row(program, step, turns) for step in program.work.steps])
    yield f'with rp.Executor({program.endpoint!r}) as executor:'
    yield '    for step in steps:'
    yield '        tasks = []'
    yield '        for command, wanted in step:'
    yield '            executor.resource_specification = wanted'
    yield '            tasks.append(executor.submit(rp.ShellFunction(command)))'
    yield '        for task in tasks:'
    yield '            print(task.result())'


def _row(program: Program, step: Step, turns: str) -> str:
    pairs = [(_shell(program, command), _wanted(program, command)) for command in step.commands]
    if not turns:
        return '[' + ', '.join(map(repr, pairs)) + ']'
    listed = ', '.join(map(repr, pairs))
    return f"[('{turns}' + text, wanted) for index in indices for text, wanted in [{listed}]]"


# --- as Python ---------------------------------------------------------------------------------------------------------------------------------


def _directory(where: str) -> str:
    """The directory as Python; variables are those of the node, where the function runs."""
    if not where:
        return 'None'
    return f'os.path.expandvars(os.path.expanduser({where!r}))' if re.search(r'[$~]', where) else repr(where)


def _list(texts: list[str]) -> str:
    """The commands as a Python list, short where they are all the same."""
    if len(set(texts)) == 1:
        return f'[{texts[0]!r}]' + (f' * {len(texts)}' if len(texts) > 1 else '')
    listed = ', '.join(map(repr, texts))
    return f'[{listed}]' if len(listed) < WIDTH else '[\n    ' + ',\n    '.join(map(repr, texts)) + ',\n]'


def _indices(array: str) -> str:
    """`1-10:2` of PBS, `0-99%8` and `1,3,7` of Slurm."""
    array = array.partition('%')[0]
    match = re.fullmatch(r'(\d+)-(\d+)(?::(\d+))?', array)
    if match is not None:
        step = f', {match[3]}' if match[3] else ''
        return f'range({match[1]}, {int(match[2]) + 1}{step})'
    numbers = re.findall(r'\d+', array)
    return f'[{", ".join(numbers)}]'
