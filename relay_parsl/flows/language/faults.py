"""What is wrong with a document, and what is worth a word: all of it at once, each with its JSON path."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from relay_parsl.config import closest
from relay_parsl.flows.definition import Json

MOST = 1_000
"""Faults that are kept, and warnings; of the others only the number."""
GUESSES = 200
"""Words for which something like them is looked for."""
EVALUATED = 300_000
"""Characters of all expressions and filters: a few seconds' worth of reading."""
PLAIN_KEY = re.compile(r'[A-Za-z_$][\w-]*(?:\.[$=])?\Z')
LONGEST = 200
"""Characters of a key in a path, and of a value in a message."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing, and where it stands: `$.States.Tar.Parameters.tasks[0].function.$`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f'{self.path}: {self.message}'


@dataclass
class Faults:
    """Takes what is found, so that one fault does not hide another."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    more: int = 0
    guesses: int = 0
    evaluated: int = 0

    def fault(self, path: str, message: str) -> None:
        """Note what makes the document invalid; the same counts once."""
        self._add(self.faults, Fault(path, message))

    def warn(self, path: str, message: str) -> None:
        """Note what is legal but dangerous, or without effect."""
        self._add(self.warnings, Fault(path, message))

    def _add(self, to: list[Fault], found: Fault) -> None:
        if len(to) >= MOST:
            self.more += 1
        elif found not in to[-20:]:
            to.append(found)

    def affords(self, value: Json) -> bool:
        """Whether this expression, or this path with a filter, may be read too: a document of many large ones would take minutes."""
        if isinstance(value, str) and not (value.startswith('$') and '?' not in value):
            self.evaluated += len(value)
            if self.evaluated > EVALUATED:
                self.fault('$', f'the expressions and filters of this definition have more than {EVALUATED:,} characters together')
                return False
        return True

    def near(self, word: str, candidates: Collection[str]) -> str:
        """`; did you mean `X`?` where one is near, '' otherwise. Bounded, since a document may have a million words that nobody knows."""
        self.guesses += 1
        if self.guesses > GUESSES or len(word) > 100 or len(candidates) > 500:
            return ''
        near = closest(word, candidates) or next(iter(difflib.get_close_matches(word, candidates, n=1, cutoff=0.7)), None)
        return f'; did you mean `{near}`?' if near else ''

    @property
    def text(self) -> str:
        """A line for each fault."""
        lines = [str(fault) for fault in self.faults]
        return '\n'.join([*lines, f'$: and {self.more} more'] if self.more else lines)


def under(path: str, key: str | int) -> str:
    """The path of a child."""
    if isinstance(key, int):
        return f'{path}[{key}]'
    name = key if len(key) <= LONGEST else key[:LONGEST] + '…'
    return f'{path}.{name}' if PLAIN_KEY.match(name) else f"{path}['{shown_key(name)}']"


def shown_key(key: str) -> str:
    """A key without what would spoil a line."""
    return json.dumps(key, ensure_ascii=not key.isprintable())[1:-1].replace("'", "\\'")


def shown(value: Json, most: int = 60) -> str:
    """A value in a message: as JSON, on one line, cut."""
    if isinstance(value, dict | list):
        return ('an object' if isinstance(value, dict) else 'a list') if value else json.dumps(value)
    text = json.dumps(value if not isinstance(value, str) or len(value) <= LONGEST else value[:LONGEST], ensure_ascii=True)
    return text if len(text) <= most else text[: most - 1] + '…'
