"""What was measured: samples, rows, the JSON file, the Markdown table."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks import kernels
from benchmarks.aims import AIMS
from benchmarks.systems import SYSTEMS

DEFAULT = Path(__file__).parent / 'results' / 'latest.json'
ABSENT = 'absent'
"""Stands for the version of a peer that is not installed."""


@dataclass(frozen=True)
class Row:
    """One figure of one system: the median, least and greatest of its rounds."""

    suite: str
    case: str
    system: str
    metric: str
    unit: str
    median: float
    min: float
    max: float
    rounds: int


class Report:
    """Collects samples of a run. `notes` say what was cut, failed or is absent."""

    def __init__(self) -> None:
        """The machine is looked at now, before anything runs."""
        self.machine = machine()
        self.versions = versions()
        self.notes = [f'{name}: not installed' for name, version in self.versions.items() if version == ABSENT]
        self._samples: dict[tuple[str, str, str, str, str], list[float]] = {}

    def add(self, suite: str, case: str, system: str, **figures: tuple[float, str]) -> None:
        """Samples of one round: by metric, a value and its unit."""
        for metric, (value, unit) in figures.items():
            self._samples.setdefault((suite, case, system, metric, unit), []).append(float(value))

    def note(self, text: str) -> None:
        """Say something, now and in the file."""
        self.notes.append(text)
        print(f'  note: {text}', flush=True)

    def rows(self, suite: str | None = None) -> list[Row]:
        """All rows, or those of a suite."""
        return [Row(*key, median(values), min(values), max(values), len(values)) for key, values in self._samples.items() if suite in (None, key[0])]

    def value(self, suite: str, case: str, system: str, metric: str) -> float | None:
        """A median; None where there is none."""
        found = [row.median for row in self.rows(suite) if (row.case, row.system, row.metric) == (case, system, metric)]
        return found[0] if found else None

    def document(self) -> dict[str, Any]:
        """What the JSON file holds."""
        return {'machine': {**self.machine, 'notes': self.notes}, 'versions': self.versions, 'results': [asdict(row) for row in self.rows()]}

    def write(self, path: Path) -> None:
        """Write the JSON file, and the table beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=1) + '\n')
        path.with_suffix('.md').write_text(self.table() + '\n')

    def table(self) -> str:
        """Everything in Markdown: what must be reached, each suite, the notes."""
        suites = dict.fromkeys(row.suite for row in self.rows())
        parts = [self._aims(), *(f'### {suite}\n\n{suite_table(self.rows(suite))}' for suite in suites)]
        if self.notes:
            parts.append('### Notes\n\n' + '\n'.join(f'- {note}' for note in self.notes))
        return '\n\n'.join(filter(None, parts))

    def _aims(self) -> str:
        lines = []
        for aim in AIMS:
            value = aim.value(self.value)
            if value is not None:
                lines.append([aim.label, f'{aim.sign} {number(aim.bound)} {aim.unit}'.strip(), number(value), 'yes' if aim.met(value) else 'no'])
        return markdown(['figure', 'must', 'here', 'reached'], lines) if lines else ''


def suite_table(rows: Sequence[Row]) -> str:
    """Cases and metrics down, systems across."""
    systems = list(dict.fromkeys(row.system for row in rows))
    lines: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row.case, row.metric, row.unit), {})[row.system] = row
    body = [[case, metric, unit, *(_cell(found.get(system)) for system in systems)] for (case, metric, unit), found in lines.items()]
    return markdown(['case', 'metric', 'unit', *systems], body)


def _cell(row: Row | None) -> str:
    if row is None:
        return ''
    return number(row.median) if row.rounds == 1 else f'{number(row.median)} ({number(row.min)} to {number(row.max)})'


def number(value: float) -> str:
    """Three digits that matter."""
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.3g}'


def markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ['---'] * len(head), *body]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def machine() -> dict[str, Any]:
    """Where this runs."""
    return {
        'time': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
        'processor': _processor(),
        'cores': os.cpu_count(),
        'memory_gb': round(psutil.virtual_memory().total / 1e9, 1),
        'load': [round(each, 2) for each in os.getloadavg()],
        'system': platform.platform(),
        'python': platform.python_version(),
        'gpus': len(kernels.devices()),
    }


def _processor() -> str:
    path = Path('/proc/cpuinfo')
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), platform.processor())


def versions() -> dict[str, str]:
    """Of everything that is compared, by the systems' names."""
    return {name: each.version or ABSENT for name, each in SYSTEMS.items()}
