"""Without Slurm these tests are skipped, and the reason says how to get one; where CI=true they fail."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import pytest

from tests.slurm import cluster
from tests.slurm.site import Site, serving

_numbers = itertools.count(1)


@pytest.fixture(scope='session', name='_slurm', autouse=True)
def _answering() -> Iterator[None]:
    """A Slurm that answers, for this run alone: these tests kill nodes."""
    why = cluster.absence()
    if why:
        (pytest.fail if os.environ.get('CI') == 'true' else pytest.skip)(f'{why}; `make slurm` brings one up')
    with open(Path(tempfile.gettempdir(), 'relay-parsl-test-slurm.lock'), 'a') as lock:
        cluster.until(lambda: alone(lock), 100, 'the end of another run of these tests on this machine')
        yield


def alone(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.fixture(name='site')
def _site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts an endpoint whose blocks are jobs of Slurm; all of it is gone at the end, its jobs, too."""
    with ExitStack() as stack:

        def start(**options: Any) -> Site:
            name = f's{os.getpid()}-{next(_numbers)}'
            return stack.enter_context(serving(tmp_path / name, name, **options))

        yield start
