"""Whatever a flow is, and wherever its engine is killed: the same end, the same log, each action asked for under one id."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_parsl.flows.definition import Definition, Json
from relay_parsl.flows.flow import Flow
from relay_parsl.testing.bodies import sample_body
from tests.simulation.flows.definitions import BODY, documents
from tests.simulation.flows.world import Outcome, World

ROOT = Path(__file__).parents[3]
FOLDERS = [folder for folder in (ROOT / 'tests/data/flows', ROOT / 'examples', ROOT.parent / 'shared/flows') if folder.is_dir()]
FILES = sorted(path for folder in FOLDERS for path in folder.rglob('*.json') if '"StartAt"' in path.read_text() and path.name[0] != '_')
UNHURRIED = settings(deadline=None, suppress_health_check=list(HealthCheck))


def check(definition: Definition, body: Json, seed: int, kills: list[int], **how: Any) -> None:
    """Once undisturbed, once killed at these steps: it is the same."""
    calm = World(definition, body, seed, **how).play()
    world = World(definition, body, seed, kills=kills, **how)
    assert world.play() == calm
    sound(calm)


def sound(outcome: Outcome) -> None:
    """What holds of every run."""
    assert len(set(outcome.requests)) == len(outcome.requests)
    assert outcome.done <= set(outcome.requests)
    codes = [code for code, _, _ in outcome.log]
    assert codes[0] == 'FlowStarted'
    assert codes[-1] in ('FlowSucceeded', 'FlowFailed', 'FlowCanceled')
    assert not [code for code in codes[1:-1] if code in ('FlowStarted', 'FlowSucceeded', 'FlowFailed', 'FlowCanceled')]
    assert 'secret' not in json.dumps(outcome.log)


@pytest.mark.fault(54)
@UNHURRIED
@given(documents(), st.integers(0, 10**6), st.lists(st.integers(1, 120), max_size=6), st.sampled_from([0.0, 3.0, 40.0]))
def test_any_definition_survives_any_kill(document: dict[str, Json], seed: int, kills: list[int], down: float) -> None:
    check(Flow.from_dict(document).definition, BODY, seed, kills, down=down)


@UNHURRIED
@given(documents(), st.integers(0, 10**6), st.lists(st.integers(1, 60), max_size=4), st.integers(0, 100))
def test_cancelled_at_any_time(document: dict[str, Json], seed: int, kills: list[int], cancel: int) -> None:
    check(Flow.from_dict(document).definition, BODY, seed, kills, cancel=cancel + 0.123)


@pytest.mark.fault(54)
@settings(parent=UNHURRIED, max_examples=20)
@given(documents(), st.integers(0, 10**6))
def test_killed_at_every_single_step(document: dict[str, Json], seed: int) -> None:
    definition = Flow.from_dict(document).definition
    world = World(definition, BODY, seed)
    calm = world.play()
    for step in range(1, min(world.steps, 150) + 1):
        assert World(definition, BODY, seed, kills=[step]).play() == calm, f'killed at step {step} of {world.steps}'
    assert World(definition, BODY, seed, kills=range(1, 4_000, 3)).play() == calm


def body_of(path: Path, flow: Flow) -> Json:
    """The sample of the file, else something that has whatever its paths look for."""
    return json.loads(path.read_text()).get('sample_input') or sample_body(flow)


@pytest.mark.fault(54)
@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_real_definitions_survive_kills_at_every_step(path: Path) -> None:
    flow = Flow.from_file(path)
    if not flow.validate().valid:
        return  # no flow of the language: other tests say so
    definition, body = flow.definition, body_of(path, flow)
    for seed in range(2):
        world = World(definition, body, seed)
        calm = world.play()
        sound(calm)
        for step in range(1, world.steps + 1, 1 + world.steps // 60):
            assert World(definition, body, seed, kills=[step]).play() == calm, f'killed at step {step} of {world.steps}'
        kills = Random(seed).sample(range(1, world.steps * 3 + 2), min(world.steps, 20))
        assert World(definition, body, seed, kills=kills).play() == calm
