"""`HtexEngine`: Parsl's HighThroughputExecutor in a child process without keys, killed whole and built anew when it dies."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from relay_parsl.engines import build, launch, options, roster
from relay_parsl.engines.base import Changed, Deliver, EngineStatus, Lost, Running, Work
from relay_parsl.engines.demand import Pace
from relay_parsl.engines.frames import Place, event_of
from relay_parsl.engines.inside import SHOW_AFTER, Inside, pack
from relay_parsl.engines.pool import place_of, rejection
from relay_parsl.engines.settings import HtexSettings
from relay_parsl.engines.waiting import Waiting
from relay_parsl.errors import BlocksFailed, TaskCancelled

logger = logging.getLogger(__name__)

BATCH = 100
"""The most attempts in one message to the child."""
SILENCE = 600.0
"""Seconds without a word from a living child, beyond two strategy periods, after which it is taken for hung."""
STOP = 30.0
"""Seconds that a child has to cancel its blocks and end."""
PAUSES = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""Seconds before the next engine, by how many in a row no worker ever connected to."""


class HtexEngine(HtexSettings):
    """Runs tasks on nodes that Parsl's HighThroughputExecutor gets from a provider.

    Args:
        provider: where blocks come from; by default processes of this host.
        address: where managers find the interchange: an IP address; by default loopback for blocks on this host, else that of the default route.
        label: a word of one's own in the names of batch jobs.
        max_retries_on_system_failure: how often the endpoint starts a task again that was lost with its process, node or job.
        job_status_kwargs: `strategy`, `max_idletime` [s] and `strategy_period` [s].
        encrypted: CURVE between interchange and managers.
        working_dir: where tasks run; relative to the engine's run directory. By default where the batch job starts.
        run_in_sandbox: give each task a directory of its own in there.
        strategy: short for that of `job_status_kwargs`.
        container_type: docker, podman, podman-hpc, apptainer, singularity or custom.
        container_uri: the image.
        container_cmd_options: options of the container's program; the whole command of a custom one.
        max_blocks_per_minute: batch jobs that are submitted in a minute, at most; up to three first ones at once.
        **htex_options: other parameters of `parsl.executors.HighThroughputExecutor`.
    """

    def _start_empty(self) -> None:
        self._inside, self._waiting = Inside(), Waiting()
        self._changed, self._feeding, self._stopping = threading.Condition(), threading.Lock(), threading.Event()
        self._build: build.Build | None = None
        self._demand, self._told, self._reported, self._pace = 0, 0, 0.0, Pace()
        self._facts, self._breaker = dict[str, Any](), dict[str, Any]()
        self._state, self._reason, self._broken = 'starting', '', ''
        self._deliver: Deliver = lambda event: None
        self._place, self._threads = Place(), list[threading.Thread]()

    # -- Engine ------------------------------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        """See `Engine`: workers that are connected, or those of the first blocks."""
        return int(self._facts.get('workers') or self._expected)

    def start(self, deliver: Deliver, run_dir: Path, label: str) -> None:
        """See `Engine`. Returns at once; `Changed` events tell of progress."""
        run_dir = run_dir.absolute()
        launch.check_directory(run_dir)
        run_dir.mkdir(parents=True, exist_ok=True)
        self._deliver = deliver
        self._place = place_of(self._working_dir, self._sandbox, run_dir)
        plan = self._plan(label, self._address or options.address_of(self.provider))
        lives: dict[str, Callable[[], None]] = {'engine': partial(self._supervise, run_dir, plan), 'feed': self._feed}
        self._threads = [threading.Thread(target=live, name=f'{label}-{name}', daemon=True) for name, live in lives.items()]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work) -> None:
        """See `Engine`."""
        if reason := self.refusal(work):
            return self._deliver(rejection(work, reason))
        if self._broken and self._is_hopeless():
            return self._deliver(rejection(work, self._broken, BlocksFailed))
        return self._waiting.arrive(work)

    def flush(self) -> None:
        """See `Engine`."""
        self._go()

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`. What HTEX has, it keeps, for its futures cannot be cancelled: the worker that runs it ends it."""
        with self._changed:
            if self._waiting.remove(task_id, attempt):
                return True
            self._inside.doom(task_id, attempt)
            self._changed.notify_all()
        return False

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        with self._changed:
            if self._waiting.remove(task_id, attempt):
                return True
            return not self._facts.get('managers') and self._inside.withdraw(task_id, attempt)

    def demand(self, count: int) -> None:
        """See `Engine`."""
        self._demand = count
        if count > self._told:  # less is said along with something else, or within a second
            self._go()

    def status(self) -> EngineStatus:
        """See `Engine`."""
        state = 'broken' if self._broken and self._state != 'stopped' else self._state
        reason = self._broken or self._reason or str(self._facts.get('reason') or '')
        return roster.status(self._facts, self.capacity, len(self._waiting) + len(self._inside), state, reason)

    def stop(self) -> None:
        """See `Engine`. Cancels blocks; waits up to half a minute for it, then kills."""
        self._stopping.set()
        self._call()
        deadline = time.monotonic() + STOP
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._build is not None and any(thread.is_alive() for thread in self._threads):
            self._build.kill()
            for thread in self._threads:
                thread.join()
        self._state = 'stopped'

    # -- The child, in the supervising thread ------------------------------------------------------------------------

    def _supervise(self, run_dir: Path, plan: dict[str, Any]) -> None:
        """One engine process after the other, until `stop`."""
        barren = 0
        while not self._stopping.is_set():
            try:
                child = build.Build(run_dir, {**plan, 'breaker': self._breaker}, build.sweep(run_dir))
                build.forget(run_dir, alive=child.token)
                evidence = self._follow(child)
                child.kill()
                child.close()
            except OSError as error:
                evidence = f'no engine process could be started: {error}'
            barren = 0 if self._facts.get('workers') else barren + 1
            self._bury(evidence)
            self._stopping.wait(PAUSES[min(barren, len(PAUSES) - 1)])
        if not build.sweep(run_dir) or launch.is_local(self.provider):
            build.forget(run_dir)  # else jobs are left that only a next engine can cancel

    def _follow(self, child: build.Build) -> str:
        """Hear a child out; returns why it ended."""
        evidence = ''
        silence = SILENCE + 2 * float(self._job_status.get('strategy_period', 5.0))
        self._build = child
        if self._stopping.is_set():
            child.send(['stop'])  # the feeding thread may have ended before there was a child
        acts: dict[str, Callable[..., None]] = {'ready': self._ready, 'ended': self._ended, 'returned': self._returned}
        acts.update(breaker=self._tripped, status=self._report, running=self._runs, parted=self._parted)
        for verb, *values in child.messages(silence):
            if verb == 'dead':
                evidence = str(values[0])
            else:
                acts[verb](*values)
        return evidence or child.obituary()

    def _ready(self) -> None:
        self._state, self._reason, self._told = 'ready', '', 0
        self._call()

    def _ended(self, ends: list[tuple[int, bytes]]) -> None:
        with self._changed:
            before = self._inside.chunks
            done = [(self._inside.pop(number), frame) for number, frame in ends]
            self._pace.count(before - self._inside.chunks, time.monotonic())
        events = [(work, event_of(work, frame)) for work, frame in done if work is not None]
        with self._changed:  # before anybody hears of an end, and sends more of the same
            self._inside.learn(events, time.monotonic())
        for _, event in events if not self._stopping.is_set() else ():
            self._deliver(event)
        self._go()

    def _parted(self, numbers: list[int]) -> None:
        """Their worker died, of one of them: the others are not to pay for it, and each goes alone from now on."""
        with self._changed:
            for number in numbers:
                self._inside.part(number)
        self._returned(numbers)

    def _returned(self, numbers: list[int]) -> None:
        """They have not started, and go elsewhere: they wait again, and nothing is counted against them."""
        with self._changed:
            doomed = [self._inside.drop(number) for number in numbers if self._inside.is_doomed(number)]
            for work in filter(None, [self._inside.drop(number) for number in reversed(numbers)]):
                self._waiting.push(work, again=True)
            self._changed.notify_all()
        for work in filter(None, doomed):
            self._deliver(replace(rejection(work, 'cancelled before it ran', TaskCancelled), cancelled=True))

    def _runs(self, number: int, detail: dict[str, str]) -> None:
        with self._changed:
            work = self._inside.heard(number)
        if work is not None:
            self._deliver(Running(work.task_id, work.attempt, detail))

    def _tripped(self, breaker: dict[str, Any]) -> None:
        if breaker.get('reason') and not self._broken:
            logger.error('%s', breaker['reason'])
        self._breaker, self._broken = breaker, str(breaker.get('reason') or '')
        self._deliver(Changed(self.status()))  # before the tasks end: without them a pool may be ended
        self._surrender()

    def _is_hopeless(self) -> bool:
        """No worker is there, none will come, and tasks are not to wait for a restart."""
        return bool(self._broken) and self._fails and not self._facts.get('workers')

    def _surrender(self) -> None:
        """Fail what waits for workers that will not come. No try is spent: a next one would fare no better."""
        if not self._is_hopeless():
            return
        with self._changed:
            works = self._inside.clear() + [self._waiting.pop() for _ in range(len(self._waiting))]
        for work in works:
            self._deliver(rejection(work, self._broken, BlocksFailed))

    def _report(self, facts: dict[str, Any]) -> None:
        counts, news = facts != self._facts, roster.without_counts(facts) != roster.without_counts(self._facts)
        self._facts, now = facts, time.monotonic()
        if news or (counts and now - self._reported >= roster.COUNTS_EVERY):
            self._reported = now
            self._deliver(Changed(self.status()))
        self._surrender()

    def _bury(self, evidence: str) -> None:
        """What was inside is lost, what waited still waits."""
        with self._changed:
            lost = self._inside.clear()
            self._build, self._facts = None, {}
            self._state, self._reason = 'rebuilding', evidence
        if self._stopping.is_set():
            return
        logger.error('the engine died: %s', evidence)
        for work in lost:
            self._deliver(Lost(work.task_id, work.attempt, 'engine', evidence))
        self._deliver(Changed(self.status()))

    # -- What goes in: in the thread that knows of it, or, where that would have to wait, in the feeding thread ---------------

    def _feed(self) -> None:
        """Until the engine stops."""
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(self._may_feed, SHOW_AFTER)
            with self._feeding:
                self._hand_over()
            if self._build is not None:
                self._build.send()
        if self._build is not None:
            self._build.send(['stop'])

    def _go(self) -> None:
        """Hand over what may go now, without waiting for anything: another thread between costs more than all of it."""
        with self._changed:
            if not self._may_feed():
                return
        if self._feeding.acquire(blocking=False):
            try:
                self._hand_over()
            finally:
                self._feeding.release()
        self._call()

    def _call(self) -> None:
        """There may be something to do for the feeding thread."""
        with self._changed:
            if self._may_feed():
                self._changed.notify_all()

    def _hand_over(self) -> None:
        """Attempts and demand: HTEX gets little more than its workers can take, for what it has cannot be cancelled."""
        with self._changed:
            child = self._build
            if child is None or self._state != 'ready':
                return
            chunks, demand, doomed = self._admit(), self._wanted(), self._inside.orders()
            seen = self._inside.guess(self.capacity, time.monotonic()) if self._facts.get('workers') else []
            told, self._told = self._told, demand
        if demand != told:
            child.offer(['demand', demand])
        if chunks:
            child.offer(['work', [self._chunk(numbers) for numbers in chunks]])
        if doomed:
            child.offer(['cancel', doomed])
        for work in seen:
            self._deliver(Running(work.task_id, work.attempt))

    def _room(self) -> int:
        """Chunks that the engine process may have more: for each worker one and the next one, and of short ones a few beyond, by their pace."""
        return 2 * self.capacity + self._prefetch + 2 + self._pace.ahead(time.monotonic()) - self._inside.chunks

    def _wanted(self) -> int:
        """What scaling is to see: never less than 1 while there is anything to do."""
        return self._inside.load.wanted(self._held(), bool(self._facts.get('workers')), time.monotonic())

    def _held(self) -> int:
        return max(self._demand, len(self._waiting) + len(self._inside))

    def _may_feed(self) -> bool:
        due = (bool(self._waiting) and self._room() > 0) or self._inside.ordered or (self._build is not None and self._build.behind)
        due = due or (self._told < self._held() and self._told < self._wanted())  # the load is asked last: it takes longest
        return self._stopping.is_set() or (self._state == 'ready' and due)

    def _admit(self) -> list[list[int]]:
        """The numbers of as many chunks as there is room for."""
        chunks: list[list[int]] = []
        workers = int(self._facts.get('workers') or 0)
        while self._waiting and self._room() > 0 and len(chunks) < BATCH:
            chunks.append(self._inside.admit(self._inside.cut(self._waiting, workers, fuses=self.fuses), time.monotonic()))
        return chunks

    def _chunk(self, numbers: list[int]) -> list[Any]:
        with self._changed:
            packed, refused = pack(self._inside, numbers, self._place, self.needs)
        for work, reason in refused:
            self._deliver(rejection(work, reason))
        return packed
