"""What the commands of a batch script do: what prepares, and the work as a sequence of steps. No line is lost: what is neither is named. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from relay_parsl.endpoint import launchline
from relay_parsl.endpoint.joblines import Line, bare, spans, statements
from relay_parsl.endpoint.jobloops import resolve, unrolled
from relay_parsl.endpoint.jobscript import JobScript
from relay_parsl.endpoint.launchline import MASKS, Command, unquoted, words_of

SETUP = frozenset((
    'module', 'ml', 'source', '.', 'conda', 'mamba', 'micromamba', 'pyenv', 'spack', 'ulimit', 'umask', 'alias', 'eval', 'shopt', 'unset',
))  # fmt: skip
"""Commands that prepare a shell."""
TALK = frozenset((
    'echo', 'printf', 'date', 'hostname', 'pwd', 'env', 'printenv', 'nvidia-smi', 'rocm-smi', 'sleep', 'cat', 'ls', 'which', 'true', ':',
    'lscpu', 'lstopo', 'id', 'whoami', 'uname', 'df', 'free',
))  # fmt: skip
"""Commands that tell people something."""
OF_THE_SHELL = frozenset((
    'trap', 'kill', 'jobs', 'disown', 'shift', 'local', 'return', 'break', 'continue', 'read', 'declare', 'typeset', 'readonly', 'pushd', 'popd',
    'function', 'coproc', 'let', 'mapfile', 'readarray', 'getopts',
))  # fmt: skip
"""Commands that mean something to the shell of the script only."""
SUBMIT_DIRS = re.compile(r'["\']?\$\{?(?:PBS_O_WORKDIR|SLURM_SUBMIT_DIR|SLURM_JOB_WORKDIR)\}?["\']?/?$')
COUNT_NODES = re.compile(r'(?:\$\(|`).*(?:wc -l|uniq \| wc|sort -u).*NODEFILE.*(?:\)|`)|(?:\$\(|`)\s*(?:wc -l|cat)\s*<?\s*\$\{?PBS_NODEFILE')
COUNTING = 512
"""Characters of a command that counts nodes, at most."""
WRITES = re.compile(r'>>?\s*(?!&|/dev/|[>\s])\S')
NAME = re.compile(r'\$\{?(\w+)')
PLAIN = re.compile(r'[\w./:=,+@% -]*')
CHANGES = 16
"""Relative `cd` in a row that are followed, at most."""
COMMANDS = 10_000
"""Commands that the loops of a script become, at most."""
MPS = 'nvidia-cuda-mps-control'

TALKS = 'tells people something; left out'
SHELL_ONLY = 'only a shell can follow it; neither in this file nor in the program below'
FOLLOWED = 'its value stands where it is used'
SUBMITTED = 'the directory that the script was submitted from: nobody will know; write `cwd=` below, or absolute paths'
ENDED = 'comes after `exit`'


@dataclass
class Step:
    """What runs at the same time; the next step begins when all of it has ended.

    Attributes:
        commands: In their order.
        wait: The line of the `wait` that ends it; 0 without.
    """

    commands: list[Command]
    wait: int = 0

    @property
    def lines(self) -> list[int]:
        """Where it stands in the script."""
        found = {number for each in self.commands for number in range(each.line, max(each.line, each.last) + 1)}
        return sorted(found | ({self.wait} if self.wait else set()))


@dataclass
class Work:
    """The body of a script.

    Attributes:
        setup: What prepares: for `worker_init`, in order.
        begin: What starts a service on a node, before all work.
        end: What ends it, after all work.
        steps: The work.
        verbatim: Lines that were not understood, as they are.
        left: Lines that are left out, and why.
        cwd: Where it runs; '' for where the script was submitted.
        moved: Lines where the directory is changed that `cwd`, or a command below, says.
        notes: (line, words).
    """

    setup: list[Line] = field(default_factory=list)
    begin: list[Line] = field(default_factory=list)
    end: list[Line] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    verbatim: list[Line] = field(default_factory=list)
    left: list[tuple[Line, str]] = field(default_factory=list)
    cwd: str = ''
    moved: list[Line] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)

    @property
    def groups(self) -> list[list[Command]]:
        """The commands of each step."""
        return [step.commands for step in self.steps]

    @property
    def commands(self) -> list[Command]:
        """All of them."""
        return [command for step in self.steps for command in step.commands]


def work_of(script: JobScript, nodes: int) -> Work:
    """Go through a script.

    Args:
        script: Its commands.
        nodes: Nodes of the job: what its own counting would find.
    """
    reader = _Reader(nodes)
    for line in script.body:
        for text in [line.text] if _is_block(line.text) or '<<' in line.text else statements(line.text):
            reader.take(replace(line, text=text))
    return reader.finish()


def _is_block(text: str) -> bool:
    if re.match(r'(for|while|until|if|case|select|function)\b|\{\s|\w[\w-]*\s*\(\)', text):
        return True
    return '\n' in text and '<<' not in text and any(letter in bare(text) for letter in '({')


def _prepares(text: str) -> bool:
    """Whether a condition or loop holds nothing but what prepares a shell."""
    if re.match(r'function\b|[({]|\w[\w-]*\s*\(\)', text):
        return False
    inner = [re.sub(r'^(?:then|else|do)\b\s*', '', each) for each in statements(text)]
    words = [words_of(each)[:1] for each in inner if not re.match(r'(?:if|elif|for|while|case|then$|else$|fi|done|esac)\b', each) and each]
    return bool(words) and '<<' not in text and all(word and (word[0] in SETUP or word[0] == 'export') for word in words)


class _Reader:
    """Reads commands one after the other, as the shell would."""

    def __init__(self, nodes: int) -> None:
        self.work = Work()
        self.known = {name: str(nodes) for name in ('SLURM_NNODES', 'SLURM_JOB_NUM_NODES')}
        self.plain: list[tuple[str, Line]] = []
        self.nodes, self.budget = nodes, COMMANDS
        self.mask: str | None = None
        self.together = self.ended = False
        self.changes: list[str] = []
        self.ends_after = 0

    def take(self, line: Line) -> None:
        """One line: a loop is followed turn by turn, and what prepares stands apart from what comes behind its `&&`."""
        words = words_of(line.text)
        first = words[0] if words else ''
        if self.ended:
            self.work.left.append((line, ENDED))
        elif (loop := unrolled(line.text, self.known, self.budget)) is not None:
            self.budget -= len(loop)
            for each in loop:
                self.take(replace(line, text=each))
        elif _is_block(line.text):
            self.prepare(line) if _prepares(line.text) else self.verbatim(line)
        elif ' && ' in line.text and (first == 'cd' or first in SETUP):
            for each in line.text.split(' && ', 1):
                self.take(replace(line, text=each))
        else:
            self.command(line, first, words)

    def command(self, line: Line, first: str, words: Sequence[str]) -> None:
        """One command."""
        if first == 'export' or (all(launchline.ASSIGNMENT.fullmatch(word) for word in words) and words):
            self.assign(line, words)
        elif first == 'cd':
            self.change(line, words)
        elif first == 'wait':
            self.wait(line, words)
        elif first == 'exit':
            self.ended = True
            self.work.left.append((line, 'ends the script'))
        elif first == 'set' or first in OF_THE_SHELL or (first == 'exec' and len(words) > 1 and words[1][:1] in '<>&12'):
            self.left_to_the_shell(line, first)
        elif MPS in line.text and self.service(line, words):
            return
        elif first in SETUP or re.match(r'\S*/activate$', first) or self.makes_directories(first, words):
            self.prepare(line)
        elif first in TALK and '|' not in bare(line.text) and not WRITES.search(bare(line.text)) and not (first == 'env' and len(words) > 1):
            self.work.left.append((line, TALKS))
        else:
            self.run(line)

    def left_to_the_shell(self, line: Line, first: str) -> None:
        """Such as `set` and `trap`."""
        if first == 'set':
            self.work.left.append((line, 'of the shell of the script: the program below goes on after a step that fails, and shows its return code'))
        else:
            self.verbatim(line)

    def verbatim(self, line: Line) -> None:
        """What is not understood; what it sets, nobody knows."""
        self.work.verbatim.append(line)
        self.work.left.append((line, SHELL_ONLY))
        for name in re.findall(r'\b([A-Za-z_]\w*)=|\b(?:for|read|select)\s+(\w+)|(\w+)(?:\+\+|--)', line.text):
            for each in name:
                self.known.pop(each, None)
        if re.search(rf'\b(?:{"|".join(MASKS)})=', line.text):
            self.mask = None
        self.together = False

    def service(self, line: Line, words: Sequence[str]) -> bool:
        """Whether it starts or ends the daemon of MPS, which belongs to a node, not to a task."""
        if '-d' in words and '|' not in line.text:
            self.before_work(line)
            self.work.begin.append(line)
        elif re.match(rf'echo\s+["\']?quit["\']?\s*\|\s*(?:\S*/)?{MPS}\b', line.text):
            self.work.end.append(line)
            self.ends_after = len(self.work.steps)
        else:
            return False
        return True

    def makes_directories(self, first: str, words: Sequence[str]) -> bool:
        """`mkdir` of absolute paths before all work prepares; any other one is a step."""
        paths = [word for word in words[1:] if not word.startswith('-')]
        return first == 'mkdir' and not self.work.steps and bool(paths) and all(path.lstrip('"')[:1] in ('/', '$') for path in paths)

    def prepare(self, line: Line) -> None:
        self.before_work(line)
        words = words_of(line.text)
        if self.work.cwd and words[0] in ('source', '.') and unquoted(words[-1])[:1] not in ('/', '$', '~'):
            note = f'`{line.text}` was relative to {self.work.cwd}; `worker_init` runs elsewhere: write the whole path'
            self.work.notes.append((line.number, note))
        self.work.setup.append(line)

    def before_work(self, line: Line) -> None:
        if self.work.steps:
            self.work.notes.append((line.number, f'`{line.text}` comes after work has begun; here it comes before all of it'))

    def assign(self, line: Line, words: Sequence[str]) -> None:
        """`export A=1 B=2`, `A=1`."""
        exported = words[0] == 'export'
        kept = []
        for word in words[1:] if exported else words:
            name, _, value = word.partition('=')
            if name in MASKS and '=' in word:
                self.show(line, name, resolve(unquoted(value), self.known))
                continue
            if '=' in word:
                self.learn(name, value)
            kept.append(word)
        if kept and exported:
            self.prepare(replace(line, text=' '.join(['export', *kept])))
        elif kept:
            self.plain += [(word.partition('=')[0], replace(line, text=word)) for word in kept]

    def show(self, line: Line, name: str, mask: str) -> None:
        """GPUs of all commands from here on."""
        self.mask = None if '$' in mask or '`' in mask else mask
        why = f'`{name}`: ' + ('workers set it' if self.mask is not None else 'only a shell knows its value; workers set it')
        self.work.left.append((line, why))

    def learn(self, name: str, value: str) -> None:
        counts = len(value) <= COUNTING and COUNT_NODES.search(value)
        found = str(self.nodes) if counts else resolve(unquoted(value), self.known)
        if PLAIN.fullmatch(found):
            self.known[name] = found
        else:
            self.known.pop(name, None)

    def change(self, line: Line, words: Sequence[str]) -> None:
        """`cd` before all work is where it is done; later ones go with each command. Where the script was submitted, nobody will know."""
        if len(self.changes) >= CHANGES:
            self.verbatim(line)
            return
        where = resolve(words[1] if len(words) > 1 and words[1] not in ('||', '&&') else '~', self.known)
        if SUBMIT_DIRS.match(where):
            self.work.left.append((line, SUBMITTED))
            self.changes = []
            self.work.cwd = '' if not self.work.steps else self.work.cwd
        elif self.work.steps or (self.work.cwd and unquoted(where)[:1] not in ('/', '~', '$')):
            absolute = unquoted(where)[:1] in ('/', '~', '$')
            self.changes = [where] if absolute else [*self.changes, where]
            self.work.moved.append(line)
        else:
            self.work.cwd = unquoted(where)
            self.changes = []
            self.work.moved.append(line)

    def wait(self, line: Line, words: Sequence[str]) -> None:
        open_one = self.work.steps[-1] if self.work.steps else None
        if open_one is not None and not open_one.wait and any(command.background for command in open_one.commands):
            open_one.wait = max(line.last, line.number)
            if len(words) > 1:
                self.work.notes.append((line.number, f'`{line.text}`: here all of its step is waited for'))
        elif open_one is None or open_one.wait != line.last:
            self.work.left.append((line, 'nothing is left to wait for'))
        self.together = False

    def run(self, line: Line) -> None:
        text = line.text if '<<' in line.text else resolve(line.text, self.known)
        command = launchline.parse(line.number, text)
        if command.text.rstrip('\\').strip() == '':
            self.verbatim(line)
            return
        if command.mask is not None and ('$' in command.mask or '`' in command.mask):
            command = replace(command, mask=None, text=command.written)
        if command.mask is None and self.mask is not None:
            command = replace(command, mask=self.mask)
        before = ''.join(f'cd {where} && ' for where in self.changes)
        command = replace(command, last=line.last, text=before + command.text, written=before + command.written)
        if self.together:
            self.work.steps[-1].commands.append(command)
        else:
            self.left_behind(command)
            self.work.steps.append(Step([command]))
        self.together = command.background

    def left_behind(self, command: Command) -> None:
        """What runs in the background without a `wait` would go on beside what comes now; here that waits for it."""
        behind = [each.line for each in self.work.steps[-1].commands if each.background] if self.work.steps and not self.work.steps[-1].wait else []
        if behind:
            words = (
                f'goes on in the background beside line {command.line}, which here waits for it: a service that does not end belongs in `worker_init`'
            )
            self.work.notes.append((behind[0], words))

    def finish(self) -> Work:
        """Variables that something kept still needs go with it; the others have done their work."""
        used = set(NAME.findall('\n'.join(each.written for each in self.work.commands)))
        needed = set(NAME.findall('\n'.join(line.text for line in [*self.work.setup, *self.work.begin])))
        for name, line in reversed(self.plain):
            if name in used:
                self.work.setup.append(replace(line, text=f'export {line.text}'))
            elif name in needed:
                self.work.setup.append(line)
            else:
                self.work.left.append((line, FOLLOWED if name in self.known else 'nothing below uses it'))
                continue
            needed |= set(NAME.findall(line.text))
        if self.work.end and (later := [number for step in self.work.steps[self.ends_after :] for number in step.lines]):
            words = f'ends before {spans(later)}; here it ends with the block: what it needs must not be removed there'
            self.work.notes.append((self.work.end[-1].number, words))
        self.work.setup.sort(key=lambda line: line.number)
        return self.work
