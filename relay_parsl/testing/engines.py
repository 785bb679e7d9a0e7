"""What every engine must do."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay_parsl.engines.base import Engine, Event, Finished, Lost, Work
from relay_parsl.testing.expecting import PATIENCE, expect
from relay_parsl.wire import payload


class EngineContract(ABC):
    """Subclass it in a test file under a name that begins with `Test`, and give `make`: pytest collects the rest."""

    @abstractmethod
    def make(self) -> Engine:
        """A new engine with two workers or more, not started."""

    def test_a_value_comes_back(self, tmp_path: Path) -> None:
        """A call ends in one `Finished` with its value."""
        with self._started(tmp_path) as rig:
            outcome = rig.outcome(rig.submit(divmod, 17, 5))
            expect(outcome.ok and payload.load_outcome(outcome.data) == (3, 2), 'the value is the one that the function returned')

    def test_every_attempt_ends_once(self, tmp_path: Path) -> None:
        """A hundred calls give a hundred ends."""
        with self._started(tmp_path) as rig:
            values = [payload.load_outcome(rig.outcome(rig.submit(pow, number, 2)).data) for number in range(100)]
            expect(values == [number**2 for number in range(100)], 'each attempt has its own value')
            expect(len(rig.ends()) == 100, 'each attempt ends exactly once')

    def test_the_users_exception_is_an_outcome(self, tmp_path: Path) -> None:
        """An exception is an outcome, no event of another kind."""
        with self._started(tmp_path) as rig:
            outcome = rig.outcome(rig.submit(int, 'x'))
            expect(not outcome.ok, 'a call that raised is not ok')
            try:
                payload.load_outcome(outcome.data)
            except ValueError:
                return
        raise AssertionError('the exception comes back as its own type')

    def test_what_cannot_be_loaded_fails_alone(self, tmp_path: Path) -> None:
        """A function that the node cannot import fails its own attempt."""
        with self._started(tmp_path) as rig:
            outcome = rig.outcome(rig.send(payload.dump_importable('no_such_module:function'), payload.dump_arguments((), {})))
            expect(not outcome.ok, 'it fails')
            expect(rig.outcome(rig.submit(pow, 2, 3)).ok, 'the next one does not')

    def test_an_unknown_attempt_is_not_cancelled(self, tmp_path: Path) -> None:
        """`cancel` is true of attempts that wait, and of nothing else."""
        with self._started(tmp_path) as rig:
            expect(not rig.engine.cancel(bytes(16), 1), 'what was never submitted is not cancelled')
            expect(not rig.engine.withdraw(bytes(16), 1), 'nor given back')

    def test_it_says_how_it_stands_and_stops_twice(self, tmp_path: Path) -> None:
        """Status and capacity agree; stopping again does nothing."""
        with self._started(tmp_path) as rig:
            expect(rig.engine.capacity >= 1 and rig.engine.status().capacity == rig.engine.capacity, 'capacity is that of the status')
            rig.engine.demand(10)
        rig.engine.stop()

    @contextmanager
    def _started(self, directory: Path) -> Iterator[_Rig]:
        rig = _Rig(self.make(), directory)
        try:
            yield rig
        finally:
            rig.engine.stop()


class _Rig:
    """An engine that was started, and everything it said."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self._spool = directory / 'spool'
        self._spool.mkdir()
        self._ids = itertools.count(1)
        self._events: list[Event] = []
        self._changed = threading.Condition()
        engine.start(self._deliver, directory / 'run', 'contract')

    def _deliver(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def submit(self, fn: Callable[..., Any], *args: Any) -> bytes:
        """Hand in a call; its id."""
        return self.send(payload.dump_function(fn), payload.dump_arguments(args, {}))

    def send(self, function: bytes, arguments: bytes) -> bytes:
        """Hand in blobs."""
        task_id = next(self._ids).to_bytes(16, 'big')
        self.engine.submit(Work(task_id, 1, bytes(16), function, arguments, None, {}, str(self._spool)))
        self.engine.flush()
        return task_id

    def ends(self, task_id: bytes | None = None) -> list[Finished | Lost]:
        """The ends of one attempt, or of all."""
        return [event for event in self._events if isinstance(event, (Finished, Lost)) and task_id in (None, event.task_id)]

    def outcome(self, task_id: bytes) -> payload.Outcome:
        """What an attempt ended with."""
        end = time.monotonic() + PATIENCE
        with self._changed:
            while not self.ends(task_id):
                expect(self._changed.wait(end - time.monotonic()), f'it did not end within {PATIENCE:g} s: {self.engine.status()}')
        found = self.ends(task_id)[0]
        if isinstance(found, Lost):
            raise AssertionError(f'it was lost: {found.evidence}')
        return payload.decode_outcome(found.outcome)
