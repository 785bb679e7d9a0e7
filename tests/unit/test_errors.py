"""The articles of what errors name."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_parsl.errors import with_article

PACKAGE = Path(__file__).parents[2] / 'relay_parsl'
CONSONANTS = {
    'endpoint/summary.py': 'node, block',
    'flows/language/webinputs.py': 'Table, Text',
    'metrics/text.py': 'counter, gauge, histogram',
}
"""Where `a` stands before words that are all known, and what they are."""
WRITTEN = {'flows/settings.py', 'flows/storage/request.py'}
"""Where the words stand there: `a {"list" if … else "text"}`."""


@pytest.mark.parametrize(
    ('noun', 'said'),
    [
        ('operator', 'an operator'),
        ('OneWay', 'a OneWay'),
        ('endpoint', 'an endpoint'),
        ('user', 'a user'),
        ('int', 'an int'),
        ('NoneType', 'a NoneType'),
    ],
)
def test_articles(noun: str, said: str) -> None:
    assert with_article(noun) == said


def articles(path: Path) -> Iterator[int]:
    """Lines where `a` stands before a value, whatever that begins with."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and re.search(r'\b[aA] %[rs]', str(node.value)):
            yield node.lineno
        values = node.values if isinstance(node, ast.JoinedStr) else []
        for before, value in itertools.pairwise(values):
            if isinstance(before, ast.Constant) and isinstance(value, ast.FormattedValue) and re.search(r'(?:^|[^\w`\'"])[aA] $', str(before.value)):
                yield node.lineno


def test_no_a_stands_before_a_word_that_may_begin_with_a_vowel() -> None:
    found = {str(path.relative_to(PACKAGE)): line for path in PACKAGE.rglob('*.py') for line in articles(path)}
    assert {path: line for path, line in found.items() if path not in CONSONANTS.keys() | WRITTEN} == {}, 'say with_article(word)'
    assert found.keys() == CONSONANTS.keys() | WRITTEN
