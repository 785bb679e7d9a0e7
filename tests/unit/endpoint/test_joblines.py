"""Physical lines become logical ones, as the shell reads them."""

from __future__ import annotations

import pytest

from relay_parsl.endpoint.joblines import Line, bare, commands, spans


@pytest.mark.parametrize(
    ('text', 'lines'),
    [
        ('python -c "\nx = 1 # y\n"\nb', [('python -c "\nx = 1 # y\n"', 1, 3), ('b', 4, 4)]),
        ('f() {\n  a\n}\nb', [('f() {\n  a\n}', 1, 3), ('b', 4, 4)]),
        ('(\n  a\n)\nb', [('(\n  a\n)', 1, 3), ('b', 4, 4)]),
        ('cat <<< EOF\nb', [('cat <<< EOF', 1, 1), ('b', 2, 2)]),
        ('X=$((1 << 2))\nb', [('X=$((1 << 2))', 1, 1), ('b', 2, 2)]),
        ('for i in 1; do for j in 2; do x; done; done\nb', [('for i in 1; do for j in 2; do x; done; done', 1, 1), ('b', 2, 2)]),
        ('case $x in\n  a) b ;;\nesac\nc', [('case $x in\n  a) b ;;\nesac', 1, 3), ('c', 4, 4)]),
        ("echo \"it's\"\nb", [("echo \"it's\"", 1, 1), ('b', 2, 2)]),
        ('echo "\\""\nb', [('echo "\\""', 1, 1), ('b', 2, 2)]),
    ],
)  # fmt: skip
def test_what_belongs_together(text: str, lines: list[tuple[str, int, int]]) -> None:
    assert list(commands(text.split('\n'), 'job')) == [Line(begin, line, last) for line, begin, last in lines]


def test_what_is_quoted_means_nothing() -> None:
    assert bare('a "b > c" > d') == 'a "xxxxxx > d'


def test_line_numbers_for_people() -> None:
    assert spans([3]) == 'line 3'
    assert spans([5, 3, 4, 9, 3]) == 'lines 3-5, 9'
