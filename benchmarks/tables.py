"""Markdown tables of a results file: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.aims import AIMS, GLOBUS, HTEX, OURS

MUST = 'must'
"""The suite of the rows that say what of the aims is reached."""
PARTIES = ('client', 'relay', 'endpoint', 'engine', 'interchange', 'manager', 'worker', 'runner', 'other')
"""In the order in which a task meets them."""


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


def whole(document: Mapping[str, Any]) -> str:
    """Everything: what must be reached, costs, each suite, the notes."""
    rows = rows_of(document)
    suites = [suite for suite in dict.fromkeys(row.suite for row in rows) if suite != MUST]
    parts = [
        musts(rows),
        _titled('Processor time of a no-op', costs(rows)),
        *(_titled(suite, suite_table([row for row in rows if row.suite == suite])) for suite in suites),
        _titled('Notes', notes(document)),
    ]
    return '\n\n'.join(filter(None, parts))


def rows_of(document: Mapping[str, Any], suite: str = '') -> list[Row]:
    """The rows of a results file, or those of a suite."""
    return [Row(**each) for each in document['results'] if suite in ('', each['suite'])]


def musts(rows: Iterable[Row]) -> str:
    """What must be reached, what was, and whether that is enough; '' where nothing of it was measured."""
    found = {row.case: row for row in rows if row.suite == MUST}
    lines = [
        [aim.label, aim.must, _cell(found[aim.label]), 'yes' if aim.met(found[aim.label].median) else 'no'] for aim in AIMS if aim.label in found
    ]
    return markdown(['figure', 'must', 'reached', 'yes or no'], lines) if lines else ''


def costs(rows: Iterable[Row]) -> str:
    """Processor time of each party for a no-op [us]; '' where it was not measured."""
    found = {(row.system, row.metric.removeprefix('cpu_')): row.median for row in rows if (row.suite, row.case) == ('throughput', 'no-op')}
    systems = [system for system in dict.fromkeys(system for system, _ in found) if any((system, party) in found for party in PARTIES)]
    parties = [party for party in PARTIES if any((system, party) in found for system in systems)]
    lines = []
    for system in systems:
        own = [found.get((system, party)) for party in parties]
        lines.append([system, *('' if value is None else number(value) for value in own), number(sum(filter(None, own)))])
    return markdown(['µs a task', *parties, 'together'], lines) if lines else ''


def curve(rows: Sequence[Row], what: str, metrics: Mapping[str, str]) -> str:
    """Cases down, some metrics across; the cases are numbers, behind a word or not. '' without rows.

    Args:
        rows: Of a suite, or part of one.
        what: The first column's head.
        metrics: Those to show, with the heads of their columns.
    """
    found = {(row.case, row.metric): row for row in rows}
    cases = sorted({row.case for row in rows}, key=amount)
    lines = [[number(amount(case)), *(_cell(found.get((case, metric))) for metric in metrics)] for case in cases]
    return markdown([what, *metrics.values()], lines) if lines else ''


def amount(case: str) -> int:
    """How many of what: `16` of `endpoints: 16`."""
    return int(case.rpartition(' ')[2])


def headlines(rows: Iterable[Row]) -> str:
    """A few figures, systems across; '' without rows."""
    found = {(row.suite, row.case, row.metric, row.system): row for row in rows}
    systems = [name for name in dict.fromkeys(key[3] for key in found) if any((*head, name) in found for head in HEADLINES.values())]
    systems.sort(key=lambda name: {OURS: 0, HTEX: 1, GLOBUS: 2}.get(name, 3))
    lines = [[label, *(_median(found.get((*head, name))) for name in systems)] for label, head in HEADLINES.items()]
    return markdown(['', *systems], [line for line in lines if any(line[1:])]) if systems else ''


HEADLINES = {
    'no-op tasks/s': ('throughput', 'no-op', 'tasks_per_s'),
    '`submit` calls/s': ('throughput', 'no-op', 'submits_per_s'),
    'round trip, median, ms': ('latency', 'round-trip', 'p50'),
    'cold start to the first result, s': ('latency', 'cold-start', 'first_result'),
    'arguments of 10 MB that come back, MB/s': ('payload', '10 MB', 'rate'),
    'busy share of 4 accelerators, 10 ms tasks': ('per_accelerator', '4 x 1, 10 ms', 'busy_share'),
    'busy share of 4 accelerators, 100 ms tasks': ('per_accelerator', '4 x 1, 100 ms', 'busy_share'),
    '`@python_app` tasks/s, one DataFlowKernel': ('parsl_apps', 'no-op', 'tasks_per_s'),
}
"""What the README shows: suite, case and metric of each."""


def suite_table(rows: Sequence[Row]) -> str:
    """Cases and metrics down, systems across."""
    systems = list(dict.fromkeys(row.system for row in rows))
    lines: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row.case, row.metric, row.unit), {})[row.system] = row
    body = [[case, metric, unit, *(_cell(found.get(system)) for system in systems)] for (case, metric, unit), found in lines.items()]
    return markdown(['case', 'metric', 'unit', *systems], body)


def notes(document: Mapping[str, Any]) -> str:
    """What was cut, failed or is absent."""
    return '\n'.join(f'- {note}' for note in document['machine']['notes'])


def where(document: Mapping[str, Any]) -> str:
    """The machine, in a sentence."""
    facts = document['machine']
    load = ', '.join(f'{each:g}' for each in facts['load'])
    return (
        f'{facts["time"]}: {facts["cores"]} cores ({facts["processor"]}), {facts["memory_gb"]:g} GB, {facts["system"]}, Python {facts["python"]}, '
        f'GPUs: {facts["gpus"]}; load before the run: {load}.'
    )


def _titled(title: str, table: str) -> str:
    return f'### {title}\n\n{table}' if table else ''


def _median(row: Row | None) -> str:
    return '' if row is None else number(row.median)


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
