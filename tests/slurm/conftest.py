"""Without Slurm these tests are skipped, and the reason says how to get one; where CI=true they fail."""

from __future__ import annotations

import os

import pytest

from tests.slurm import cluster


@pytest.fixture(scope='session', name='_slurm', autouse=True)
def _answering() -> None:
    why = cluster.absence()
    if why:
        (pytest.fail if os.environ.get('CI') == 'true' else pytest.skip)(f'{why}; `make slurm` brings one up')
