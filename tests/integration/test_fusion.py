"""Short tasks travel together, on a real HTEX: what that saves, and what it must not cost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from parsl.providers import LocalProvider

from relay_parsl.engines.base import Finished, Lost
from tests.integration.engine_rig import Rig, eventually

pytestmark = pytest.mark.integration

TASKS = 400
KILLS_ITSELF, KILLS_ITS_WORKER = -1.0, -2.0


def note(path: str, number: int, seconds: float = 0.0) -> int:
    """A line for each run, then whatever shall happen."""
    with open(path, 'a') as notes:
        notes.write(f'{number}\n')
    if seconds == KILLS_ITSELF:
        os._exit(9)
    if seconds == KILLS_ITS_WORKER:
        os.kill(os.getppid(), signal.SIGKILL)
        seconds = 60.0
    time.sleep(seconds)
    return number


def hold(gate: str, number: int) -> None:
    """Until the gate is there."""
    Path(f'{gate}.{number}').touch()
    while not os.path.exists(gate):
        time.sleep(0.01)


@pytest.fixture(name='rig')
def _rig(rigs: Callable[..., Rig], tmp_path: Path) -> Rig:
    """Both workers are there, and it is known that `note` is short."""
    rig = rigs()
    for each in [rig.submit(note, str(tmp_path / 'warm'), n) for n in range(20)]:
        rig.outcome(each)
    eventually(lambda: rig.engine.status().workers == 2)
    return rig


def chunks_of(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[list[bytes]]:
    """Which tasks travel together from now on."""
    seen: list[list[bytes]] = []
    chunk = rig.engine._chunk

    def noting(numbers: list[int]) -> list[Any]:
        seen.append([work.task_id for number in numbers if (work := rig.engine._inside.get(number)) is not None])
        return chunk(numbers)

    monkeypatch.setattr(rig.engine, '_chunk', noting)
    return seen


def flood(
    rig: Rig, tmp_path: Path, seconds: Mapping[int, float] | None = None, options: Mapping[int, dict[str, Any]] | None = None
) -> dict[int, bytes]:
    """All tasks, waiting behind two that hold both workers: who travels with whom does not hang on how fast this machine submits them."""
    gate = tmp_path / 'gate'
    for number in range(2):
        rig.submit(hold, str(gate), number)
    eventually(lambda: all(Path(f'{gate}.{number}').exists() for number in range(2)))
    notes = str(tmp_path / 'notes')
    tasks = {n: rig.submit(note, notes, n, (seconds or {}).get(n, 0.0), **(options or {}).get(n, {})) for n in range(TASKS)}
    gate.touch()
    return tasks


def test_short_tasks_are_few_tasks_of_htex_and_each_runs_once(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = chunks_of(rig, monkeypatch)
    tasks = flood(rig, tmp_path)
    assert all(rig.outcome(task).ok for task in tasks.values())
    assert len(chunks) < TASKS / 3
    assert sorted(map(int, (tmp_path / 'notes').read_text().split())) == list(range(TASKS))


def test_one_that_turns_out_long_holds_nobody_up(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = chunks_of(rig, monkeypatch)
    long = [TASKS // 3, TASKS // 2]
    tasks = flood(rig, tmp_path, {long[0]: 30.0})
    others = [task for n, task in tasks.items() if n != long[0]]
    began = time.monotonic()
    assert all(rig.outcome(task).ok for task in others)
    assert time.monotonic() - began < 20
    assert any(tasks[long[0]] in chunk and len(chunk) > 1 for chunk in chunks), 'it travelled alone: nothing was tried'
    assert rig.engine.status().outstanding == 1
    assert sorted(map(int, (tmp_path / 'notes').read_text().split())) == list(range(TASKS))


def test_a_death_is_charged_to_the_guilty_alone(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = chunks_of(rig, monkeypatch)
    guilty = TASKS // 2
    tasks = flood(rig, tmp_path, {guilty: KILLS_ITSELF})
    ends = {n: rig.end(task) for n, task in tasks.items()}
    assert any(tasks[guilty] in chunk and len(chunk) > 1 for chunk in chunks), 'it travelled alone: nothing was tried'
    assert [n for n, end in ends.items() if isinstance(end, Lost)] == [guilty]
    assert all(isinstance(end, Finished) and end.ok for n, end in ends.items() if n != guilty)
    assert sorted(map(int, (tmp_path / 'notes').read_text().split())) == list(range(TASKS))


def test_the_death_of_a_worker_is_charged_to_nobody_who_travelled_with_others(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTEX then knows of the chunk only; its tasks go alone from then on, and the guilty one is known by its own next death."""
    chunks = chunks_of(rig, monkeypatch)
    guilty = TASKS // 2
    tasks = flood(rig, tmp_path, {guilty: KILLS_ITS_WORKER})
    ends = {n: rig.end(task) for n, task in tasks.items()}
    assert len(next(chunk for chunk in chunks if tasks[guilty] in chunk)) > 1, 'it travelled alone: nothing was tried'
    assert [n for n, end in ends.items() if isinstance(end, Lost)] == [guilty]
    assert all(isinstance(end, Finished) and end.ok for n, end in ends.items() if n != guilty)


def test_what_may_run_once_or_has_a_timeout_travels_alone(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = chunks_of(rig, monkeypatch)
    tasks = flood(rig, tmp_path, options={n: {'timeout': 30.0} for n in range(0, TASKS, 10)})
    assert all(rig.outcome(task).ok for task in tasks.values())
    assert any(len(chunk) > 1 for chunk in chunks)
    assert all(len(chunk) == 1 for chunk in chunks if set(chunk) & {tasks[n] for n in range(0, TASKS, 10)})


def test_what_htex_has_and_no_worker_can_have_begun_is_given_back(rigs: Callable[..., Rig], tmp_path: Path) -> None:
    """A drain does not wait for a block that is not there."""
    rig = rigs(provider=LocalProvider(worker_init='sleep 300'))
    tasks = [rig.submit(note, str(tmp_path / 'notes'), n) for n in range(3)]
    eventually(lambda: len(rig.engine._inside) == len(tasks))
    assert [rig.engine.withdraw(task, 1) for task in tasks] == [True] * len(tasks)
    assert rig.engine.status().outstanding == 0
