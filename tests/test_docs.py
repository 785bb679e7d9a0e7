"""Documents as they are rendered: tables that are tables, and links that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')] + sorted((ROOT / 'docs').glob('*.md'))


def prose(document: Path) -> str:
    """Without what is code, line for line."""
    return re.sub(r'^```.*?^```$', lambda code: '\n' * code[0].count('\n'), document.read_text(), flags=re.MULTILINE | re.DOTALL)


def tables(document: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of its first line, and its rows."""
    text = prose(document)
    for match in re.finditer(r'(?:^\|.*\n)+', text, re.MULTILINE):
        yield text.count('\n', 0, match.start()) + 1, match[0].splitlines()


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_every_table_has_a_header_and_rows_of_one_length(document: Path) -> None:
    for line, rows in tables(document):
        assert len(rows) > 2, f'{document.name}:{line}: rows without a header'
        assert re.fullmatch(r'(\|\s*:?-+:?\s*)+\|', rows[1]), f'{document.name}:{line}: rows without a header'
        assert len({len(re.findall(r'(?<!\\)\|', row)) for row in rows}) == 1, f'{document.name}:{line}: rows of several lengths'


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_or_a_heading(document: Path) -> None:
    for target in re.findall(r'\]\((?!https?://)([^)]+)\)', prose(document)):
        path, _, heading = target.partition('#')
        file = document.parent / path if path else document
        assert file.exists(), target
        if not heading:
            continue  # a picture, say
        words = [
            re.sub(r'[^\w -]', '', line.lstrip('#').strip()).lower().replace(' ', '-') for line in file.read_text().splitlines() if line[:1] == '#'
        ]
        assert heading in words, target


def test_the_readme_leads_to_every_document() -> None:
    missing = [path.name for path in DOCUMENTS if path.name != 'README.md' and path.name not in (ROOT / 'README.md').read_text()]
    assert missing == []


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    """A table of promises is worth what its tests are."""
    named = re.findall(r'`((?:tests|relay_parsl|configs|contrib|examples)/[\w./-]+)`', document.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []
