"""Run the test suite that Parsl ships in its wheel on `RelayExecutor`, and compare with what HighThroughputExecutor gives: `make conformance`.

The suite needs pytest before 8, so it has an environment of its own, `.conformance-venv`. What Parsl's monitoring sees of our tasks is tested
there too, by tests of our own, for the environment has the libraries that monitoring needs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VENV = ROOT / '.conformance-venv'
NEEDED = ('pytest>=7.4,<8', 'pytest-timeout', 'parsl[monitoring]', 'pandas')
LEFT_OUT = 'not cleannet and not issue_3620'
"""The second asserts on the class names of Parsl's own executors."""
NOT_FOR_ROOT = {'test_bad_stdout_file', 'test_bad_stderr_file'}
"""They expect that a file without permissions cannot be opened."""
BAD = Path('/bad')
"""What these two make when root may."""
PASSED, SKIPPED = 144, 2
MONITORING = 4
"""Tests of `monitoring.py`."""
LIMIT = 600
"""Seconds that the suite may take, all in all."""
OWN_LIMIT = 120
"""Seconds that our own tests may take, all in all."""


def main() -> int:
    """0 when the outcome is that of HighThroughputExecutor, test by test."""
    _install()
    left_over = BAD.exists()
    try:
        return _run()
    finally:
        if not left_over:
            shutil.rmtree(BAD, ignore_errors=True)


def _run() -> int:
    allowed = NOT_FOR_ROOT if os.geteuid() == 0 else set()
    expected = {'passed': PASSED - len(allowed), 'failure': len(allowed), 'skipped': SKIPPED}
    with tempfile.TemporaryDirectory(prefix='relay-parsl-conformance-') as directory:
        suite = _outcome(Path(directory) / 'suite.xml', _suite(), LIMIT)
        own = _outcome(Path(directory) / 'own.xml', [HERE / 'monitoring.py'], OWN_LIMIT)
    same = _compare('conformance', 'as with HighThroughputExecutor', suite, expected, allowed)
    seen = _compare('monitoring', 'all of it reaches the database', own, {'passed': MONITORING}, set())
    return 0 if same and seen else 1


def _outcome(report: Path, tests: list[str | Path], limit: float) -> tuple[Counter[str], set[str]]:
    """How many tests ended how, and which failed. Nothing when they do not end in time."""
    options = ['-c', HERE / 'pytest.ini', '-p', 'no:cacheprovider', '-q', '-rs', '--timeout', '120', f'--junitxml={report}']
    command = [VENV / 'bin' / 'python', '-m', 'pytest', *tests, *options]
    try:
        subprocess.run(command, cwd=report.parent, timeout=limit, check=False, env=_environment())
    except subprocess.TimeoutExpired:
        sys.stderr.write(f'conformance: not done after {limit:g} s\n')
    outcomes: Counter[str] = Counter()
    failed = set()
    for case in ET.parse(report).iter('testcase') if report.exists() else ():  # noqa: S314  written by our own pytest
        kinds = {each.tag for each in case} & {'failure', 'error', 'skipped'}
        outcomes[min(kinds, default='passed')] += 1
        if kinds & {'failure', 'error'}:
            failed.add(str(case.get('name')))
    return outcomes, failed


def _install() -> None:
    """Make the environment where it is missing or was made from other requirements; ours is installed as it stands."""
    recipe = hashlib.sha256('\n'.join([*NEEDED, sys.version, (ROOT / 'setup.cfg').read_text()]).encode()).hexdigest()
    stamp = VENV / 'recipe'
    if stamp.exists() and stamp.read_text() == recipe:
        return
    venv.create(VENV, with_pip=True, clear=True)
    pip = [VENV / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    subprocess.run([*pip, *NEEDED, '--editable', ROOT], check=True)
    stamp.write_text(recipe)


def _suite() -> list[str | Path]:
    """Parsl's own suite, on our configuration."""
    where = 'import parsl, pathlib; print(pathlib.Path(parsl.__file__).parent / "tests")'
    suite = subprocess.run([VENV / 'bin' / 'python', '-c', where], capture_output=True, text=True, check=True).stdout.strip()
    return [suite, '-k', LEFT_OUT, '--config', HERE / 'config.py']


def _environment() -> dict[str, str]:
    """Launch commands of the suite's bash apps are found in its own environment."""
    return {**os.environ, 'PATH': f'{VENV / "bin"}{os.pathsep}{os.environ["PATH"]}', 'PYTHONDONTWRITEBYTECODE': '1'}


def _compare(name: str, promise: str, outcome: tuple[Counter[str], set[str]], expected: dict[str, int], allowed: set[str]) -> bool:
    """Say the outcome, and what differs from what was expected; whether nothing does."""
    outcomes, failed = outcome
    same = failed == allowed and +outcomes == +Counter(expected)
    sys.stdout.write(f'{name}: {dict(outcomes)}; {promise}: {"yes" if same else f"no, that gives {expected}"}\n')
    for each in sorted(failed ^ allowed):
        sys.stdout.write(f'  {each}: {"failed" if each in failed else "did not fail"}\n')
    return same


if __name__ == '__main__':
    sys.exit(main())
