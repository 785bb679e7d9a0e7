"""What was measured: samples, rows, the JSON file."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks import kernels, tables
from benchmarks.aims import AIMS, OURS, Aim
from benchmarks.systems import SYSTEMS
from benchmarks.tables import MUST, Row

DEFAULT = Path(__file__).parent / 'results' / 'latest.json'
PATHS = re.compile(r'(?<![\w.])/[^\s\'":,]*/')
"""Directories."""
ABSENT = 'absent'
"""Stands for the version of a peer that is not installed."""


class Report:
    """Collects samples of a run. `notes` say what was cut, failed or is absent."""

    def __init__(self) -> None:
        """The machine is looked at now, before anything runs."""
        self.machine = machine()
        self.versions = versions()
        self.notes = [f'{name}: not installed' for name, version in self.versions.items() if version == ABSENT]
        self._samples: dict[tuple[str, str, str, str, str], list[float]] = {}
        self._kept: dict[tuple[str, str, str, str], Row] = {}
        self._kept_musts: dict[str, Row] = {}

    def add(self, suite: str, case: str, system: str, **figures: tuple[float, str]) -> None:
        """Samples of one round: by metric, a value and its unit."""
        for metric, (value, unit) in figures.items():
            self._samples.setdefault((suite, case, system, metric, unit), []).append(float(value))

    def note(self, text: str) -> None:
        """Say something: now all of it; in the file its first line and its last, without the paths of this machine."""
        lines = text.strip().splitlines()
        self.notes.append(PATHS.sub('', ' … '.join(lines[:1] + lines[1:][-1:])))
        print(f'  note: {text}', flush=True)

    def keep(self, document: Mapping[str, Any]) -> None:
        """Have what an earlier file says stand where this run measures nothing."""
        rows = [Row(**each) for each in document['results']]
        self._kept = {(row.suite, row.case, row.system, row.metric): row for row in rows if row.suite != MUST}
        self._kept_musts = {row.case: row for row in rows if row.suite == MUST}
        self.versions = {name: document['versions'].get(name, ABSENT) if version == ABSENT else version for name, version in self.versions.items()}
        absent = [f'{name}: not installed' for name, version in self.versions.items() if version == ABSENT]
        self.notes = [*absent, *(note for note in document['machine']['notes'] if note not in absent)]
        self.machine = {**document['machine'], 'added': self.machine['time']}

    def rows(self, suite: str | None = None) -> list[Row]:
        """What was measured, or that of a suite."""
        fresh = [Row(*key, median(values), min(values), max(values), len(values)) for key, values in self._samples.items()]
        known = {(row.suite, row.case, row.system, row.metric): row for row in fresh}
        return [row for row in {**self._kept, **known}.values() if suite in (None, row.suite)]

    def samples(self, suite: str, case: str, system: str, metric: str) -> list[float]:
        """What each round gave; of an earlier file its medians."""
        found = [values for key, values in self._samples.items() if key[:4] == (suite, case, system, metric)]
        kept = self._kept.get((suite, case, system, metric))
        return found[0] if found else [kept.median] if kept else []

    def value(self, suite: str, case: str, system: str, metric: str) -> float | None:
        """A median; None where there is none."""
        values = self.samples(suite, case, system, metric)
        return median(values) if values else None

    def musts(self) -> list[Row]:
        """What must be reached, as far as it was measured: a row for each, whose case is its label."""
        return [row for row in map(self._must, AIMS) if row is not None]

    def _must(self, aim: Aim) -> Row | None:
        if not any(key[:2] == (aim.suite, aim.case) for key in self._samples) and aim.label in self._kept_musts:
            return self._kept_musts[aim.label]
        found = aim.reached(self.samples)
        if found is None:
            return None
        return Row(MUST, aim.label, OURS, 'ratio' if aim.peer else aim.metric, aim.unit, found.value, found.low, found.high, found.rounds)

    def document(self) -> dict[str, Any]:
        """What the JSON file holds."""
        rows = [asdict(row) for row in (*self.rows(), *self.musts())]
        return {'machine': {**self.machine, 'notes': self.notes}, 'versions': self.versions, 'results': rows}

    def write(self, path: Path) -> None:
        """Write the JSON file, and the tables beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=1, ensure_ascii=False) + '\n')
        path.with_suffix('.md').write_text(tables.whole(self.document()) + '\n')


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
