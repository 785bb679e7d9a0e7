"""A strict reader of Prometheus's text format 0.0.4: what it does not take, Prometheus or its linter would not."""

from __future__ import annotations

import re
from collections.abc import Iterator

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf'({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?\d+(?:\.\d+)?(?:e-?\d+)?|\+Inf|NaN)')
SUFFIXES = {'counter': ('',), 'gauge': ('',), 'histogram': ('_bucket', '_sum', '_count')}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Samples:
    """Every sample; asserts whatever the format and its conventions ask for."""
    assert text.endswith('\n')
    found: Samples = {}
    lines = text.splitlines()
    while lines:
        name, kind, lines = header(lines)
        assert (kind == 'counter') == name.endswith('_total'), name
        assert not name.endswith(('_count', '_sum', '_bucket')), name
        count = 0
        while lines and not lines[0].startswith('#'):
            full, labels, value = sample(lines.pop(0))
            assert full.removeprefix(name) in SUFFIXES[kind], full
            assert (full, labels) not in found, full
            assert kind != 'counter' or value >= 0
            found[full, labels] = value
            count += 1
        if kind == 'histogram':
            histogram(name, found)
        assert count or kind != 'histogram', name
    return found


def header(lines: list[str]) -> tuple[str, str, list[str]]:
    about = re.fullmatch(rf'# HELP ({NAME}) (\S.*\.)', lines[0])
    kind = re.fullmatch(rf'# TYPE ({NAME}) (counter|gauge|histogram)', lines[1])
    assert about, lines[0]
    assert kind, lines[1]
    assert about[1] == kind[1]
    return kind[1], kind[2], lines[2:]


def sample(line: str) -> tuple[str, tuple[tuple[str, str], ...], float]:
    found = SAMPLE.fullmatch(line)
    assert found, line
    labels = tuple((each[1], each[2]) for each in re.finditer(LABEL, found[2] or ''))
    assert len({name for name, _ in labels}) == len(labels), line
    return found[1], labels, float(line.rpartition(' ')[2])


def histogram(name: str, found: Samples) -> None:
    buckets = [(float(dict(labels)['le']), value) for (full, labels), value in found.items() if full == f'{name}_bucket']
    assert buckets == sorted(buckets)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert buckets[-1] == (float('inf'), found[f'{name}_count', ()])


def values(samples: Samples, name: str) -> Iterator[float]:
    """Of one name, whatever its labels."""
    return (value for (full, _), value in samples.items() if full == name)
