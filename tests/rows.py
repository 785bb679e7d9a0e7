"""The two lists that this project is measured by, and what the tests say of each row: `python -m tests.rows faults|attacks` runs them.

A test says which rows it proves by a marker: `@pytest.mark.fault(12)`, `@pytest.mark.attack(9, 10)`. Rows, and why one has no test, stand in
`tests/faults/table.py` and `tests/attacks/table.py`; the tables in the documents are made from both by `python -m tests.rows --write`.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.attacks.table import ROWS as ATTACKS
from tests.faults.table import ROWS as FAULTS
from tests.row import Row

ROOT = Path(__file__).parents[1]
LISTS = {'faults': FAULTS, 'attacks': ATTACKS}
MARKERS = {'faults': 'fault', 'attacks': 'attack'}
DOCUMENTS = {'faults': ROOT / 'docs' / 'guarantees.md', 'attacks': ROOT / 'docs' / 'security.md'}


@dataclass(eq=False)  # pytest keeps plugins in sets
class Verdicts:
    """Counts what came of the tests of each row, as pytest reports them."""

    marker: str
    seen: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that fails in its setup or its end has failed too."""
        if report.when == 'call' or not report.passed:
            for name, row in report.user_properties:
                if name == self.marker:
                    self.seen[int(str(row))].append(report.outcome)

    def of(self, number: int) -> str:
        """One word for a row, the worst of its tests'."""
        return next((each for each in ('failed', 'skipped', 'passed') if each in self.seen[number]), 'skipped')


def marked(marker: str) -> dict[int, list[Path]]:
    """The files with tests of each row, as their text has it."""
    found: dict[int, set[Path]] = defaultdict(set)
    for path in sorted((ROOT / 'tests').rglob('test_*.py')):
        text = path.read_text()
        if f'mark.{marker}(' in text:
            for row in _rows_in(ast.parse(text), marker):
                found[row].add(path.relative_to(ROOT))
    return {row: sorted(files) for row, files in found.items()}


def _rows_in(tree: ast.Module, marker: str) -> list[int]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == marker]
    return [argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant) and isinstance(argument.value, int)]


def table(name: str) -> str:
    """The rows as a document has them: what is done, what must come of it, and where that is tried."""
    files = marked(MARKERS[name])
    lines = ['| # | what happens | what must come of it | tests |', '|---|---|---|---|']
    for number, row in LISTS[name].items():
        tests = ', '.join(f'`{path}`' for path in files.get(number, ()))
        lines.append(f'| {number} | {_cell(row.what)} | {_cell(row.expected)} | {". ".join(filter(None, (tests, _cell(row.why_not), _open(row))))} |')
    return '\n'.join(lines)


def _open(row: Row) -> str:
    return f'Not tried yet: {_cell(row.open)}' if row.open else ''


def _cell(text: str) -> str:
    return text.replace('|', '\\|')


def in_document(name: str) -> str:
    """The document with its table made anew."""
    before, begin, rest = DOCUMENTS[name].read_text().partition(f'<!-- {name} -->\n')
    _, end, after = rest.partition(f'<!-- /{name} -->')
    assert begin, f'{DOCUMENTS[name]} has no place for the {name}'
    assert end, f'{DOCUMENTS[name]} has no place for the {name}'
    return before + begin + table(name) + '\n' + end + after


def run(name: str, arguments: list[str]) -> int:
    """All tests of a list, slow ones too; then each row with its verdict, and the counts in the last line."""
    verdicts = Verdicts(MARKERS[name])
    files = sorted({ROOT / path for paths in marked(MARKERS[name]).values() for path in paths})  # to collect all tests takes a minute
    code = pytest.main(['-m', MARKERS[name], '--quiet', *map(str, files), *arguments], plugins=[verdicts])
    words = {number: verdicts.of(number) for number in LISTS[name]}
    for number, row in LISTS[name].items():
        tests = f'{len(verdicts.seen[number])} tests' if verdicts.seen[number] else row.why_not or _open(row)
        say(f'{number:3} {words[number]:8} {row.what}: {tests}')
    say(', '.join(f'{list(words.values()).count(word)} {word}' for word in ('passed', 'failed', 'skipped')))
    return int(code)


def say(line: str) -> None:
    """A line for who reads along."""
    sys.stdout.write(line + '\n')


def main(arguments: list[str]) -> int:
    """What the module's docstring says."""
    if arguments == ['--write']:
        for name in LISTS:
            DOCUMENTS[name].write_text(in_document(name))
        return 0
    return run(arguments[0], arguments[1:])


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
