"""A simulated worker: the real decisions of one (`engines.shift`, `talk` and `patience`) around a runner that is made of numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from relay_parsl.engines.control import Cancel, Running, hear_cancel, say_running
from relay_parsl.engines.frames import Death, End, decode_chunk, encode_end, head_of
from relay_parsl.engines.interrupts import CANCEL
from relay_parsl.engines.patience import Patience, Step
from relay_parsl.engines.shift import Attempt, Shift
from relay_parsl.engines.talk import Talk
from relay_parsl.wire.codec import decode, encode
from relay_parsl.wire.messages import Message

if TYPE_CHECKING:
    from tests.simulation.fused_engine import Process

GIVE_UP = 3.0
"""Seconds that a function has to end once it was told to."""
LOSS, DOUBLE, BREAK = 0.01, 0.02, 0.005
"""Chances of a message on the control channel."""


@dataclass
class Fate:
    """What a task will do when it runs: for so many seconds, and then ends, well or not, or takes its runner or its whole worker with it."""

    seconds: float
    ok: bool = True
    deadly: str = ''
    deaf: bool = False
    """It does not listen to a signal."""


class WorkerDied(Exception):
    """What HTEX says of a task whose worker process ended."""


class Runner:
    """Works off what it is given in order; what it has not begun can be taken back."""

    def __init__(self) -> None:
        """With nothing to do."""
        self.queue: deque[tuple[bytes, Fate]] = deque()
        self.begun = inf
        """When the first of the queue has begun, or will."""
        self.said: list[bytes] = []
        self.dead: Fate | None = None

    def rings(self) -> float:
        """When it will have something to say that cannot wait: all is done, or it dies."""
        when = self.begun
        for _, fate in self.queue:
            when += fate.seconds
            if fate.deadly:
                break
        return when if self.queue else inf


class SimWorker:
    """One worker of a node, for as long as its node lives."""

    def __init__(self, process: Process, name: str, *, reachable: bool) -> None:
        """`reachable`: whether it can dial its engine process."""
        self.process, self.clock, self.name, self.reachable = process, process.clock, name, reachable
        self.future: Future[Any] | None = None
        self.inbox: deque[Message] = deque()
        self.connections = 0
        self.alive = True
        self.due = inf
        self.runner = Runner()
        self.asked: list[tuple[bytes, int]] = []
        self.number = 0

    # -- A shift -----------------------------------------------------------------------------------------------------

    def begin(self, context: dict[str, Any], chunk: bytes, future: Future[Any]) -> None:
        """HTEX has a task for it."""
        known = context['task_executor']['k']
        self.number, self.future, self.runner = known['shift'], future, Runner()
        self.connections = 0
        self.inbox.clear()
        self.shift = Shift(0.0, lambda now, limit: Patience(now, limit, GIVE_UP))
        self.shift.take(decode_chunk(chunk), self.clock.now, known['seconds'])
        self.talk = Talk(self.number, self.clock.now)
        self.come(0.0)
        if self.reachable and self.number:
            self.clock.after(0.002 + 0.05 * self.clock.random.random() ** 4, self.dial, future)

    def dial(self, future: Future[Any]) -> None:
        """There is a connection, or a new one; what was on its way over the old one is lost."""
        if self.alive and self.future is future:
            self.connections += 1
            self.come(0.0)

    def routing(self) -> bytes:
        """Of its present connection."""
        return f'{self.name}.{self.number}.{self.connections}'.encode()

    def come(self, delay: float) -> None:
        """Have a turn by then."""
        when = self.clock.now + delay
        if when < self.due:
            self.due = when
            self.clock.at(when, self._turn_at, when)

    def _turn_at(self, when: float) -> None:
        if when == self.due:
            self.due = inf
            if self.alive and self.process.alive and self.future is not None:
                self._turn()

    def _turn(self) -> None:
        now, shift = self.clock.now, self.shift
        self._advance(now)
        if not self.alive:
            return
        self._collect(now)
        self._pour(now)
        self._attend(now)
        if shift.late(now, full=self.talk.full):
            self._take_back(now)
            gone = shift.leave(now, full=self.talk.full)
            self.clock.tally.engine['left'] += len(gone)
            self._say(self.talk.returned([each.head.key for each in gone]))
        self._pour(now)
        self._speak(now)
        if not shift.busy and not self.talk.open(now):
            self._end()
        else:
            self._hear()
            self._wait(now)

    def _wait(self, now: float) -> None:
        pause = self.shift.pause(now)
        self.come(max(0.0005, min(inf if pause is None else pause, self.talk.pause(self.shift.left(now), now), self.runner.rings() - now, 1.0)))

    def _end(self) -> None:
        future, self.future = self.future, None
        self._say(self.talk.close())
        self.talk.ended([(attempt.place, end) for attempt, end in self.shift.fetch()])
        assert future is not None
        future.set_result(self.talk.result())
        self.process.free(self)

    # -- The runner --------------------------------------------------------------------------------------------------

    def _pour(self, now: float) -> None:
        for frame in self.shift.pour(now):
            if not self.runner.queue:
                self.runner.begun = now
                self.process.ran(head_of(frame).task_id)
            self.runner.queue.append((frame, self.process.fate(head_of(frame))))
            if head_of(frame).timeout:
                self.shift.patience.started(now)

    def _advance(self, now: float) -> None:
        """What the runner has done by now."""
        runner = self.runner
        while runner.queue and runner.begun + runner.queue[0][1].seconds <= now:
            frame, fate = runner.queue.popleft()
            if fate.deadly:
                runner.queue.appendleft((frame, fate))
                self._fatal(fate, head_of(frame).task_id)
                return
            runner.begun += fate.seconds
            runner.said.append(encode_end(End(fate.ok, b'', seconds=fate.seconds)))
            if runner.queue:
                self.process.ran(head_of(runner.queue[0][0]).task_id)

    def _fatal(self, fate: Fate, task_id: bytes) -> None:
        if fate.deadly == 'worker':
            self.clock.tally.engine['worker killed'] += 1
            self.kill(WorkerDied(f'killed by {task_id.hex()}'))
        else:
            self.clock.tally.engine['runner killed'] += 1
            self._died(f'killed by {task_id.hex()}')

    def _died(self, evidence: str) -> None:
        """As `Worker._died`: the one that ran is charged, the others go to a fresh runner."""
        now, runner = self.clock.now, self.runner
        behind = max(0, len(runner.queue) - 1)
        self.shift.back(behind)
        self.runner = Runner()
        self.runner.said = runner.said
        self._collect(now)
        patience = self.shift.patience
        reason = patience.reason
        end = End(False, reason.encode(), seconds=now - runner.begun, cancelled=reason == CANCEL) if reason else Death('worker', evidence)
        self.shift.lost(encode_end(end), now)
        self.come(0.0)

    def _collect(self, now: float) -> None:
        said, self.runner.said = self.runner.said, []
        if said:
            self.shift.ended(said, now)

    def _attend(self, now: float) -> None:
        asked, self.asked = self.asked, []
        if asked:
            self._cancel(asked, now)
        attempt = self.shift.running
        if attempt is None:
            return
        step = self.shift.patience.step(now)
        if step is Step.INTERRUPT:
            self._interrupt(now)
        elif step is Step.KILL:
            self._died('it did not listen')
        elif step is Step.REPORT:
            self._report(attempt)

    def _report(self, attempt: Attempt) -> None:
        if self.connections:
            self._say([say_running(Running(attempt.head.task_id, attempt.head.attempt, {'host': self.process.name, 'worker': self.name}))])

    def _interrupt(self, now: float) -> None:
        self.clock.tally.engine[self.shift.patience.reason] += 1
        if self.runner.queue[0][1].deaf:
            return
        self.runner.queue.popleft()
        reason = self.shift.patience.reason
        end = End(False, reason.encode(), seconds=now - self.runner.begun, cancelled=reason == CANCEL)
        self.runner.said.append(encode_end(end))
        self.come(0.01)

    def _cancel(self, asked: list[tuple[bytes, int]], now: float) -> None:
        if self.shift.crowded:
            self._take_back(now)
        if self.shift.running is not None and self.shift.running.head.key in asked:
            self.shift.patience.interrupt(CANCEL)
        gone = [each for each in map(self.shift.drop, asked) if each is not None]
        self._say(self.talk.returned([each.head.key for each in gone]))

    def _take_back(self, now: float) -> None:
        behind = list(self.runner.queue)[1:]
        for _ in behind:
            self.runner.queue.pop()
        self.shift.back(len(behind))
        self._collect(now)

    def kill(self, why: Exception) -> None:
        """The worker's process dies, and HTEX hears why; a fresh one follows."""
        future, self.future, self.alive = self.future, None, False
        self.process.replace(self)
        if future is not None:
            future.set_exception(why)

    # -- The control channel -----------------------------------------------------------------------------------------

    def _speak(self, now: float) -> None:
        self.talk.ended([(attempt.place, end) for attempt, end in self.shift.fetch()])
        self._say(self.talk.connect(self.connections))
        self._say(self.talk.say(self.shift.left(now), now))

    def _say(self, messages: list[Message]) -> None:
        random = self.clock.random
        for message in messages if self.connections else ():
            if random.random() < BREAK * self.process.faults:
                self.connections += 1
                self.come(0.0)
                return
            self._carry(message, self.process.hear, self.routing())

    def _carry(self, message: Message, to: Callable[..., None], *args: Any) -> None:
        random, copies = self.clock.random, 1
        if random.random() < LOSS * self.process.faults:
            copies = 0
        elif random.random() < DOUBLE * self.process.faults:
            copies = 2
        for _ in range(copies):
            self.clock.after(0.0005 + 0.001 * random.random(), to, *args, decode(encode(message)))

    def tell(self, routing: bytes, message: Message) -> bool:
        """The engine process says something; False: over a connection that is not any more."""
        if not self.alive or self.future is None or routing != self.routing():
            return False
        self._carry(message, self._arrive, routing)
        return True

    def _arrive(self, routing: bytes, message: Message) -> None:
        if self.alive and self.future is not None and routing == self.routing():
            self.inbox.append(message)
            self.come(0.0)

    def _hear(self) -> None:
        while self.inbox:
            message = self.inbox.popleft()
            if isinstance(message, Cancel):
                self.asked.extend(hear_cancel(message))
                self.come(0.0)
            elif (refill := self.talk.hear(message)) is not None:
                self.clock.tally.engine['refilled'] += 1
                self.shift.take(decode_chunk(refill.chunk), self.clock.now, refill.seconds)
                self.come(0.0)
