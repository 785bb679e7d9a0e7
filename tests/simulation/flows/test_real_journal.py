"""Killed at any write and any call, over the real journal: the same end, the same log, each action asked for under one id."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.engine import loop
from relay_parsl.flows.flow import Flow
from tests.simulation.flows.definitions import BODY, documents
from tests.simulation.flows.real import Clock, Real
from tests.simulation.flows.test_kill_anywhere import FILES, UNHURRIED, body_of
from tests.simulation.flows.world import NOON

PLACES = itertools.count()


class Stage:
    """Where worlds are played."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory, self._clock = directory, clock

    def play(self, definition: Definition, body: Json, seed: int, **how: Any) -> tuple[Any, Real]:
        """What came of a run, and its world."""
        directory = self._directory / str(next(PLACES))
        directory.mkdir()
        cancel = how.pop('cancel', None)
        world = self._clock.world = Real(directory, definition, body, seed, **how)
        world.cancel = cancel
        return world.play(), world


@pytest.fixture(scope='module')
def stage(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """With the loop on a clock of ours."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(loop, 'time', clock)
        yield Stage(tmp_path_factory.mktemp('real'), clock)


@settings(parent=UNHURRIED, max_examples=15)
@given(documents(), st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([0.0, 4.0, 50.0]))
def test_any_definition_survives_kills(stage: Stage, document: dict[str, Json], seed: int, kills: int, down: float) -> None:
    definition = Flow.from_dict(document).definition
    calm, world = stage.play(definition, BODY, seed)
    steps = Random(kills).sample(range(1, 2 * world.steps + 2), min(world.steps, 6))
    again, _ = stage.play(definition, BODY, seed, kills=steps, down=down)
    assert again == calm, f'killed at {sorted(steps)} of {world.steps}'


@settings(parent=UNHURRIED, max_examples=10)
@given(documents(), st.integers(0, 10**6), st.lists(st.integers(1, 40), max_size=4), st.integers(0, 60))
def test_a_run_that_is_cancelled_ends_whatever_is_killed(stage: Stage, document: dict[str, Json], seed: int, kills: list[int], cancel: int) -> None:
    definition = Flow.from_dict(document).definition
    (status, _, log, _), world = stage.play(definition, BODY, seed, kills=kills, cancel=NOON + cancel)
    codes = [code for code, _ in log]
    ends = {'ENDED': 'FlowCanceled', 'FAILED': 'FlowFailed', 'SUCCEEDED': 'FlowSucceeded'}
    assert codes[-1] == ends[status]
    assert not set(codes[:-1]) & set(ends.values())
    assert len(world.providers.asked) <= sum(each.endswith('Started') for each in codes[1:]), 'one id for each state that was entered'


@pytest.mark.fault(54)
@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_real_definitions_survive_kills(stage: Stage, path: Path) -> None:
    flow = Flow.from_file(path)
    if not flow.validate().valid:
        return  # no flow of the language: other tests say so
    definition, body = flow.definition, body_of(path, flow)
    calm, world = stage.play(definition, body, 1)
    for kills in ([1], [2], Random(1).sample(range(1, world.steps + 2), min(world.steps, 8))):
        again, _ = stage.play(definition, body, 1, kills=kills)
        assert again == calm, f'killed at {sorted(kills)} of {world.steps}'
