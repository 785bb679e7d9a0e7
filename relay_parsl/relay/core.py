"""What all parts of the relay's reactor share: the store, who is connected, what waits, what is to be done. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from relay_parsl.relay.accounts import Directory
from relay_parsl.relay.effects import Audit, Effect, Send, SpoolDelete, hurried
from relay_parsl.relay.heads import Heads
from relay_parsl.relay.quotas import NAMES, Quota, Quotas
from relay_parsl.relay.records import LIVES, AccountRow, Ended, Forgotten, Progress, Stage, TaskInfo, TaskRow
from relay_parsl.relay.refusals import Refusals
from relay_parsl.relay.sessions import ClientSession, EndpointSession, Session
from relay_parsl.relay.store import Store
from relay_parsl.wire.messages import INLINE, Id, Message, Status, TaskState, Welcome

T = TypeVar('T')

BATCH_TASKS, BATCH_BYTES = 200, 4 << 20
"""The most tasks or results in one message, and bytes; one always fits."""
TURN_BYTES = 32 << 20
"""Bytes of payload that one queue, or one `Need`, brings into memory in a turn."""
DAY = 86400.0
HEADER = 4096
"""Bytes of a task's or result's header, at most."""


class PeerLike(Protocol):
    """Where a message came from; `relay_parsl.transport.Peer` is one."""

    @property
    def routing(self) -> bytes:
        """The routing id."""

    @property
    def key(self) -> bytes:
        """The CURVE public key."""


@dataclass(frozen=True)
class RelaySettings:
    """An operator's settings. Times in seconds, sizes in bytes."""

    payload_limit: int = INLINE + 4096
    """Of what travels in messages; more must be spooled. The margin is for seals."""
    body_limit: int = 1 << 30
    object_limit: int = 8 << 20
    objects_daily: int = 4 << 30
    """Bytes of objects that one account may bring in a day."""
    functions_kept: int = 1 << 30
    """Bytes of registered functions of one account: they stay until it drops them."""
    sessions: int = 2000
    """Client sessions of one account."""
    connections: int = 1 << 20
    """Files that the process may open: one account's clients get a quarter of it, and all but operators together three, so that those get in."""
    lifetime: float = LIVES
    """The longest `expires` from now."""
    queue_limit: int = 2_000_000
    """Waiting tasks of one account."""
    quota: Quota = field(default_factory=Quota)
    """Of every account for which an operator has set no other."""
    store_limit: int = 20 << 30
    """Over this, received results lose their bodies."""
    keep: float = 86400.0
    """How long what ended is remembered at least, also past its `expires`: its client may be away just then."""
    quiet: float = 10.0
    dead: float = 30.0
    redeliver: float = 5.0
    probe: float = 5.0
    """How long a live endpoint has to answer when a second one says `Hello`."""
    pulls: int = 64
    """Large bodies that come in at a time from one session."""
    versions: dict[str, str] = field(default_factory=dict)
    audit: str = 'required'
    """Or `best-effort`: whether what is not on record may happen."""

    restored: str = ''
    """For people, when the store was restored and from a backup of when; empty if it never was. What parties know of the time between is true."""

    @classmethod
    def limited(cls, limits: Mapping[str, Any], **more: Any) -> RelaySettings:
        """With limits as an operator names them: fields of these settings, and `quota_tasks`, `quota_bytes`, `quota_rate`."""
        quota = {name: limits[f'quota_{name}'] for name in NAMES if f'quota_{name}' in limits}
        return cls(quota=Quota(**quota), **{name: limit for name, limit in limits.items() if not name.startswith('quota_')}, **more)


