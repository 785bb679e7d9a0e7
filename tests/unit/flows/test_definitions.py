"""Odd and legal definitions of our own, and odd and wrong ones (`bad_*`, with the places of their faults)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.errors import DefinitionInvalid
from relay_parsl.flows.flow import Flow

FOLDER = Path(__file__).parents[2] / 'data' / 'flows' / 'definitions'
FILES = sorted(FOLDER.glob('*.json'))
WARNED = {
    'ask_and_wait': [],
    'catch_of_every_kind': ['$.States.Try.Catch[3].ErrorEquals[0]', '$.States.Try.Catch[0]'],
    'endless_but_for_a_limit': ['$.States.Never', '$.States.A'],
    'loop_over_files': [],
    'move_unchecked': ['$.States.Clean', '$.States.Copy'],
    'move_with_check': [],
    'pass_replaces_all': ['$.States.Take'],
    'roles': ['$.States.It.RunAs', '$.States.Other.RunAs'],
    'stat_then_choose': [],
    'transfer_old_body': ['$.States.Copy.ActionUrl'],
    'wait_at_the_end': ['$.States.Rest'],
    'wait_for_option': [],
}
"""The places of the warnings; of the others there are none."""


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize('path', [path for path in FILES if not path.name.startswith('bad_')], ids=lambda path: path.stem)
def test_legal_ones(path: Path) -> None:
    flow = Flow.from_file(path)
    found = flow.validate()
    assert not found.faults
    assert [fault.path for fault in found.warnings] == WARNED.get(path.stem, [])
    assert found.traversals.count or path.stem == 'endless_but_for_a_limit'
    assert flow.check(document(path)['sample_input']) == document(path)['sample_input']
    assert flow.title == path.stem.replace('_', ' ')


@pytest.mark.parametrize('path', [path for path in FILES if path.name.startswith('bad_')], ids=lambda path: path.stem)
def test_wrong_ones(path: Path) -> None:
    flow = Flow.from_file(path)
    assert sorted(fault.path for fault in flow.validate().faults) == sorted(document(path)['faults'])
    with pytest.raises(DefinitionInvalid):
        _ = flow.definition


def test_a_bare_definition_is_the_same_flow_without_title_and_schema(tmp_path: Path) -> None:
    for path in FILES:
        wrapped = Flow.from_file(path)
        if wrapped.validate().valid and wrapped.input_schema is None:
            bare = Flow.from_dict(document(path)['definition'])
            assert bare.flow_id == wrapped.flow_id
            assert bare.validate().warnings == wrapped.validate().warnings
    assert len(FILES) >= 40
