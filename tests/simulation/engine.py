"""A simulated engine: starts, finishes, fails and loses tasks, and keeps the log of side effects that invariant 4 reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from relay_parsl.wire.messages import Id, TaskHeader
from tests.simulation.clock import Clock

CAUSES = ('worker', 'manager', 'walltime', 'engine')


class Job(NamedTuple):
    """What the endpoint's loop hands over."""

    task_id: bytes
    attempt: int
    header: bytes
    payload: bytes


@dataclass
class Speed:
    """How long tasks take [s] and how many of them are lost; `losses` may be set to 0 to end the faults."""

    mean: float = 0.4
    losses: float = 0.03
    failures: float = 0.05


class Task(Protocol):
    """What an engine may know of a task."""

    account: Id
    header: TaskHeader
    deadly: str
    timeout: float
    slow: bool


class Users(Protocol):
    """Those who know what the tasks do, and are told what becomes of them."""

    def task(self, task_id: bytes) -> Task:
        """The task of this id."""

    def began(self, task_id: bytes) -> None:
        """A worker has begun it."""

    def ends_well(self, task_id: bytes) -> bool | None:
        """How its own code ends after all its tries; None: the dice say it."""

    def charged(self, task_id: bytes, evidence: str) -> None:
        """An attempt was lost, and why."""

    def check(self, holds: object, text: str) -> None:
        """Raises Violation unless it holds."""


class Engine:
    """Runs at most `capacity` jobs at a time; it dies with its process."""

    def __init__(self, clock: Clock, capacity: int, speed: Speed, started: Callable[[bytes], None], users: Users) -> None:
        """`started` is told of every start of every task, before anything else happens."""
        self.clock, self.capacity, self.speed, self._started, self.users = clock, capacity, speed, started, users
        self.alive = True
        self.waiting: deque[Job] = deque()
        self.running: dict[tuple[bytes, int], Job] = {}
        self.on_running: Callable[[Job], None] = lambda job: None
        self.on_finished: Callable[[Job, bool], None] = lambda job, ok: None
        self.on_lost: Callable[[Job, str, str], None] = lambda job, cause, evidence: None
        self.on_cancelled: Callable[[Job], None] = lambda job: None

    def submit(self, job: Job) -> None:
        """Handed over: from here on the task counts as started."""
        self._started(job.task_id)
        self.clock.tally.starts += 1
        self.waiting.append(job)
        self._next()

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        """What waits will not run; what runs is told to end, if it does not end by itself before."""
        job = self.running.get((task_id, attempt))
        if job is not None:
            self.clock.after(self.clock.random.uniform(0.0, 3.0), self._interrupt, job)
        return self.withdraw(task_id, attempt)

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        """Only what waits is given back."""
        for job in self.waiting:
            if (job.task_id, job.attempt) == (task_id, attempt):
                self.waiting.remove(job)
                return True
        return False

    def break_down(self) -> None:
        """The whole engine is gone, and so is what was inside; it is built anew at once."""
        self.clock.tally.faults['engine'] += 1
        inside = [*self.running.values(), *self.waiting]
        self.running.clear()
        self.waiting.clear()
        for job in inside:
            self.on_lost(job, 'engine', 'it died')

    def _next(self) -> None:
        while self.waiting and len(self.running) < self.capacity:
            job = self.waiting.popleft()
            self.running[job.task_id, job.attempt] = job
            self.users.began(job.task_id)
            seconds = min(self.clock.random.expovariate(1 / self.speed.mean), 15.0)
            self.clock.after(seconds, self._end, job)
            if seconds > 1.0:
                self.on_running(job)

    def _interrupt(self, job: Job) -> None:
        if self.alive and self.running.get((job.task_id, job.attempt)) is job:
            del self.running[job.task_id, job.attempt]
            self.on_cancelled(job)
            self._next()

    def _end(self, job: Job) -> None:
        if not self.alive or self.running.get((job.task_id, job.attempt)) is not job:
            return
        del self.running[job.task_id, job.attempt]
        chance = self.clock.random.random()
        if self.users.task(job.task_id).deadly:
            self.on_lost(job, 'worker', f'killed by {job.task_id.hex()}')
        elif chance < self.speed.losses:
            self.on_lost(job, self.clock.random.choice(CAUSES), 'it died')
        else:
            well = self.users.ends_well(job.task_id)
            self.on_finished(job, chance > self.speed.losses + self.speed.failures if well is None else well)
        self._next()
