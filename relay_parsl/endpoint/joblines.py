"""Lines of a shell script as the shell puts them together: quotes, brackets, loops and here-documents that span several. Linear in time. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from relay_parsl.errors import ConfigError

MAX_DEPTH = 100
"""Loops, conditions and brackets within one another, at most."""
OPENS = re.compile(r'(?:^|[;&|({]|\b(?:do|then|else)\b)\s*(for|while|until|if|case|select)\b')
CLOSES = re.compile(r'(?:^|[;&|)}]|\b(?:done|fi|esac)\b)\s*(?=(done|fi|esac)\b)')
BRACE, UNBRACE = re.compile(r'(?:^|[\s;&|)])\{(?=\s|$)'), re.compile(r'(?:^|[\s;])\}(?=[\s;&|)>]|$)')
HERE = re.compile(r'(?<!<)<<-?\s*(["\']?)([A-Za-z_]\w*)\1')


@dataclass(frozen=True)
class Line:
    """A command of the script: one logical line, or a whole loop or condition; comments and line ends within lines are gone.

    Attributes:
        number: Where it begins, counted from 1.
        text: Without comments.
        last: Where it ends; 0 for the line where it begins.
    """

    number: int
    text: str
    last: int = 0


def commands(lines: Sequence[str], name: str) -> Iterator[Line]:
    """Logical lines; a loop, a condition, a function, a quoted text or a here-document is one.

    Args:
        lines: Of the script, physical ones.
        name: Of the script, for errors.

    Raises:
        ConfigError: They are nested deeper than `MAX_DEPTH`; says where.
    """
    reader, begin = _Joined(), 1
    for number, line in enumerate(lines, 1):
        if not reader.parts:
            begin = number
        reader.feed(line)
        if reader.depth > MAX_DEPTH:
            what = f'more than {MAX_DEPTH} loops, conditions and brackets within one another'
            raise ConfigError(f'{name}: line {number}: {what}: take the work into a script of its own, and run that')
        if not reader.open:
            text = reader.take()
            if text:
                yield Line(begin, text, number)
    text = reader.take()
    if text:
        yield Line(begin, text, len(lines))


class _Joined:
    """Physical lines until they make a logical one."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.quote, self.here, self.goes_on = '', '', False
        self.words = self.parens = self.braces = 0

    @property
    def depth(self) -> int:
        """Loops, conditions and brackets that are open."""
        return self.words + self.parens + self.braces

    @property
    def open(self) -> bool:
        """Whether more lines belong to it."""
        return bool(self.depth or self.quote or self.here or self.goes_on)

    def take(self) -> str:
        """The logical line; begins the next."""
        text = ''.join(self.parts).strip()
        self.parts, self.words, self.parens, self.braces = [], 0, 0, 0
        return text

    def feed(self, line: str) -> None:
        """One physical line."""
        if self.here:
            self.parts.append(f'\n{line}')
            self.here = '' if line.strip() == self.here else self.here
            return
        text, code, self.quote = scan(line, self.quote)
        joint = ' ' if self.goes_on else '\n' if self.parts else ''
        self.goes_on = not self.quote and text.endswith('\\')
        self.parts.append(joint + (text[:-1].rstrip() if self.goes_on else text).lstrip(' \t' if joint == ' ' else ''))
        self.count(code)
        opened = HERE.search(text) if '<<' in code else None
        self.here = opened[2] if opened is not None else ''

    def count(self, code: str) -> None:
        """What it opens and closes."""
        self.words = max(0, self.words + len(OPENS.findall(code)) - len(CLOSES.findall(code)))
        self.braces = max(0, self.braces + len(BRACE.findall(code)) - len(UNBRACE.findall(code)))
        self.parens = max(0, self.parens + code.count('(') - code.count(')'))


def scan(line: str, quote: str = '') -> tuple[str, str, str]:
    """A line without its comment and the blanks at its end; the same with what stands in quotes blanked; and the quote that stays open.

    Args:
        line: Physical, or logical with line ends in it.
        quote: The quote that was open before.
    """
    code: list[str] = []
    escaped = False
    for at, letter in enumerate(line):
        inside = quote
        if escaped:
            escaped, letter = False, 'x'  # noqa: PLW2901  it means nothing to the shell
        elif letter == '\\' and quote != "'":
            escaped = True
        elif quote:
            quote = '' if letter == quote else quote
        elif letter in '\'"':
            quote = letter
        elif letter == '#' and (at == 0 or line[at - 1] in ' \t;'):
            return line[:at].rstrip(), ''.join(code).rstrip(), ''
        code.append('x' if inside else letter)
    return (line if quote else line.rstrip()), ''.join(code).rstrip(), quote


def uncomment(line: str) -> str:
    """A line of a shell script without its comment and the blanks at its end."""
    return scan(line)[0]


def bare(text: str) -> str:
    """A command with what stands in its quotes blanked."""
    quote, found = '', []
    for line in text.split('\n'):
        _, code, quote = scan(line, quote)
        found.append(code)
    return ' '.join(found)


def statements(text: str) -> list[str]:
    """Commands that are separated by line ends, `;` or `&`; those that run in the background keep their `&`."""
    found, quote, begin, depth, escaped = [], '', 0, 0, False
    for at, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == '\\' and quote != "'":
            escaped = True
        elif quote:
            quote = '' if letter == quote else quote
        elif letter in '\'"':
            quote = letter
        elif letter in '()':
            depth += 1 if letter == '(' else -1
        elif depth == 0 and (letter in ';\n' or (letter == '&' and '&' not in text[at + 1 : at + 2] and text[at - 1 : at] not in ('&', '>', '<'))):
            if text[at + 1 : at + 2] == '>':
                continue
            found.append(text[begin : at + (letter == '&')])
            begin = at + 1
    return [each.strip() for each in [*found, text[begin:]] if each.strip()]


def spans(numbers: Iterable[int]) -> str:
    """Line numbers for people: `line 3`, `lines 3-5, 7`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    listed = ', '.join(str(first) if first == last else f'{first}-{last}' for first, last in runs)
    return f'line {listed}' if listed.isdigit() else f'lines {listed}'


def numbers_of(lines: Iterable[Line]) -> list[int]:
    """All physical lines of logical ones."""
    return [number for line in lines for number in range(line.number, max(line.number, line.last) + 1)]
