"""The tasks that an endpoint holds, and for each pool a queue in priority order of those that are ready to start."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relay_parsl.endpoint.effects import Ended
from relay_parsl.wire.messages import Hash, Id, Phase, TaskHeader


@dataclass(slots=True)
class Holding:
    """One task, from its dispatch until its result is in the outbox."""

    header: bytes
    info: TaskHeader
    payload: bytes
    attempt: int
    """The attempt that runs: its result says so, whatever was leased since."""
    lease: int
    """The newest attempt that the relay has given us."""
    order: int
    lacks: set[Hash]
    """Its function and grant, as far as they are not here."""
    phase: Phase = Phase.QUEUED
    tries: int = 0
    evidence: tuple[str, ...] = ()
    pulling: bool = False
    """Its sealed arguments are on their way into the spool."""
    cancelled: bool = False
    result: Ended | None = None
    """Finished, but its large body is not durable yet."""
    detail: dict[str, Any] | None = None
    """Where it runs, once the engine has said so."""

    @property
    def size(self) -> int:
        """Bytes of its payload, the spooled part included."""
        return len(self.payload) + self.info.body


class Pool:
    """One engine's share: how many tasks it wants, which wait, how many run."""

    def __init__(self, tasks: int, size: int, margin: int = 0) -> None:
        """`tasks` and `size` (bytes) are the least window; the engine is taken to run `tasks` until `capacity` is known."""
        self._margin = margin
        self._tasks = tasks
        self._size = size
        self.capacity: int | None = None
        self.held = 0
        self.started = 0
        self._ready: list[tuple[int, int, Holding]] = []

    @property
    def window(self) -> tuple[int, int]:
        """Tasks and bytes to announce: enough that its workers never wait for the relay."""
        return max(self._tasks, 2 * (self.capacity or 0)), self._size

    def room(self, margin: int) -> int:
        """Tasks that the engine gets: as many as run at once, and as many again (`margin` at least), so that its workers never wait for us."""
        margin = max(margin, self._margin) if margin else 0
        if self.capacity is None:
            return self._tasks + margin
        return self.capacity + (max(self.capacity, margin) if margin else 0)

    def push(self, holding: Holding) -> None:
        """The task may start."""
        heapq.heappush(self._ready, (holding.info.priority, holding.order, holding))

    def start(self, margin: int) -> Iterator[Holding]:
        """Take off and mark as started, most urgent first, as many tasks as the engine is to have."""
        room, now = self.room(margin), self.room(0)
        while self._ready and self.started < room:
            holding = self._ready[0][2]
            waits = holding.phase is Phase.QUEUED  # else it has ended or gone since it was pushed
            if waits and holding.info.at_most_once and self.started >= now:
                break  # what may start only once does not wait inside an engine, where the end of the engine would lose it
            heapq.heappop(self._ready)
            if waits:
                holding.phase = Phase.STARTED
                self.started += 1
                yield holding


class Holdings:
    """Every task held, by id."""

    def __init__(self, pools: dict[str, tuple[int, int]], margins: dict[str, int]) -> None:
        """`pools`: name to (tasks, bytes). `margins`: tasks that a pool's engine gets beyond its capacity, at least."""
        self.pools = {name: Pool(*limits, margins.get(name, 0)) for name, limits in pools.items()}
        self._all: dict[Id, Holding] = {}
        self._order = 0
        self._later: list[tuple[float, int, Id]] = []
        self.moved = 0
        """Grows with each task that comes and each that ends."""

    def __contains__(self, task_id: Id) -> bool:
        return task_id in self._all

    def __len__(self) -> int:
        return len(self._all)

    def get(self, task_id: Id) -> Holding | None:
        """The task, if it is held."""
        return self._all.get(task_id)

    def values(self) -> list[Holding]:
        """Every task, oldest first."""
        return list(self._all.values())

    def add(self, header: bytes, info: TaskHeader, payload: bytes, attempt: int, lacks: set[Hash]) -> Holding:
        """Hold a task that was dispatched to one of our pools."""
        self._order += 1
        self.moved += 1
        holding = Holding(header, info, payload, attempt, attempt, self._order, lacks, pulling=info.body > 0)
        self._all[info.task_id] = holding
        self.pools[info.pool].held += 1
        return holding

    def ready(self, holding: Holding) -> None:
        """Queue the task if nothing of it is missing."""
        if not holding.lacks and not holding.pulling:
            self.pools[holding.info.pool].push(holding)

    def start(self, margin: int, now: float) -> Iterator[Holding]:
        """Mark as started, most urgent first, as many tasks as the engines are to have (see `Pool.room`)."""
        self._wake(now)
        for pool in self.pools.values():
            yield from pool.start(margin)

    def requeue(self, holding: Holding, due: float) -> None:
        """The engine has lost it: its next try comes when it is due."""
        if holding.phase is Phase.STARTED:
            self.pools[holding.info.pool].started -= 1
        holding.phase = Phase.QUEUED
        holding.detail = None
        heapq.heappush(self._later, (due, holding.order, holding.info.task_id))

    def _wake(self, now: float) -> None:
        """Queue what is due; it may have ended or gone since it was lost."""
        while self._later and self._later[0][0] <= now:
            _, order, task_id = heapq.heappop(self._later)
            holding = self._all.get(task_id)
            if holding is not None and holding.order == order and holding.phase is Phase.QUEUED:
                self.ready(holding)

    def finish(self, holding: Holding) -> None:
        """It will not run again."""
        if holding.phase is Phase.STARTED:
            self.pools[holding.info.pool].started -= 1
        holding.phase = Phase.FINISHED

    def remove(self, holding: Holding) -> None:
        """It is not held any more, or held by the outbox."""
        self.finish(holding)
        holding.payload = b''  # a line of tasks that are ready may remember it for long
        if self._all.pop(holding.info.task_id, None) is not None:
            self.moved += 1
            self.pools[holding.info.pool].held -= 1
