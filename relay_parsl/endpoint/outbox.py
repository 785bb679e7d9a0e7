"""Results that the relay has not recorded yet: sent, sent again, and kept on disk when that takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from relay_parsl.endpoint.ledger import Kept, Ledger
from relay_parsl.wire import codec
from relay_parsl.wire.messages import Body, Id, Result, ResultHeader, Results, TaskHeader

PATIENCE = 5.0
"""Seconds after which a result that was not recorded is sent again."""
MEMORY_ONLY = 1.0
"""Seconds that a result may be in memory alone: what a crash may cost to compute again."""
BATCH_TASKS = 200
BATCH_BYTES = 4 << 20
IN_FLIGHT = 32 << 20
"""Bytes that may be on their way at once; the others wait for `Recorded`."""


@dataclass(slots=True)
class Waiting:
    """A result in the outbox. `lease` is the newest attempt that the relay has given us of the task.

    `spends` is the task when it must not run again once this result is safe: not before, or a crash would cost it both.
    """

    result: Result
    info: ResultHeader
    lease: int
    since: float
    spends: TaskHeader | None = None
    size: int = field(init=False)
    """Bytes on the wire."""

    def __post_init__(self) -> None:
        self.size = len(self.result.header) + len(self.result.payload)


class Outbox:
    """Results by task: one each, since a task with a result here is not run again."""

    def __init__(self, ledger: Ledger, now: float) -> None:
        """Takes over what the journal had kept."""
        self._ledger = ledger
        self._all: dict[Id, Waiting] = {}
        self._unsent: dict[Id, None] = {}
        self._sent: dict[Id, float] = {}
        self._unsaved: dict[Id, None] = {}
        self._flying = 0
        for kept in ledger.kept:
            info = codec.result_header(kept.header)
            self._all[kept.task_id] = Waiting(Result(kept.header, Body(kept.payload)), info, kept.attempt, now)
            self._unsent[kept.task_id] = None

    def __contains__(self, task_id: Id) -> bool:
        return task_id in self._all

    def __len__(self) -> int:
        return len(self._all)

    def get(self, task_id: Id) -> Waiting | None:
        """The result of a task, if it waits here."""
        return self._all.get(task_id)

    def values(self) -> Iterator[Waiting]:
        """Every result, oldest first."""
        return iter(self._all.values())

    def add(self, waiting: Waiting, *, save: bool) -> None:
        """Take a result; with `save` it is on disk before it is sent."""
        task_id = waiting.info.task_id
        self._all[task_id] = waiting
        self._unsent[task_id] = None
        if save:
            self._save(task_id)
        else:
            self._unsaved[task_id] = None

    def replace(self, result: Result, info: ResultHeader) -> None:
        """Another end of a task whose result cannot be had any more; on disk where that was."""
        task_id = info.task_id
        self.resend(task_id)
        self._all[task_id] = replace(self._all[task_id], result=result, info=info)
        if task_id not in self._unsaved:
            self._save(task_id)

    def resend(self, task_id: Id) -> None:
        """The relay has asked for the task again: it does not know the result."""
        self._land(task_id)
        self._unsent[task_id] = None

    def resend_all(self) -> None:
        """A new session: what was on its way may be lost."""
        self._sent.clear()
        self._flying = 0
        self._unsent = dict.fromkeys(self._all)

    def recorded(self, task_id: Id, attempt: int) -> Waiting | None:
        """The relay has it: the entry that is no longer needed, if that attempt was meant."""
        waiting = self._all.get(task_id)
        if waiting is None or attempt not in (waiting.info.attempt, waiting.lease):
            return None
        del self._all[task_id]
        if self._sent.pop(task_id, None) is not None:
            self._flying -= waiting.size
        self._unsent.pop(task_id, None)
        if self._unsaved.pop(task_id, False) is False:
            self._ledger.forget(task_id)
        if waiting.spends is not None:
            self._ledger.spend(waiting.spends)
        return waiting

    def tick(self, now: float, heard: float) -> None:
        """Keep on disk what the relay does not record quickly; send again what it did not record at all.

        `heard`: when it last said anything. What it does not read waits in the memory here: it gets no more of it until it speaks.
        """
        for task_id in _older(self._unsaved, lambda each: self._all[each].since, now - MEMORY_ONLY):
            self._save(task_id)
        for task_id in _older(self._sent, self._sent.__getitem__, min(now - PATIENCE, heard)):
            self.resend(task_id)

    def save_all(self) -> None:
        """The process is about to end."""
        for task_id in list(self._unsaved):
            self._save(task_id)

    def batches(self, now: float) -> Iterator[Results]:
        """What may leave now, within the bytes that may be on their way."""
        batch: list[Result] = []
        size = 0
        while self._unsent and (self._flying < IN_FLIGHT or not self._sent):
            task_id = next(iter(self._unsent))
            del self._unsent[task_id]
            waiting = self._all[task_id]
            self._sent[task_id] = now
            batch.append(waiting.result)
            self._flying += waiting.size
            size += waiting.size
            if len(batch) == BATCH_TASKS or size >= BATCH_BYTES:
                yield Results(tuple(batch))
                batch, size = [], 0
        if batch:
            yield Results(tuple(batch))

    def _land(self, task_id: Id) -> None:
        if self._sent.pop(task_id, None) is not None:
            self._flying -= self._all[task_id].size

    def _spend(self, waiting: Waiting) -> None:
        if waiting.spends is not None:
            self._ledger.spend(waiting.spends)
            waiting.spends = None

    def _save(self, task_id: Id) -> None:
        self._unsaved.pop(task_id, None)
        waiting = self._all[task_id]
        self._spend(waiting)
        self._ledger.keep(Kept(task_id, waiting.info.attempt, waiting.result.header, waiting.result.payload))


def _older(ordered: dict[Id, None] | dict[Id, float], time_of: Callable[[Id], float], limit: float) -> list[Id]:
    """The first of `ordered` (by time) that are older than `limit`."""
    found = []
    for task_id in ordered:
        if time_of(task_id) > limit:
            break
        found.append(task_id)
    return found
