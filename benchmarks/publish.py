"""`python -m benchmarks.publish`: puts the figures of a results file into README.md and docs/performance.md, between their marks.

A mark is a comment, `<!-- figures: NAME -->`, and what it opens ends at `<!-- end of figures -->`. Everything outside of marks is written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.results import DEFAULT

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / 'README.md', ROOT / 'docs' / 'performance.md')
MARKED = re.compile(r'<!-- figures: ([a-z ]+) -->\n.*?<!-- end of figures -->', re.DOTALL)
NOTHING = 'Not measured in this run.'


def main(arguments: list[str] | None = None) -> None:
    """Write both documents anew."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.publish', description=__doc__)
    parser.add_argument('--json', type=Path, default=DEFAULT, metavar='FILE', help='the results (default: %(default)s)')
    document = json.loads(parser.parse_args(arguments).json.read_text())
    for path in DOCUMENTS:
        path.write_text(filled(path.read_text(), document))
        print(f'written: {path}')


def filled(text: str, document: Mapping[str, Any]) -> str:
    """A text with its marked parts made of a results file. Raises KeyError where a mark names nothing that is known."""
    return MARKED.sub(lambda found: f'<!-- figures: {found[1]} -->\n{PARTS[found[1]](document) or NOTHING}\n<!-- end of figures -->', text)


def _curve(suite: str, what: str, part: str = '', **metrics: str) -> Callable[[Mapping[str, Any]], str]:
    def made(document: Mapping[str, Any]) -> str:
        return tables.curve([row for row in tables.rows_of(document, suite) if row.case.startswith(part)], what, metrics)

    return made


def _suites(document: Mapping[str, Any]) -> str:
    """Those that have no table of their own."""
    shown = {name: tables.rows_of(document, name) for name in ('throughput', 'latency', 'payload', 'per_accelerator', 'parsl_apps')}
    return '\n\n'.join(f'### `{name}`\n\n{tables.suite_table(rows)}' for name, rows in shown.items() if rows)


PARTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    'machine': tables.where,
    'headlines': lambda document: tables.headlines(tables.rows_of(document)),
    'musts': lambda document: tables.musts(tables.rows_of(document)),
    'costs': lambda document: tables.costs(tables.rows_of(document)),
    'backlog': _curve(
        'depth',
        'queued',
        submit_rate='submitted/s',
        relay_cpu='relay, µs a task',
        relay_memory='relay, MB',
        restart='restart, s',
        relay_memory_after_restart='relay after restart, MB',
    ),
    'sessions': _curve('sessions', 'idle sessions', relay_cpu='relay, cores', relay_memory='relay, MB'),
    'flows': _curve(
        'flows',
        'flows at once',
        states_per_s='states/s',
        runs_per_s='runs/s',
        cpu='engine, µs a state',
        memory='engine, MB',
        submits_per_s='submitted/s',
    ),
    'endpoints': _curve('curves', 'endpoints', 'endpoints', cpu_relay='relay, µs a task', cpu_endpoint='endpoints together, µs a task'),
    'work': _curve('curves', 'no-ops of one burst', 'tasks', tasks_per_s='tasks/s', cpu_together='all parties, µs a task'),
    'suites': _suites,
    'notes': tables.notes,
}
"""What each mark stands for."""


if __name__ == '__main__':
    main()
