"""The work of a batch script as a Python function, for the end of an endpoint file: a comment that is a whole program. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from relay_parsl.endpoint.directives import Settings
from relay_parsl.endpoint.jobwork import Work
from relay_parsl.endpoint.launchline import Command

WIDTH = 100
"""Characters of a list of commands on one line."""


def snippet(work: Work, settings: Settings, endpoint: str, ranks: tuple[int, int] | None, copies: int) -> Iterator[str]:
    """Comment lines; without their `# ` they are a program.

    Args:
        work: The commands.
        settings: For the directory that the job asked for, and the indices of an array.
        endpoint: The name to submit to.
        ranks: Of an MPI application: how many processes, and how many on a node; None where there is none.
        copies: How often each command runs.
    """
    commands = [command for group in work.groups for command in group for _ in range(copies)]
    yield '# The work as tasks, for the machine where your script or notebook runs:'
    yield '#'
    where = work.cwd or settings.chdir
    program = _apps(commands, endpoint, where, settings.array) if ranks is None else _mpi(commands, endpoint, where, *ranks)
    yield from (f'#     {line}'.rstrip() for lines in program for line in lines.split('\n'))


def _texts(commands: list[Command]) -> list[str]:
    """What each task runs, as the shell reads it: the application with its own environment."""
    found = [' '.join([*(f'{name}={shlex.quote(value)}' for name, value in each.environment.items()), each.text]) for each in commands]
    return [re.sub(r'\s*\n\s*', ' ', text) for text in found] or ['./app']


def _apps(commands: list[Command], endpoint: str, where: str, array: str) -> Iterator[str]:
    texts = _texts(commands)
    yield 'import relay_parsl as rp'
    yield ''
    yield ''
    yield 'def run(command):'
    yield '    import os, subprocess'
    yield f"    done = subprocess.run(['bash', '-c', command], cwd={_directory(where)}, capture_output=True, text=True)"
    yield '    return done.returncode, done.stdout, done.stderr'
    yield ''
    yield ''
    if array:
        index = 'SLURM_ARRAY_TASK_ID' if any('SLURM' in text for text in texts) else 'PBS_ARRAY_INDEX'
        yield f'indices = {_indices(array)}'
        yield f"commands = ['export {index}=%d; ' % index + {texts[0]!r} for index in indices]"
    else:
        yield f'commands = {_list(texts)}'
    yield f'with rp.Executor({endpoint!r}) as executor:'
    yield '    for task in [executor.submit(run, command) for command in commands]:'
    yield '        print(task.result())'


def _mpi(commands: list[Command], endpoint: str, where: str, ranks: int, on_node: int) -> Iterator[str]:
    launched = next((command for command in commands if command.launcher), commands[0])
    (text,) = _texts([launched])
    there = f'cd {where} && $PARSL_MPI_PREFIX {text}'
    wanted = {'num_nodes': max(1, -(-ranks // on_node)), 'ranks_per_node': on_node, 'launcher_options': launched.options}
    yield 'import relay_parsl as rp'
    yield ''
    yield f'run = rp.ShellFunction({there!r})' if where else f'run = rp.MPIFunction({text!r})'
    yield f'with rp.Executor({endpoint!r}) as executor:'
    yield f'    executor.resource_specification = { {key: value for key, value in wanted.items() if value}!r}'
    yield '    print(executor.submit(run).result())'


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
