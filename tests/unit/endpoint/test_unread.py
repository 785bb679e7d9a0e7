"""The gate reads what came, and runs none of it: canaries that must not sing, also in what it lets pass."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from relay_parsl.endpoint.policy import FunctionPolicy
from relay_parsl.errors import TaskRejected
from relay_parsl.wire import codec, payload
from tests.attacks.hostile_relay import Canary
from tests.unit.endpoint.test_gate import NOW, Site


@pytest.mark.attack(11)
@pytest.mark.parametrize('policy', ['any', 'listed', 'hashes', 'names'])
def test_nothing_that_came_is_unpickled_by_the_gate(tmp_path: Path, policy: str) -> None:
    canary = Canary(tmp_path / 'canary')
    blob = codec.pack(['cloudpickle', payload.PYTHON, 'f', bytes(canary.pickled)])
    listed = {'listed': sha256(blob).hexdigest(), 'hashes': sha256(b'other').hexdigest(), 'names': 'math:sqrt'}
    kind = 'hashes' if policy == 'listed' else policy
    site = Site(FunctionPolicy(kind, frozenset({listed.get(policy, '')})))
    function = site.sender.function(blob)
    assert site.gate.keep(function, NOW) == ''
    start = site.start(site.sender.task(function, blob, (canary,)))
    if policy in ('any', 'listed'):
        assert site.gate.open(start, NOW).function.blob == blob
    else:
        with pytest.raises(TaskRejected, match='policy'):
            site.gate.open(start, NOW)
    assert not canary.sings
