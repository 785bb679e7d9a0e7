"""An endpoint's process: the real endpoint reactor over a journal in memory, a spool, and a simulated engine for each pool."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

from relay_parsl.endpoint import effects as do
from relay_parsl.endpoint.reactor import EndpointReactor, EndpointSettings
from relay_parsl.errors import StoreError
from relay_parsl.wire.codec import encode_header
from relay_parsl.wire.messages import Body, Dispatch, Id, Report, Result, ResultHeader, Segment, Status, TaskHeader, Welcome
from tests.simulation.decay import Rows
from tests.simulation.engine import Engine, Job
from tests.simulation.fused_engine import FusedEngine
from tests.simulation.guests import Rights, Watched
from tests.simulation.network import Dealer, brief
from tests.simulation.process import Process
from tests.simulation.specs import SIZES, Account, key_of, opens, outcome, random_id

if TYPE_CHECKING:
    from tests.simulation.world import World


FEW = (1, 6)
"""Workers of a pool in which tasks travel together, from and to: so that more wait than there are workers."""
STUCK = 20.0
"""Seconds for which a journal that refuses is tried again."""


class Disk:
    """What survives: the journal, which belongs to the process that opened it last, and the spool."""

    def __init__(self) -> None:
        """Empty."""
        self.owner: EndpointProcess | None = None
        self.journal = Rows(self._statement)
        self.spool: dict[do.BodyKey, bytes] = {}
        self.outbox: dict[Id, None] = {}
        self.reported = 0
        """The statement about guests that the relay was told of."""

    def _statement(self, name: str) -> None:
        if self.owner is not None:
            self.owner.statement(name)

    def copy(self) -> Disk:
        """What somebody has who copies the directory to another host."""
        other = Disk()
        for name in ('_epoch', '_spent', '_results', '_share', 'sums', 'ruined'):
            setattr(other.journal, name, copy(getattr(self.journal, name)))
        other.spool, other.outbox, other.reported = dict(self.spool), dict(self.outbox), self.reported
        return other


class EndpointProcess(Process):
    """One process of an endpoint; a second one may share its disk."""

    kind = 'endpoint'
    points = ('receive', 'statement', 'decide', 'commit', 'act', 'start', 'engine', 'idle')
    statements = ('begin', 'commit', 'advance', 'spent', 'results', 'spend', 'keep', 'forget')
    period = 1.0

    def __init__(self, world: World, name: str, account: Account, disk: Disk | None = None, *, takeover: bool = False) -> None:
        """`takeover` counts for the first life."""
        super().__init__(world, name)
        self.account, self.takeover = account, takeover
        self.disk = disk or Disk()
        self.full = False
        """Whether the disk of its journal is."""
        self.drain_after = -1
        """Dispatches until somebody says SIGTERM: what has not started is given back, the rest is finished; later it is started again."""
        random = self.clock.random
        self.pools = {name: (random.choice(world.scale.windows), random.choice(world.scale.bytes)) for name in world.pools}

    # -- lives ----------------------------------------------------------------

    def boot(self) -> None:
        """A new process: a higher epoch, the journal's results, empty engines."""
        random, journal, owner = self.clock.random, self.disk.journal, self.disk.owner
        if owner not in (None, self) and owner.up and not (self.takeover and self.life == 1):
            self.stay_down = True  # the journal is locked
            self.halt()
            return
        self.disk.owner = self
        self.stuck_since: float | None = None
        self.engines: dict[str, Engine] = {}
        self.events: deque[tuple[Any, ...]] = deque()
        try:
            journal.rollback()
            journal.begin()
            self.epoch = journal.advance()
            journal.commit()
            margins = (3, 64, 1000) if self.world.fused else (0, 3, 64)
            settings = EndpointSettings(
                pools=self.pools,
                takeover=self.takeover and self.life == 1,
                margin=random.choice(margins),
                held_page=random.choice((2, 7)),
            )
            self.reactor = EndpointReactor(journal, random_id(random), self.epoch, self.now, settings=settings)
            sharing = self.world.sharing
            self.rights = Rights(self, sharing) if sharing and sharing.site is self.account else None
        except StoreError as error:
            self.clock.tally.faults['ruin found'] += 'numbers' in str(error)
            self.kill('boot')
            return
        kept = {(each.task_id, each.attempt, 'result') for each in journal._results.values()}
        self.disk.spool = {key: body for key, body in self.disk.spool.items() if key in kept}
        self.dealer = Dealer(self.world.network, self.account.key, self.wake, self.name, self.version)
        if not self.rights:
            self.reactor.report({'host': self.name, 'life': self.life})
        for pool in self.pools:
            self._make_engine(pool, random.randint(*(FEW if pool in self.world.fused else self.world.scale.capacities)))
        self.reactor.connect(self.now)

    def _make_engine(self, pool: str, capacity: int) -> None:
        kind = FusedEngine if pool in self.world.fused else Engine
        users: Any = Watched(self.rights) if self.rights else self.world.invariants
        engine = kind(self.clock, capacity, self.world.speed, self.world.invariants.start, users)
        engine.on_running = lambda job: self._event(self.reactor.running, job.task_id, job.attempt, {'host': self.name})
        engine.on_finished = lambda job, ok: self._event(self._finished, job, Status.SUCCESS if ok else Status.FAILED)
        engine.on_cancelled = lambda job: self._event(self._finished, job, Status.CANCELLED)
        engine.on_lost = lambda job, cause, evidence: self._event(self.reactor.lost, job.task_id, job.attempt, cause, evidence)
        self.engines[pool] = engine
        self._event(self.reactor.capacity, pool, capacity)

    def die(self) -> None:
        """The engine dies with the process."""
        if hasattr(self, 'dealer'):
            self.dealer.close()
        for engine in getattr(self, 'engines', {}).values():
            engine.alive = False
        if self.disk.owner is self:
            self.disk.journal.rollback()

    def _event(self, *event: Any) -> None:
        """From an engine's thread into the loop."""
        self.events.append(event)
        self.wake()

    def statement(self, name: str) -> None:
        """A statement of the journal is about to run. Raises StoreError or Crash when its time has come."""
        if self.full and name in ('spend', 'keep', 'advance', 'commit') and self.clock.random.random() < 0.7:
            self.clock.tally.faults['endpoint full'] += 1
            raise StoreError('database or disk is full')
        if self.fails(name):
            raise StoreError('disk I/O error')
        self.point('statement')

    # -- the loop -------------------------------------------------------------

    def step(self) -> None:
        """begin, drain, decide, commit, act."""
        now = self.now
        if self.dealer.key is not self.account.key:  # the file has changed
            self.dealer.key = self.account.key
            self.dealer.reconnect()
            self.reactor.connect(now)
        if self.stuck_since is None:
            self._take_in(now)
        if not self._commit(now):
            return
        self.point('commit')
        self._act()
        if self.up:
            if self.rights:
                self.rights.after_turn()
            self.point('idle')

    def _take_in(self, now: float) -> None:
        inbox, events = self.dealer.inbox, self.events
        messages = [inbox.popleft() for _ in range(min(len(inbox), 256))]
        if messages:
            self.point('receive')
        if events:
            self.point('engine')
        for message in messages:
            self.reactor.receive(message, now)
            if self.rights and isinstance(message, Welcome):
                self.rights.welcome()
            if self.drain_after >= 0 and isinstance(message, Dispatch):
                self.drain_after -= 1
                if self.drain_after < 0:
                    self._event(self.reactor.drain)
        while events:
            call, *arguments = events.popleft()
            call(*arguments, now)
        if self.rights:
            self.rights.look(now)
        self.reactor.tick(now)

    def _commit(self, now: float) -> bool:
        """When the disk refuses, nothing leaves and nothing is taken in, until it does not; one that was taken away never does."""
        journal = self.disk.journal
        try:
            if self.disk.owner is not self:
                raise StoreError('the journal is in the hands of another process')
            journal.begin()
            self.reactor.flush(now)
            if journal._turn:
                self.point('decide')
            journal.commit()
        except StoreError:
            self.stuck_since = self.stuck_since or now
            if self.disk.owner is self:
                journal.rollback()
            if now - self.stuck_since >= STUCK:
                self.stay_down = self.disk.owner is not self
                self.kill('stuck')
            return False
        self.stuck_since = None
        return True

    def _act(self) -> None:
        for effect in self.reactor.take():
            self.point('act')
            if self.clock.show and not isinstance(effect, do.Send):
                self.clock.note(f'{self.name} does {brief(effect)}')
            _ACTS[type(effect)](self, effect)
            if not self.up:
                return

    def _send(self, effect: do.Send) -> None:
        if self.rights and isinstance(effect.message, Report):
            self.rights.report_leaves(effect.message)
        self.dealer.send(effect.message)

    def _start(self, effect: do.Start) -> None:
        self.point('start')
        info = effect.info
        spec = self.world.specs[info.task_id]
        check = self.world.invariants.check
        check((effect.header, effect.payload) == (spec.task.header, spec.task.payload), 'a task changed on the way')
        if (self.rights and not self.rights.opens(effect)) or (info.body and not self._body_opens(effect)):
            return
        self.world.invariants.tried((self.name, self.life), info.task_id, effect.attempt)
        self.engines[info.pool].submit(Job(info.task_id, effect.attempt, effect.header, effect.payload))

    def _body_opens(self, effect: do.Start) -> bool:
        """What its runner does first: it reads the arguments. Those that do not open are the end of the task, and nothing of it runs."""
        info, check = effect.info, self.world.invariants.check
        body = self.disk.spool.get((info.task_id, effect.attempt, 'task'), b'')
        if opens(key_of(info.task_id), info.body, body):
            check(body == self.world.specs[info.task_id].body, 'the body of a task changed on the way')
            return True
        check(self.world.decay.found(info.task_id, 'call that does not open'), 'a body that is whole cannot be opened')
        self._event(self._end, info, effect.attempt, Status.FAILED, b'SealError', b'')
        return False

    def _cancel(self, effect: do.CancelWork) -> None:
        gone = self.engines[effect.info.pool].cancel(effect.task_id, effect.attempt)
        if self.rights:
            self.rights.cancelled(effect, gone)
        if gone:
            self._event(self._end, effect.info, effect.attempt, Status.CANCELLED, b'cancelled', b'')

    def _withdraw(self, effect: do.Withdraw) -> None:
        given = self.engines[effect.pool].withdraw(effect.task_id, effect.attempt)
        if self.rights:
            self.rights.withdrawn(effect, given)
        if given:
            self.world.invariants.untried((self.name, self.life), effect.task_id, effect.attempt)
            self._event(self.reactor.withdrawn, effect.task_id, effect.attempt)

    def _fail(self, effect: do.Fail) -> None:
        self.world.invariants.given_up(effect)
        status = Status.CANCELLED if effect.cause == 'cancelled' else Status.FAILED
        self._event(self._end, effect.info, effect.attempt, status, effect.cause.encode(), b'')

    def _finished(self, job: Job, status: Status, now: float) -> None:
        spec = self.world.specs[job.task_id]
        size = self.clock.random.randrange(*SIZES) if self.clock.random.random() < self.world.scale.large else 0
        payload, body = outcome(spec.mark, self.world.invariants.started[job.task_id], size)
        self._end(spec.header, job.attempt, status, payload, body, now)

    def _end(self, info: TaskHeader, attempt: int, status: Status, payload: bytes, body: bytes, now: float) -> None:
        """Seal an outcome and hand it to the reactor."""
        if body:
            self.disk.spool[info.task_id, attempt, 'result'] = body
        header = ResultHeader(info.grant, info.sequence, info.task_id, self.account.id, self.epoch, attempt, status, body=len(body))
        self.reactor.finished(do.Ended(header, Result(encode_header(header), Body(payload))), now)

    def _keep(self, effect: do.Keep) -> None:
        if not self.rights or self.rights.keep(effect.object):
            self._event(self.reactor.kept, effect.object.hash)

    def _drop(self, effect: do.Drop) -> None:
        """The reactor will ask for it again."""
        if self.rights:
            self.rights.drop(effect)

    def _statement(self, effect: do.Statement) -> None:
        if self.rights:
            self.rights.state(effect)

    def _write(self, effect: do.SpoolWrite) -> None:
        old = self.disk.spool.get(effect.key, b'')
        self.disk.spool[effect.key] = old[: effect.offset].ljust(effect.offset, b'\0') + effect.data + old[effect.offset + len(effect.data) :]

    def _sync(self, effect: do.SpoolSync) -> None:
        self._event(self.reactor.spooled, effect.key)

    def _read(self, effect: do.SpoolSend) -> None:
        fetch = effect.fetch
        body = self.disk.spool.get((fetch.task_id, fetch.attempt, fetch.direction))
        data = b'' if body is None else body[fetch.offset : fetch.offset + fetch.length]
        total = -1 if body is None else len(body)
        if total != effect.total:
            self.reactor.spoiled((fetch.task_id, fetch.attempt, fetch.direction))
            self.wake()
            return
        self.dealer.send(Segment(fetch.task_id, fetch.attempt, fetch.direction, fetch.offset, total, Body(data)))

    def _delete(self, effect: do.SpoolDelete) -> None:
        self.disk.spool.pop(effect.key, None)

    def _demand(self, effect: do.Demand) -> None:
        """Scaling is no part of this simulation."""

    def _reconnect(self, _effect: do.Reconnect) -> None:
        self.dealer.reconnect()
        self.reactor.connect(self.now)

    def _exit(self, effect: do.Exit) -> None:
        self.clock.log('%s exits with %d: %s', self.name, effect.code, effect.reason)
        self.clock.tally.faults[f'exit {effect.code}'] += 1
        self.clock.tally.faults['endpoint told of its revocation'] += 'revoked' in effect.reason
        self.stay_down = effect.code != 0
        self.halt()
        self.clock.after(self.clock.random.uniform(0.1, 20.0), self.start)

    # -- judged by the invariants ---------------------------------------------

    def bodies(self) -> dict[do.BodyKey, bytes]:
        """Its spool."""
        return self.disk.spool

    def inspect(self) -> None:
        """Invariant 3: what reached the outbox on disk stays there until the relay has it."""
        self.dirty = False
        rows = self.disk.journal._results
        for task_id in self.disk.outbox.keys() - rows.keys():
            over = self.world.relay.is_over(task_id) or task_id in self.world.decay.results
            self.world.invariants.check(over, '3: a result left the outbox of %s before its task was over', self.name)
            del self.disk.outbox[task_id]
        self.disk.outbox.update(dict.fromkeys(rows))
        self._judge_window()

    def _judge_window(self) -> None:
        """Invariant 7: tasks that are over may still be here, until the word of it has come; the others fit into the window."""
        for name, pool in self.reactor._books.holdings.pools.items() if self.up else ():
            if pool.held > pool.window[0]:
                held = [each.info.task_id for each in self.reactor._books.holdings.values() if each.info.pool == name]
                wanted = [task_id for task_id in held if not self.world.relay.is_over(task_id)]
                self.world.invariants.check(
                    len(wanted) <= max(1, pool.window[0]), '7: %s holds %d, its window is %s', self.name, len(wanted), pool.window
                )

    def unrest(self) -> str:
        """What is left to do, if anything."""
        if not self.up or self.account.id in self.world.invariants.outcasts:
            return ''
        held, waiting = len(self.reactor.held()), len(self.disk.journal._results)
        return f'{self.name} holds {held} tasks and {waiting} results' if held or waiting else ''


_ACTS: dict[type, Callable[[EndpointProcess, Any], None]] = {
    do.Send: EndpointProcess._send, do.Start: EndpointProcess._start, do.CancelWork: EndpointProcess._cancel, do.Fail: EndpointProcess._fail,
    do.Withdraw: EndpointProcess._withdraw, do.Declined: lambda _process, _effect: None,
    do.Statement: EndpointProcess._statement,
    do.Keep: EndpointProcess._keep, do.Drop: EndpointProcess._drop, do.SpoolWrite: EndpointProcess._write, do.SpoolSync: EndpointProcess._sync,
    do.SpoolSend: EndpointProcess._read, do.SpoolDelete: EndpointProcess._delete, do.Demand: EndpointProcess._demand,
    do.Reconnect: EndpointProcess._reconnect, do.Exit: EndpointProcess._exit,
}  # fmt: skip
