"""What `endpoint show` and `task show` print of what the relay says."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from relay_parsl.cli import endpoint_show, task

REPORT = {
    'host': 'login1',
    'python': '3.11',
    'pools': {
        '': {
            'state': 'ready', 'workers': 4, 'managers': 1, 'blocks': 2, 'reason': '',
            'detail': {
                'blocks': [
                    {'block': '0', 'job': '71', 'state': 'RUNNING', 'reason': ''},
                    {'block': '1', 'job': '72', 'state': 'PENDING', 'reason': 'waits: Resources'},
                ],
                'managers': [{'manager': 'a', 'host': 'x1', 'block': '0', 'workers': 4, 'tasks': 3}],
            },
        }
    },
}  # fmt: skip
ROW: dict[str, Any] = {
    'id': uuid.UUID(int=7).bytes, 'endpoint': bytes(16), 'group': bytes(16), 'state': 'running', 'attempt': 2, 'pool': '', 'priority': 0,
    'submitted': 5.0, 'expires': 9.0, 'cancel': False, 'header': b'x',
    'detail': {'attempt': 2, 'host': 'x1', 'worker': 3, 'accelerator': '3', 'block': '0', 'since': 6.0, 'lost': 1},
}  # fmt: skip


def test_blocks_managers_and_queue_are_tables(capsys: pytest.CaptureFixture[str]) -> None:
    endpoint_show.tell({'name': 'polaris', 'host': '', 'online': True, 'backlog': 12, 'leases': 3, 'report': REPORT})
    assert capsys.readouterr().out == (
        'name                  polaris\n'
        'host                  login1\n'
        'online                yes\n'
        'waiting at the relay  12\n'
        'held by the endpoint  3\n'
        'python                3.11\n'
        '\n# --- pools\n\n'
        'state  workers  managers  blocks  reason\n'
        'ready  4        1         2       -\n'
        '\n# --- blocks\n\n'
        'block  job  state    reason\n'
        '0      71   RUNNING  -\n'
        '1      72   PENDING  waits: Resources\n'
        '\n# --- managers\n\n'
        'host  block  workers  tasks\n'
        'x1    0      4        3\n'
    )


def test_what_keeps_an_endpoint_from_work_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    endpoint_show.tell(
        {'name': 'polaris', 'report': {'audit': 'cannot be written; no new tasks are taken', 'clock': '12 s behind that of the relay'}}
    )
    out = capsys.readouterr().out
    assert 'audit  cannot be written; no new tasks are taken\n' in out
    assert 'clock  12 s behind that of the relay\n' in out


def test_an_endpoint_that_never_reported_has_no_tables(capsys: pytest.CaptureFixture[str]) -> None:
    endpoint_show.tell({'name': 'polaris', 'report': {}})
    assert capsys.readouterr().out == 'name  polaris\n'


def test_a_running_task_is_told_to_its_accelerator_and_job() -> None:
    known = task.standing_of(ROW, {'name': 'polaris', 'online': True, 'report': REPORT})
    told = {key: value for key, value in known.items() if value not in (None, '')}
    assert told == {
        'id': ROW['id'], 'state': 'running', 'endpoint': 'polaris', 'host': 'x1', 'worker': 3, 'accelerator': '3', 'block': '0', 'job': '71',
        'attempt': 2, 'lost_tries': 1, 'submitted': 5.0, 'running_since': 6.0, 'priority': 0, 'group': bytes(16), 'expires': 9.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ('result', 'words'),
    [
        ({'attempt': 3, 'bytes': 120, 'reason': ''}, 'its result has 120 bytes, sealed for you'),
        ({'attempt': 0, 'bytes': 0, 'reason': 'the endpoint was deleted'}, 'the endpoint was deleted'),
        ({}, ''),
    ],
)
def test_how_a_task_ended(result: dict[str, Any], words: str) -> None:
    known = task.standing_of({**ROW, 'state': 'failed', 'detail': {'attempt': 2}, 'result': result}, {})
    assert (known['ended'], known['why'], known['attempt']) == (words, '', result.get('attempt') or 2)
