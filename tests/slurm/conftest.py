"""Without Slurm these tests are skipped, and the reason says how to get one; where CI=true they fail."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.slurm import cluster
from tests.slurm.site import Site, serving

_numbers = itertools.count(1)


@pytest.fixture(scope='session', name='_slurm', autouse=True)
def _answering() -> None:
    why = cluster.absence()
    if why:
        (pytest.fail if os.environ.get('CI') == 'true' else pytest.skip)(f'{why}; `make slurm` brings one up')


@pytest.fixture(name='site')
def _site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts an endpoint whose blocks are jobs of Slurm; all of it is gone at the end, its jobs, too."""
    with ExitStack() as stack:

        def start(**options: Any) -> Site:
            name = f's{os.getpid()}-{next(_numbers)}'
            return stack.enter_context(serving(tmp_path / name, name, **options))

        yield start
