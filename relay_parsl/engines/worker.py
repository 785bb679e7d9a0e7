"""A worker's side of a runner: all that a compute node imports of ours before user code.

`run_task` is what HTEX calls with the bytes of a chunk. The work itself is done in a child, the *runner*; its death is noticed in milliseconds,
charged to the very attempt that it ran, and hurts neither the worker nor its neighbours. An attempt that shall end (`timeout`, `cancel`) is told to
by a signal, and its runner is killed when it does not listen; either way the next attempt gets a fresh one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import ceil, inf
from typing import Any

from relay_parsl.engines import accelerators, leash, ranks
from relay_parsl.engines.control import hear_cancel
from relay_parsl.engines.frames import Death, decode_chunk, encode_end, with_environment
from relay_parsl.engines.interrupts import CANCEL, STARTED, default_limit, interruption
from relay_parsl.engines.line import Line
from relay_parsl.engines.patience import Patience, Step
from relay_parsl.engines.runners import Bell, Runner, RunnerDied
from relay_parsl.engines.shift import Attempt, Shift
from relay_parsl.engines.talk import Talk
from relay_parsl.errors import ProtocolError
from relay_parsl.wire.messages import Cancel, Message

logger = logging.getLogger(__name__)

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
        self._bell, self._poll = Bell(), select.poll()
        self._poll.register(self._bell.reader, select.POLLIN)
        self._watched: tuple[int, ...] = ()
        self._keys: frozenset[Key] = frozenset()
        self._asked: deque[Key] = deque()
        self._shift, self._talk = self._begin([]), Talk(0, 0.0)

    def prepare(self) -> None:
        """Have a runner ready. Raises OSError."""
        if self._runner is not None and not self._runner.alive():
            self._runner.close()
            self._runner = None
        if self._runner is None and not self._closed:
            self._runner = Runner(self._environment, self._poll)

    def run_shift(self, data: bytes, nodes: dict[str, str], number: int = 0, seconds: float | None = None) -> bytes:
        """A shift that begins with a chunk: work frames to their end frames; what has not started in time is not among them.

        Args:
            data: the chunk.
            nodes: variables for each of its attempts.
            number: of the shift; 0: it ends with this chunk.
            seconds: how long its attempts take, if anybody knows.
        """
        frames = [with_environment(frame, nodes) if nodes else frame for frame in decode_chunk(data)]
        self._shift, self._talk = self._begin(frames, seconds), Talk(number, time.monotonic())
        self._work()
        self._hand_in()
        return self._talk.result(dialling=self._line is not None and self._line.open)

    def run(self, frame: bytes, doomed: Callable[[], bool] = lambda: False) -> bytes:
        """A work frame to its end frame; never raises for what happens in it. `doomed`: whether it was cancelled before it came here."""
        self._shift, self._talk = self._begin([frame]), Talk(0, time.monotonic())
        if doomed():
            self._asked.extend(self._keys)
        self._work()
        return self._shift.ends[0][1]

    def interrupt(self, task_id: bytes, attempt: int) -> bool:
        """Cancel an attempt if it is here now; whether it is. From any thread."""
        found = (task_id, attempt) in self._keys
        if found:
            self._asked.append((task_id, attempt))
            self._bell.ring()
        return found

    # -- The work of a shift -----------------------------------------------------------------------------------------

    def _begin(self, frames: Sequence[bytes], seconds: float | None = None) -> Shift:
        shift = Shift(self._limit, lambda now, limit: Patience(now, limit, GIVE_UP))
        if frames:
            shift.take(frames, time.monotonic(), seconds)
        self._keys = frozenset(each.head.key for each in shift.here)
        return shift

    def _work(self) -> None:
        """Until there is nothing left to do, and nothing more to come."""
        while self._goes_on:
            self._survive()
        if self._line is not None:
            self._line.say(self._talk.close())
            self._line.flush()
        self._keys = frozenset()
        self._asked.clear()

    @property
    def _goes_on(self) -> bool:
        return self._shift.busy or self._talk.open(time.monotonic())

    def _survive(self) -> None:
        try:
            self._turn(self._runner_of())
        except RunnerDied as death:
            self._died(death)
        except OSError as error:
            self._died(RunnerDied(f'no process could be started for the task on {socket.gethostname()}: {error}'))

    def _turn(self, runner: Runner) -> None:
        """What is to be done now, and one wait."""
        self._collect(runner)
        if runner is not self._runner:
            return  # it was of no more use
        self._pour(runner)
        self._attend(runner)
        if self._shift.late(time.monotonic(), full=self._talk.full):
            self._take_back(runner)
            self._send_off(self._shift.leave(time.monotonic(), full=self._talk.full))
        self._pour(runner)  # what was taken back for a moment
        self._say()
        if runner is not self._runner or not self._goes_on:
            return
        ready = self._wait(runner.most)
        if not runner.heed(ready):
            self._take_back(runner)
            raise runner.bury()
        if not ready or not ready.isdisjoint(self._watched):  # else only the runner rang, and its answer goes first
            self._hear()

    def _pour(self, runner: Runner) -> None:
        if runner is self._runner and (frames := self._shift.pour(time.monotonic())):
            runner.pour(frames)

    def _wait(self, most: float) -> set[int]:
        """Until something has come, or something is due: in milliseconds, rounded up, lest a wait of less spin."""
        now = time.monotonic()
        due = self._shift.pause(now)
        seconds = min(most, inf if due is None else due, self._talk.pause(self._shift.left(now), now))
        if self._line is not None:
            seconds = 0.0 if self._line.ready else min(seconds, self._line.pause(now))
        ready = {number for number, _ in self._poll.poll(None if seconds == inf else ceil(1000 * seconds))}
        if self._bell.reader in ready:
            self._bell.hush()
        return ready

    def _take_back(self, runner: Runner) -> None:
        """In this order: what was not taken back has begun, and all of that but one has ended and said so."""
        self._shift.back(runner.take_back())
        self._collect(runner)

    def _collect(self, runner: Runner) -> None:
        """Hear what the runner has said."""
        said, shift = runner.answers(), self._shift
        if STARTED in said:
            shift.patience.started(time.monotonic())
        if ends := [each for each in said if each != STARTED]:
            reason, attempt = shift.patience.reason, shift.running
            shift.ended(ends, time.monotonic())
            if self._line is not None:
                self._line.over()
            if reason and attempt is not None:
                self._retire(runner, attempt)

    def _attend(self, runner: Runner) -> None:
        """Do what is due for the attempt that runs."""
        if self._asked:
            self._cancel(runner)
        attempt, patience = self._shift.running, self._shift.patience
        if attempt is None:
            return
        step = patience.step(time.monotonic())
        if step is Step.INTERRUPT:
            runner.interrupt(patience.reason)
        elif step is Step.KILL:
            runner.kill_all(attempt.head)
        elif step is Step.REPORT and self._line is not None:
            self._line.tell(attempt.head)

    def _cancel(self, runner: Runner) -> None:
        """Only now is it asked which one runs: the others go elsewhere, and end there."""
        asked, shift = [self._asked.popleft() for _ in range(len(self._asked))], self._shift
        if shift.crowded:
            self._take_back(runner)
        if shift.running is not None and shift.running.head.key in asked:
            shift.patience.interrupt(CANCEL)
        self._send_off([gone for key in asked if (gone := shift.drop(key)) is not None])

    def _died(self, death: RunnerDied) -> None:
        """Charge the one that ran. If none did, a runner that has never been of use is charged to the next one, lest this go on for ever."""
        shift = self._shift
        useless = self._runner is None or not self._runner.useful
        attempt, patience = shift.running or (shift.next if useless else None), shift.patience
        self._renew()
        if self._line is not None:
            self._line.over()
        if attempt is None:
            self._talk.close()
            return
        if patience.reason and not self._closed:
            shift.lost(_killed(patience, attempt.limit, str(death.args[1])), time.monotonic())
        else:
            shift.lost(encode_end(Death('worker', str(death))), time.monotonic())

    # -- The control channel -----------------------------------------------------------------------------------------

    def _say(self) -> None:
        """What there is to say, and no sooner than the runner has something to do: what a connection needs is imported meanwhile."""
        if self._line is None:
            return
        self._hand_in()
        if self._talk.number or self._line.wanted:
            self._dial()
        now = time.monotonic()
        self._line.say(self._talk.connect(self._line.connection))
        self._line.say(self._talk.say(self._shift.left(now), now))
        self._line.flush()

    def _hand_in(self) -> None:
        self._talk.ended([(attempt.place, end) for attempt, end in self._shift.fetch()])

    def _send_off(self, gone: Sequence[Attempt]) -> None:
        """They are not to wait for the one that runs; nor is what has ended."""
        if self._line is not None:
            self._line.say(self._talk.returned([each.head.key for each in gone]))

    def _hear(self) -> None:
        """What the engine process has said."""
        if self._line is not None:
            for message in self._line.hear():
                self._take(message)
            self._watch()

    def _take(self, message: Message) -> None:
        try:
            if isinstance(message, Cancel):
                self._asked.extend(hear_cancel(message))
            elif (refill := self._talk.hear(message)) is not None:
                self._shift.take(decode_chunk(refill.chunk), time.monotonic(), refill.seconds)
        except ProtocolError as error:
            logger.warning('an engine process said what it may not: %s', error)

    def _dial(self) -> None:
        if self._line is not None and self._line.dial():
            self._watch()

    def _watch(self) -> None:
        """Wait for the line as it is now, too."""
        descriptors = self._line.descriptors if self._line is not None else ()
        if descriptors == self._watched:
            return
        for number in self._watched:
            self._poll.unregister(number)
        for number in descriptors:
            self._poll.register(number, select.POLLIN)
        self._watched = descriptors

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

    def _runner_of(self) -> Runner:
        """One account's data never meets another's code, also not what it left in memory."""
        attempt = self._shift.running or self._shift.next
        if attempt is not None and self._runner is not None and self._runner.account not in (None, attempt.head.account):
            self._runner.close()
            self._runner = None
        if self._shift.running is None:
            self.prepare()
        if self._runner is None:
            raise RunnerDied('the engine stops')
        if attempt is not None:
            self._runner.account = attempt.head.account
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
        if self._line is not None:
            self._line.close()
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
    nodes = ranks.taken(os.environ)  # of an MPI engine's task: its own, and its runner outlives it
    return _worker.run_shift(chunk, nodes, shift if contact else 0, seconds)
