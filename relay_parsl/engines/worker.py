"""A worker's side of a runner: all that a compute node imports of ours before user code.

`run_task` is what HTEX calls with the bytes of a chunk. The work itself is done in a child, the *runner*; its death is noticed in milliseconds,
charged to the very attempt that it ran, and hurts neither the worker nor its neighbours. An attempt that shall end (`timeout`, `cancel`) is told to
by a signal, and its runner is killed when it does not listen; either way the next attempt gets a fresh one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relay_parsl.engines import accelerators, leash, ranks
from relay_parsl.engines.frames import Death, decode_chunk, encode_end, encode_ends, with_environment
from relay_parsl.engines.interrupts import CANCEL, STARTED, default_limit, interruption
from relay_parsl.engines.line import Line
from relay_parsl.engines.patience import Patience, Step
from relay_parsl.engines.runners import Bell, Runner, RunnerDied
from relay_parsl.engines.shift import Attempt, Shift

GIVE_UP = 3.0
"""Seconds that a function has to end once it was told to, before its runner is killed."""
Key = tuple[bytes, int]


class Worker:
    """Feeds one runner at a time, and replaces it when it died, when it was interrupted, or when another account's work comes."""

    def __init__(self, environment: Mapping[str, str] | None = None, line: Line | None = None) -> None:
        """`environment` is added to that of each runner; over `line` others are told of an attempt that takes long."""
        self._environment = environment or {}
        self._line = line
        self._limit = default_limit()
        self._runner: Runner | None = None
        self._closed = False
        self._bell = Bell()
        self._keys: frozenset[Key] = frozenset()
        self._asked: deque[Key] = deque()

    def prepare(self) -> None:
        """Have a runner ready. Raises OSError."""
        if self._runner is not None and not self._runner.alive():
            self._runner.close()
            self._runner = None
        if self._runner is None and not self._closed:
            self._runner = Runner(self._environment, self._bell)

    def run_chunk(self, data: bytes, nodes: dict[str, str]) -> bytes:
        """A chunk of work frames to its end frames, each attempt with these variables; what has not started in time is not among them."""
        shift = self._shift([with_environment(frame, nodes) if nodes else frame for frame in decode_chunk(data)])
        self._work(shift)
        return encode_ends([(attempt.place, end) for attempt, end in shift.ends])

    def run(self, frame: bytes, doomed: Callable[[], bool] = lambda: False) -> bytes:
        """A work frame to its end frame; never raises for what happens in it. `doomed`: whether it was cancelled before it came here."""
        shift = self._shift([frame])
        if doomed():
            self._asked.extend(self._keys)
        self._work(shift)
        return shift.ends[0][1]

    def interrupt(self, task_id: bytes, attempt: int) -> bool:
        """Cancel an attempt if it is here now; whether it is. From any thread."""
        found = (task_id, attempt) in self._keys
        if found:
            self._asked.append((task_id, attempt))
            self._bell.ring()
        return found

    # -- The work of a shift -----------------------------------------------------------------------------------------

    def _shift(self, frames: Sequence[bytes]) -> Shift:
        shift = Shift(self._limit, lambda now, limit: Patience(now, limit, GIVE_UP))
        shift.take(frames, time.monotonic())
        self._keys = frozenset(each.head.key for each in shift.here)
        return shift

    def _work(self, shift: Shift) -> None:
        """Until there is nothing left to do."""
        while shift.busy:
            self._survive(shift)
        self._keys = frozenset()
        self._asked.clear()

    def _survive(self, shift: Shift) -> None:
        try:
            self._turn(shift, self._runner_of(shift))
        except RunnerDied as death:
            self._died(shift, death)
        except OSError as error:
            self._died(shift, RunnerDied(f'no process could be started for the task on {socket.gethostname()}: {error}'))

    def _turn(self, shift: Shift, runner: Runner) -> None:
        """One wait, and what is to be done before and after it."""
        if frames := shift.pour(time.monotonic()):
            runner.pour(frames)
        self._attend(shift, runner)
        alive = runner.wait(shift.pause(time.monotonic()))
        self._collect(shift, runner)
        if runner is not self._runner:
            return
        if not alive:
            self._take_back(shift, runner)
            raise runner.bury()
        if shift.late(time.monotonic()):
            self._take_back(shift, runner)
            self._send_off(shift, shift.leave(time.monotonic()))

    def _take_back(self, shift: Shift, runner: Runner) -> None:
        """In this order: what was not taken back has begun, and all of that but one has ended and said so."""
        shift.back(runner.take_back())
        self._collect(shift, runner)

    def _collect(self, shift: Shift, runner: Runner) -> None:
        """Hear what the runner has said."""
        said = runner.answers()
        if STARTED in said:
            shift.patience.started(time.monotonic())
        if ends := [each for each in said if each != STARTED]:
            reason, attempt = shift.patience.reason, shift.running
            shift.ended(ends, time.monotonic())
            if self._line is not None:
                self._line.over()
            if reason and attempt is not None:
                self._retire(runner, attempt)

    def _attend(self, shift: Shift, runner: Runner) -> None:
        """Do what is due for the attempt that runs."""
        if self._asked:
            self._cancel(shift, runner)
        attempt, patience = shift.running, shift.patience
        if attempt is None:
            return
        step = patience.step(time.monotonic())
        if step is Step.INTERRUPT:
            runner.interrupt(patience.reason)
        elif step is Step.KILL:
            runner.kill_all(attempt.head)
        elif step is Step.REPORT and self._line is not None:
            self._line.tell(attempt.head, self.interrupt)

    def _cancel(self, shift: Shift, runner: Runner) -> None:
        """Only now is it asked which one runs: the others go elsewhere, and end there."""
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        if shift.crowded:
            self._take_back(shift, runner)
        if shift.running is not None and shift.running.head.key in asked:
            shift.patience.interrupt(CANCEL)
        self._send_off(shift, [gone for key in asked if (gone := shift.drop(key)) is not None])

    def _send_off(self, shift: Shift, gone: Sequence[Attempt]) -> None:
        """They are not to wait for the one that runs; nor is what has ended."""
        if self._line is not None and gone:
            self._line.hand([(attempt.head.key, end) for attempt, end in shift.ends], [each.head.key for each in gone])

    def _died(self, shift: Shift, death: RunnerDied) -> None:
        """Charge the one that ran. If none did, a runner that has never been of use is charged to the next one, lest this go on for ever."""
        useless = self._runner is None or not self._runner.useful
        attempt, patience = shift.running or (shift.next if useless else None), shift.patience
        self._renew()
        if self._line is not None:
            self._line.over()
        if attempt is None:
            return
        if patience.reason and not self._closed:
            shift.lost(_killed(patience, shift.limit(attempt), str(death.args[1])), time.monotonic())
        else:
            shift.lost(encode_end(Death('worker', str(death))), time.monotonic())

    # -- The runner --------------------------------------------------------------------------------------------------

    def _retire(self, runner: Runner, attempt: Attempt) -> None:
        """A runner that was interrupted gets no other task: a late signal, a lock that is held or a child that lives on would be that one's."""
        runner.kill_all(attempt.head)
        runner.close()
        self._renew()

    def _renew(self) -> None:
        self._runner = None
        with contextlib.suppress(OSError):  # else the next task says why there can be no process
            self.prepare()

    def _runner_of(self, shift: Shift) -> Runner:
        """One account's data never meets another's code, also not what it left in memory."""
        attempt = shift.running or shift.next
        account = attempt.head.account if attempt is not None else None
        if self._runner is not None and self._runner.account not in (None, account):
            self._runner.close()
            self._runner = None
        if shift.running is None:
            self.prepare()
        if self._runner is None:
            raise RunnerDied('the engine stops')
        self._runner.account = account
        return self._runner

    def kill(self) -> None:
        """Kill the runner for good. Safe from another thread while `run` waits."""
        self._closed = True
        runner = self._runner
        if runner is not None:
            runner.kill()

    def close(self) -> None:
        """End the runner and wait for it, in the thread that called `run`."""
        self._closed = True
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        self._bell.close()


def _killed(patience: Patience, limit: float, rest: str) -> bytes:
    """The end of what did not listen."""
    from relay_parsl.engines import task  # noqa: PLC0415  a node imports what packs errors only when there is one

    how = f' and was killed {patience.grace:g} s later' if patience.killed else ', and its process ended'
    error, started = interruption(patience.reason, limit, how + rest), time.time() - (time.monotonic() - patience.since)
    return encode_end(task.ended(error, started, cancelled=patience.reason == CANCEL))


_worker: Worker | None = None


def run_task(chunk: bytes, contact: Sequence[Any] = (), shift: int = 0, seconds: float | None = None) -> bytes:
    """What HTEX calls for each chunk. `contact`: whom to ask for more as `shift` (0: nobody), and tell of long ones; `seconds` it takes."""
    global _worker  # noqa: PLW0603  one worker is one process: its runner outlives the call
    if _worker is None:
        leash.die_with_parent()
        accelerators.correct(os.environ)
        _worker = Worker(line=Line(contact) if contact else None)
    return _worker.run_chunk(chunk, ranks.taken(os.environ))  # nodes of an MPI engine's task: its own, and its runner outlives it
