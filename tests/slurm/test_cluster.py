"""The tools of these tests: a cluster that is up, and stays what it is when `up.sh` runs again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm import cluster

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group('slurm')]


def test_up_again_changes_nothing() -> None:
    before = cluster.run('sinfo', '-hN', '-o', '%N %c %G')
    assert {'n1 128 gpu:4', 'n2 128 gpu:4', 'n3 128 gpu:4', 'n4 128 gpu:4', 'c1 128 (null)'} <= set(before.splitlines())
    cluster.run(str(cluster.HERE / 'up.sh'))
    assert cluster.run('sinfo', '-hN', '-o', '%N %c %G') == before


@pytest.mark.parametrize(('ci', 'word'), [('true', 'failed'), ('', 'skipped')])
def test_without_slurm_it_is_said_how_to_get_one(tmp_path: Path, ci: str, word: str) -> None:
    """On a laptop these tests are skipped, in CI they fail; both name the remedy."""
    root = cluster.HERE.parents[1]
    command = [sys.executable, '-m', 'pytest', '-rsE', f'{cluster.HERE}/test_cluster.py', '-k', 'up_again']
    environment = {'PATH': str(tmp_path), 'CI': ci, 'HOME': str(tmp_path)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root, env=environment, timeout=60)
    assert f'1 {"error" if word == "failed" else word}' in done.stdout, done.stdout
    assert 'there is no `sinfo` on this machine; `make slurm` brings one up' in done.stdout
