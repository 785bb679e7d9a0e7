"""PNG plots of a report, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.aims import OURS
from benchmarks.results import Report, Row

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
        axes.plot(cases, [own.get(case, float('nan')) for case in cases], marker='o', linestyle='', label=system)
    axes.set(title='Busy share of the least busy accelerator', ylabel='%', xlabel='accelerators x workers on each, task')
    axes.tick_params('x', rotation=45)
    if rows:
        axes.legend(fontsize='small')
    return bool(rows)


def _depth(axes: Any, report: Report) -> bool:
    rates, memory = _select(report, 'depth', 'submit_rate'), _select(report, 'depth', 'relay_memory')
    other = axes.twinx()
    axes.plot([int(row.case) for row in rates], [row.median for row in rates], marker='o', color=COLOURS[OURS])
    other.plot([int(row.case) for row in memory], [row.median for row in memory], marker='s', color=OTHERS)
    axes.set(title='Queued tasks on one relay', xlabel='queued', ylabel='submitted/s (circles)', xscale='log', ylim=(0, None))
    other.set(ylabel='relay, MB (squares)', ylim=(0, None))
    return bool(rates)


def _sessions(axes: Any, report: Report) -> bool:
    rows = _select(report, 'sessions', 'relay_cpu')
    axes.plot([int(row.case) for row in rows], [100 * row.median for row in rows], marker='o', color=COLOURS[OURS])
    axes.set(title='Idle sessions on one relay', xlabel='sessions', ylabel='% of a core', xscale='log', ylim=(0, None))
    return bool(rows)


def _select(report: Report, suite: str, metric: str, case: str = '') -> list[Row]:
    return [row for row in report.rows(suite) if row.metric == metric and case in ('', row.case)]


PLOTS: dict[str, Callable[[Any, Report], bool]] = {
    'throughput': _throughput,
    'latency': _latency,
    'payload': _payload,
    'per_accelerator': _busy,
    'depth': _depth,
    'sessions': _sessions,
}
