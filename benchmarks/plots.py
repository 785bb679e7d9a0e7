"""PNG plots of a report, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.aims import GLOBUS, HTEX, OURS
from benchmarks.results import Report
from benchmarks.tables import PARTIES, Row, amount

COLOURS = {OURS: 'tab:orange'}
OTHERS = 'tab:gray'


def draw(report: Report, path: Path) -> list[Path]:
    """Write the plots beside the JSON file; those for which there are figures. None without matplotlib, which is noted."""
    if importlib.util.find_spec('matplotlib') is None:
        report.note('no plots: matplotlib is not installed')
        return []
    written = []
    for name, plot in PLOTS.items():
        figure = _figure()
        if plot(figure.add_subplot(), report):
            written.append(path.parent / f'{name}.png')
            figure.savefig(written[-1], dpi=150)
    return written


def _figure() -> Any:
    """Without pyplot, which would look for a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(7, 4), layout='constrained')


def _bars(axes: Any, rows: Sequence[Row], title: str, unit: str) -> bool:
    """The median of each system, with the spread of its rounds."""
    ordered = sorted(rows, key=lambda row: row.median)
    names, medians = [row.system for row in ordered], [row.median for row in ordered]
    spread = [[row.median - row.min for row in ordered], [row.max - row.median for row in ordered]]
    axes.barh(names, medians, xerr=spread, color=[COLOURS.get(name, OTHERS) for name in names])
    axes.set(title=title, xlabel=unit)
    return bool(rows)


def _throughput(axes: Any, report: Report) -> bool:
    return _bars(axes, _select(report, 'throughput', 'tasks_per_s', 'no-op'), 'No-op tasks, two workers', 'tasks/s')


def _latency(axes: Any, report: Report) -> bool:
    return _bars(axes, _select(report, 'latency', 'p50', 'round-trip'), 'Round trip of a no-op, median', 'ms')


def _payload(axes: Any, report: Report) -> bool:
    rows = _select(report, 'payload', 'rate')
    for system in dict.fromkeys(row.system for row in rows):
        own = [row for row in rows if row.system == system]
        axes.plot([row.case for row in own], [row.median for row in own], marker='o', label=system)
    axes.set(title='Arguments that come back', ylabel='MB/s', yscale='log')
    if rows:
        axes.legend(fontsize='small')
    return bool(rows)


def _busy(axes: Any, report: Report) -> bool:
    rows = _select(report, 'per_accelerator', 'busy_share')
    cases = list(dict.fromkeys(row.case for row in rows))
    for system in dict.fromkeys(row.system for row in rows):
        own = {row.case: 100 * row.median for row in rows if row.system == system}
        shares = [own.get(case, float('nan')) for case in cases]
        axes.plot(cases, shares, marker='o', linestyle='', label=system, color=COLOURS.get(system, OTHERS))
    axes.set(title='Busy share of the least busy accelerator', ylabel='%', xlabel='accelerators x workers on each, task')
    axes.tick_params('x', rotation=45)
    if rows:
        axes.legend(fontsize='small')
    return bool(rows)


def _depth(axes: Any, report: Report) -> bool:
    rates, memory = _select(report, 'depth', 'submit_rate'), _select(report, 'depth', 'relay_memory')
    return _twice(axes, rates, memory, title='Queued tasks on one relay', xlabel='queued', ylabel='submitted/s', other='relay, MB')


def _sessions(axes: Any, report: Report) -> bool:
    shares, memory = _select(report, 'sessions', 'relay_cpu'), _select(report, 'sessions', 'relay_memory')
    return _twice(axes, shares, memory, title='Idle sessions on one relay', xlabel='sessions', ylabel='cores', other='relay, MB')


def _work(axes: Any, report: Report) -> bool:
    rates, costs = (_select(report, 'curves', metric, part='tasks: ') for metric in ('tasks_per_s', 'cpu_together'))
    return _twice(axes, rates, costs, title='Cost against work', xlabel='no-ops of one burst', ylabel='tasks/s', other='all parties, µs a task')


def _endpoints(axes: Any, report: Report) -> bool:
    relay, endpoint = (_select(report, 'curves', metric, part='endpoints: ') for metric in ('cpu_relay', 'cpu_endpoint'))
    title, other = 'Endpoints on one relay', 'endpoints together, µs a task'
    return _twice(axes, relay, endpoint, title=title, xlabel='endpoints', ylabel='relay, µs a task', other=other)


def _twice(axes: Any, left: Sequence[Row], right: Sequence[Row], *, other: str, ylabel: str, **words: str) -> bool:
    """Two figures against the same amounts: circles on the left axis, squares on the right one."""
    second = axes.twinx()
    for some, rows, marker, colour in ((axes, left, 'o', COLOURS[OURS]), (second, right, 's', OTHERS)):
        ordered = sorted(rows, key=lambda row: amount(row.case))
        some.plot([amount(row.case) for row in ordered], [row.median for row in ordered], marker=marker, color=colour)
        some.set(ylim=(0, 1.15 * max((row.median for row in rows), default=0) or None))
    amounts = [amount(row.case) for row in left]
    axes.set(xscale='log', ylabel=f'{ylabel} (circles)', **words)
    axes.set_xticks(amounts, [f'{each:,}' for each in amounts])
    axes.minorticks_off()
    second.set(ylabel=f'{other} (squares)')
    return bool(left)


def _costs(axes: Any, report: Report) -> bool:
    """What a no-op costs each party, one bar for each system that is made of the same ones."""
    rows = [row for row in report.rows('throughput') if row.case == 'no-op' and row.metric.startswith('cpu_')]
    systems = [name for name in (OURS, HTEX, GLOBUS) if any(row.system == name for row in rows)]
    ends = dict.fromkeys(systems, 0.0)
    for party in PARTIES:
        own = {row.system: row.median for row in rows if row.metric == f'cpu_{party}'}
        widths = [own.get(system, 0.0) for system in systems]
        if any(widths):
            axes.barh(systems, widths, left=list(ends.values()), label=party)
        ends = {system: ends[system] + width for system, width in zip(systems, widths)}
    axes.set(title='Processor time of a no-op', xlabel='µs a task')
    if systems:
        axes.legend(fontsize='small')
    return bool(systems)


def _select(report: Report, suite: str, metric: str, case: str = '', part: str = '') -> list[Row]:
    """Rows of a metric: of one case, or of those that begin with a part."""
    return [row for row in report.rows(suite) if row.metric == metric and case in ('', row.case) and row.case.startswith(part)]


PLOTS: dict[str, Callable[[Any, Report], bool]] = {
    'throughput': _throughput,
    'latency': _latency,
    'payload': _payload,
    'per_accelerator': _busy,
    'depth': _depth,
    'sessions': _sessions,
    'work': _work,
    'endpoints': _endpoints,
    'costs': _costs,
}
