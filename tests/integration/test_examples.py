"""Every example runs as it stands, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.commands import marked, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), pytest.mark.xdist_group('heavy')]

EXAMPLES = Path(__file__).parents[2] / 'examples'


def run(example: str, tmp_path: Path) -> str:
    environment = {**os.environ, 'RELAY_PARSL_HOME': str(tmp_path / 'home'), 'TMPDIR': str(tmp_path), 'RELAY_PARSL_TEST_EXAMPLE': str(tmp_path)}
    program = [sys.executable, str(EXAMPLES / example)]
    done = subprocess.run(program, check=False, env=environment, capture_output=True, text=True, timeout=150, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: not marked('RELAY_PARSL_TEST_EXAMPLE', str(tmp_path)))
    assert not list(tmp_path.glob('relay-parsl-*'))
    return done.stdout


def test_a_workflow_in_a_task(tmp_path: Path) -> None:
    import numpy as np
    from skimage import data

    lines = run('workflow_in_a_task.py', tmp_path).splitlines()
    assert len(lines) == 8
    entropy = {line.split()[0]: float(line.split()[1]) for line in lines}
    share = np.bincount(data.moon().ravel(), minlength=256) / data.moon().size
    assert entropy['moon'] == pytest.approx(-float((share[share > 0] * np.log2(share[share > 0])).sum()), abs=1e-4)


def test_a_compiled_program_on_four_pinned_workers(tmp_path: Path) -> None:
    out = run('hello_affinity/hello_affinity.py', tmp_path)
    assert '4 workers, 4 accelerators' in out
    assert {line.split(' accelerators ')[1].split()[0] for line in out.splitlines() if line.startswith('host ')} == {'0', '1', '2', '3'}
