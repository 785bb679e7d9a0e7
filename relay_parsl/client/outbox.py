"""The tasks that the relay has not answered yet, and the objects that they refer to. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Union

from relay_parsl.wire.messages import Admin, Hash, Id, List, Object, Task, TaskHeader

Request = Union[List, Admin]

BATCH_TASKS, BATCH_BYTES = 500, 4 << 20
"""The most in one `Submit`; a single task may be longer."""
LEAST = 10
"""Tasks that a relay which had no room for the last ones is offered at least."""
LONGEST = 60.0
"""Seconds, at most, until it is asked again, whatever it says."""
FLIGHT_TASKS, FLIGHT_BYTES = 4000, 16 << 20
"""The most that is sent and not answered; the rest waits here, so that an answer is never far behind."""


class Entry:
    """One unanswered task. `sent` tells whether any session has carried it: then the relay may know it, unless it has said to come again: `held`."""

    __slots__ = ('header', 'held', 'sent', 'size', 'task')

    def __init__(self, task: Task, header: TaskHeader) -> None:
        self.task = task
        self.header = header
        self.size = len(task.header) + len(task.payload)
        self.sent = self.held = False


class Outbox:
    """Tasks in the order of their submission: a queue, and those in flight with the time they were sent.

    When the relay has no room for more it says when to come again. Until then everything waits here, and then it is offered about as much as it
    took between the two times, so that neither side spends itself on tasks that are sent for nothing.
    """

    def __init__(self) -> None:
        self.entries: dict[Id, Entry] = {}
        self._queue: deque[Id] = deque()
        self._flight: dict[Id, float] = {}
        self._bytes = 0
        self._room = FLIGHT_TASKS
        self._taken = 0
        self._closed_until = 0.0
        self._for_ends = False

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self.entries

    def add(self, task: Task, header: TaskHeader) -> None:
        """At the end of the queue."""
        self.entries[header.task_id] = Entry(task, header)
        self._queue.append(header.task_id)

    def remove(self, ids: Iterable[Id]) -> list[TaskHeader]:
        """Answered, or given up: the headers of those that were here. The queue may still name them; `batch` passes over."""
        headers = []
        for task_id in ids:
            entry = self.entries.pop(task_id, None)
            if entry is not None:
                headers.append(entry.header)
                if self._flight.pop(task_id, None) is not None:
                    self._bytes -= entry.size
        return headers

    def hold(self, ids: Iterable[Id], now: float, seconds: float, *, for_ends: bool) -> list[Id]:
        """The relay had no room for these: back to the queue's front with those that were in flight, which are returned. Nothing is sent for a while.

        `for_ends`: there is room as soon as other tasks of the account end.
        """
        back = [task_id for task_id in ids if task_id in self._flight]
        self._requeue(back)
        for task_id in back:
            self.entries[task_id].held = True
        if now >= self._closed_until:
            self._room, self._taken = max(LEAST, min(self._taken, FLIGHT_TASKS)), 0
        self._closed_until, self._for_ends = max(self._closed_until, now + min(seconds, LONGEST)), for_ends
        return back

    def took(self, count: int) -> None:
        """The relay took so many: it may have room for as many more."""
        self._taken += count
        self._room = min(FLIGHT_TASKS, self._room + count)

    def ended(self, count: int) -> None:
        """So many tasks are over, and others may have waited for that: they are offered now."""
        if self._for_ends:
            self._closed_until, self._for_ends = 0.0, False
            self._room, self._taken = max(LEAST, count), 0

    def restart(self) -> None:
        """A new session: everything is in the queue again, in the old order."""
        self._queue = deque(self.entries)
        self._flight.clear()
        self._bytes = 0
        self._closed_until = 0.0

    def late(self, before: float) -> None:
        """Back to the queue's front with what was sent at or before this time."""
        found = []
        for task_id, sent in self._flight.items():
            if sent > before:
                break
            found.append(task_id)
        self._requeue(found)

    def needing(self, hashes: Iterable[Hash]) -> None:
        """Back to the queue's front with what refers to these objects."""
        wanted = set(hashes)
        self._requeue([each for each in self._flight if not wanted.isdisjoint(references(self.entries[each].header))])

    def alive(self, task_id: Id, now: float) -> None:
        """The relay works on this task (it fetches its body): the wait for its answer starts anew."""
        if self._flight.pop(task_id, None) is not None:
            self._flight[task_id] = now

    def batch(self, now: float) -> list[Entry]:
        """The next tasks to send, now in flight; empty when there is nothing or no room."""
        entries: list[Entry] = []
        size = 0
        if now < self._closed_until:
            return entries
        while self._queue and len(entries) < BATCH_TASKS and len(self._flight) < self._room:
            entry = self.entries.get(self._queue[0])
            if entry is not None and not self._fits(entry, size):
                break
            task_id = self._queue.popleft()
            if entry is not None and task_id not in self._flight:
                entry.sent, entry.held = True, False
                self._flight[task_id] = now
                self._bytes += entry.size
                size += entry.size
                entries.append(entry)
        return entries

    def _fits(self, entry: Entry, size: int) -> bool:
        """One always fits into an empty batch, and into an empty flight."""
        return (not size or size + entry.size <= BATCH_BYTES) and (not self._bytes or self._bytes + entry.size <= FLIGHT_BYTES)

    def _requeue(self, ids: list[Id]) -> None:
        for task_id in ids:
            del self._flight[task_id]
            self._bytes -= self.entries[task_id].size
        self._queue.extendleft(reversed(ids))


