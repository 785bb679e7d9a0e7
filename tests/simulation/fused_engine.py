"""Fusion in the simulation: the real `HtexEngine`, what its engine process decides (`engines.dispatcher`), and what workers do.

Made of numbers are the pipe, HTEX's queue, the control channel, which loses and doubles what it likes, and the functions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import TYPE_CHECKING, Any

from parsl.executors.high_throughput.errors import ManagerLost

from relay_parsl.engines import base
from relay_parsl.engines.dispatcher import Dispatcher, Ways
from relay_parsl.engines.frames import Death, Head, encode_end
from relay_parsl.engines.htex import HtexEngine
from relay_parsl.engines.interrupts import TIMEOUT
from relay_parsl.engines.shifts import Shifts
from relay_parsl.wire.codec import pack, unpack
from relay_parsl.wire.messages import Message
from tests.simulation.engine import Engine, Job, Speed, Users
from tests.simulation.network import Peer
from tests.simulation.node import GIVE_UP, Fate, SimWorker, WorkerDied

if TYPE_CHECKING:
    from tests.simulation.clock import Clock

SHORT = (0.001, 0.003, 0.02)
"""Seconds that tasks take on the average where they can be fused."""


class Channel:
    """What `Listener` offers to a dispatcher."""

    contact = ('somewhere',)

    def __init__(self, process: Process) -> None:
        """Of this engine process."""
        self._process = process
        self.wake = process.wake

    def receive(self) -> list[tuple[Peer, Message]]:
        """All that workers have said."""
        heard = list(self._process.heard)
        self._process.heard.clear()
        return heard

    def send(self, routing: bytes, message: Message) -> bool:
        """To the worker there, if it is."""
        return any(worker.tell(routing, message) for worker in self._process.workers)


class Process:
    """One life of the engine process, with HTEX's queue and the workers of its nodes."""

    def __init__(self, engine: FusedEngine, name: str) -> None:
        """It says `ready` at once."""
        self.engine, self.clock, self.name = engine, engine.clock, name
        self.alive = True
        self.heard: deque[tuple[Peer, Message]] = deque()
        ways = Ways(self._submit, self._say, lambda number, detail: self._tell('_runs', number, detail), self._orphaned)
        self._dispatcher = Dispatcher(Channel(self), ways, engine.capacity, fuses=True)  # type: ignore[arg-type]  in the place of a socket
        numbers = count(engine.drawn + 1)
        self._dispatcher._shifts = Shifts(lambda: next(numbers), fuses=True)
        self._names = count(1)
        self.queue: deque[tuple[dict[str, Any], bytes, Future[Any]]] = deque()
        self.idle: deque[SimWorker] = deque()
        self.workers: list[SimWorker] = []
        for _ in range(engine.capacity):
            self._hire()

    @property
    def faults(self) -> float:
        """Whether anything may go wrong: 1 or 0."""
        return 1.0 if self.engine.speed.losses else 0.0

    # -- Workers -----------------------------------------------------------------------------------------------------

    def _hire(self) -> None:
        worker = SimWorker(self, f'w{next(self._names)}', reachable=self.clock.random.random() < self.engine.reach)
        self.workers.append(worker)
        self.free(worker)

    def free(self, worker: SimWorker) -> None:
        """It takes the next task of HTEX."""
        if self.queue:
            worker.begin(*self.queue.popleft())
        else:
            self.idle.append(worker)

    def replace(self, worker: SimWorker) -> None:
        """It is gone; its manager starts another one."""
        self.workers.remove(worker)
        if worker in self.idle:
            self.idle.remove(worker)
        self.clock.after(0.1, self._rehire)

    def _rehire(self) -> None:
        if self.alive:
            self._hire()

    def lose_some(self) -> None:
        """A node goes, with half of the workers; or one worker's process does."""
        random = self.clock.random
        if random.random() < 0.5:
            for worker in self.workers[: max(1, len(self.workers) // 2)]:
                worker.kill(ManagerLost(b'manager', 'node'))
        else:
            random.choice(self.workers).kill(WorkerDied('killed by somebody else'))

    def ran(self, task_id: bytes) -> None:
        """A runner has begun a task."""
        self.engine.ran(task_id)

    def fate(self, head: Head) -> Fate:
        """What the task will do."""
        return self.engine.fate(head)

    # -- The pipe ----------------------------------------------------------------------------------------------------

    behind = False

    def offer(self, message: list[Any]) -> None:
        """The endpoint says something; as bytes, as over the pipe."""
        self.clock.after(0.0005, self._read, unpack(pack(message)))

    def send(self, message: list[Any] | None = None) -> None:
        """The same; nothing waits here."""
        if message is not None:
            self.offer(message)

    def _read(self, message: Any) -> None:
        verb, *values = message
        if self.alive and verb == 'work':
            self.clock.tally.engine['fused'] += sum(len(chunk[0]) for chunk in values[0] if len(chunk[0]) > 1)
            self._dispatcher.work(values[0])
        elif self.alive and verb == 'cancel':
            self._dispatcher.cancel(values[0])
        self.wake()

    def _say(self, message: list[Any]) -> None:
        verb, *values = unpack(pack(message))  # type: ignore[misc]
        self.clock.tally.engine[verb] += len(values[0])
        self._tell({'ended': '_ended', 'returned': '_returned', 'parted': '_parted'}[verb], *values)

    def _tell(self, what: str, *values: Any) -> None:
        self.clock.after(0.0005, self.engine.child_says, self, what, *values)

    # -- HTEX --------------------------------------------------------------------------------------------------------

    def _submit(self, context: dict[str, Any], chunk: bytes) -> Future[Any]:
        future: Future[Any] = Future()
        self.queue.append((context, chunk, future))
        if self.idle:
            self.clock.after(0.001, self._assign)
        return future

    def _assign(self) -> None:
        while self.alive and self.queue and self.idle:
            self.idle.popleft().begin(*self.queue.popleft())

    def _orphaned(self, numbers: list[int], error: ManagerLost) -> None:
        death = encode_end(Death('manager', f'{type(error).__name__}: {error}'))
        self._say(['ended', [[number, death] for number in numbers]])

    # -- The control channel -----------------------------------------------------------------------------------------

    def hear(self, routing: bytes, message: Message) -> None:
        """A worker has said something."""
        self.heard.append((Peer(routing, b''), message))
        self.wake()

    def wake(self) -> None:
        """Have a turn soon."""
        self.clock.after(0.0005, self._turn)

    def _turn(self) -> None:
        if self.alive:
            self._dispatcher.turn()


class FusedEngine(Engine):
    """As `Engine`, but what it does with attempts is the product's."""

    def __init__(self, clock: Clock, capacity: int, speed: Speed, started: Callable[[bytes], None], users: Users) -> None:
        """`users` know what their tasks do, and are told which of them begin."""
        super().__init__(clock, capacity, speed, started, users)
        random = clock.random
        self.mean, self.reach = random.choice(SHORT), random.choice((0.0, 0.7, 1.0, 1.0))
        self.drawn = random.getrandbits(40) << 20
        self.jobs: dict[tuple[bytes, int], Job] = {}
        self._real = HtexEngine(max_workers_per_node=capacity)
        self._real._deliver = self._deliver
        self._live()

    def _live(self) -> None:
        """The next engine process."""
        if self.alive:
            self.drawn += 1 << 20
            self.process = Process(self, 'node')
            self._real._build = self.process  # type: ignore[assignment]  what a child is to it
            self._real._report({'workers': self.capacity, 'managers': 1, 'blocks': 1})
            self._real._ready()
            self._feed()

    def _feed(self) -> None:
        """What the feeding thread does."""
        if self.alive and self._real._may_feed():
            self._real._hand_over()

    def child_says(self, process: Process, what: str, *values: Any) -> None:
        """A message from the pipe; of a process that is gone, none."""
        if self.alive and process is self.process and process.alive:
            getattr(self._real, what)(*values)
            self._feed()

    # -- As the endpoint's loop sees it ------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Handed over: from here on the task counts as started."""
        self._started(job.task_id)
        self.clock.tally.starts += 1
        self.jobs[job.task_id, job.attempt] = job
        task = self.users.task(job.task_id)
        options = {'timeout': task.timeout} if task.timeout else {}
        header = task.header
        self._real.submit(
            base.Work(job.task_id, job.attempt, task.account, header.function, job.payload, None, options, '', header.priority, header.at_most_once)
        )
        self.clock.after(0.0, self._flush)

    def _flush(self) -> None:
        if self.alive:
            self._real.flush()

    def cancel(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        return self._gone(task_id, attempt, self._real.cancel(task_id, attempt))

    def withdraw(self, task_id: bytes, attempt: int) -> bool:
        """See `Engine`."""
        return self._gone(task_id, attempt, self._real.withdraw(task_id, attempt))

    def _gone(self, task_id: bytes, attempt: int, gone: bool) -> bool:
        if gone:
            self.users.check(self.jobs.pop((task_id, attempt), None), 'an engine gives back what it does not have')
        self._feed()
        return gone

    def break_down(self) -> None:
        """The engine process is gone, with everything inside, or a node of it, or a worker."""
        self.clock.tally.faults['engine'] += 1
        if self.clock.random.random() < 0.5:
            self.process.lose_some()
            return
        self.process.alive = False
        self._real._bury('it died')
        self.clock.after(self.clock.random.uniform(0.1, 2.0), self._live)

    # -- What it says ------------------------------------------------------------------------------------------------

    def _deliver(self, event: base.Event) -> None:
        if not self.alive or isinstance(event, base.Changed):
            return
        key = event.task_id, event.attempt
        if isinstance(event, base.Running):
            if key in self.jobs:
                self.on_running(self.jobs[key])
            return
        job = self.jobs.pop(key, None)
        self.users.check(job, 'an engine tells two ends of an attempt')
        assert job is not None
        if isinstance(event, base.Lost):
            self.users.charged(event.task_id, event.evidence)
            self.on_lost(job, event.cause, event.evidence)
        elif event.cancelled:
            self.on_cancelled(job)
        else:
            self._judge_timeout(event)
            self.on_finished(job, event.ok)

    def _judge_timeout(self, event: base.Finished) -> None:
        """What ran for longer than its timeout ends by that, in time; what ran for less never does."""
        task, late = self.users.task(event.task_id), event.outcome == TIMEOUT.encode()
        by = 'by it' if late else 'by itself'
        self.users.check(late == task.slow, f'a task with a timeout of {task.timeout} s ends {by} after {event.seconds} s')
        if late:
            latest = task.timeout + GIVE_UP + 1.0
            self.users.check(task.timeout <= event.seconds + 1e-6 < latest, f'a timeout of {task.timeout} s came after {event.seconds} s')
        if task.timeout:
            self.clock.tally.engine['ended by timeout' if late else 'ended early'] += 1

    # -- What workers ask --------------------------------------------------------------------------------------------

    def ran(self, task_id: bytes) -> None:
        """A runner has begun a task."""
        self.users.began(task_id)

    def fate(self, head: Head) -> Fate:
        """What the task will do."""
        random, task = self.clock.random, self.users.task(head.task_id)
        if task.deadly:
            return Fate(random.uniform(0.0, 0.01), deadly=task.deadly)
        if task.slow:
            return Fate(task.timeout + 10.0, deaf=random.random() < 0.3)
        if task.timeout:
            return Fate(task.timeout * random.uniform(0.0, 0.8))
        well = self.users.ends_well(head.task_id)
        return Fate(min(random.expovariate(1 / self.mean), 15.0), random.random() >= self.speed.failures if well is None else well)
