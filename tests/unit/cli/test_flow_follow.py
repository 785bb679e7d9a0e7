"""Waiting for a run of which somebody must know that it waits for them."""

from typing import Any, cast

import pytest

from relay_parsl.cli.flow_follow import wait
from relay_parsl.flows.journal import Journal

ENTRIES = [
    {'seq': 1, 'time': '2026-11-25T12:00:00+00:00', 'code': 'FlowStarted', 'description': '', 'details': {}},
    {
        'seq': 2,
        'time': '2026-11-25T12:00:01+00:00',
        'code': 'FlowInactive',
        'description': '',
        'details': {'code': 'ConsentRequired', 'description': 'the action needs a consent'},
    },
    {
        'seq': 3,
        'time': '2026-11-25T12:00:02+00:00',
        'code': 'AwaitWebInputStarted',
        'description': '',
        'details': {'state_name': 'Ask', 'state_type': 'AwaitWebInput'},
    },
    {'seq': 4, 'time': '2026-11-25T12:00:03+00:00', 'code': 'FlowSucceeded', 'description': '', 'details': {}},
]


class Growing:
    """A journal with one entry more at each look."""

    looks = 0

    def version(self) -> int:
        self.looks += 1
        return self.looks

    def run(self, run_id: str) -> dict[str, Any]:
        return {'run_id': run_id, 'status': 'SUCCEEDED' if self.looks == len(ENTRIES) else 'ACTIVE'}

    def log(self, run_id: str, after: int) -> list[dict[str, Any]]:
        assert run_id == 'r-1'
        return ENTRIES[after : self.looks]


def test_who_waits_in_silence_is_told_when_somebody_must_act(capsys: pytest.CaptureFixture[str]) -> None:
    """`flow run --wait` of a run that was INACTIVE hung without a word."""
    assert wait(cast('Journal', Growing()), 'r-1')['status'] == 'SUCCEEDED'
    out, err = capsys.readouterr()
    assert out == ''
    assert err.splitlines() == [
        'INACTIVE: ConsentRequired: the action needs a consent; mend that, then `relay-parsl flow resume r-1`',
        'a question waits for an answer: `relay-parsl flow web-inputs`',
    ]
