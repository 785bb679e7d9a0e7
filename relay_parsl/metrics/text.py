"""Families of samples, and their text (Prometheus's exposition format 0.0.4). Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PREFIX = 'relay_parsl_'
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the buckets of turns and commits."""
_NAME = re.compile(r'[a-z][a-z0-9_]*')

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Family:
    """One metric: its name, its kind (`counter`, `gauge` or `histogram`), what it is, and its samples: suffix, labels, value."""

    name: str
    kind: str
    help: str
    samples: tuple[tuple[str, Labels, float], ...]


def gauge(name: str, about: str, values: float | Mapping[str, float], label: str = '') -> Family:
    """A value that goes up and down, or one for each value of a label."""
    return Family(PREFIX + name, 'gauge', about, _samples(values, label))


def counter(name: str, about: str, values: float | Mapping[str, float], label: str = '') -> Family:
    """A value that only grows while the process lives; its name ends in `_total`."""
    return Family(PREFIX + name, 'counter', about, _samples(values, label))


def _samples(values: float | Mapping[str, float], label: str) -> tuple[tuple[str, Labels, float], ...]:
    if isinstance(values, Mapping):
        return tuple(('', ((label, key),), value) for key, value in sorted(values.items()))
    return (('', (), values),)


class Histogram:
    """Counts durations by their size."""

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        """`bounds` in seconds, growing."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def family(self, name: str, about: str) -> Family:
        """As it stands."""
        samples: list[tuple[str, Labels, float]] = []
        total = 0
        for bound, count in zip((*map(repr, self._bounds), '+Inf'), self._counts):
            total += count
            samples.append(('_bucket', (('le', bound),), total))
        return Family(PREFIX + name, 'histogram', about, (*samples, ('_sum', (), self._sum), ('_count', (), total)))


def render(families: Iterable[Family]) -> str:
    """The text. Raises ValueError for a name that Prometheus would refuse, or one that its conventions forbid."""
    lines = []
    for each in families:
        if not _NAME.fullmatch(each.name) or (each.kind == 'counter') != each.name.endswith('_total'):
            raise ValueError(f'{each.name} is no name of a {each.kind}')
        lines += [f'# HELP {each.name} {_escaped(each.help)}', f'# TYPE {each.name} {each.kind}']
        lines += [f'{each.name}{suffix}{_labels(labels)} {_number(value)}' for suffix, labels, value in each.samples]
    return '\n'.join([*lines, ''])


def _labels(labels: Labels) -> str:
    quote = '"'
    inside = ','.join(f'{name}="{_escaped(value).replace(quote, chr(92) + quote)}"' for name, value in labels)
    return f'{{{inside}}}' if inside else ''


def _escaped(text: str) -> str:
    return text.replace('\\', '\\\\').replace('\n', '\\n')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
