"""Managers whose workers die before a task: read from their logs, as Parsl 2026 writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay_parsl.engines.barren import DEATHS, PROBATION, Barren

PERIOD = 5.0


class Node:
    """The logs of one manager."""

    def __init__(self, root: Path, name: str, workers: int = 2) -> None:
        self.row: dict[str, Any] = {'manager': name, 'block_id': '0', 'worker_count': workers, 'active': True}
        self.directory = root / 'block-0' / name
        self.directory.mkdir(parents=True)

    def die(self, worker: int, times: int = DEATHS, *, busy: bool = False) -> None:
        with open(self.directory / 'manager.log', 'a') as log:
            for _ in range(times):
                log.write(f'12 worker_watchdog ERROR: Worker {worker} has died\n')
                log.write(f'12 worker_watchdog INFO: Worker {worker} was {"" if busy else "not "}busy when it died\n')

    def say(self, worker: int, words: str) -> None:
        with open(self.directory / f'worker_{worker}.log', 'a') as log:
            log.write(f'{words}\n')


def test_a_node_without_living_workers_is_named_with_their_last_words(tmp_path: Path) -> None:
    node, watch = Node(tmp_path, 'a'), Barren(tmp_path, PERIOD)
    node.say(0, 'AssertionError: more workers than cores')
    node.die(0)
    assert watch.look([node.row], 0.0) == []
    assert '1 of 2 workers' in watch.reason
    node.die(1, DEATHS - 1)
    assert watch.look([node.row], 5.0) == []
    node.die(1, 1)
    assert watch.look([node.row], 10.0) == [node.row]
    assert watch.reason.endswith('AssertionError: more workers than cores')
    assert 'AssertionError' in watch.evidence


def test_workers_that_work_are_not_taken_for_dead(tmp_path: Path) -> None:
    busy, worked = Node(tmp_path, 'busy', 1), Node(tmp_path, 'worked', 1)
    watch = Barren(tmp_path, PERIOD)
    busy.die(0, 10, busy=True)
    worked.say(0, 'INFO: Completed executor task 3')
    worked.die(0, 10)
    assert watch.look([busy.row, worked.row], 0.0) == []
    assert watch.reason == ''


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    node, watch = Node(tmp_path, 'a', 1), Barren(tmp_path, PERIOD)
    node.die(0)
    log = node.directory / 'manager.log'
    whole = log.read_bytes()
    log.write_bytes(whole[:-9])
    assert watch.look([node.row], 0.0) == []
    log.write_bytes(whole)
    assert watch.look([node.row], 1.0) == [node.row]


def test_a_proven_node_is_read_no_more_and_a_gone_one_forgotten(tmp_path: Path) -> None:
    node, watch = Node(tmp_path, 'a', 1), Barren(tmp_path, PERIOD)
    assert watch.look([node.row], 0.0) == []  # no log to be seen: nothing is concluded
    assert watch.look([node.row], PROBATION * PERIOD + 1) == []
    node.die(0)
    assert watch.look([node.row], PROBATION * PERIOD + 2) == []
    assert watch.look([], 100.0) == []
    assert watch.look([node.row], 101.0) == [node.row]
    assert watch.look([], 102.0) == []
    assert watch.reason == ''
