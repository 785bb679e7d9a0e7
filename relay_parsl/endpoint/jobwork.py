"""What the commands of a batch script do: which of them prepare, and which are the work. Simple variables and loops are followed. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from relay_parsl.endpoint import launchline
from relay_parsl.endpoint.jobscript import JobScript, Line, statements
from relay_parsl.endpoint.launchline import MASKS, Command, unquoted, words_of

SETUP = frozenset((
    'module', 'ml', 'source', '.', 'conda', 'mamba', 'micromamba', 'pyenv', 'spack', 'ulimit', 'umask', 'alias', 'eval', 'shopt', 'mkdir', 'unset',
))  # fmt: skip
"""Commands that prepare a shell."""
TALK = frozenset((
    'echo', 'printf', 'date', 'hostname', 'pwd', 'env', 'printenv', 'nvidia-smi', 'rocm-smi', 'sleep', 'cat', 'ls', 'which', 'exit', 'true', ':',
    'lscpu', 'lstopo', 'id', 'whoami', 'uname', 'df', 'free', 'set',
))  # fmt: skip
"""Commands that tell people something, or end the script."""
SUBMIT_DIRS = re.compile(r'["\']?\$\{?(?:PBS_O_WORKDIR|SLURM_SUBMIT_DIR|SLURM_JOB_WORKDIR)\}?["\']?/?$')
COUNT_NODES = re.compile(r'(?:\$\(|`).*(?:wc -l|uniq \| wc|sort -u).*NODEFILE.*(?:\)|`)|(?:\$\(|`)\s*(?:wc -l|cat)\s*<?\s*\$\{?PBS_NODEFILE')
FOR = re.compile(r'for\s+(\w+)\s+in\s+([^\n]*?)\s*[;\n]\s*do\b\s*(.*?)\s*[;\n&]?\s*\bdone\s*(&?)\s*(?:;?\s*wait\s*)?', re.DOTALL)
COUNTING = re.compile(
    r'for\s*\(\(\s*(\w+)\s*=\s*(\S+?)\s*;\s*\w+\s*(<=?)\s*(\S+?)\s*;\s*(?:\w+\+\+|\+\+\w+)\s*\)\)\s*[;\n]?\s*do\b\s*(.*?)\s*[;\n&]?\s*\bdone\s*(&?)\s*',
    re.DOTALL,
)
TURNS, LOOP = 1024, 4000
"""Turns of a loop that are followed, and characters of one, at most."""


@dataclass
class Work:
    """The body of a script.

    Attributes:
        setup: What prepares: for `worker_init`, in order.
        groups: The work: commands that run at the same time are one group.
        verbatim: Lines that were not understood, as they are.
        cwd: Where it runs; '' for where the script was submitted.
        notes: (line, words).
    """

    setup: list[Line] = field(default_factory=list)
    groups: list[list[Command]] = field(default_factory=list)
    verbatim: list[Line] = field(default_factory=list)
    cwd: str = ''
    notes: list[tuple[int, str]] = field(default_factory=list)


def work_of(script: JobScript, nodes: int) -> Work:
    """Go through a script.

    Args:
        script: Its commands.
        nodes: Nodes of the job: what its own counting would find.
    """
    reader = _Reader(nodes)
    for line in script.body:
        for text in [line.text] if _is_block(line.text) else statements(line.text):
            reader.take(Line(line.number, text))
    return reader.finish()


def _is_block(text: str) -> bool:
    return '\n' in text or re.match(r'(for|while|until|if|case)\b', text) is not None


def _prepares(text: str) -> bool:
    """Whether a condition or loop holds nothing but what prepares a shell."""
    inner = [re.sub(r'^(?:then|else|do)\b\s*', '', each) for each in statements(text)]
    commands = [words_of(each)[0] for each in inner if not re.match(r'(?:if|elif|for|while|case|then$|else$|fi|done|esac)\b', each) and each]
    return bool(commands) and '<<' not in text and all(command in SETUP or command == 'export' for command in commands)


class _Reader:
    """Reads commands one after the other, as the shell would."""

    def __init__(self, nodes: int) -> None:
        self.work = Work()
        self.known = {name: str(nodes) for name in ('SLURM_NNODES', 'SLURM_JOB_NUM_NODES')}
        self.plain: list[tuple[str, Line]] = []
        self.nodes, self.mask, self.together = nodes, None, False  # type: int, str | None, bool

    def take(self, line: Line) -> None:
        """One line: a loop is followed turn by turn, and what prepares stands apart from what comes behind its `&&`."""
        words = words_of(line.text)
        first = words[0] if words else ''
        if (loop := unrolled(line.text, self.known)) is not None:
            for each in loop:
                self.take(Line(line.number, each))
        elif _is_block(line.text):
            (self.prepare if _prepares(line.text) else self.work.verbatim.append)(line)
        elif ' && ' in line.text and (first == 'cd' or first in SETUP):
            for each in line.text.split(' && ', 1):
                self.take(Line(line.number, each))
        else:
            self.command(line, first, words)

    def command(self, line: Line, first: str, words: Sequence[str]) -> None:
        """One command."""
        if first == 'export' or (all(launchline.ASSIGNMENT.fullmatch(word) for word in words) and words):
            self.assign(line, words)
        elif first == 'cd':
            self.change(words)
        elif first == 'wait':
            self.together = False
        elif first in SETUP or re.match(r'\S*/activate$', first):
            self.prepare(line)
        elif first not in TALK or '|' in line.text or (first == 'env' and len(words) > 1):
            self.run(line)

    def prepare(self, line: Line) -> None:
        if self.work.groups:
            self.work.notes.append((line.number, f'`{line.text}` comes after work has begun; here it comes before all of it'))
        self.work.setup.append(line)

    def assign(self, line: Line, words: Sequence[str]) -> None:
        """`export A=1 B=2`, `A=1`."""
        exported = words[0] == 'export'
        kept = []
        for word in words[1:] if exported else words:
            name, _, value = word.partition('=')
            if name in MASKS:
                self.mask = resolve(unquoted(value), self.known)
                continue
            if '=' in word:
                self.learn(name, value)
            kept.append(word)
        if kept and exported:
            self.prepare(Line(line.number, ' '.join(['export', *kept])))
        elif kept:
            self.plain.append((kept[0].partition('=')[0], line))

    def learn(self, name: str, value: str) -> None:
        found = str(self.nodes) if COUNT_NODES.search(value) else resolve(unquoted(value), self.known)
        if '$' not in found and '`' not in found:
            self.known[name] = found
        else:
            self.known.pop(name, None)

    def change(self, words: Sequence[str]) -> None:
        """`cd` once is where the work is done; where the script was submitted, nobody will know."""
        where = resolve(words[1] if len(words) > 1 else '~', self.known)
        if not SUBMIT_DIRS.match(where) and not where.startswith('&&'):
            self.work.cwd = unquoted(where)

    def run(self, line: Line) -> None:
        command = launchline.parse(line.number, resolve(line.text, self.known))
        if command.text.rstrip('\\').strip() == '':
            return
        if command.mask is None and self.mask is not None:
            command = replace(command, mask=self.mask)
        if self.together:
            self.work.groups[-1].append(command)
        else:
            self.work.groups.append([command])
        self.together = command.background

    def finish(self) -> Work:
        """Variables that something kept still needs go with it; the others have done their work."""
        needed = '\n'.join([line.text for line in self.work.setup])
        for name, line in reversed(self.plain):
            if re.search(rf'\$\{{?{name}\b', needed):
                self.work.setup.append(line)
                needed += '\n' + line.text
        self.work.setup.sort(key=lambda line: line.number)
        return self.work


# --- variables and loops -----------------------------------------------------------------------------------------------------------------------


def resolve(text: str, known: Mapping[str, str]) -> str:
    """The text with the variables that are known, and sums of numbers, put in; whatever else stays."""
    text = re.sub(r'\$\{(\w+)\}|\$(\w+)', lambda match: known.get(match[1] or match[2], match[0]), text)
    return re.sub(r'\$\(\((.*?)\)\)', lambda match: _sum(match[1], known, match[0]), text)


def _sum(text: str, known: Mapping[str, str], otherwise: str) -> str:
    """An integer expression of `+ - * / %`, from left to right within its precedence; `otherwise` where it is another."""
    text = re.sub(r'[A-Za-z_]\w*', lambda match: known.get(match[0], match[0]), text)
    if not re.fullmatch(r'[\d\s+*/%-]+', text) or not re.fullmatch(r'\s*\d+(\s*[+*/%-]\s*\d+)*\s*', text):
        return otherwise
    words = re.findall(r'\d+|[+*/%-]', text)
    terms: list[int] = [int(words[0])]
    for sign, word in zip(words[1::2], map(int, words[2::2])):
        if sign in '+-':
            terms.append(word if sign == '+' else -word)
        elif sign == '*':
            terms[-1] *= word
        elif word == 0:
            return otherwise
        else:
            quotient = abs(terms[-1]) // word * (1 if terms[-1] >= 0 else -1)
            terms[-1] = quotient if sign == '/' else terms[-1] - quotient * word
    return str(sum(terms))


def unrolled(text: str, known: Mapping[str, str]) -> list[str] | None:
    """The commands of a `for` loop, turn by turn; None for what is no such loop, or one whose turns only the shell can tell."""
    turns = _turns(text.strip(), known) if text.lstrip().startswith('for') and len(text) <= LOOP else None
    if turns is None:
        return None
    name, values, body, background = turns
    if re.search(r'(?:^|[;\n])\s*(for|while|if|case)\b', body):
        return None
    commands = statements(body)
    found = []
    for value in values:
        for command in commands:
            turn = resolve(command, {**known, name: value})
            found.append(turn if not background or turn.endswith('&') else f'{turn} &')
    return [*found, 'wait'] if re.search(r'\bwait\s*$', text) else found


def _turns(text: str, known: Mapping[str, str]) -> tuple[str, list[str], str, bool] | None:
    if (match := FOR.fullmatch(text)) is not None:
        values = listed(match[2], known)
        body = match[3] + (' &' if _lost_ampersand(text) and not match[3].endswith('&') else '')
        return None if values is None else (match[1], values, body, match[4] == '&')
    if (match := COUNTING.fullmatch(text)) is None:
        return None
    first, last = (resolve(f'${{{each}}}' if each.isidentifier() else each, known) for each in (match[2], match[4]))
    if not (first.isdigit() and last.isdigit()) or int(last) - int(first) > TURNS:
        return None
    body = match[5] + (' &' if _lost_ampersand(text) and not match[5].endswith('&') else '')
    return match[1], [str(each) for each in range(int(first), int(last) + (match[3] == '<='))], body, match[6] == '&'


def _lost_ampersand(text: str) -> bool:
    """Whether the last command of the body runs in the background."""
    return re.search(r'&\s*\n?\s*done\b', text) is not None


def listed(text: str, known: Mapping[str, str]) -> list[str] | None:
    """The words after `in`: `0 1 2`, `{0..3}`, `$(seq 0 3)`; None where only the shell can tell."""
    text = resolve(text, known).strip()
    if (match := re.fullmatch(r'\{(\d+)\.\.(\d+)\}', text)) is not None:
        return _range(int(match[1]), int(match[2]))
    if (match := re.fullmatch(r'(?:\$\(|`)\s*seq\s+(?:-w\s+)?(\d+)(?:\s+(\d+))?\s*(?:\)|`)', text)) is not None:
        return _range(int(match[1]), int(match[2])) if match[2] else _range(1, int(match[1]))
    words = [unquoted(word) for word in words_of(text)]
    return None if re.search(r'[$`*?\[]', text) or len(words) > TURNS else words


def _range(first: int, last: int) -> list[str] | None:
    return [str(each) for each in range(first, last + 1)] if last - first < TURNS else None
