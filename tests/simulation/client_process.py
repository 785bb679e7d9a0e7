"""A user's process: the real client reactor, a dealer, and an application that submits, cancels, follows and watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_parsl.client import reactor as client
from relay_parsl.client.reactor import ClientReactor
from relay_parsl.wire.messages import (
    Admin,
    Attempt,
    Body,
    Cancel,
    Fetch,
    Follow,
    Id,
    List,
    Object,
    Segment,
    Status,
    Submit,
    TaskHeader,
    Watch,
)
from tests.simulation.network import Dealer
from tests.simulation.process import Process
from tests.simulation.specs import SIZES, Account, Spec, make_spec, outcome_holds, outcome_opens, random_id, random_object

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass
class Future:
    """What the user holds for a task in one life of the process."""

    accepted: bool = False
    settled: int = 0
    cancelled: bool = False
    followed: bool = False


class ClientProcess(Process):
    """One client process of an account; its outbox is memory, its list of accepted tasks is the user's own notes.

    On disk it has a temporary directory with the bytes of large calls and results, which goes with the process, and nothing that outlives it.
    """

    kind = 'client'
    points = ('submit', 'receive', 'act', 'settle', 'idle')

    def __init__(self, world: World, name: str, account: Account, window: tuple[int, int]) -> None:
        """It works for `account`; `window` is how many results [count, B] it takes at once."""
        super().__init__(world, name)
        self.account, self.window = account, window
        self.group = random_id(self.clock.random)
        self.notes: dict[Id, Future] = {}  # survives: ids of tasks the user still wants
        self.futures: dict[Id, Future] = {}
        self.requests = 0
        self.answers = 0
        self.sequence = 0
        self.bodies: dict[Id, bytes] = {}
        self.arrived: dict[Id, bytearray] = {}
        self.grants: dict[Id, Object] = {}

    # -- lives ----------------------------------------------------------------

    def boot(self) -> None:
        """A new process: what was accepted is followed, what was not is submitted again or given up."""
        random = self.clock.random
        self.reactor = ClientReactor(random_id(random), window=self.window)
        self.dealer = Dealer(self.world.network, self.account.key, self.wake, self.name, self.version)
        self.futures, self.bodies, self.arrived, self.grants = {}, {}, {}, {}
        self.functions = [self.new_object('function') for _ in range(2)]
        self.sequence = self.requests = self.answers = 0
        again, follow = [], []
        for task_id, old in self.notes.items():
            if old.accepted:
                follow.append(task_id)
            elif self.world.chaos_over or random.random() < 0.7:
                again.append(self.world.specs[task_id])
            else:
                self.world.abandoned.add(task_id)
        self.notes = {}
        self.reactor.connect(self.clock.now)
        self.follow(follow)
        if again:
            self.hand_over(again)

    def die(self) -> None:
        """Futures die with their process; the user keeps notes of those not settled."""
        self.dealer.close()
        self.notes = {key: each for key, each in self.futures.items() if not each.settled}

    def step(self) -> None:
        """Drain, decide, act."""
        now, inbox = self.clock.now, self.dealer.inbox
        busy = bool(inbox)
        if inbox:
            messages = [inbox.popleft() for _ in range(min(len(inbox), 256))]
            self.point('receive')
            for message in messages:
                self.reactor.receive(message, now)
        self.reactor.tick(now)
        self.act(hold=busy)
        self.point('idle')
        if inbox:
            self.wake()

    def new_object(self, kind: str) -> Object:
        """A grant or a function of this process."""
        made = random_object(self.clock.random, kind)
        self.world.objects[made.hash] = made
        self.world.signers[made.data] = self.account.id
        return made

    # -- what the user does ---------------------------------------------------

    def compose(self, endpoint: Account, count: int) -> list[Spec]:
        """Make tasks for an endpoint."""
        random, now = self.clock.random, self.clock.now + self.error  # a client's reactor goes by a steady clock, `expires` by that of the host
        if endpoint.id not in self.grants:
            self.grants[endpoint.id] = self.new_object('grant')
        grant, function = self.grants[endpoint.id], random.choice(self.functions)
        specs = []
        for _ in range(count):
            self.sequence += 1
            short = random.random() < self.world.short
            header = TaskHeader(
                grant.hash, self.sequence, random_id(random), self.group, endpoint.id, function.hash,
                expires=now + (random.uniform(0.5, 60.0) if short else 100_000.0),
                priority=random.randrange(3), pool=random.choice(self.world.pools),
                at_most_once=random.random() < 0.3,
                body=random.randrange(*SIZES) if random.random() < self.world.scale.large else 0,
            )  # fmt: skip
            specs.append(make_spec(self.account.id, header, random))
        return specs

    def submit(self, endpoint: Account, count: int, wrong: str = '') -> None:
        """The user's call, from the user's thread."""
        if not self.up:
            return
        specs, random = self.compose(endpoint, count), self.clock.random
        for spec in specs:
            spec.wrong, spec.made = wrong, self.clock.now
            self.world.specs[spec.header.task_id] = spec
            if spec.slow and random.random() < 0.5:  # probably while it runs
                self.clock.after(random.uniform(0.1, 8.0), self.cancel_one, spec.header.task_id)
        self.clock.tally.tasks += count
        self.guard(self.hand_over, specs)

    def hand_over(self, specs: list[Spec]) -> None:
        """To the reactor, and on to the wire."""
        for spec in specs:
            self.futures[spec.header.task_id] = Future()
            if spec.body:
                self.bodies[spec.header.task_id] = spec.body
        self.provide_for(specs)
        self.reactor.submit([spec.task for spec in specs], self.clock.now)
        self.point('submit')
        self.act()

    def provide_for(self, specs: list[Spec]) -> None:
        """Tasks of an earlier life refer to that life's objects."""
        digests = {digest: None for spec in specs for digest in (spec.header.grant, spec.header.function)}
        self.reactor.provide([self.world.objects[digest] for digest in digests])

    def follow(self, ids: list[Id]) -> None:
        """Re-attach: futures for tasks of another process, or of an earlier life."""
        for task_id in ids:
            self.futures[task_id] = Future(accepted=True, followed=True)
        if ids:
            self.clock.log('%s follows %d tasks', self.name, len(ids))
            self.reactor.follow(ids, (), self.clock.now)
        self.act()

    def follow_some(self, other: ClientProcess) -> None:
        """`reload_tasks` of what another process of the account has."""
        ids = [key for key, each in other.futures.items() if each.accepted and key not in self.futures]
        if self.up and ids:
            self.guard(self.follow, self.clock.random.sample(ids, min(8, len(ids))))

    def cancel_some(self, count: int) -> None:
        """`TaskFuture.cancel` on some that are not done."""
        ids = [key for key, each in self.futures.items() if not each.settled]
        if self.up and ids:
            self._cancel(self.clock.random.sample(ids, min(count, len(ids))))

    def cancel_one(self, task_id: Id) -> None:
        """The same for this one."""
        future = self.futures.get(task_id)
        if self.up and future is not None and not future.settled:
            self._cancel([task_id])

    def _cancel(self, ids: list[Id]) -> None:
        for task_id in ids:
            self.futures[task_id].cancelled = True
            self.world.cancelled.add(task_id)
        self.clock.log('%s cancels %s', self.name, _short(ids))
        self.guard(self.call, self.reactor.cancel, ids)

    def watch_some(self, count: int) -> None:
        """Ask for the states of some tasks."""
        if self.up and self.futures:
            self.guard(self.call, self.reactor.watch, self.clock.random.sample(list(self.futures), min(count, len(self.futures))))

    def ask(self, what: str, **filters: object) -> None:
        """A `List`."""
        if self.up:
            self.requests += 1
            self.guard(self.call, self.reactor.request, List(self.requests, what, dict(filters)))

    def administer(self, verb: str, **args: object) -> None:
        """An `Admin`."""
        if self.up:
            self.requests += 1
            self.guard(self.call, self.reactor.request, Admin(self.requests, verb, dict(args)))

    def call(self, method: object, argument: object) -> None:
        """Into the reactor with the time, then act."""
        method(argument, self.clock.now)  # type: ignore[operator]
        self.act()

    def steal(self, task_id: Id) -> None:
        """A hostile client of this account asks for another account's task, in every way there is."""
        if self.up:
            self.world.stolen.add((self.account.id, task_id))
            task = self.world.specs[task_id].task
            for message in (Submit((task,)), Follow((), (task_id,)), Cancel((Attempt(task_id),)), Watch((task_id,))):
                self.dealer.send(message)

    # -- effects --------------------------------------------------------------

    def act(self, *, hold: bool = True) -> None:
        """Do what the reactor says, in order; the process may die between any two."""
        for effect in self.reactor.take(hold=hold):
            self.point('act')
            _ACTS[type(effect)](self, effect)

    def _send(self, effect: client.Send) -> None:
        self.dealer.send(effect.message)

    def _accept(self, effect: client.Accept) -> None:
        for task_id in effect.ids:
            self.bodies.pop(task_id, None)
            future = self.futures.get(task_id)
            if future:
                future.accepted = True

    def _reject(self, effect: client.Reject) -> None:
        rejection = effect.rejection
        self.point('settle')
        self.world.invariants.rejected(self, rejection)
        self._end(rejection.task_id, f'rejected {rejection.code}')

    def _hold(self, effect: client.Hold) -> None:
        """They wait in the outbox, and are offered again."""
        self.world.invariants.check(effect.code == 'full' and self.world.relay.was_full, 'held back (%s) by a relay that was not full', effect.code)

    def _settle(self, effect: client.Settle) -> None:
        delivered = effect.delivered
        self.point('settle')
        header, task_id = effect.header, delivered.task_id
        if header is not None and header.status is Status.SUCCESS:
            body = bytes(self.arrived.pop(task_id, b'')) if header.body else b''
            if header.body and not outcome_opens(delivered.payload, header.body, body):
                self.world.invariants.check(self.world.decay.found(task_id, 'result that does not open'), 'a result that is whole cannot be opened')
                self._end(task_id, 'damaged')
                return
            self.world.invariants.check(outcome_holds(self.world.specs[task_id], delivered.payload, body), 'the bytes of a result changed on the way')
        self.world.invariants.settled(self, delivered)
        self._end(task_id, delivered.status.value)

    def _end(self, task_id: Id, how: str) -> None:
        future = self.futures.get(task_id)
        self.world.invariants.check(future is not None, 'a future settled that nobody has')
        assert future is not None
        future.settled += 1
        self.world.invariants.check(future.settled == 1, '5: a future settled twice')
        self.clock.tally.ends[how] += 1

    def _read_body(self, effect: client.ReadBody) -> None:
        fetch: Fetch = effect.fetch
        body = self.bodies.get(fetch.task_id)
        data = b'' if body is None else body[fetch.offset : fetch.offset + fetch.length]
        total = -1 if body is None else len(body)
        self.dealer.send(Segment(fetch.task_id, fetch.attempt, fetch.direction, fetch.offset, total, Body(data)))

    def _write_body(self, effect: client.WriteBody) -> None:
        segment = effect.segment
        body = self.arrived.setdefault(segment.task_id, bytearray())
        if len(body) < segment.offset + len(segment.data):
            body.extend(bytes(segment.offset + len(segment.data) - len(body)))
        body[segment.offset : segment.offset + len(segment.data)] = segment.data

    def _changed(self, effect: client.Changed) -> None:
        self.world.invariants.check(effect.state.task_id in self.world.specs, 'a state of no task')

    def _answer(self, effect: client.Answer) -> None:
        self.answers += 1

    def _reconnect(self, _effect: client.Reconnect) -> None:
        self.dealer.reconnect()
        self.reactor.connect(self.clock.now)

    def _refuse(self, effect: client.Refuse) -> None:
        revoked = self.account.id in self.world.revoked and effect.code == 'revoked'
        self.world.invariants.check(revoked, f'{self.name} was refused: {effect.code} {effect.reason}')
        self.stay_down = True
        self.halt()


def _short(ids: list[Id]) -> str:
    return ' '.join(each[:3].hex() for each in ids)


_ACTS = {
    client.Send: ClientProcess._send, client.Accept: ClientProcess._accept, client.Reject: ClientProcess._reject,
    client.Hold: ClientProcess._hold,
    client.Settle: ClientProcess._settle, client.Changed: ClientProcess._changed, client.Answer: ClientProcess._answer,
    client.ReadBody: ClientProcess._read_body, client.WriteBody: ClientProcess._write_body,
    client.Reconnect: ClientProcess._reconnect, client.Refuse: ClientProcess._refuse,
}  # fmt: skip
