"""The relay's process: the real relay reactor over the memory store, a spool, and turns that can be cut anywhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from relay_parsl.errors import StoreError
from relay_parsl.relay import effects as do
from relay_parsl.relay.reactor import RelayReactor, RelaySettings
from relay_parsl.relay.records import AccountRow, Stage, Standing, TaskInfo
from relay_parsl.relay.store import EVICTED, Store
from relay_parsl.wire.messages import NO_ID, Body, Enrol, Id, Message, Objects, Returned, Segment
from tests.simulation.joiner import read_enrolment
from tests.simulation.network import Peer
from tests.simulation.process import Process
from tests.simulation.watched_store import WatchedStore

if TYPE_CHECKING:
    from tests.simulation.world import World


class RelayProcess(Process):
    """All lives of the relay; store and spool survive them."""

    kind = 'relay'
    points = ('receive', 'statement', 'decide', 'commit', 'act', 'sync', 'idle')
    statements = tuple(sorted(name for name in vars(Store) if not name.startswith('_') and name not in ('rollback', 'unfinished')))
    period = 1.0

    def __init__(self, world: World, store: WatchedStore) -> None:
        """The accounts are in the store from the beginning."""
        super().__init__(world, 'relay')
        self.store = store
        self.store.fail = self._statement
        self.spool: dict[do.Key, bytes] = {}
        self.unsynced: set[do.Key] = set()
        self.full = self.was_full = False
        self.settings = RelaySettings(store_limit=world.clock.random.choice(world.scale.store))
        self.looked = self.turned = 0.0
        self.faulty = False
        """Whether the store has failed since the process began: then a half-fetched body may be left in the spool until it ends."""
        self.seen = 0
        self.strangers = {each.id for each in world.enemies}
        world.network.relay_wake = self.wake
        self._bootstrap()

    def _bootstrap(self) -> None:
        self.store.fail = lambda _statement: None
        self.store.begin()
        for each in self.world.accounts:
            self.store.put_account(AccountRow(each.id, each.name, each.role, each.name.encode(), each.key, 4e9, each.owner or NO_ID))
        self.store.commit()
        self.store.fail = self._statement

    # -- lives ----------------------------------------------------------------

    def boot(self) -> None:
        """A new process: all it knows is in the store."""
        self.looked = 0.0
        self.events: deque[tuple[Any, ...]] = deque()
        self.world.network.relay_up, self.world.network.version = True, self.version
        self.was_full |= self.full
        self.turned = 0.0
        self.faulty = False
        try:
            self._rebuild()
        except StoreError:
            self.kill('boot')
            return
        self._sweep()

    def _rebuild(self) -> None:
        """A reactor from what is stored."""
        self.store.rollback()
        self.store.begin()
        start = self.store.start()
        self.reactor = RelayReactor(self.store, self.now, settings=self.settings, first_session=start << 32)
        self.store.commit()

    def _sweep(self) -> None:
        """At its start a relay deletes what a crash has left in the spool."""
        wanted = {(kept.row.id, 0, 'task') for kept in self.store._tasks.values() if not kept.ended}
        wanted |= {(kept.row.id, kept.ended.attempt, 'result') for kept in self.store._tasks.values() if kept.ended and kept.ended.body}
        self.spool = {key: body for key, body in self.spool.items() if key in wanted}

    def die(self) -> None:
        """Connections break; what was not fsynced may be gone."""
        self.world.network.relay_up = False
        self.world.network.relay_died()
        self.store.rollback()
        for key in self.unsynced:
            if self.clock.random.random() < 0.5:
                self.spool.pop(key, None)
                self.store.touched.add(key[0])
        self.unsynced.clear()

    def set_full(self, full: bool) -> None:
        """The disk is full, or is not any more."""
        self.full = full
        self.was_full |= full

    def _statement(self, name: str) -> None:
        if self.full and name in _WRITES and self.clock.random.random() < 0.7:
            raise StoreError('database or disk is full')
        if self.fails(name):
            raise StoreError('disk I/O error')
        self.point('statement')

    # -- the loop -------------------------------------------------------------

    def step(self) -> None:
        """begin, drain, decide, commit, send."""
        network, now = self.world.network, self.now
        arrived = [network.relay_inbox.popleft() for _ in range(min(len(network.relay_inbox), 256))]
        if arrived:
            self.point('receive')
        try:
            self._turn_of_the_store(arrived, now)
        except StoreError:
            self._start_over()
            return
        self._act()
        if now - self.looked >= 5.0:
            self.looked, self.reactor.full = now, self.full
        self.turned = now
        self.point('idle')
        if network.relay_inbox or self.events or self.reactor.busy:
            self.wake()

    def _turn_of_the_store(self, arrived: list[Any], now: float) -> None:
        self.store.begin()
        for peer, message in arrived:
            self._read_message(peer, message, now)
            self.world.invariants.relay_reads(peer, message)
        while self.events:
            call, *arguments = self.events.popleft()
            getattr(self.reactor, call)(*arguments, now)
        self.reactor.tick(now)
        self.reactor.flush(now)
        self.decided(arrived)
        self.store.commit()
        if arrived:
            self.point('commit')

    def _read_message(self, peer: Peer, message: Message, now: float) -> None:
        """As the server's loop does it."""
        if isinstance(message, Enrol):
            enrolment = read_enrolment(message)
            if enrolment is not None:
                self.reactor.enrol(peer, enrolment, now)
        elif self.reactor.admits(peer.key, now):
            if isinstance(message, Objects) and self.world.enemies:
                message = Objects(tuple([each for each in message.objects if sha256(each.data).digest() == each.hash]))
            self.reactor.receive(peer, message, now)

    def decided(self, arrived: list[Any]) -> None:
        """All is decided and nothing is committed."""
        if arrived:
            self.point('decide')

    def _start_over(self) -> None:
        """After any error of the store: nothing leaves, a new reactor, and sessions begin anew; the disk counts as full until it was looked at."""
        self.events.clear()
        try:
            self._rebuild()
        except StoreError:
            self.kill('boot')
            return
        self.reactor.full = self.was_full = self.faulty = True
        self.looked = self.now
        self.wake(0.2)

    def _act(self) -> None:
        for effect in self.reactor.take():
            self.point('act')
            _ACTS[type(effect)](self, effect)

    def _send(self, effect: do.Send) -> None:
        if not self.world.network.route(effect.routing, effect.message):
            self.reactor.unreachable(effect.routing, self.now)

    def _write(self, effect: do.SpoolWrite) -> None:
        old = self.spool.get(effect.key, b'')
        self.spool[effect.key] = old[: effect.offset].ljust(effect.offset, b'\0') + effect.data + old[effect.offset + len(effect.data) :]
        self.unsynced.add(effect.key)

    def _sync(self, effect: do.SpoolSync) -> None:
        """The helper thread takes its time."""
        self.point('sync')
        self.clock.after(self.clock.random.choice((0.001, 0.01, 1.0)), self._synced, effect.key, self.life)

    def _synced(self, key: do.Key, life: int) -> None:
        if self.up and life == self.life:
            self.unsynced.discard(key)
            self.events.append(('spooled', key))
            self.wake()

    def _read(self, effect: do.SpoolSend) -> None:
        fetch = effect.fetch
        body = self.spool.get(effect.key)
        data = b'' if body is None else body[fetch.offset : fetch.offset + fetch.length]
        total = -1 if body is None else len(body)
        self._send(do.Send(effect.routing, Segment(fetch.task_id, fetch.attempt, fetch.direction, fetch.offset, total, Body(data))))

    def _delete(self, effect: do.SpoolDelete) -> None:
        self.store.touched.add(effect.key[0])
        self.spool.pop(effect.key, None)
        self.unsynced.discard(effect.key)

    def _audit(self, effect: do.Audit) -> None:
        """Nobody reads it here."""

    # -- judged by the invariants ---------------------------------------------

    def bodies(self) -> dict[do.Key, bytes]:
        """Its spool."""
        return self.spool

    def inspect(self) -> None:
        """Invariants 1 and 3, for every accepted task that is not over."""
        self.dirty = False
        invariants, tasks = self.world.invariants, self.store._tasks
        for account in sorted((self.world.revoked | self.world.removed.keys()) - invariants.outcasts):
            if self.store._accounts[account].standing is not Standing.ACTIVE:
                invariants.outcasts.add(account)
                self.strangers.add(account)
                self.world.haunt(account)
        if self.world.sharing:
            self.world.sharing.inspect()
        if len(self.store._objects) != self.seen:  # what tasks refer to has changed: look at all of them
            self.seen = len(self.store._objects)
            self.store.touched.update(invariants.open)
        for task_id in sorted(self.store.touched & invariants.open.keys()):
            kept = tasks.get(task_id)
            invariants.check(kept is not None and self.whole(task_id), '1: an accepted task is not whole in the store')
            if kept is not None and kept.ended is not None:
                del invariants.open[task_id]
                invariants.over(task_id, kept.ended)
        self.store.touched.clear()

    def look_at(self, task_id: Id) -> None:
        """Have the next step look at this task."""
        self.store.touched.add(task_id)
        self.dirty = True

    def info(self, task_id: Id) -> TaskInfo | None:
        """How a task stands in the store; past the store's own statements, which are for the reactor."""
        kept = self.store._tasks.get(task_id)
        return kept.info if kept else None

    def is_over(self, task_id: Id) -> bool:
        """Whether the task has a terminal state in the store."""
        info = self.info(task_id)
        return info is None or info.stage == Stage.DONE

    def is_out(self, account: Id, key: bytes) -> bool:
        """Whether a turn has passed since the time of a replaced key was over."""
        row = self.store._accounts.get(account)
        return row is not None and key == row.old_curve and self.turned >= row.old_until

    def admits(self, account: Id, key: bytes) -> bool:
        """Whether a key counts: the one of now, and until its time is over the one of before."""
        row = self.store._accounts[account]
        current = key == row.curve or (key == row.old_curve and self.now < row.old_until)
        good = current and row.standing is Standing.ACTIVE
        self.world.invariants.check(self.reactor.admits(key, self.now) == good, 'whether a key of %s counts is not as its overlap says', row.name)
        self.clock.tally.faults['old key within its overlap'] += good and key == row.old_curve
        return good

    def is_rotten(self, task_id: Id) -> bool:
        """Whether the disk has changed its result."""
        return task_id in self.store.rotten or task_id in self.world.decay.bodies

    def evicted(self, task_id: Id) -> bool:
        """Whether the result was given up for space, after somebody had received it."""
        kept = self.store._tasks.get(task_id)
        return kept is not None and kept.ended is not None and kept.ended.reason == EVICTED

    def hears(self, peer: Peer, message: Returned) -> bool:
        """Whether a word of a peer counts: in its session; in another one it does not, and 0 is any."""
        found = self.reactor._core.sessions.get(peer.routing)
        return found is not None and message.session in (0, found.number)

    def describe(self, task_id: Id) -> str:
        """For a reader."""
        return str(self.info(task_id))

    def whole(self, task_id: Id) -> bool:
        """Invariant 1: the task is known and, until it is over, its body and its objects are there."""
        kept = self.store._tasks.get(task_id)
        if kept is None:
            return False
        if kept.info.stage == Stage.DONE:
            return True
        spec = self.world.specs[task_id]
        body = (
            not spec.body or task_id in self.world.decay.bodies or ((task_id, 0, 'task') in self.spool and (task_id, 0, 'task') not in self.unsynced)
        )
        objects = self.store._objects
        return (
            (kept.row.payload == spec.task.payload or task_id in self.world.rotten)
            and body
            and (spec.header.grant, spec.account) in objects
            and (spec.header.function, spec.account) in objects
        )

    def leased(self, endpoint: Id) -> dict[str, tuple[int, int]]:
        """Open leases of an endpoint by pool: how many, and their bytes."""
        found: dict[str, tuple[int, int]] = {}
        for task_id in self.store._leases[endpoint].values():
            info = self.store._tasks[task_id].info
            count, size = found.get(info.pool, (0, 0))
            found[info.pool] = count + 1, size + info.size
        return found

    def leftovers(self) -> str:
        """What is in the reactor's memory or in the spool when nothing is left to do; a body that nobody offers any more is given up later."""
        core, pulls = self.reactor._core, self.reactor._pulls._pulls
        wanted = {(row.row.id, row.ended.attempt, 'result') for row in self.store._tasks.values() if row.ended and row.ended.body}
        found = {
            'spool': self.spool.keys() - wanted - pulls.keys() if not (self.faulty or self.strangers) else (),
            'load': {account: load for account, load in core.load.items() if load and account not in self.strangers},
            'leases': [session.leases for session in core.endpoints.values() if session.leases and session.account not in self.strangers],
            'undelivered': [
                session.sent for session in core.sessions.values() if getattr(session, 'sent', None) and session.account not in self.strangers
            ],
        }
        return ', '.join(f'{name}: {value}' for name, value in found.items() if value)

    def unrest(self) -> str:
        """What is left to do, if anything."""
        for kept in self.store._tasks.values():
            if kept.info.stage != Stage.DONE and kept.row.account not in self.strangers:
                return f'the relay has {kept.info}'
        return ''


_WRITES = frozenset((
    'put_account', 'put_invite', 'drop_invite', 'put_objects', 'keep_objects', 'add', 'lease', 'requeue', 'ask_cancel', 'finish', 'received',
    'forget', 'evict', 'start',
))  # fmt: skip
_ACTS: dict[type, Callable[[RelayProcess, Any], None]] = {
    do.Send: RelayProcess._send, do.SpoolWrite: RelayProcess._write, do.SpoolSync: RelayProcess._sync, do.SpoolSend: RelayProcess._read,
    do.SpoolDelete: RelayProcess._delete, do.Audit: RelayProcess._audit,
}  # fmt: skip
