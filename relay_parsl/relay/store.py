"""What the relay needs of a store, in its own words, and one in memory for tests and the simulation.

A *turn* is `begin`, what the reactor reads and writes, `commit`. Any StoreError ends the turn: `rollback`, and a new reactor from what is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from itertools import accumulate, islice
from typing import Any, Protocol

from relay_parsl.relay.kept import Kept, Turns, enough_of, forgotten, result_row, task_info, task_row
from relay_parsl.relay.records import AccountRow, Ended, Forgotten, FunctionRow, InviteRow, ObjectRow, ResultRow, Stage, TaskInfo, TaskRow, Usage
from relay_parsl.wire.messages import Hash, Id

EVICTED = 'the result was received before, and its bytes are gone to make room'
"""What stands in the place of an evicted result."""


class Store(Protocol):
    """Every method may raise StoreError; all but the first three belong inside a turn. Batches in, batches out: a call costs more than a row."""

    broken: bool
    """Nothing that it says is to be believed any more: the disk has failed. The process must end."""

    def begin(self) -> None:
        """Start a turn."""

    def commit(self) -> None:
        """Make the turn true for ever: what it wrote survives the power."""

    def rollback(self) -> None:
        """Forget the turn, also after an error and when there is none."""

    def start(self) -> int:
        """Count this start of a relay on this store: 1 for the first one."""

    def last(self) -> tuple[int, int]:
        """The highest `number` and the highest `done` so far, 0 for none."""

    def size(self) -> int:
        """Bytes that the store takes, spooled bodies included, give or take a page."""

    def usage(self) -> dict[Id, Usage]:
        """What `put_usage` was told last of each account."""

    def put_usage(self, rows: Mapping[Id, Usage]) -> None:
        """Keep what accounts have now; of others it stays."""

    def accounts(self) -> list[AccountRow]:
        """All of them; they are few."""

    def put_account(self, row: AccountRow) -> None:
        """Add it, or replace the one of its id."""

    def invites(self) -> list[InviteRow]:
        """All that are open."""

    def put_invite(self, row: InviteRow) -> None:
        """Add it."""

    def drop_invite(self, curve: bytes) -> None:
        """It was taken, or its time is over."""

    def known_objects(self, hashes: Collection[Hash], account: Id) -> dict[Hash, float]:
        """Which of these an account has here, and until when. That others have them is nothing to it."""

    def objects(self, hashes: Collection[Hash], whose: Collection[Id]) -> list[ObjectRow]:
        """Those of these that are there and undamaged, a row for each of these accounts that has it."""

    def put_objects(self, rows: Sequence[ObjectRow]) -> None:
        """Add them, each for its account; one that the account has stays as it is."""

    def keep_objects(self, hashes: Collection[Hash], account: Id, until: float) -> None:
        """Keep these of an account at least until then."""

    def drop_objects(self, now: float, limit: int) -> int:
        """Drop some whose time is over; how many."""

    def objects_size(self) -> dict[Id, int]:
        """Bytes of the objects of each account that has any."""

    def put_function(self, row: FunctionRow) -> None:
        """Add it, or replace the bytes of the account's one of this id, which stays registered since it was."""

    def function(self, account: Id, function: Id) -> FunctionRow | None:
        """An account's function, if it is there and undamaged."""

    def functions(self, account: Id, after: Id, limit: int) -> list[FunctionRow]:
        """An account's functions without their data, by id, those after `after`."""

    def functions_size(self, account: Id, without: Id) -> int:
        """Bytes of an account's functions, but for the one of this id."""

    def drop_function(self, account: Id, function: Id) -> bool:
        """Drop it; whether it was there."""

    def add(self, rows: Sequence[TaskRow]) -> set[Id]:
        """Queue new tasks; the ids of those that are known already, which stay as they are."""

    def find(self, ids: Collection[Id], whose: Id | None = None) -> list[TaskInfo]:
        """How these stand, if `whose` is given those of that account; others are left out, as if they were not there: in the same time."""

    def queued(self) -> list[tuple[Id, str, Id, int]]:
        """Endpoint, pool, account and how many tasks wait there: counted, not read."""

    def waiting(self, endpoint: Id, pool: str, account: Id, limit: int, size: int) -> list[TaskRow]:
        """The next tasks to lease, lowest priority first, then age: `limit` at most, and no more once they have `size` bytes of payload."""

    def lease(self, tasks: Sequence[TaskInfo]) -> None:
        """Queued tasks become leased, as their `session`, `serial` and `epoch` say; those of one dispatch stand together."""

    def requeue(self, tasks: Sequence[tuple[int, int]]) -> None:
        """Leased tasks (number, next attempt) become queued, at their old place."""

    def ask_cancel(self, numbers: Sequence[int]) -> None:
        """Remember that the client wants these to end."""

    def leases(self, endpoint: Id) -> list[TaskInfo]:
        """All open leases of an endpoint."""

    def unfinished(self, endpoint: Id, limit: int) -> list[TaskInfo]:
        """Some tasks of an endpoint that are not done."""

    def tasks(self, after: int, limit: int, **where: Id) -> tuple[list[tuple[TaskInfo, bytes]], int]:
        """Tasks with their headers by number, and the number to go on after, 0 at the end; `where`: `account`, `group`, `endpoint`, `id`."""

    def finish(self, ended: Sequence[Ended]) -> None:
        """These tasks, not done before, are done; their payloads go."""

    def results(self, ids: Collection[Id]) -> list[ResultRow]:
        """The results of those of these that are done."""

    def ended_after(self, account: Id, group: Id, done: int, limit: int) -> list[ResultRow]:
        """What ended in a group after `done`, in that order."""

    def received(self, account: Id, numbers: Collection[int]) -> None:
        """Some session of this account, whose tasks these are, has their results."""

    def due(self, now: float, limit: int) -> list[TaskInfo]:
        """Some tasks whose time is over: done ones may be forgotten, others have expired. By an index, never by a scan."""

    def forget(self, numbers: Sequence[int]) -> list[Forgotten]:
        """Drop these, with everything."""

    def evict(self, limit: int, account: Id | None = None, enough: int = 1 << 62) -> list[Forgotten]:
        """Drop the bodies of some received results (of an account), oldest first, until `enough` bytes are free; ids and states stay."""


