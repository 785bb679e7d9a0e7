"""`relay-parsl quickstart`, as a new user types it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.commands import marked, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), pytest.mark.xdist_group('heavy')]


def test_two_sites_give_what_one_would(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        'RELAY_PARSL_HOME': str(tmp_path / 'home'),
        'TMPDIR': str(tmp_path),
        'RELAY_PARSL_TEST_QUICK': str(tmp_path),
        'COLUMNS': '160',
    }
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, '-m', 'relay_parsl', 'quickstart'], check=False, env=environment, capture_output=True, text=True, timeout=150, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if 'hdf_' in line]
    assert len(rows) == 16
    line = re.compile(r'hdf_\d_\d +\d+ +\d+\.\d +perlmutter/[01] +polaris/([0-3]) +([0-3]) +here +\d+\.\d+ +equal')
    pairs = [found.groups() for row in rows if (found := line.match(row))]
    assert len(pairs) == 16, rows
    assert len(set(pairs)) == len({worker for worker, _ in pairs}), 'each worker has one accelerator, and keeps it'
    assert '4 accelerators at work; 16 of 16 results equal' in done.stdout
    assert time.monotonic() - began < 120
    until(lambda: not marked('RELAY_PARSL_TEST_QUICK', str(tmp_path)))
    assert not (tmp_path / 'home').exists()
    assert not list(tmp_path.glob('relay-parsl-*'))


def test_without_its_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from relay_parsl.cli import quickstart
    from relay_parsl.cli.main import main

    monkeypatch.setattr(quickstart, 'NEEDS', {'no_such_library': 'no-such-package', 'json': 'json'})
    result = CliRunner().invoke(main, ['quickstart'])
    assert (result.exit_code, result.stderr) == (2, 'error: the example needs no-such-package: pip install no-such-package\n')
