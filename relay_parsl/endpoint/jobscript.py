"""A batch script of PBS or Slurm as data: its directives, option by option, and its commands, each with its line. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relay_parsl.endpoint.joblines import HERE, Line, commands, uncomment
from relay_parsl.errors import ConfigError
from relay_parsl.providers import sbatch

MAX_BYTES = 1 << 20
MARKS = {'#PBS': 'PBS', '#SBATCH': 'Slurm'}

PBS_FLAGS = frozenset('fhIVXz')
"""Options of qsub without a value."""


@dataclass(frozen=True)
class Directive:
    """One option of a directive.

    Attributes:
        line: Counted from 1.
        option: `-l` of PBS, `nodes` of Slurm (always the long name, without its dashes).
        value: None for an option that has none.
        text: As a directive of its own.
    """

    line: int
    option: str
    value: str | None
    text: str


@dataclass(frozen=True)
class JobScript:
    """A batch script.

    Attributes:
        scheduler: `PBS` or `Slurm`.
        directives: In their order.
        body: The commands.
        notes: What is worth a word about the script as a whole.
    """

    scheduler: str
    directives: tuple[Directive, ...]
    body: tuple[Line, ...]
    notes: tuple[str, ...]


def read_script(data: bytes, name: str) -> JobScript:
    """Take a batch script apart.

    Args:
        data: The file.
        name: For errors.

    Raises:
        ConfigError: It is no text, or has directives of no scheduler, or of both, or its loops and conditions are nested too deeply.
    """
    if len(data) > MAX_BYTES or b'\0' in data:
        raise ConfigError(f'{name}: no batch script: {"larger than 1 MiB" if len(data) > MAX_BYTES else "binary data"}')
    text = data.decode(errors='replace')
    lines = text.replace('\r\n', '\n').split('\n')
    schedulers = {scheduler for mark, scheduler in MARKS.items() if any(re.match(rf'{mark}\s', line) for line in lines)}
    if len(schedulers) != 1:
        found = 'has directives of both PBS and Slurm: keep those of one' if schedulers else _no_directives(lines)
        raise ConfigError(f'{name}: {found}')
    (scheduler,) = schedulers
    notes = ['it has line ends of Windows, which the scheduler would refuse or misread'] if '\r\n' in text else []
    directives, late = _directives(lines, scheduler)
    notes += [f'line {number}: `{line}` stands after the first command: the scheduler ignores it, and so does this file' for number, line in late]
    return JobScript(scheduler, tuple(directives), tuple(commands(lines, name)), tuple(notes))


def _no_directives(lines: Sequence[str]) -> str:
    almost = next((line.strip() for line in lines if re.match(r'\s*#+\s*(PBS|SBATCH|BSUB|COBALT)\b', line)), '')
    why = f'; `{almost}` is a comment to PBS and Slurm' if almost else ''
    return f'has no directives (lines that begin with `#PBS` or `#SBATCH`){why}; is it a batch script?'


def _directives(lines: Sequence[str], scheduler: str) -> tuple[list[Directive], list[tuple[int, str]]]:
    """Those that count, and the lines of those after the first command."""
    mark = next(mark for mark, name in MARKS.items() if name == scheduler)
    counted: list[Directive] = []
    late: list[tuple[int, str]] = []
    begun, here = False, ''
    for number, line in enumerate(lines, 1):
        if here:
            here = '' if line.strip() == here else here
        elif re.match(rf'{mark}\s', line):
            if begun:
                late.append((number, line.strip()))
            else:
                counted += _options(number, line.removeprefix(mark), scheduler, mark)
        elif (command := uncomment(line)).strip():
            begun = True
            opened = HERE.search(command)
            here = opened[2] if opened is not None else ''
    return counted, late


def _options(number: int, text: str, scheduler: str, mark: str) -> Iterator[Directive]:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # an open quote: take the words as they are
        words = text.split()
    while words:
        option, value = _pbs(words) if scheduler == 'PBS' else sbatch.option(words)
        written = f'--{option}' if scheduler == 'Slurm' else option
        joint = '=' if scheduler == 'Slurm' else ' '
        yield Directive(number, option, value, f'{mark} {written}' + ('' if value is None else f'{joint}{_quoted(value)}'))


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r'\s', value) else value


def _pbs(words: list[str]) -> tuple[str, str | None]:
    """The next option of qsub, taken from the words."""
    word = words.pop(0)
    option, rest = word[:2], word[2:]
    if not word.startswith('-') or option[1:] in PBS_FLAGS:
        return (option, None) if word.startswith('-') else (word, None)
    return option, rest or (words.pop(0) if words else None)
