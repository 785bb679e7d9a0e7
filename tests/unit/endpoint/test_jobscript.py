"""Batch scripts taken apart: options as qsub and sbatch read them, and commands as a shell does."""

from __future__ import annotations

import pytest

from relay_parsl.endpoint.joblines import statements, uncomment
from relay_parsl.endpoint.jobscript import JobScript, read_script


def read(text: str) -> JobScript:
    return read_script(text.encode(), 'job')


def options(text: str) -> list[tuple[str, str | None]]:
    return [(directive.option, directive.value) for directive in read(text).directives]


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ('#PBS -lselect=1:ncpus=2,walltime=60', [('-l', 'select=1:ncpus=2,walltime=60')]),
        ('#PBS -q debug -A proj', [('-q', 'debug'), ('-A', 'proj')]),
        ('#PBS\t-V -I', [('-V', None), ('-I', None)]),
        ('#PBS -N "two words"', [('-N', 'two words')]),
        ('#SBATCH -t10 -N 2', [('time', '10'), ('nodes', '2')]),
        ('#SBATCH --time 1-00 --exclusive', [('time', '1-00'), ('exclusive', None)]),
        ('#SBATCH --exclusive=user --requeue', [('exclusive', 'user'), ('requeue', None)]),
        ('#SBATCH -J a  # my job', [('job-name', 'a')]),
        ('#SBATCH --mail-type END --hold', [('mail-type', 'END'), ('hold', None)]),
    ],
)
def test_options(line: str, expected: list[tuple[str, str | None]]) -> None:
    assert options(line + '\n') == expected


def test_only_what_stands_before_the_first_command_counts() -> None:
    script = read('#!/bin/bash\n# words\n\n#PBS -q a\n#PBS-q b\n##PBS -q c\necho\n#PBS -q d\n')
    assert [(each.line, each.value) for each in script.directives] == [(4, 'a')]
    assert script.notes == ('line 8: `#PBS -q d` stands after the first command: the scheduler ignores it, and so does this file',)


def test_logical_lines() -> None:
    text = '#PBS -q a\na \\\n  b\nfor i in 1 2; do\n  if x; then\n  y\n  fi # done\ndone\ncat <<EOF > f\n# kept\nEOF\nc # d\n'
    assert [(line.number, line.text) for line in read(text).body] == [
        (2, 'a b'),
        (4, 'for i in 1 2; do\n  if x; then\n  y\n  fi\ndone'),
        (9, 'cat <<EOF > f\n# kept\nEOF'),
        (12, 'c'),
    ]


def test_a_loop_that_never_ends_takes_the_rest() -> None:
    assert len(read('#PBS -q a\nfor i in 1; do\nx\n').body) == 1


@pytest.mark.parametrize(
    ('text', 'parts'),
    [
        ('a & b &', ['a &', 'b &']),
        ('a && b; c', ['a && b', 'c']),
        ('a > x 2>&1 & wait', ['a > x 2>&1 &', 'wait']),
        ('a &> x', ['a &> x']),
        ('a \';\' "&"; b', ['a \';\' "&"', 'b']),
        ('(cd x; y) & z', ['(cd x; y) &', 'z']),
    ],
)
def test_statements(text: str, parts: list[str]) -> None:
    assert statements(text) == parts


@pytest.mark.parametrize(('line', 'left'), [('a # b', 'a'), ('a#b', 'a#b'), ("a '# b'", "a '# b'"), ('# b', ''), ('a $# c', 'a $# c')])
def test_comments(line: str, left: str) -> None:
    assert uncomment(line) == left
