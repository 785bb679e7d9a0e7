"""Engines for one host: `ThreadPoolEngine` inside the endpoint's process, `ProcessPoolEngine` with one runner process a worker."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any

from relay_parsl.engines import task
from relay_parsl.engines.base import Changed, Deliver, EngineStatus, Event, Finished, Running, Work
from relay_parsl.engines.frames import Place, encode_end, encode_work, event_of
from relay_parsl.engines.waiting import Waiting
from relay_parsl.engines.worker import Worker
from relay_parsl.errors import ConfigError, TaskError, TaskRejected
from relay_parsl.wire import payload

JOIN = 5.0
"""Seconds that `stop` waits for processes to be gone."""


class Queue:
    """Attempts that wait for a worker, the most urgent first."""

    def __init__(self) -> None:
        """An open and empty one."""
        self._waiting = Waiting()
        self._changed = threading.Condition()
        self._open = True
        self._taken: dict[tuple[bytes, int], int] = {}
        self._doomed: set[tuple[bytes, int]] = set()

    def put(self, work: Work) -> None:
        """Add an attempt; `call` follows."""
        self._waiting.arrive(work)

    def call(self) -> None:
        """Wake those who wait for attempts."""
        with self._changed:
            self._changed.notify(len(self._waiting))

    def take(self, rank: int) -> Work | None:
        """The next attempt, for the worker `rank` until it is `done`; waits for one. None: the queue was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._open)
            if not self._open:
                return None
            work = self._waiting.pop()
            self._taken[work.task_id, work.attempt] = rank
            return work

    def done(self, work: Work) -> None:
        """It has ended."""
        with self._changed:
            del self._taken[work.task_id, work.attempt]
            self._doomed.discard((work.task_id, work.attempt))

    def doom(self, task_id: bytes, attempt: int) -> int | None:
        """Note that an attempt shall end that was taken; returns by whom, None of one that was not."""
        with self._changed:
            rank = self._taken.get((task_id, attempt))
            if rank is not None:
                self._doomed.add((task_id, attempt))
            return rank

    def is_doomed(self, work: Work) -> bool:
        """Whether it shall end."""
        return (work.task_id, work.attempt) in self._doomed

    def remove(self, task_id: bytes, attempt: int) -> bool:
        """Forget an attempt that waits."""
        with self._changed:
            return self._waiting.remove(task_id, attempt)

    def close(self) -> None:
        """Wake all takers; what waits is dropped."""
        with self._changed:
            self._open = False
            self._waiting = Waiting()
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)


def refused_options(work: Work, specification: Mapping[str, Any] | None = None) -> str:
    """Why an engine that has no nodes to share out cannot honour an attempt's options; '' when it can. `specification`: only this part of its own."""
    timeout = work.options.get('timeout')
    if timeout is not None and (type(timeout) not in (int, float) or not 0 < timeout < inf):
        return f'timeout: a positive number of seconds is needed, not {str(timeout)[:80]}'
    specification = work.options.get('resource_specification') if specification is None else specification
    if not specification:
        return ''
    foreign = sorted(str(each) for each in specification if each != 'priority')
    if foreign:
        return f'resource_specification: this engine knows priority only, not {", ".join(foreign)}'
    if type(specification.get('priority', 0)) is not int:  # HTEX's interchange would die of it
        return f'resource_specification: priority is a whole number, not {str(specification["priority"])[:80]}'
    return ''


def rejection(work: Work, reason: str, kind: type[TaskError] = TaskRejected) -> Finished:
    """An attempt that never ran, because what it asks for cannot be had: a result like any other failure, and no reason to try again."""
    outcome = payload.Outcome(False, payload.dump_failure(kind(reason)))
    return Finished(work.task_id, work.attempt, False, payload.encode_outcome(outcome))