class Core:
    """The shared state. Everything in it is derived from the store or lives as long as a session."""

    def __init__(self, store: Store, settings: RelaySettings, first_session: int) -> None:
        """Reads accounts and counters; the backlog is counted, not read. Raises StoreError."""
        self.store = store
        self.settings = settings
        self.now = 0.0
        """The time of this turn."""
        self.full = False
        self.tight = False
        self.succession = b''
        self.unrecorded = False
        """Whether the audit log cannot be written: then nothing new is taken in, and nobody's rights change."""
        self.busy = False
        self.accounts = Directory(store.accounts(), store.invites())
        self.quotas = Quotas(store, self.accounts, settings.quota)
        self.draining = False
        self.snapshot = Progress('')
        self.sessions: dict[bytes, Session] = {}
        self.endpoints: dict[Id, EndpointSession] = {}
        self.followers: dict[tuple[Id, Id], set[ClientSession]] = defaultdict(set)
        self.watchers: dict[Id, set[ClientSession]] = defaultdict(set)
        self.heads = Heads()
        self.ended: dict[tuple[Id, Id], list[Ended]] = defaultdict(list)  # what ended in this turn, by followed group: not read back to be delivered
        self.said: dict[Id, dict[Id, TaskState]] = {}  # of endpoints that are away: what they last said of their leases
        self.changes: dict[Id, None] = {}  # watched tasks whose state may have changed
        self.ready: dict[Id, None] = {}  # endpoints to look at when the turn ends
        self.behind: dict[bytes, ClientSession] = {}  # clients to look at when the turn ends
        self.waiting: dict[Id, dict[str, Counter[Id]]] = defaultdict(lambda: defaultdict(Counter))
        for endpoint, pool, account, count in store.queued():
            self.waiting[endpoint][pool][account] = count
        self.load: Counter[Id] = Counter()
        for pools in self.waiting.values():
            for accounts in pools.values():
                self.load.update(accounts)
        self.number, self.done = store.last()
        self._session = first_session
        self._day = 0.0
        self._brought: Counter[Id] = Counter()
        self._refusals = Refusals()
        self._effects: list[Effect] = []

    # -- What is to be done -----------------------------------------------------------------------------------------

    def take(self) -> list[Effect]:
        """The effects of the turn, the most awaited first."""
        effects, self._effects = self._effects, []
        return hurried(effects)

    def send(self, session: Session, message: Message) -> None:
        """To a session."""
        self._effects.append(Send(session.routing, message))

    def welcome(self, session: Session) -> None:
        """The session is open; an endpoint hears who its guests are. Said again it changes nothing else."""
        settings, share = self.settings, b''
        if isinstance(session, EndpointSession) and (row := self.accounts.get(session.account)):
            session.welcomed, share = self.now, row.share
        limits = {'payload': settings.payload_limit, 'body': settings.body_limit, 'object': settings.object_limit, 'silence': int(settings.dead)}
        self.send(session, Welcome(session.number, self.now, limits, share, self.succession))

    def do(self, *effects: Effect) -> None:
        """Anything else."""
        self._effects += effects

    def audit(self, event: str, account: Id, **fields: Any) -> None:
        """A line of the audit log."""
        self._effects.append(Audit(event, account, fields))

    def records(self) -> list[Audit]:
        """The lines of this turn, out of its effects: they are written before it is committed."""
        found = [each for each in self._effects if isinstance(each, Audit)]
        if found:
            self._effects = [each for each in self._effects if not isinstance(each, Audit)]
        return found

    @property
    def closed(self) -> str:
        """Why nothing new is taken in at present; '' when it is."""
        if self.full:
            return "the relay's disk is full"
        return "the relay's audit log cannot be written" if self.unrecorded else ''

    def refused(self, event: str, account: Id, **fields: Any) -> None:
        """A line of the audit log about what somebody may not do, unless there are too many of them already."""
        more = self._refusals.line(account, self.now)
        if more is not None:
            self.audit(event, account, **fields, **more)

    def unknown(self, account: Id, verb: str, tasks: int) -> None:
        """A line about tasks that somebody asked for and that are not there for it: forgotten, never there, or another account's."""
        self.refused('unknown', account, verb=verb, tasks=tasks)

    def put_account(self, row: AccountRow) -> None:
        """Add an account, or replace it."""
        self.store.put_account(row)
        self.accounts.put(row)

    def next_session(self) -> int:
        """A number that no session of this store had before."""
        self._session += 1
        return self._session

    def next_numbers(self, count: int) -> range:
        """The numbers of new tasks."""
        first, self.number = self.number + 1, self.number + count
        return range(first, self.number + 1)

    @property
    def no_such_task(self) -> str:
        """Why a task is unknown."""
        restored = self.settings.restored
        return f'no such task: this relay was {restored}, and what came between is not in it' if restored else 'no such task'

    def drain(self, *, on: bool) -> None:
        """Whether to take no new tasks and give out no leases."""
        self.draining = on
        if not on:
            self.ready.update(dict.fromkeys(self.endpoints))

    def may_bring(self, account: Id, size: int) -> bool:
        """Count bytes of objects that an account brings; whether they are within what it may bring in a day."""
        if self.now - self._day >= DAY:
            self._day, self._brought = self.now, Counter()
        self._brought[account] += size
        return self._brought[account] <= self.settings.objects_daily

    # -- What waits -------------------------------------------------------------------------------------------------

    def enqueue(self, rows: Iterable[TaskRow]) -> None:
        """New tasks wait."""
        queues: dict[tuple[Id, str, Id], list[TaskRow]] = {}
        for row in rows:
            queues.setdefault((row.endpoint, row.pool, row.account), []).append(row)
        for key, new in queues.items():
            if key[0] in self.endpoints:
                self.heads.add(key, new, self._length(*key))
            self._count_waiting(*key, len(new))

    def dequeue(self, endpoint: Id, pool: str, rows: Iterable[TaskRow]) -> None:
        """The first tasks of some accounts' queues have left them."""
        for account, count in Counter([row.account for row in rows]).items():
            self.heads.take((endpoint, pool, account), count)
            self._count_waiting(endpoint, pool, account, -count)

    def wait(self, task: TaskInfo, change: int) -> None:
        """A task came back into its queue (1), or left it from anywhere (-1)."""
        self.heads.forget((task.endpoint, task.pool, task.account))
        self._count_waiting(task.endpoint, task.pool, task.account, change)

    def _count_waiting(self, endpoint: Id, pool: str, account: Id, change: int) -> None:
        pools = self.waiting[endpoint]
        accounts = pools[pool]
        accounts[account] += change
        self.load[account] += change
        if accounts[account] <= 0:
            del accounts[account]
        if not accounts:
            del pools[pool]
        self.ready[endpoint] = None

    def _length(self, endpoint: Id, pool: str, account: Id) -> int:
        accounts = self.waiting[endpoint].get(pool)
        return accounts[account] if accounts else 0

    def head(self, endpoint: Id, pool: str, account: Id, limit: int) -> list[TaskRow]:
        """The next tasks of a queue, as many as one turn may have in memory."""
        key = (endpoint, pool, account)
        rows = self.heads.first(key, limit)
        if len(rows) < min(limit, self._length(*key)):
            rows = self.store.waiting(*key, max(limit, self.heads.page), TURN_BYTES)
            self.heads.fill(key, rows)
        return rows[:limit]

    def release(self, task: TaskInfo) -> None:
        """A lease has ended: out of the memory of the session that holds it."""
        session = self.endpoints.get(task.endpoint)
        if session is None:
            self.said.get(task.endpoint, {}).pop(task.id, None)
            return
        lease = session.leases.pop(task.id, None)
        if lease:
            if session.details:
                session.details.pop(task.id, None)
            counts = session.held[lease.pool]
            counts[lease.account] -= 1
            counts[_BYTES] -= lease.size
            self.ready[task.endpoint] = None

    def hold(self, session: EndpointSession, tasks: Iterable[TaskInfo]) -> None:
        """Leases have begun."""
        for task in tasks:
            session.leases[task.id] = task
            counts = session.held[task.pool]
            counts[task.account] += 1
            counts[_BYTES] += task.size
            if self.watchers:
                self.changed(task.id)

    def changed(self, task_id: Id) -> None:
        """Somebody may watch it."""
        if task_id in self.watchers:
            self.changes[task_id] = None

    # -- How tasks end ----------------------------------------------------------------------------------------------

    def end(self, tasks: Iterable[TaskInfo], status: Status, reason: str) -> None:
        """By the relay's own word."""
        self.finish([Ended(task, status, 0, reason=reason) for task in tasks])

    def finish(self, ended: Sequence[Ended]) -> None:
        """Tasks that were not done are done; who follows will be told."""
        if not ended:
            return
        least = self.now + self.settings.keep
        groups: dict[tuple[Id, Id], list[Ended]] = {}
        for done, each in enumerate(ended, self.done + 1):
            task, each.done = each.task, done
            each.until = max(task.expires, least)
            if task.stage == Stage.QUEUED:
                self.wait(task, -1)
            else:
                self.release(task)
            groups.setdefault((task.account, task.group), []).append(each)
            if self.watchers:
                self.changed(task.id)
            if task.body:
                self.do(SpoolDelete((task.id, 0, 'task')))
        self.done += len(ended)
        for key, some in groups.items():
            self._tell(key, some)
            sizes = [len(each.header) + len(each.payload) + each.body - each.task.size for each in some]
            self.quotas.count(key[0], -len(some), sum(sizes))
        self.store.finish(ended)

    def _tell(self, key: tuple[Id, Id], ended: list[Ended]) -> None:
        """Who follows a group has something to be delivered."""
        followers = self.followers.get(key, ())
        for session in followers:
            session.behind.setdefault(key[1], True)
            self.behind[session.routing] = session
        if followers:
            self.ended[key] += ended

    def forget_spooled(self, gone: Iterable[Forgotten]) -> None:
        """Their spooled bodies can go."""
        for each in gone:
            self.quotas.count(each.account, 0, -each.size)
            if each.task:
                self.do(SpoolDelete((each.id, 0, 'task')))
            if each.result:
                self.do(SpoolDelete((each.id, each.result, 'result')))


_BYTES = Id(b'')
"""In the counts of a pool, the key under which its bytes stand."""


def held_bytes(counts: Counter[Id]) -> int:
    """Bytes that a pool holds."""
    return counts[_BYTES]


def held_tasks(counts: Counter[Id]) -> int:
    """Tasks that a pool holds."""
    return sum(counts.values()) - counts[_BYTES]


def batches(items: Iterable[T], sizes: Iterable[int]) -> Iterator[tuple[T, ...]]:
    """Items in groups that fit into a message; one always fits."""
    batch: list[T] = []
    total = 0
    for item, size in zip(items, sizes):
        if batch and (len(batch) >= BATCH_TASKS or total + size > BATCH_BYTES):
            yield tuple(batch)
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield tuple(batch)
