"""Our actions, each held to the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relay_parsl import testing
from relay_parsl.flows.actions.base import Action, Surroundings
from relay_parsl.flows.actions.hello_world import HelloWorld


class TestHelloWorld(testing.ActionContract):
    def make(self, surroundings: Surroundings) -> Action:
        return HelloWorld(surroundings)

    def body(self) -> Any:
        return {'echo_string': 'hi', 'sleep_time': 0.05}

    def other_body(self) -> Any:
        return {'echo_string': 'ho', 'sleep_time': 0.05}

    def long_body(self) -> Any:
        return {'sleep_time': 1000}

    def inactive_body(self) -> Any:
        return {'required_dependent_scope': 'urn:globus:auth:scope:groups.api.globus.org:all', 'sleep_time': 0.01}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {
            'echo_string': {'echo_string': 3},
            'sleep_time': {'sleep_time': -1},
            "did you mean 'sleep_time'": {'sleep_tme': 1},
            'required_dependent_scope': {'required_dependent_scope': ['x']},
        }
