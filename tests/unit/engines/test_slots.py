"""What scaling counts and nobody can use."""

from __future__ import annotations

from typing import Any

import pytest

from relay_parsl.engines.slots import Slots


def manager(block: str = '0', workers: int = 4, tasks: int = 0, **state: bool) -> dict[str, Any]:
    return {'block_id': block, 'worker_count': workers, 'tasks': tasks, 'active': True, 'draining': False, **state}


def test_a_block_whose_managers_come_one_by_one_misses_none() -> None:
    slots = Slots()
    assert slots.missing([], ['0']) == 0
    assert slots.missing([manager(tasks=4)], ['0']) == 0
    assert slots.missing([manager(), manager()], ['0']) == 0


def test_the_workers_of_a_dead_node_are_missing_while_its_block_lives() -> None:
    slots = Slots()
    slots.missing([manager(), manager()], ['0'])
    assert slots.missing([manager()], ['0']) == 4
    assert slots.missing([], []) == 0
    assert slots.missing([manager('1')], ['1']) == 0


@pytest.mark.parametrize(('tasks', 'missing'), [(0, 4), (1, 3), (4, 0), (9, 0)])
def test_drained_workers_are_missing_but_for_those_that_still_run_a_task(tasks: int, missing: int) -> None:
    """What they run is among the tasks that are counted against them."""
    slots = Slots()
    slots.missing([manager(tasks=4)], ['0'])
    assert slots.missing([manager(tasks=tasks, draining=True)], ['0']) == missing


def test_a_manager_that_was_told_to_take_no_tasks_is_missing() -> None:
    slots = Slots()
    slots.missing([manager()], ['0'])
    assert slots.missing([manager(active=False)], ['0']) == 4
