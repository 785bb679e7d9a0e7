"""Compute, over a real relay and endpoint, held to the contract of actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from relay_parsl import testing
from relay_parsl.flows.actions.base import Action, Surroundings
from relay_parsl.flows.actions.compute import Compute

THEIRS = 'AAAAAAAA-0000-4000-8000-000000000001'


@pytest.fixture(name='relay', scope='module')
def _relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testing.InProcessRelay]:
    with testing.relay(tmp_path_factory.mktemp('relay'), {'here': {'type': 'ThreadPoolEngine', 'max_workers': 4}}) as relay:
        yield relay


class TestCompute(testing.ActionContract):
    @pytest.fixture(autouse=True)
    def _site(self, relay: testing.InProcessRelay, tmp_path: Path) -> Iterator[None]:
        self.relay = relay
        self.notes = tmp_path / 'notes'
        self.gate = tmp_path / 'gate'
        yield
        self.gate.touch()

    def make(self, surroundings: Surroundings) -> Action:
        return Compute(surroundings)

    def settings(self) -> Mapping[str, Any]:
        return {'relay': self.relay, 'endpoints': {THEIRS: 'here'}, 'functions': {'theirs': 'tests.contract.computed:note'}}

    def body(self) -> Any:
        return {'endpoint': THEIRS.lower(), 'function': 'theirs', 'kwargs': {'path': str(self.notes), 'value': [1, {'a': None}]}}

    def other_body(self) -> Any:
        return {**self.body(), 'kwargs': {'path': str(self.notes), 'value': 2}}

    def long_body(self) -> Any:
        return {'endpoint_id': 'here', 'tasks': [{'function_id': 'tests.contract.computed:wait_for', 'args': [str(self.gate)]}]}

    def failing_body(self) -> Any:
        call = {'endpoint': 'here', 'function': 'tests.contract.computed:fail', 'args': [str(self.notes), 'no such film']}
        return {'tasks': [call, {**call, 'function': 'theirs'}]}

    def bad_bodies(self) -> Mapping[str, Any]:
        good = self.body()
        return {
            'function is missing': {'endpoint': 'here'},
            'endpoint is missing': {'function': 'theirs'},
            'nowhere': {**good, 'endpoint': 'nowhere'},
            'dddddddd-0000-4000-8000-000000000001': {**good, 'endpoint': 'dddddddd-0000-4000-8000-000000000001'},
            'no function': {**good, 'function': 'dddddddd-0000-4000-8000-000000000002'},
            'kwargs': {**good, 'kwargs': [1]},
            'args': {**good, 'args': '{"no": "list"}'},
            'payload': {**good, 'payload': {'x': 1}},
            'tasks': {'tasks': []},
            'tasks[1].function': {'endpoint_id': 'here', 'tasks': [{'function_id': 'theirs'}, {}]},
            'task_group_id': {**good, 'task_group_id': 'mine'},
            'pool': {**good, 'resource_specification': {'pool': 3}},
            "did you mean 'endpoint'": {**good, 'endpont': 'here'},
        }

    def done(self) -> int | None:
        return len(self.notes.read_text().splitlines()) if self.notes.exists() else 0
