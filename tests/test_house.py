"""The budgets of the house, held as a test: sizes, names, marks."""

import ast
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parents[1]
OURS = sorted((ROOT / 'relay_parsl').rglob('*.py'))
ALL = OURS + [path for folder in ('tests', 'examples', 'benchmarks', 'configs') for path in sorted((ROOT / folder).rglob('*.py'))]
MIRRORS = {
    ('executor.py', '__init__'),
    ('settings.py', '__init__'),
    ('relay.py', '__init__'),
    ('srun.py', '__init__'),
    ('shell.py', '__init__'),
    ('pbspro.py', '__init__'),
    ('slurm.py', '__init__'),
}
"""Constructors with the parameters of their models upstream, in their order."""
NO_HOME = {'utils.py', 'helpers.py', 'common.py', 'manager.py', 'misc.py'}
MARKS = ('TO' + 'DO', 'FIX' + 'ME', 'X' * 3, 'NotImplemented' + 'Error')


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring."""
    documented = ast.get_docstring(function) is not None
    first = function.body[0]
    return (function.end_lineno or 0) - function.lineno - (((first.end_lineno or 0) - first.lineno + 1) if documented else 0)


@pytest.mark.parametrize('path', ALL, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_are_short_and_have_a_home(path: Path) -> None:
    text = path.read_text()
    assert text.count('\n') <= 400
    assert path.name not in NO_HOME
    assert not [mark for mark in MARKS if mark in text]


def test_functions_are_short() -> None:
    lengths = [length(function) for path in OURS for function in functions(path)]
    assert median(lengths) <= 6
    assert quantiles(lengths, n=20)[-1] <= 30
    assert max(lengths) <= 50


def test_parameters_are_few() -> None:
    for path in OURS:
        for function in functions(path):
            given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
            count = len([each for each in given if each.arg not in ('self', 'cls')])
            assert count <= 8 or (path.name, function.name) in MIRRORS, f'{path.name}: {function.name} takes {count}'
