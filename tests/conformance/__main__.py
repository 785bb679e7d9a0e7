"""Run the test suite that Parsl ships in its wheel on `RelayExecutor`, and compare with what HighThroughputExecutor gives: `make conformance`.

The suite needs pytest before 8, so it has an environment of its own, `.conformance-venv`.
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
LIMIT = 600
"""Seconds that the suite may take, all in all."""


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
    with tempfile.TemporaryDirectory(prefix='relay-parsl-conformance-') as directory:
        report = Path(directory) / 'report.xml'
        try:
            subprocess.run(_command(report), cwd=directory, timeout=LIMIT, check=False, env=_environment())
        except subprocess.TimeoutExpired:
            sys.stderr.write(f'conformance: not done after {LIMIT} s\n')
            return 1
        return _compare(report)


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


def _command(report: Path) -> list[str | Path]:
    python = VENV / 'bin' / 'python'
    where = 'import parsl, pathlib; print(pathlib.Path(parsl.__file__).parent / "tests")'
    suite = subprocess.run([python, '-c', where], capture_output=True, text=True, check=True).stdout.strip()
    options = ['-c', HERE / 'pytest.ini', '-p', 'no:cacheprovider', '-q', '-rs', '--timeout', '120', f'--junitxml={report}']
    return [python, '-m', 'pytest', suite, *options, '-k', LEFT_OUT, '--config', HERE / 'config.py']


def _environment() -> dict[str, str]:
    """Launch commands of the suite's bash apps are found in its own environment."""
    return {**os.environ, 'PATH': f'{VENV / "bin"}{os.pathsep}{os.environ["PATH"]}', 'PYTHONDONTWRITEBYTECODE': '1'}


def _compare(report: Path) -> int:
    """Say the outcome, and what differs."""
    if not report.exists():
        sys.stderr.write('conformance: the suite did not run\n')
        return 1
    outcomes: Counter[str] = Counter()
    failed = set()
    for case in ET.parse(report).iter('testcase'):  # noqa: S314  written by our own pytest
        kinds = {each.tag for each in case} & {'failure', 'error', 'skipped'}
        outcomes[min(kinds, default='passed')] += 1
        if kinds & {'failure', 'error'}:
            failed.add(str(case.get('name')))
    allowed = NOT_FOR_ROOT if os.geteuid() == 0 else set()
    expected = {'passed': PASSED - len(allowed), 'failure': len(allowed), 'skipped': SKIPPED}
    same = failed == allowed and +outcomes == +Counter(expected)
    sys.stdout.write(f'conformance: {dict(outcomes)}; as with HighThroughputExecutor: {"yes" if same else f"no, that gives {expected}"}\n')
    for name in sorted(failed ^ allowed):
        sys.stdout.write(f'  {name}: {"failed" if name in failed else "did not fail"}\n')
    return 0 if same else 1


if __name__ == '__main__':
    sys.exit(main())
