"""A stolen relay for all tests of a file, with real parties that do not know that it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.stolen import Stolen, stolen_in


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stolen]:
    with stolen_in(tmp_path_factory.mktemp('stolen')) as made:
        made.start()
        yield made


@pytest.fixture
def stolen(world: Stolen) -> Iterator[Stolen]:
    """Honest before, and after: then a task gives its value as ever."""
    yield world
    world.relay.honest()
    assert world.executor().submit(pow, 2, 10).result(40) == 1024
