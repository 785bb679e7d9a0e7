"""`python -m tests.simulation SEED`: one seed again, step by step, with its trace."""

from __future__ import annotations

import os
import sys

from tests.simulation.run import run_seed


def say(line: str) -> None:
    """A line of the trace."""
    sys.stdout.write(line + '\n')


def main() -> int:
    """Exit 1 when the seed violates a promise."""
    if os.environ.get('PYTHONHASHSEED') != '0':  # sets of bytes have the order that the run had
        os.execve(sys.executable, [sys.executable, '-m', 'tests.simulation', *sys.argv[1:]], {**os.environ, 'PYTHONHASHSEED': '0'})  # noqa: S606  ourselves
    report = run_seed(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else 'none', show=say)
    say(report.failure or 'no promise was broken')
    say(f'digest {report.digest}')
    return 1 if report.failure else 0


if __name__ == '__main__':
    sys.exit(main())
