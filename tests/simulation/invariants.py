"""The eight promises of PROTOCOL, checked as messages leave and after every step, at a cost that does not grow with the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from relay_parsl.endpoint.effects import Fail
from relay_parsl.endpoint.intake import SKEW
from relay_parsl.relay.records import Ended
from relay_parsl.relay.store import EVICTED
from relay_parsl.wire import messages as m
from relay_parsl.wire.codec import result_header, task_header
from relay_parsl.wire.messages import Delivered, Id, Message, Rejection
from tests.simulation import user_code
from tests.simulation.hearing import told
from tests.simulation.hostile import EVIL
from tests.simulation.network import DOWN, Dealer, Peer
from tests.simulation.specs import Account, Spec

if TYPE_CHECKING:
    from tests.simulation.client_process import ClientProcess
    from tests.simulation.world import World


DAMAGED = "lost: the relay's disk has damaged this result"
NO = (m.Goodbye, m.Refused)
"""What a key hears that does not count: of an `Enrol` over a connection that is open, that it is refused."""
TRIES = 3
"""How often a task is tried whose worker dies: once, and `max_retries_on_system_failure` times more."""


class Violation(AssertionError):
    """A promise was broken."""


class Invariants:
    """Watches every party of a world."""

    def __init__(self, world: World) -> None:
        """It is told by the network, the engines and the clients; the stores it reads itself."""
        self.world, self.clock = world, world.clock
        self.accepted: dict[Id, None] = {}
        self.open: dict[Id, None] = {}
        """Accepted tasks that are not over."""
        self.ended: dict[Id, tuple[Any, ...]] = {}
        self.started: dict[Id, int] = {}
        self.ran: dict[Id, int] = {}
        self.begun: set[tuple[Id, int]] = set()
        self.tries: dict[Id, dict[tuple[str, int], int]] = {}
        """How often each process of an endpoint has handed a task to an engine."""
        self.by_key = {each.key: each for each in world.accounts}
        self.windows: dict[bytes, dict[str, tuple[int, int]]] = {}
        self.unreceived: dict[bytes, dict[Id, tuple[float, int]]] = {}
        self.before: dict[bytes, tuple[dict[Id, tuple[float, int]], dict[str, tuple[int, int]]]] = {}
        self.sessions: dict[bytes, int] = {}
        self.returned: set[tuple[Id, int]] = set()
        self.refused: set[Id] = set()
        self.outcasts: set[Id] = set()
        """Revoked accounts: the relay has committed it."""
        self.unrest = ''
        self.named: set[tuple[Id, bytes]] = set()
        """What hostile accounts have asked the card of."""
        world.network.observe = self.observe
        world.network.unreadable = lambda name, error: self.check(False, 'a %s of another version cannot be read: %s', name, error)
        self._watch: dict[type, Callable[[Any, Account, Dealer], None]] = {
            m.Accepted: self._on_accepted, m.Deliver: self._on_deliver, m.Dispatch: self._on_dispatch, m.States: self._on_states,
            m.Cancel: self._on_cancel, m.Recorded: self._on_recorded, m.Listing: self._on_listing, m.Segment: self._on_segment,
            m.Rejected: self._on_rejected, m.Objects: self._on_objects, m.Welcome: self._on_welcome,
        }  # fmt: skip

    def check(self, holds: object, text: str, *args: object) -> None:
        """Raises Violation unless it holds."""
        if not holds:
            raise Violation(text % args if args else text)

    # -- told by parties ------------------------------------------------------

    def start(self, task_id: Id) -> None:
        """An engine was handed a task."""
        self.started[task_id] = self.started.get(task_id, 0) + 1
        spec = self.world.specs[task_id]
        self.check(self.started[task_id] == 1 or not spec.header.at_most_once, '4: at_most_once %s started twice', task_id.hex())

    def task(self, task_id: bytes) -> Spec:
        """What an engine may know of a task."""
        return self.world.specs[Id(task_id)]

    def began(self, task_id: bytes) -> None:
        """A worker has begun a task."""
        count = self.ran[Id(task_id)] = self.ran.get(Id(task_id), 0) + 1
        self.check(count == 1 or not self.task(task_id).header.at_most_once, '4: at_most_once %s ran twice', task_id.hex())

    def ends_well(self, task_id: bytes) -> bool | None:
        """How its own code ends after all its tries; None: that is for the dice."""
        return user_code.ends_well(self, self.task(task_id))

    def charged(self, task_id: bytes, evidence: str) -> None:
        """An attempt was lost."""
        guilty = evidence.partition('killed by ')[2][:32]
        self.check(guilty in ('', 'somebody else', task_id.hex()), 'the death of a neighbour was charged to %s: %s', task_id.hex(), evidence)

    def tried(self, who: tuple[str, int], task_id: Id, attempt: int) -> None:
        """A process of an endpoint starts a task: not more often than it may, and another process only after a lease was lost."""
        tries = self.tries.setdefault(task_id, {})
        tries[who] = tries.get(who, 0) + 1
        self.begun.add((task_id, attempt))
        self.check(tries[who] <= TRIES, '%s has started %s %d times', who[0], task_id.hex(), tries[who])
        self.check(len(tries) <= attempt, '%s runs in %d processes as attempt %d', task_id.hex(), len(tries), attempt)

    def untried(self, who: tuple[str, int], task_id: Id, attempt: int) -> None:
        """An engine has given a task back that had not begun."""
        self.tries.get(task_id, {}).pop(who, None)
        self.begun.discard((task_id, attempt))

    def given_up(self, effect: Fail) -> None:
        """An endpoint ends a task after losses: after all of its tries, with the evidence of each."""
        causes = [line.partition(': ') for line in effect.evidence.splitlines()]
        tries = 1 if effect.info.at_most_once else TRIES
        fits = effect.cause == 'cancelled' or (len(causes) == tries and causes[-1][0] == effect.cause and all(text for _, _, text in causes))
        self.check(fits, 'a task ends by %s after %s', effect.cause, causes)
        self.clock.tally.ends['deadly' if self.task(effect.task_id).deadly else 'lost'] += 1

    def settled(self, client: ClientProcess, delivered: Delivered) -> None:
        """A client's future took this result."""
        spec, name = self.world.specs[delivered.task_id], delivered.task_id
        self.check(spec.account == client.account.id, '6: a foreign result settled')
        local = not delivered.header and delivered.reason == 'cancelled before it was sent'
        if delivered.reason.startswith('lost: the relay no longer has'):
            self.check(self.world.relay.evicted(name) or self.world.decay.found(name, 'result that is gone'), '3: the body of a result is gone')
        elif not local:
            self.check(not spec.wrong, 'a task that had to be rejected ended')
            user_code.judge_end(self, spec, delivered)
            self.check(not spec.deadly or delivered.status is not m.Status.SUCCESS, 'a task that kills its worker has succeeded')
            self.same_end(delivered)

    def rejected(self, client: ClientProcess, rejection: Rejection) -> None:
        """A client's future was told that its task was not taken."""
        spec = self.world.specs[rejection.task_id]
        known = rejection.task_id in self.accepted
        if rejection.code in ('expired', 'unknown'):
            self.check(spec.header.expires <= self.world.relay.latest + 1.0, 'rejected as expired before its time')
        elif rejection.code == 'full' and self.world.mixed:  # the version before this one knows no waiting
            self.refused.add(rejection.task_id)
            self.check(self.world.relay.was_full, 'rejected as full by a relay that was not')
        elif rejection.code == 'body-gone':
            self.check(self.world.decay.found(rejection.task_id, 'call that is gone'), 'the client had what it submits')
        elif rejection.code == 'not-found' and spec.header.endpoint in self.world.removed:
            self.clock.tally.faults['submitted to a revoked endpoint'] += 1
        elif rejection.code == 'not-found' and self.world.sharing and self.world.sharing.not_let_in(spec):
            self.refused.add(rejection.task_id)  # an earlier `Submit` of it may be answered otherwise
        else:
            self.check(spec.wrong == rejection.code, 'rejected as %s: %s', rejection.code, rejection.reason)
        late = rejection.task_id in self.refused  # the answer to an earlier `Submit`: the client will cancel it
        self.check(not known or late or rejection.code in ('expired', 'unknown'), '1: an accepted task was rejected as %s', rejection.code)

    def relay_reads(self, peer: Peer, message: Message) -> None:
        """The relay has this message now: what it may hold against a window changes."""
        account = self.by_key.get(peer.key)
        if account is None or account.hostile or account.id in self.outcasts:  # who has a revoked key may say anything
            return
        if self.world.rotators and not self.world.relay.admits(account.id, peer.key):
            return
        if isinstance(message, m.Received):
            before, _ = self.before.get(peer.routing, ({}, {}))  # it may come between a doubled `Hello` and the answer
            for waiting in (self.unreceived.get(peer.routing, {}), before):
                for task_id in message.ids:
                    waiting.pop(task_id, None)
        elif isinstance(message, m.Window):
            self.windows[peer.routing] = message.pools
        elif isinstance(message, m.Returned):
            returned = {(each.task_id, each.attempt) for each in message.tasks}
            self.returned |= returned
            self.check(not (returned & self.begun and self.world.relay.hears(peer, message)), 'a task was returned as not begun that has begun')
        elif isinstance(message, m.Hello):
            waiting, windows = self.before.get(peer.routing, ({}, {}))
            self.before[peer.routing] = {**waiting, **self.unreceived.pop(peer.routing, {})}, {**windows, **self.windows.pop(peer.routing, {})}

    # -- seen on the wire -----------------------------------------------------

    def observe(self, dealer: Dealer, way: int, message: Message) -> None:
        """Every message as it leaves; the relay's are judged."""
        account = self.by_key.get(dealer.key)
        if account is None:
            return
        if account.hostile:
            told(self, message, account) if way == DOWN else self._asked(message, account)
            return
        if account.id in self.outcasts and way == DOWN:
            self.clock.tally.faults['told of its revocation'] += isinstance(message, m.Goodbye)
            self.check(isinstance(message, NO), 'a revoked key is still answered: %s', type(message).__name__)
        if way == DOWN and self.world.relay.is_out(account.id, dealer.key):
            self.check(isinstance(message, NO), 'a replaced key is still answered: %s', type(message).__name__)
        if self.world.enemies and self.clock.random.random() < 0.1:
            self.world.overheard.append(message)
        watch = self._watch.get(type(message)) if way == DOWN else None
        if watch is not None:
            watch(message, account, dealer)

    def _asked(self, message: Message, account: Account) -> None:
        """A hostile party names an id that it knows: for that it may see the card, which says no more than the id, and who is meant by it."""
        if isinstance(message, m.List) and message.what == 'cards' and isinstance(message.filter.get('id'), bytes):
            self.named.add((account.id, message.filter['id']))

    def _own(self, task_id: Id, account: Account) -> None:
        spec = self.world.specs.get(task_id)
        self.check(spec is not None, 'a task that nobody made')
        assert spec is not None
        self.check(account.id in (spec.account, spec.header.endpoint), '6: %s heard of a foreign task', account.name)

    def _on_accepted(self, message: m.Accepted, account: Account, _dealer: Dealer) -> None:
        for task_id in message.ids:
            self._own(task_id, account)
            self.check(self.world.relay.whole(task_id), '1: accepted, and not in the store')
            if task_id not in self.accepted:
                self.accepted[task_id] = self.open[task_id] = None
                self.world.relay.look_at(task_id)
                if self.world.sharing:
                    self.world.sharing.accepted(self.world.specs[task_id])

    def _on_deliver(self, message: m.Deliver, account: Account, dealer: Dealer) -> None:
        waiting = self.unreceived.setdefault(dealer.connection.routing, {})
        again = all(each.task_id in waiting for each in message.results)  # what was sent before the window shrank may be said again
        for each in message.results:
            self._own(each.task_id, account)
            self.same_end(each)
            waiting[each.task_id] = self.clock.now, len(each.payload)
        window = self.windows.get(dealer.connection.routing, {}).get('')
        if window and not again:
            lost = self.clock.now - self.world.relay.settings.redeliver  # what was not received by then counts as such
            sizes = [size for sent, size in waiting.values() if sent > lost]
            fits = len(sizes) <= max(window[0], 1) and (len(sizes) == 1 or sum(sizes) <= window[1])
            self.check(fits, '7: a client has %d results of %d bytes, its window is %s', len(sizes), sum(sizes), window)

    def _on_welcome(self, message: m.Welcome, _account: Account, dealer: Dealer) -> None:
        """A doubled `Hello` leaves the session as it was; a new session begins with nothing delivered and no window."""
        routing = dealer.connection.routing
        unreceived, windows = self.before.pop(routing, ({}, {}))
        if self.sessions.get(routing) == message.session:
            self.unreceived[routing] = {**unreceived, **self.unreceived.get(routing, {})}
            self.windows[routing] = {**windows, **self.windows.get(routing, {})}
        self.sessions[routing] = message.session

    def same_end(self, each: Delivered) -> None:
        """Invariant 2: whatever is told of a task's end is always the same."""
        end = (each.status, bytes(each.header), bytes(each.payload))
        if each.reason == EVICTED:
            self.check(each.status is self.ended[each.task_id][0], '2: %s ended twice, and differently', each.task_id.hex())
            return
        if each.reason == DAMAGED:
            self.check(self.world.relay.is_rotten(each.task_id), 'a result that is whole is called damaged')
            self.clock.tally.faults['rot told'] += 1
            return
        self.check(self.ended.setdefault(each.task_id, end) == end, '2: %s ended twice, and differently', each.task_id.hex())

    def over(self, task_id: Id, ended: Ended) -> None:
        """The store has a terminal state of this task: the relay's own word must have a cause, and no finished result may be lost by it."""
        self.clock.tally.through += 1
        spec = self.world.specs[task_id]
        if ended.header:
            reason = result_header(ended.header).reason
            if reason.startswith('denied'):
                self.check(self.world.sharing and ended.status is m.Status.FAILED, 'refused: %s', reason)
                self.world.sharing.denied(spec, reason)
            elif reason.startswith(('replayed', 'body-gone', 'lost')):
                found = self.world.decay.found(task_id, reason.partition(':')[0])
                self.check(found and ended.status is m.Status.FAILED, 'a task failed for nothing: %s', reason)
            over = spec.header.expires + SKEW < max([each.latest for each in self.world.endpoints if each.account.id == spec.header.endpoint])
            self.check(over or not reason.startswith('expired'), 'a task expired at its endpoint before its time')
        elif ended.reason == EVICTED:
            return
        elif task_id in self.world.rotten and 'damaged' in ended.reason:
            self.check(ended.status is m.Status.FAILED, 'a damaged task ends as %s', ended.status)
            self.clock.tally.faults['rot found'] += 1
        elif ended.status is m.Status.FAILED and ended.reason == 'lost: its endpoint was deleted':
            self.check(self.world.removed.get(spec.header.endpoint), 'the tasks of an endpoint fail before it is deleted')
            self.clock.tally.faults['endpoint deleted'] += 1
        elif ended.status is m.Status.FAILED:
            self.check(spec.header.at_most_once, 'an ordinary task failed by the word of the relay: %s', ended.reason)
            kept = [each.name for each in self.world.endpoints if task_id in each.disk.outbox]
            copies = {id(each.disk) for each in self.world.endpoints if each.account.id == spec.header.endpoint}
            self.check(not kept or len(copies) > 1, '3: %s was %s, and its result is in the outbox of %s', task_id.hex(), ended.reason, kept)
        elif ended.status is m.Status.EXPIRED:
            self.check(spec.header.expires <= self.world.relay.latest, 'a task expired before its time')
        elif ended.status is m.Status.CANCELLED:
            self.check(task_id in self.world.cancelled or task_id in self.refused, 'a task was cancelled that nobody cancelled')

    def _on_dispatch(self, message: m.Dispatch, account: Account, dealer: Dealer) -> None:
        pools = set()
        for each in message.tasks:
            header = task_header(each.header)
            pools.add(header.pool)
            self.check(header.endpoint == account.id, '6: %s was sent a foreign task', account.name)
            spec = self.world.specs[header.task_id]
            self.check((each.header, each.payload) == (spec.task.header, spec.task.payload), 'a task changed on the way')
        if message.serial % self.world.scale.sample:  # the next one would show it as well
            return
        windows, leased = self.windows.get(dealer.connection.routing, {}), self.world.relay.leased(account.id)
        for pool in pools & leased.keys():
            (count, size), window = leased[pool], windows.get(pool, (0, 0))
            fits = count <= max(1, window[0]) and (count == 1 or size <= window[1])
            self.check(fits, '7: %s leases %d, %d B of %s', account.name, count, size, window)

    def _on_states(self, message: m.States, account: Account, _dealer: Dealer) -> None:
        for each in message.tasks:
            self._own(each.task_id, account)
            self.check(EVIL not in each.detail.values(), '6: %s was told the state of a task by a stranger', account.name)

    def _on_cancel(self, message: m.Cancel, account: Account, _dealer: Dealer) -> None:
        for each in message.tasks:
            self._own(each.task_id, account)

    def _on_recorded(self, message: m.Recorded, account: Account, _dealer: Dealer) -> None:
        for each in message.tasks:
            self._own(each.task_id, account)
            returned = (each.task_id, each.attempt) in self.returned
            self.check(returned or self.world.relay.is_over(each.task_id), '3: recorded, and the task is not over')

    def _on_rejected(self, message: m.Rejected, account: Account, _dealer: Dealer) -> None:
        for each in message.tasks:
            own = self.world.specs[each.task_id].account == account.id
            self.check(own or (account.id, each.task_id) in self.world.stolen, '6: a foreign task was rejected by name')

    def _on_segment(self, message: m.Segment, account: Account, _dealer: Dealer) -> None:
        if message.total != -1:
            self._own(message.task_id, account)

    def _on_objects(self, message: m.Objects, account: Account, _dealer: Dealer) -> None:
        for each in message.objects:
            self.check(self.world.objects[each.hash].data == each.data, 'an object changed on the way')

    def _on_listing(self, message: m.Listing, account: Account, _dealer: Dealer) -> None:
        if account.role == 'operator':
            return
        own = {account.id} | {each.id for each in self.world.accounts if each.owner == account.id}
        for row in message.rows:
            if 'submitted' in row:
                self._own(Id(row['id']), account)
            elif 'registered' in row:
                whose, data = self.world.functions[Id(row['id'])]
                self.check((whose, row.get('data', data)) == (account.id, data), '6: a function')
            else:
                shared = self.world.sharing and self.world.sharing.listed(row, account.id)
                self.check(row['id'] in own or row['owner'] in own or shared, '6: %s was listed a foreign %s', account.name, row)

    # -- after every step -----------------------------------------------------

    def after_step(self) -> None:
        """What is stored and held, where it can have changed."""
        if self.world.relay.dirty:
            self.world.relay.inspect()
        for endpoint in self.world.endpoints:
            if endpoint.dirty:
                endpoint.inspect()

    # -- at the end -----------------------------------------------------------

    def idle(self) -> bool:
        """Whether nothing is left to do; `unrest` says what is."""
        self.unrest = next(self._unrest(), '')
        return not self.unrest

    def _unrest(self) -> Iterator[str]:
        yield from (f'{each.name} has not joined' for each in self.world.joiners if not each.joined)
        yield from filter(None, [self.world.sharing.waits] if self.world.sharing else [])
        yield from (f'{each.name} still' for each in self.world.rotators if not each.done)
        for client in (*self.world.clients, self.world.operator):
            if client.account.id in self.outcasts:
                continue
            if client.answers < client.requests:
                yield f'{client.name} has {client.answers} answers to {client.requests} requests'
            waiting = (key for key, each in client.futures.items() if not each.settled)
            yield from (f'{client.name} waits for {key.hex()}: {self.world.relay.describe(key)}' for key in waiting)
        yield from filter(None, (each.unrest() for each in (self.world.relay, *self.world.endpoints)))
        if self.world.relay.leftovers():
            yield f'the relay keeps what nobody needs: {self.world.relay.leftovers()}'

    def final(self) -> None:
        """What can only be judged when all is over."""
        for client in self.world.clients:
            if client.account.id in self.outcasts:
                continue
            self.check(client.up, '%s is not up', client.name)
            self.check(client.answers == client.requests, '8: %s was answered too often', client.name)
            for task_id, future in client.futures.items():
                self.check(future.settled == 1, '5: %s settled %d times', task_id.hex(), future.settled)
        for task_id in self.accepted:
            over = self.world.specs[task_id].header.expires <= self.world.relay.latest
            self.check(over or self.world.relay.whole(task_id), '1: the status of an accepted task is gone')
