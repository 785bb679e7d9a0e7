"""Definitions that people write, odd ones too, run through the real machine with fake actions: each file says what is expected of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.definition import Json
from relay_parsl.flows.flow import Flow
from relay_parsl.flows.messages import Limits
from relay_parsl.testing import Answer, run_flow

FILES = sorted((Path(__file__).parents[2] / 'data' / 'flows' / 'played').glob('*.json'))


def answer(given: Json) -> Any:
    """An answer of the file as `run_flow` takes it."""
    if isinstance(given, list):
        return [answer(each) for each in given]
    if 'refuse' in given:
        return Answer.refused(given['refuse'])
    return Answer(given['details'], given['status']) if 'status' in given else given


def has(found: Json, wanted: Json) -> bool:
    """Whether all that is wanted is there."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and has(found[key], each) for key, each in wanted.items())
    return bool(found == wanted) and type(found) is type(wanted)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_a_definition_does_what_is_expected_of_it(path: Path) -> None:
    case = json.loads(path.read_text())
    answers = {name: answer(each) for name, each in case.get('answers', {}).items()}
    ran = run_flow(path, case['sample_input'], actions=answers, resumes=case.get('resumes', 0), limits=Limits(steps=500))
    expect = case['expect']
    assert ran.status == expect['status'], ran.details
    assert ran.states == expect.get('states', ran.states)
    assert has(ran.payload, expect.get('payload', {})), ran.payload
    assert has(ran.details, expect.get('details', {})) or not expect.get('details'), ran.details
    assert 'secret' not in json.dumps(ran.log)
    json.dumps(ran.payload, allow_nan=False)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_it_is_valid(path: Path) -> None:
    found = Flow.from_file(path).validate()
    assert found.valid, found.faults
