"""`python -m benchmarks`: suites by name, or all; prints the tables and writes JSON, tables and plots."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import plots, tables
from benchmarks.results import DEFAULT
from benchmarks.run import Run
from benchmarks.suites import DEEP, SUITES, run_suite


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__)
    parser.add_argument('--suite', action='append', choices=list(SUITES), help='one of them, may be given again; by default all')
    parser.add_argument('--quick', action='store_true', help='one suite in less than 50 s: fewer cases, tasks and peers')
    parser.add_argument('--deep', action='store_true', help='only 1,000,000 queued tasks and an argument of 1 GB, in whatever time they take')
    parser.add_argument('--add', action='store_true', help='keep what the file holds of what is not measured now')
    parser.add_argument('--rounds', type=int, default=3, help='of each system, at most')
    parser.add_argument('--systems', default='', help='names with commas between, of those that stand beside each other; by default all')
    parser.add_argument('--json', type=Path, default=DEFAULT, metavar='FILE', help='where the results go (default: %(default)s)')
    options = parser.parse_args(arguments)
    suites = tuple(options.suite or (DEEP if options.deep else SUITES))
    systems = tuple(filter(None, options.systems.split(',')))
    run = Run(
        path=options.json,
        quick=options.quick,
        deep=options.deep,
        rounds=options.rounds,
        systems=systems,
        suites=suites,
    )
    if options.add and options.json.exists():
        run.report.keep(json.loads(options.json.read_text()))
    for name in suites:
        run_suite(name, run)
    finish(run)


def finish(run: Run) -> None:
    """Write everything; print the tables, what must be reached last."""
    for plot in plots.draw(run.report, run.path):
        print(f'written: {plot}', flush=True)
    run.report.write(run.path)
    print(f'written: {run.path}\n\n{tables.whole(run.report.document())}\n\n{tables.musts(run.report.musts())}', flush=True)


if __name__ == '__main__':
    main()