class MemoryStore(Turns, Store):
    """A store for tests and the simulation: turns roll back as on disk, and `fail` may raise StoreError at any statement."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self._accounts: dict[Id, AccountRow] = {}
        self._invites: dict[bytes, InviteRow] = {}
        self._objects: dict[tuple[Hash, Id], ObjectRow] = {}
        self._functions: dict[tuple[Id, Id], FunctionRow] = {}
        self._tasks: dict[Id, Kept] = {}
        self._ids: dict[int, Id] = {}
        self._queues: dict[tuple[Id, str, Id], dict[int, tuple[int, int]]] = defaultdict(dict)
        self._leases: dict[Id, dict[int, Id]] = defaultdict(dict)
        self._groups: dict[tuple[Id, Id], dict[int, Id]] = defaultdict(dict)
        self._received: dict[int, Id] = {}
        self._usage: dict[Id, Usage] = {}
        self._marks: dict[str, int] = {'start': 0, 'number': 0, 'done': 0}
        self._soonest = 0.0  # nothing is due before, also after a rollback

    def start(self) -> int:
        self._statement('start')
        self._put(self._marks, 'start', self._marks['start'] + 1)
        self._soonest = 0.0  # by the clock of before
        return self._marks['start']

    def last(self) -> tuple[int, int]:
        self._statement('last')
        return self._marks['number'], self._marks['done']

    def size(self) -> int:
        self._statement('size')
        kept = sum(len((each.ended or each.row).payload) for each in self._tasks.values())
        return kept + sum(len(each.data) for each in self._objects.values()) + sum(row.size for row in self._functions.values())

    def usage(self) -> dict[Id, Usage]:
        self._statement('usage')
        return {each: replace(row) for each, row in self._usage.items()}

    def put_usage(self, rows: Mapping[Id, Usage]) -> None:
        self._statement('put_usage')
        for each, row in rows.items():
            self._put(self._usage, each, replace(row))

    def accounts(self) -> list[AccountRow]:
        self._statement('accounts')
        return list(self._accounts.values())

    def put_account(self, row: AccountRow) -> None:
        self._statement('put_account')
        self._put(self._accounts, row.id, row)

    def invites(self) -> list[InviteRow]:
        self._statement('invites')
        return list(self._invites.values())

    def put_invite(self, row: InviteRow) -> None:
        self._statement('put_invite')
        self._put(self._invites, row.curve, row)

    def drop_invite(self, curve: bytes) -> None:
        self._statement('drop_invite')
        self._put(self._invites, curve, None)

    def known_objects(self, hashes: Collection[Hash], account: Id) -> dict[Hash, float]:
        self._statement('known_objects')
        return {each: self._objects[each, account].until for each in hashes if (each, account) in self._objects}

    def objects(self, hashes: Collection[Hash], whose: Collection[Id]) -> list[ObjectRow]:
        self._statement('objects')
        return [row for row in self._objects.values() if row.hash in hashes and row.account in whose]

    def put_objects(self, rows: Sequence[ObjectRow]) -> None:
        self._statement('put_objects')
        for row in rows:
            if (row.hash, row.account) not in self._objects:
                self._put(self._objects, (row.hash, row.account), row)

    def keep_objects(self, hashes: Collection[Hash], account: Id, until: float) -> None:
        self._statement('keep_objects')
        for each in hashes:
            row = self._objects.get((each, account))
            if row and row.until < until:
                self._put(self._objects, (each, account), replace(row, until=until))

    def drop_objects(self, now: float, limit: int) -> int:
        self._statement('drop_objects')
        over = list(islice((each for each, row in self._objects.items() if row.until <= now), limit))
        for each in over:
            self._put(self._objects, each, None)
        return len(over)

    def objects_size(self) -> dict[Id, int]:
        self._statement('objects_size')
        rows = list(self._objects.values())
        return {each: sum(len(row.data) for row in rows if row.account == each) for each in {row.account for row in rows}}

    def put_function(self, row: FunctionRow) -> None:
        self._statement('put_function')
        key = (row.account, row.id)
        self._put(self._functions, key, replace(row, registered=self._functions.get(key, row).registered))

    def function(self, account: Id, function: Id) -> FunctionRow | None:
        self._statement('function')
        return self._functions.get((account, function))

    def functions(self, account: Id, after: Id, limit: int) -> list[FunctionRow]:
        self._statement('functions')
        later = sorted(key for key in self._functions if key[0] == account and key[1] > after)
        return [replace(self._functions[key], data=b'') for key in later[:limit]]

    def functions_size(self, account: Id, without: Id) -> int:
        self._statement('functions_size')
        return sum(row.size for row in self._functions.values() if row.account == account and row.id != without)

    def drop_function(self, account: Id, function: Id) -> bool:
        self._statement('drop_function')
        found = (account, function) in self._functions
        self._put(self._functions, (account, function), None)
        return found

    def add(self, rows: Sequence[TaskRow]) -> set[Id]:
        self._statement('add')
        known = set()
        self._soonest = min([self._soonest, *[row.expires for row in rows]])
        for row in rows:
            if row.id in self._tasks:
                known.add(row.id)
                continue
            self._put(self._tasks, row.id, Kept(task_row(row), task_info(row)))
            self._put(self._ids, row.number, row.id)
            self._put(self._queues[row.endpoint, row.pool, row.account], row.number, (row.priority, row.number))
            self._put(self._marks, 'number', max(row.number, self._marks['number']))
        return known

    def find(self, ids: Collection[Id], whose: Id | None = None) -> list[TaskInfo]:
        self._statement('find')
        return [task_info(kept.info) for kept in map(self._tasks.get, dict.fromkeys(ids)) if kept and whose in (None, kept.info.account)]

    def queued(self) -> list[tuple[Id, str, Id, int]]:
        self._statement('queued')
        return [(*key, len(queue)) for key, queue in self._queues.items() if queue]

    def waiting(self, endpoint: Id, pool: str, account: Id, limit: int, size: int) -> list[TaskRow]:
        self._statement('waiting')
        head = nsmallest(limit, self._queues[endpoint, pool, account].values())
        kept = [self._tasks[self._ids[number]] for _, number in head]
        sizes = accumulate([len(each.row.payload) for each in kept], initial=0)
        return [task_row(each.row, attempt=each.info.attempt) for each, before in zip(kept, sizes) if not before or before < size]

    def lease(self, tasks: Sequence[TaskInfo]) -> None:
        self._statement('lease')
        for each in tasks:
            self._change(each.number, stage=Stage.LEASED, session=each.session, serial=each.serial, epoch=each.epoch)

    def requeue(self, tasks: Sequence[tuple[int, int]]) -> None:
        self._statement('requeue')
        for number, attempt in tasks:
            self._change(number, stage=Stage.QUEUED, attempt=attempt)

    def ask_cancel(self, numbers: Sequence[int]) -> None:
        self._statement('ask_cancel')
        for number in numbers:
            self._change(number, cancel=True)

    def leases(self, endpoint: Id) -> list[TaskInfo]:
        self._statement('leases')
        return [task_info(self._tasks[each].info) for each in self._leases[endpoint].values()]

    def unfinished(self, endpoint: Id, limit: int) -> list[TaskInfo]:
        self._statement('unfinished')
        found = (each.info for each in self._tasks.values() if each.info.endpoint == endpoint and each.info.stage != Stage.DONE)
        return [task_info(each) for each in islice(found, limit)]

    def tasks(self, after: int, limit: int, **where: Id) -> tuple[list[tuple[TaskInfo, bytes]], int]:
        self._statement('tasks')
        later = sorted((each for each in self._tasks.values() if each.info.number > after), key=lambda each: each.info.number)
        found = [each for each in later if all(getattr(each.info, key) == value for key, value in where.items())]
        page = [(task_info(each.info), each.row.header) for each in found[:limit]]
        return page, found[limit - 1].info.number if len(found) > limit else 0

    def _change(self, number: int, **changes: Any) -> None:
        """Replace a row, and keep the indexes true."""
        kept = self._tasks[self._ids[number]]
        info, row = task_info(kept.info, **changes), kept.row
        self._put(self._tasks, row.id, Kept(row, info, kept.ended))
        if kept.info.stage != info.stage:
            place = (row.priority, number) if info.stage == Stage.QUEUED else None
            self._put(self._queues[row.endpoint, row.pool, row.account], number, place)
            self._put(self._leases[row.endpoint], number, row.id if info.stage == Stage.LEASED else None)

    def finish(self, ended: Sequence[Ended]) -> None:
        self._statement('finish')
        for each in ended:
            number, task_id = each.task.number, each.task.id
            assert self._tasks[task_id].ended is None, 'the first terminal state stands'  # noqa: S101  a mistake of ours
            self._change(number, stage=Stage.DONE, status=each.status, expires=each.until or self._tasks[task_id].info.expires)
            kept = self._tasks[task_id]
            self._soonest = min(self._soonest, kept.info.expires)
            self._put(self._tasks, task_id, Kept(kept.row, kept.info, each))
            self._put(self._groups[each.task.account, each.task.group], each.done, task_id)
            self._put(self._marks, 'done', max(each.done, self._marks['done']))

    def results(self, ids: Collection[Id]) -> list[ResultRow]:
        self._statement('results')
        return [result_row(self._tasks[each]) for each in ids if each in self._tasks and self._tasks[each].ended]

    def ended_after(self, account: Id, group: Id, done: int, limit: int) -> list[ResultRow]:
        self._statement('ended_after')
        group_ends = self._groups[account, group]
        later = nsmallest(limit, (each for each in group_ends if each > done))
        return [result_row(self._tasks[group_ends[each]]) for each in later]

    def received(self, account: Id, numbers: Collection[int]) -> None:
        self._statement('received')
        for each in numbers:
            self._put(self._received, each, account)

    def due(self, now: float, limit: int) -> list[TaskInfo]:
        self._statement('due')
        if now < self._soonest:
            return []
        over = [each.info for each in self._tasks.values() if each.info.expires <= now]
        self._soonest = now if over else min([each.info.expires for each in self._tasks.values()], default=now)
        return [task_info(each) for each in over[:limit]]

    def forget(self, numbers: Sequence[int]) -> list[Forgotten]:
        self._statement('forget')
        gone = []
        for number in numbers:
            kept = self._tasks[self._ids[number]]
            gone.append(forgotten(kept))
            self._put(self._tasks, kept.row.id, None)
            self._put(self._ids, number, None)
            if kept.ended:
                self._put(self._groups[kept.row.account, kept.row.group], kept.ended.done, None)
        return gone

    def evict(self, limit: int, account: Id | None = None, enough: int = 1 << 62) -> list[Forgotten]:
        self._statement('evict')
        mine = sorted(each for each, owner in self._received.items() if account in (None, owner))[:limit]
        rows = [self._tasks[self._ids[each]] if each in self._ids else None for each in mine]
        gone = enough_of([*zip(mine, rows)], [forgotten(kept).size if kept else 0 for kept in rows], enough)
        for number, kept in gone:
            self._put(self._received, number, None)
            if kept and kept.ended:
                self._put(self._tasks, kept.row.id, replace(kept, ended=replace(kept.ended, payload=b'', body=0, header=b'', reason=EVICTED)))
        return [replace(forgotten(kept), task=False) for _, kept in gone if kept and kept.ended]
