"""The tables of promises and of breaks, as the documents have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.mutations.entry import ROOT, Mutation
from tests.mutations.lists import MUTATIONS
from tests.mutations.promises import GUARANTEES, SECURITY

DOCS = ROOT / 'docs'


def guarantees() -> str:
    """Each promise against accidents, with its tests."""
    rows = [f'| {each.text} | {each.kept} | {_files(each.tests)} |' for each in GUARANTEES.values()]
    return _table('| promise | how it is kept | tests |', rows)


def security() -> str:
    """Each promise against people."""
    return _table('| promise | how it is kept |', [f'| {each.text} | {each.kept} |' for each in SECURITY.values()])


def mutations() -> str:
    """Each break under its promise, and the tests that notice."""
    promises = {**GUARANTEES, **SECURITY}
    rows = [_row(promises[key].text, each) for key in promises for each in MUTATIONS if each.breaks == key]
    return _table('| promise | what is broken | where | caught by |', rows)


def _row(promise: str, mutation: Mutation) -> str:
    return f'| {promise} | {mutation.what} | `{mutation.file}` | {_files(tuple(each.split("::")[0] for each in mutation.caught))} |'


def _table(head: str, rows: list[str]) -> str:
    return '\n'.join([head, '|' + '---|' * (head.count('|') - 1), *rows])


def _files(names: tuple[str, ...]) -> str:
    return ', '.join(f'`{each}`' for each in dict.fromkeys(names))


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {
    'promises': (DOCS / 'guarantees.md', guarantees),
    'mutations': (DOCS / 'guarantees.md', mutations),
    'trust': (DOCS / 'security.md', security),
}
"""By the mark that stands around a table: its document, and what makes it."""


def in_document(name: str) -> str:
    """The document with this table made anew."""
    path, make = TABLES[name]
    before, begin, rest = path.read_text().partition(f'<!-- {name} -->\n')
    _, end, after = rest.partition(f'<!-- /{name} -->')
    assert begin and end, f'{path} has no place for the {name}'  # noqa: PT018
    return before + begin + make() + '\n' + end + after


def write() -> None:
    """All of them."""
    for name, (path, _) in TABLES.items():
        path.write_text(in_document(name))
