"""Engines for the tests beside this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.engines import leash
from relay_parsl.engines.htex import HtexEngine
from tests.integration.engine_rig import Rig


@pytest.fixture(name='rigs')
def _rigs(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(kind: type[HtexEngine] = HtexEngine, **options: Any) -> Rig:
        directory = tmp_path / f'rig{len(made)}'
        directory.mkdir()
        made.append(Rig(directory, kind(**({'max_workers_per_node': 2} if kind is HtexEngine else {}) | options)))
        return made[-1]

    yield make
    for rig in made:
        tokens = [path.stem for path in rig.run_dir.glob('*.journal')]
        rig.engine.stop()
        for token in tokens:
            assert leash.marked(token) == []
        assert list(rig.run_dir.glob('*.journal')) == []
