"""Values in a text of the shell: standard library only, for it is imported on compute nodes.

A value that is no plain word never stands in the text: it is assigned to a variable first, and the text names the variable. So no mistake about the
place can make code of a value; the place only decides how the variable is named there, and values are refused where that cannot be known or where
bash evaluates what it expands.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

VALUE = '\0'
"""Stands for a value while the places are looked for. No text of bash can hold it."""

_FIELD = re.compile(r'\{\{|\}\}|(\$?)\{([A-Za-z_]\w*)((?:\.\w+|\[[^][{}]*\])*(?:![rsa])?(?::[^{}]*)?|!q)\}')
_RAW = re.compile(r'!s(?:$|:)')
_NUMBER = re.compile(r'-?[0-9]+(?:\.[0-9]+)?')
_NAME = re.compile('[A-Za-z_][A-Za-z0-9_]*')
_WORD = re.compile(r'[A-Za-z0-9_./:@%+-]+')
_RESERVED = frozenset(re.findall(r'\w+', 'if then else elif fi do done case esac while until for select function in time coproc'))
_BEFORE, _AFTER = ' \t\n=/:-(;|&"\'', ' \t\n;|)"\'/.:,}'
"""Between these a plain word stays a word of its own: `$HOME{x}`, `{x}>file` and `{x}=1` are others."""

_ENDS = {'(': ')', '$(': ')', '((': ')', '[': ']', '$[': ']', '${': '}', '"': '"', "'": "'", "$'": "'", '`': '`'}
_SIMPLE = re.compile(r'\$\{[^{}\'"`\\$\0]*\}')
_OPENS = re.compile(r'\$\(\(|\$[(\[{]|`')
_CASE = re.compile(r'case[ \t]+(?:"[^"]*"|\S+)\s+in\s')
_DOCUMENT = re.compile(r'<<(-?)[ \t]*((?:[^\s\\\'"<>|&;()$`\0]|\\[^\n\0]|\'[^\'\0]*\'|"[^"\\$`\0]*")+)')
_IN_DOCUMENT = re.compile(r'\\?\0|\\.|\$\{[^{}\'"`\\$\0]*\}|\$\([^()\'"`\\#\0]*\)|\$[(\[{]|`', re.DOTALL)
_AGAIN = re.compile(
    r'(?P<eval>(?:eval|trap)(?=\s))|(?P<let>(?:let|unset|(?:declare|typeset|local|readonly)[ \t]+-\w*i\w*|(?:printf|test|\[)[ \t]+-v)(?=\s))'
    r'|(?P<declare>(?:declare|typeset|local|readonly|read)(?=\s))'
    r'|(?P<sh>(?:[\w./-]*/)?(?:ba|da|k|mk|z|c|tc|fi|a)?sh(?:(?:[ \t]|\\\n)+[-+\w]+)*?(?:[ \t]|\\\n)+-\w*c(?:[ \t]|\\\n)+)'
)
"""What reads its words once more: builtins to the end of the command, a shell the one word."""
_COMMAND = re.compile(r'(?:^|[;|&()\n{!]|\b(?:then|do|else|if|elif|while|until|time|builtin|command))(?:\s|\\\n)*(?:\w+=\S*\s+)*\Z')
_NAMES = re.compile(r'(?<![<>\s])[ \t]+(?:\$?["\'])?\Z')
"""What stands before a word of `declare` that begins with a value: a name then, and bash evaluates a subscript in it."""
_COMPARES = re.compile(r'\s-(?:eq|ne|lt|le|gt|ge|v)\s')

_VARIABLE = 'put it into a variable first (v={x}; … "$v" …)'
_REFUSED = {
    '`': ('backticks', 'write $(…)'),
    '((': ('arithmetic', 'give a number'),
    '$[': ('arithmetic', 'give a number'),
    '[': ('a subscript, which bash evaluates', 'give a number'),
    '[[': ('a [[ ]] with a comparison of numbers, which bash evaluates', 'write [ … ]'),
    '${': ('${…}', _VARIABLE),
    '\\': ('a place after a backslash', 'leave the backslash away'),
    '<$': ('a substitution of a here-document', _VARIABLE),
    "<'": ('a here-document with a quoted delimiter', 'write the delimiter without quotes'),
    'eval': ('a text of eval or trap', 'name a variable there (v={x}; eval \'… "$v" …\')'),
    'sh': ('a script of a shell', 'give it as an argument (bash -c \'… "$1" …\' bash {x})'),
    'let': ('a word which bash evaluates', 'give a number'),
    'declare': ('the name of a variable', 'give a name'),
    '?': ('a text after << and a delimiter that cannot be read', 'use a plain word as the delimiter'),
}


@dataclass(frozen=True)
class Place:
    """Where a value stands."""

    kind: str
    """`''` for outside of quotes, the opening quote, `<` for a here-document, or a key of what is refused."""

    delimiter: str = ''
    """Of the here-document."""


def fill(text: str, kwargs: dict[str, Any], first: str = '') -> str:
    """`str.format` for a text of the shell, each value a word whatever is in it; braces that are no field are left to the shell.

    Args:
        text: What to fill.
        kwargs: The values.
        first: What is put before the text, after the assignments of values.

    Raises:
        TypeError: A field without its value.
        ValueError: A value that cannot stand in its place, or holds a NUL.
    """
    template, fields = _fields(text, kwargs)
    variables, parts = _Variables(template + first), template.split(VALUE)
    filled, at = parts[0], len(parts[0])
    for (name, values), place, part in zip(fields, places(template), parts[1:]):
        beside = template[at - 1] if at else '\n', template[at + 1 : at + 2] or '\n'
        filled += ' '.join(variables.written(name, value, place, beside) for value in values) + part
        at += 1 + len(part)
    return ''.join(f'{name}={shlex.quote(value)}; ' for value, name in variables.names.items()) + first + filled


class _Variables:
    """The values that stand before the text, and what stands for them in it."""

    def __init__(self, text: str) -> None:
        self.names: dict[str, str] = {}
        self._prefix = '_rp'
        while self._prefix in text:
            self._prefix += '_'

    def written(self, name: str, value: str, place: Place, beside: tuple[str, str]) -> str:
        if VALUE in value:
            raise ValueError(f'{name}= holds a NUL, which no command can be given')
        if _literal(value, place, beside):
            return value
        if place.kind in _REFUSED:
            where, instead = (each.replace('{x}', f'{{{name}}}') for each in _REFUSED[place.kind])
            raise ValueError(
                f'{{{name}}} stands in {where}, and this value is not plain enough for that: {instead}, or {{{name}!s}} to have the shell read it'
            )
        return _reference(self.names.setdefault(value, f'{self._prefix}{len(self.names) + 1}'), place.kind)


def _fields(text: str, kwargs: dict[str, Any]) -> tuple[str, list[tuple[str, list[str]]]]:
    """The text with VALUE for each value, and the values: name, words. Where a text doubles braces, as upstream wants it, they are single ones."""
    if VALUE in text:
        raise ValueError('the command holds a NUL')
    doubled, fields = '{{' in text, list[tuple[str, list[str]]]()

    def replace(found: re.Match[str]) -> str:
        dollar, name, rest = found.groups()
        if name is None or (name not in kwargs and (dollar or rest)):
            return found[0][0] if doubled and name is None else found[0]
        if name not in kwargs:
            raise TypeError(f'the command names {{{name}}}, and no {name}= is given; for braces of its own write {{{{{name}}}}}')
        words = _words(name, rest, kwargs[name])
        if _RAW.search(rest):
            return dollar + words[0].replace(VALUE, '\\0')
        if not dollar:
            fields.append((name, words))
            return VALUE
        if not _NAME.fullmatch(words[0]):
            raise ValueError(f'${{{name}}} is the variable that {name}= names, and {words[0]!r} is no name of one: {{{name}}} is the value')
        return dollar + words[0]

    return _FIELD.sub(replace, text), fields


def _words(name: str, rest: str, value: Any) -> list[str]:
    if rest in ('', '!q'):
        return [str(each) for each in value] if isinstance(value, (list, tuple)) else [str(value) if rest else f'{value}']
    return [f'{{{name}{rest}}}'.format(**{name: value})]


def _literal(value: str, place: Place, beside: tuple[str, str]) -> bool:
    """Whether the value is the same word, and nothing else, as it stands."""
    if place.kind == "<'":
        return bool(_WORD.fullmatch(value)) and value not in place.delimiter
    if place.kind == 'declare':
        return bool(_NAME.fullmatch(value))
    if _NUMBER.fullmatch(value) and (place.kind in _REFUSED or (place.kind != '<' and beside[0] in _BEFORE + '{.,' and beside[1] in _AFTER)):
        return True
    return (
        place.kind in ('', '"', "'", 'eval', 'sh')
        and bool(_WORD.fullmatch(value))
        and value not in _RESERVED
        and beside[0] in _BEFORE
        and beside[1] in _AFTER
    )


def _reference(name: str, kind: str) -> str:
    """The variable as it must be written there to be expanded, and not split."""
    bare = f'${{{name}}}'
    return {'': f'"{bare}"', "'": f'\'"{bare}"\'', "$'": f'\'"{bare}"$\''}.get(kind, bare)


def places(template: str) -> list[Place]:
    """Where each VALUE of a template stands."""
    scan = _Scan(template)
    while scan.at < len(template):
        scan.step()
    return scan.found


class _Scan:
    """Reads a text as bash does, as far as needed to know what is open at a place."""

    def __init__(self, text: str) -> None:
        self.at, self.found = 0, list[Place]()
        self._text = text
        self._stack = ['']  # outermost first: what is open, by its opening; '#' for a comment
        self._documents: list[tuple[str, bool, bool]] = []
        self._condition = 0
        self._before = '\n'  # as far as it can begin a word

    def step(self) -> None:
        """Read one thing."""
        here, first = self._stack[-1], self._text[self.at]
        if first == VALUE:
            self.found.append(self._place())
        elif here == '#':
            return self._comment()
        elif first == '\\' and here != "'":
            return self._escaped()
        elif here in ('eval', 'let', 'declare', 'sh') and first in ';&|\n)' + ' \t' * (here == 'sh'):
            self._stack.pop()
            return None
        elif first == _ENDS.get(here):
            self._stack.pop()
            return self._go(1, ')' if here == '(' else 'x')
        elif here in ('((', '$['):
            self._stack += [here] * (first in '([' and first == here[-1])
        elif here not in ("'", "$'", '`'):
            return self._expansion()
        return self._go(1)

    def _go(self, length: int, before: str = '') -> None:
        self.at += length
        self._before = before or self._text[self.at - 1]

    def _comment(self) -> None:
        end = self._text[self.at]
        if end == '\n':
            self._stack.pop()
        else:
            self._go(1)

    def _escaped(self) -> None:
        after = self._text[self.at + 1 : self.at + 2]
        if after == VALUE:
            self.found.append(Place('\\'))
        self.at += 2
        self._before = self._before if after == '\n' else 'x'

    def _place(self) -> Place:
        here = self._stack[-1]
        for kind in self._stack[::-1]:
            if kind == '$(':
                break
            if kind in _REFUSED and self._evaluates(kind):
                return Place(kind)
        return Place('?' if '?' in self._stack else here if here in ('"', "'", "$'") else '')

    def _evaluates(self, kind: str) -> bool:
        """Whether bash reads this value once more: in the last [[ ]], or in what may be it, where a comparison of numbers stands."""
        if kind == 'declare':
            return bool(_NAMES.search(self._text[: self.at]))
        return kind != '[[' or bool(_COMPARES.search(self._text, self._condition, self._text.rfind(']]')))

    def _expansion(self) -> None:
        """Read what begins within double quotes too."""
        here = self._stack[-1]
        if found := _SIMPLE.match(self._text, self.at):
            return self._go(len(found[0]))
        if found := _OPENS.match(self._text, self.at):
            self._stack += ['((', '(('] if found[0] == '$((' else [found[0]]
            return self._go(len(found[0]), '(')
        if here == '"':
            return self._go(1)
        return self._quote(here)

    def _quote(self, here: str) -> None:
        text = self._text[self.at : self.at + 2]
        if text in ("$'", '$"'):
            self._stack.append("$'" if text[1] == "'" else '"')
            return self._go(2)
        if text == '$$':
            return self._go(2)
        if text[0] in '"\'':
            self._stack.append(text[0])
        elif here != '${':
            return self._word(text)
        return self._go(1)

    def _word(self, text: str) -> None:
        """Read what begins outside of quotes only."""
        starts, here = self._before in ' \t\n;|&()<>', self._stack[-1]
        if starts and (again := _AGAIN.match(self._text, self.at)) and (again['sh'] or _COMMAND.search(self._text[: self.at])):
            self._stack.append(again.lastgroup or '')
            return self._go(len(again[0]), ' ')
        if text in ('((', '<(', '>('):
            self._stack += ['((', '(('] if text == '((' else ['$(']
            return self._go(2)
        if text[0] == '(' or (starts and text[0] == '#'):
            self._stack.append(text[0])
        elif text == '<<':
            return self._delimiter()
        elif text[0] in '[]':
            return self._bracket(text, starts)
        elif text[0] == '\n':
            return self._newline()
        elif starts and here in ('(', '$(', 'case') and _CASE.match(self._text, self.at):
            self._stack.append('case')
        elif starts and here == 'case' and re.match(r'esac\b', self._text[self.at : self.at + 5]):
            self._stack.pop()
        return self._go(1)

    def _bracket(self, text: str, starts: bool) -> None:
        here, after = self._stack[-1], self._text[self.at + 2 : self.at + 3]
        if starts and text == '[[' and (after.isspace() or after == '\\'):
            self._condition = self.at
            self._stack.append('[[')
            return self._go(2)
        if starts and text == ']]' and here == '[[':
            self._stack.pop()
            return self._go(2)
        if text[0] == '[' and (self._before == '_' or self._before.isalnum() or (starts and here == '(' and not text[1:].isspace())):
            self._stack.append('[')
        return self._go(1)

    def _newline(self) -> None:
        if self._stack[-1] == '[':
            self._stack.pop()
        self._go(1)
        documents, self._documents = self._documents, []
        for document in documents:
            self._document(*document)

    def _delimiter(self) -> None:
        if self._text.startswith('<<<', self.at):
            return self._go(3)
        found = _DOCUMENT.match(self._text, self.at)
        if not found:
            self._stack.insert(1, '?')
            return self._go(2)
        self._documents.append((''.join(shlex.split(found[2])), bool(set(found[2]) & set('\\\'"')), bool(found[1])))
        return self._go(len(found[0]), 'x')

    def _document(self, delimiter: str, quoted: bool, tabs: bool) -> None:
        """Read the lines to the one that is the delimiter. Without quotes, a backslash joins lines."""
        body, joined = '', False
        while self.at < len(self._text):
            line = self._text[self.at :].partition('\n')[0]
            self.at += len(line) + 1
            if not joined and (line.lstrip('\t') if tabs else line) == delimiter:
                break
            joined = not quoted and (len(line) - len(line.rstrip('\\'))) % 2 == 1
            body += line + '\n'
        self._before = '\n'
        kind = "<'" if quoted else '<'
        for found in _IN_DOCUMENT.findall(body):
            if VALUE in found:
                self.found += [Place('\\' if found[0] == '\\' and not quoted else kind, delimiter)]
            elif not quoted and found in ('$(', '${', '$[', '`'):
                kind = '<$'