class Objects:
    """What `Need` may ask for: held while it is offered or an unanswered task refers to it."""

    def __init__(self) -> None:
        self._objects: dict[Hash, Object] = {}
        self._users: Counter[Hash] = Counter()
        self._offered: set[Hash] = set()
        self._sent: set[Hash] = set()

    def provide(self, each: Object) -> None:
        """Offer it until `withdraw`."""
        self._objects[each.hash] = each
        self._offered.add(each.hash)

    def withdraw(self, digest: Hash) -> None:
        """No new task will refer to it."""
        self._offered.discard(digest)
        self._sweep(digest)

    def use(self, headers: Iterable[TaskHeader]) -> None:
        """These unanswered tasks refer to their objects."""
        self._users.update(chain.from_iterable(map(references, headers)))

    def release(self, headers: Iterable[TaskHeader]) -> None:
        """These tasks are answered."""
        for digest, count in Counter(chain.from_iterable(map(references, headers))).items():
            self._users[digest] -= count
            self._sweep(digest)

    def restart(self) -> None:
        """A new session has been sent nothing."""
        self._sent.clear()

    def fresh(self, entries: Iterable[Entry]) -> list[Object]:
        """What these tasks refer to and this session has not been sent; it counts as sent from now on."""
        return self.find({digest: None for entry in entries for digest in references(entry.header) if digest not in self._sent})

    def find(self, hashes: Iterable[Hash]) -> list[Object]:
        """Those of these that are here; they count as sent from now on."""
        found = [self._objects[digest] for digest in hashes if digest in self._objects]
        self._sent.update(each.hash for each in found)
        return found

    def _sweep(self, digest: Hash) -> None:
        if self._users[digest] <= 0:
            del self._users[digest]
            if digest not in self._offered:
                self._objects.pop(digest, None)
                self._sent.discard(digest)


class Requests:
    """Questions that wait for their answers."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Request, float]] = {}

    def add(self, message: Request, now: float) -> None:
        """Asked just now."""
        self._waiting[message.request] = (message, now)

    def answered(self, request: int) -> bool:
        """Whether anybody waited for it; nobody does any more."""
        return self._waiting.pop(request, None) is not None

    def late(self, before: float, now: float) -> list[Request]:
        """What to ask again. A `stop` is not: it would stop the relay that took the place of the one that was stopped."""
        late = [message for message, sent in self._waiting.values() if sent <= before and not (isinstance(message, Admin) and message.verb == 'stop')]
        self._waiting.update({message.request: (message, now) for message in late})
        return late


class Wanted:
    """Objects that we asked the relay for."""

    def __init__(self) -> None:
        self._waiting: dict[Hash, float] = {}

    def add(self, hashes: Iterable[Hash], now: float) -> list[Hash]:
        """Those of these that were not asked for yet."""
        fresh = [each for each in hashes if each not in self._waiting]
        self._waiting.update(dict.fromkeys(fresh, now))
        return fresh

    def answered(self, digest: Hash) -> bool:
        """Whether anybody waited for it; nobody does any more."""
        return self._waiting.pop(digest, None) is not None

    def late(self, before: float, now: float) -> list[Hash]:
        """What to ask for again."""
        late = [digest for digest, asked in self._waiting.items() if asked <= before]
        self._waiting.update(dict.fromkeys(late, now))
        return late


def references(header: TaskHeader) -> tuple[Hash, Hash]:
    """The objects without which the task cannot run."""
    return header.grant, header.function


def batches(objects: Iterable[Object]) -> Iterator[tuple[Object, ...]]:
    """A few at a time, so that no message outgrows its frame; a single object may be longer."""
    batch: list[Object] = []
    size = 0
    for each in objects:
        if batch and size + len(each.data) > BATCH_BYTES:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(each)
        size += len(each.data)
    if batch:
        yield tuple(batch)