def _cpus() -> int:
    """CPUs that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


class _PoolEngine(ABC):
    """A queue and as many threads as there are workers."""

    def __init__(self, max_workers: int | None = None, *, max_retries_on_system_failure: int = 2) -> None:
        """See the engines below.

        Args:
            max_workers: tasks that run at once; by default as many as this process has CPUs.
            max_retries_on_system_failure: how often the endpoint starts a task again whose process died.

        Raises:
            ConfigError: max_workers is not a positive number.
        """
        if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
            raise ConfigError(f'max_workers: a positive number is needed, not {max_workers!r}')
        self.capacity = max_workers or _cpus()
        self.max_retries_on_system_failure = max_retries_on_system_failure
        self._queue = Queue()
        self._busy = 0
        self._counting = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._deliver: Deliver = lambda event: None

    def start(self, deliver: Deliver, run_dir: Path, label: str) -> None:
        """See `Engine`."""
        run_dir.mkdir(parents=True, exist_ok=True)
        self._deliver = deliver
        self._threads = [
            threading.Thread(target=self._serve, args=(rank, run_dir), name=f'{label}-{rank}', daemon=True) for rank in range(self.capacity)
        ]
        for thread in self._threads:
            thread.start()
        deliver(Changed(self.status()))

    def submit(self, work: Work) -> None:
        """See `Engine`."""
        self._queue.put(work)

    def flush(self) -> None:
        """See `Engine`."""
        self._queue.call()

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`. What runs in a thread cannot be ended."""
        return self.withdraw(task_id, attempt)

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        return self._queue.remove(task_id, attempt)

    def demand(self, count: int) -> None:
        """See `Engine`. A pool does not scale."""
        del count

    def status(self) -> EngineStatus:
        """See `Engine`."""
        state = 'stopped' if self._stopped else 'ready'
        return EngineStatus(self.capacity, self.capacity, 1, 1, payload.PYTHON, len(self._queue) + self._busy, state)

    def stop(self) -> None:
        """See `Engine`."""
        self._stopped = True
        self._queue.close()

    @abstractmethod
    def _serve(self, rank: int, run_dir: Path) -> None:
        """One worker's thread, until the queue closes."""

    def _work_off(self, rank: int, perform: Callable[[Work], Event]) -> None:
        """Take attempts until the queue closes."""
        while (work := self._queue.take(rank)) is not None:
            self._count(1)
            reason = self._refused(work)
            event = rejection(work, reason) if reason else perform(work)
            self._count(-1)
            self._queue.done(work)
            self._say(event)

    def _refused(self, work: Work) -> str:
        """Why it cannot run here, or ''."""
        return refused_options(work)

    def _count(self, step: int) -> None:
        with self._counting:
            self._busy += step

    def _say(self, event: Event) -> None:
        if not self._stopped:
            self._deliver(event)


class ThreadPoolEngine(_PoolEngine):
    """Runs tasks in threads of the endpoint's own process: the quickest start, for a laptop and for tests.

    Tasks share the endpoint's memory, directory and environment; a task that crashes takes the endpoint with it, and one that runs cannot be ended:
    a `timeout` is refused, and a `cancel` ends queued ones only. Where that matters take `ProcessPoolEngine`.
    """

    def _serve(self, rank: int, _run_dir: Path) -> None:
        functions = task.Functions()
        detail = {'host': socket.gethostname(), 'worker': str(rank)}

        def perform(work: Work) -> Event:
            self._say(Running(work.task_id, work.attempt, detail))
            end = task.run(work, functions)
            return event_of(work, encode_end(end))

        self._work_off(rank, perform)

    def _refused(self, work: Work) -> str:
        if work.options.get('timeout') is not None:
            return 'timeout: ThreadPoolEngine cannot end a function that runs; a ProcessPoolEngine or an HtexEngine can'
        return super()._refused(work)


class ProcessPoolEngine(_PoolEngine):
    """Runs tasks in processes of this host, one runner a worker: a task that dies is charged alone."""

    def __init__(
        self, max_workers: int | None = None, *, working_dir: str | None = None, run_in_sandbox: bool = False, max_retries_on_system_failure: int = 2
    ) -> None:
        """See the class.

        Args:
            max_workers: tasks that run at once; by default as many as this process has CPUs.
            working_dir: where tasks run; relative to the engine's run directory. By default where the endpoint was started.
            run_in_sandbox: give each task a directory of its own in there.
            max_retries_on_system_failure: how often the endpoint starts a task again whose process died.

        Raises:
            ConfigError: max_workers is not a positive number.
        """
        super().__init__(max_workers, max_retries_on_system_failure=max_retries_on_system_failure)
        self._working_dir, self._sandbox = working_dir, run_in_sandbox
        self._workers: list[Worker] = []

    def start(self, deliver: Deliver, run_dir: Path, label: str) -> None:
        """See `Engine`."""
        self._workers = [Worker({'PARSL_WORKER_RANK': str(rank), 'PARSL_WORKER_COUNT': str(self.capacity)}) for rank in range(self.capacity)]
        super().start(deliver, run_dir, label)

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        if self.withdraw(task_id, attempt):
            return True
        rank = self._queue.doom(task_id, attempt)
        if rank is not None:
            self._workers[rank].interrupt(task_id, attempt)
        return False

    def stop(self) -> None:
        """See `Engine`."""
        super().stop()
        for worker in self._workers:
            worker.kill()
        for thread in self._threads:
            thread.join(JOIN)

    def _serve(self, rank: int, run_dir: Path) -> None:
        """One thread a runner, for as long as the engine lives: a runner dies with the thread that started it."""
        worker, place = self._workers[rank], place_of(self._working_dir, self._sandbox, run_dir)
        detail = {'host': socket.gethostname(), 'worker': str(rank)}
        with contextlib.suppress(OSError):  # else the first task says why there can be no process
            worker.prepare()

        def perform(work: Work) -> Event:
            self._say(Running(work.task_id, work.attempt, detail))
            return event_of(work, worker.run(encode_work(work, place), lambda: self._queue.is_doomed(work)))

        self._work_off(rank, perform)
        worker.close()


def place_of(working_dir: str | None, sandbox: bool, run_dir: Path) -> Place:
    """Where tasks run, as an endpoint file says it: relative to the run directory; sandboxes need a directory, and get one there."""
    if working_dir is None and not sandbox:
        return Place()
    return Place(str(Path(run_dir, working_dir or 'tasks_working_dir').absolute()), sandbox)
