"""One seed: the parties, what their users do, what goes wrong, and the judgement."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

from relay_parsl.engines import htex
from relay_parsl.wire.messages import Hash, Id, Object
from tests.simulation.chaos import PROFILES, SET, Chaos
from tests.simulation.client_process import ClientProcess
from tests.simulation.clock import Clock
from tests.simulation.counters import Tally
from tests.simulation.decay import Decay
from tests.simulation.endpoint_process import EndpointProcess
from tests.simulation.engine import Speed
from tests.simulation.hostile import Hostile, overhears
from tests.simulation.invariants import Invariants
from tests.simulation.joiner import Joiner
from tests.simulation.network import Network, Rates
from tests.simulation.patches import patched
from tests.simulation.process import Process
from tests.simulation.relay_process import RelayProcess
from tests.simulation.rotator import Rotator
from tests.simulation.scale import scale_of, sets_clocks
from tests.simulation.sharing import Sharing, shares
from tests.simulation.specs import Account, Spec, random_id
from tests.simulation.watched_store import WatchedStore

Show = Callable[[str], None]
PATIENCE = 400.0
"""Seconds of virtual time within which everything must be idle, or some task must end, when the faults have stopped."""
QUIET = frozenset({'Ping', 'Pong', 'Backlog', 'Window', 'Follow', 'Held', 'Report', 'Watch', 'States'})
"""What idle parties may say to one another: each repeats what *is*."""


class World:
    """All parties of one seed."""

    def __init__(self, seed: int, *, store: WatchedStore | None = None, show: Show | None = None, calm: bool = False) -> None:
        """`show` takes the lines of the trace; a `calm` world has right clocks, one version, and nobody hostile."""
        self.scale = scale = scale_of(seed)
        self.clock = Clock(seed, show)
        random = self.clock.random
        self.network = Network(self.clock, Rates(lag=random.choice(scale.lags)))
        self.pools = ('',) if random.random() < 0.7 else ('', 'gpu')
        self.specs: dict[Id, Spec] = {}
        self.objects: dict[Hash, Object] = {}
        self.signers: dict[bytes, Id] = {}
        """Whose a grant is."""
        self.abandoned: set[Id] = set()
        self.cancelled: set[Id] = set()
        self.rotten: set[Id] = set()
        """Tasks of which the relay's disk has lost the bytes."""
        self.revoked: set[Id] = set()
        """Accounts whose key an operator has revoked, or is about to."""
        self.removed: dict[Id, bool] = {}
        """Endpoints whose key an operator has revoked, or is about to; and whether they are deleted, too."""
        self.stolen: set[tuple[Id, Id]] = set()
        self.functions: dict[Id, tuple[Id, bytes]] = {}
        """Registered functions: whose, and the bytes."""
        self.chaos_over = False
        self.joiners: list[Joiner] = []
        self.rotators: list[Rotator] = []
        self.speed = Speed(mean=random.choice(scale.means))
        self.mixed = random.random() < 0.2 and not calm
        """Whether parties of several versions meet."""
        self.set_clocks = sets_clocks(seed) and not calm
        """Whether hosts have clocks that are off, and that are set."""
        self.calm = calm
        self.fused = {pool for pool in self.pools if random.random() < scale.fused}
        self._make_accounts()
        self.sharing = Sharing(self, seed) if shares(seed) and not (calm or self.mixed) else None
        self.decay = Decay(self)
        self.invariants = Invariants(self)
        self.relay = RelayProcess(self, store or WatchedStore())
        self.clients = [
            ClientProcess(self, f'{user.name}{number}', user, (random.choice(scale.results), random.choice(scale.result_bytes)))
            for user in self.users
            for number in range(random.randrange(1, 3))
        ]
        self.operator = ClientProcess(self, 'op', self.accounts[0], (10, 1000))
        self.endpoints = [EndpointProcess(self, f'{each.name}-a', each) for each in self.sites]
        self.hostile = [Hostile(self, each) for each in self.enemies]
        self.processes: list[Process] = [self.relay, *self.clients, self.operator, *self.endpoints, *self.hostile]

    def _make_accounts(self) -> None:
        random = self.clock.random

        def account(name: str, role: str, owner: Id | None = None) -> Account:
            return Account(name, role, random_id(random), random.getrandbits(256).to_bytes(32, 'big'), owner)

        operator = account('op', 'operator')
        self.users = [account(name, 'user') for name in ('ann', 'bob', 'cat')[: random.randrange(2, 4)]]
        sites = max(len(self.users), random.randrange(2, 4))
        self.sites = [account(f'site{number}', 'endpoint', self.users[number % len(self.users)].id) for number in range(sites)]
        self.enemies: list[Account] = []
        self.overheard = overhears()
        """What hostile parties may say again."""
        if random.random() < 0.3 and not self.calm:
            eve = account('eve', 'user')
            self.enemies = [eve, account('evesite', 'endpoint', eve.id)]
            for each in self.enemies:
                each.hostile = True
        self.accounts = [operator, *self.users, *self.sites, *self.enemies]

    # -- the run --------------------------------------------------------------

    def run(self) -> Tally:
        """All of it, with the bounds of its scale. Raises Violation."""
        shared = self.sharing.patches() if self.sharing else ()
        steady = SimpleNamespace(monotonic=lambda: self.clock.now)
        with patched((*self.scale.bounds, *shared, (htex, 'time', steady), (htex.logger, 'disabled', True))):
            return self._run()

    def _run(self) -> Tally:
        random = self.clock.random
        length = random.choice((15.0, 40.0, 80.0))
        self.clock.after_step = self.invariants.after_step
        for process in self.processes:
            process.start()
        self.network.rates = random.choice(PROFILES)
        self._plan_users(length)
        if self.sharing:
            self.sharing.plan(length)
        self.chaos = Chaos(self, length)
        self.clock.run(self.chaos.end + 0.001)
        self._after_chaos()
        self.invariants.check(self._comes_to_rest(), '8: not idle: %s', self.invariants.unrest)
        self._stay_quiet()
        self.invariants.final()
        return self.clock.tally

    def _comes_to_rest(self) -> bool:
        """Whether everything comes to be idle. As long as tasks end it may go on: some worlds have few workers."""
        ended = -1
        while self.clock.tally.through > ended:
            ended = self.clock.tally.through
            if self.clock.run(self.clock.now + PATIENCE, self.invariants.idle):
                return True
        return False

    def _after_chaos(self) -> None:
        self.speed.losses = 0.0
        for site in self.sites:
            lives = [each for each in self.endpoints if each.account is site]
            if site.id in self.removed:
                self._order('revoke', site)  # the operator may have died before it was done
                self._delete(site)
            elif not any(each.up for each in lives):
                lives[-1].stay_down = False
                lives[-1].start()
        for joiner in self.joiners:
            if not joiner.joined:
                self.operator.administer('invite', **joiner.invitation)

    def _stay_quiet(self) -> None:
        """Long enough for every timer; then nothing but signs of life may be said. Some seeds show it as well as all."""
        if self.clock.random.random() < 0.6:
            return
        for client in (*self.clients, *self.endpoints):
            if client.account.id in self.invariants.outcasts:  # it knocks for ever at a door that ZAP keeps shut
                client.stay_down = True
                if client.up:
                    client.halt()
        self.clock.run(max(self.clock.now + 25.0, self.chaos.end + 60.0))
        before = self.clock.tally.sent.copy()
        self.clock.run(self.clock.now + 15.0)
        said = self.clock.tally.sent - before
        self.invariants.check(not said.keys() - QUIET, '8: still talking: %s', said)

    # -- what users do --------------------------------------------------------

    def _plan_users(self, length: float) -> None:
        random, begin = self.clock.random, self.clock.now
        left = self.scale.tasks
        while left > 0:
            client, count = random.choice(self.clients), min(left, random.choice(self.scale.submits))
            left -= count
            self.clock.at(begin + random.uniform(0, length * 0.8), client.submit, random.choice(self.sites_of(client)), count)
        for client in self.clients:
            self._plan_whims(client, begin, length)
        for act, chance in (
            (self._share, 0.7),
            (self._wrong, 0.7),
            (self._theft, 0.5),
            (self._revoke, 0.15),
            (self._lose_a_key, 0.15),
            (self._rotate, 0.2),
            (self._join, 0.9),
            (self._ask, 1.0),
            (self._ask, 0.5),
            (self._register, 0.7),
        ):
            if random.random() < chance:
                self.clock.at(begin + random.uniform(0, length), act)

    def _plan_whims(self, client: ClientProcess, begin: float, length: float) -> None:
        random = self.clock.random
        for act, chance in ((client.cancel_some, 0.6), (client.watch_some, 0.4)):
            if random.random() < chance:
                self.clock.at(begin + random.uniform(0, length), act, random.choice((1, 5, 20)))

    def sites_of(self, client: ClientProcess) -> list[Account]:
        """The endpoints of the client's account: each has one at least."""
        return [site for site in self.sites if site.owner == client.account.id]

    def _share(self) -> None:
        client = self.clock.random.choice(self.clients)
        others = [each for each in self.clients if each.account is client.account and each is not client]
        if others and others[0].up:
            client.follow_some(others[0])

    def _wrong(self) -> None:
        """Tasks for an endpoint of somebody else: as if it did not exist."""
        client = self.clock.random.choice(self.clients)
        guest = self.sharing.site if self.sharing and self.sharing.guest is client.account else None
        foreign = [site for site in self.sites if site.owner != client.account.id and site is not guest]
        if foreign:
            client.submit(foreign[0], self.clock.random.randrange(1, 4), wrong='not-found')

    def _register(self) -> None:
        """A function is kept at the relay, listed, fetched and dropped; another account asks for it too."""
        random = self.clock.random
        client, other = random.choice(self.clients), random.choice(self.clients)
        name, data = random_id(random), random.randbytes(40)
        self.functions[name] = client.account.id, data
        calls = [(client.administer, 'register', {'id': name, 'data': data}), (client.ask, 'functions', {}), (other.ask, 'functions', {'id': name})]
        calls += [
            (other.administer, 'unregister', {'id': name}),
            (client.ask, 'functions', {'id': name}),
            (client.administer, 'unregister', {'id': name}),
        ]
        for number, (call, what, arguments) in enumerate(calls):
            self.clock.after(number * random.choice((0.01, 3.0)), self._call, call, what, arguments)

    def _call(self, call: Callable[..., None], what: str, arguments: dict[str, Any]) -> None:
        call(what, **arguments)

    def _revoke(self) -> None:
        """The key of a user counts no more, whatever is open with it."""
        victim = self.users[-1]
        self.revoked.add(victim.id)
        self.clock.tally.faults['revoked'] += 1
        self.operator.administer('revoke', id=victim.id)
        if not self.operator.up:
            self.clock.after(1.0, self._revoke)

    def _rotate(self) -> None:
        """New keys for an endpoint."""
        random = self.clock.random
        site = random.choice(self.sites)
        if site.id not in self.removed and not any(each.site is site for each in self.rotators):
            self.rotators.append(Rotator(self, site, random.choice((3.0, 10.0, 40.0))))
            self.processes.append(self.rotators[-1])

    def _lose_a_key(self) -> None:
        self.remove(self.clock.random.choice(self.sites))

    def remove(self, site: Account) -> None:
        """The key of an endpoint was stolen, or its journal is no more: an operator revokes it, and tasks wait; then deletes it, and they fail."""
        if site.id in self.removed:
            return
        self.removed[site.id] = False
        self.clock.tally.faults['endpoint revoked'] += 1
        self._order('revoke', site)
        self.clock.after(self.clock.random.choice((0.05, 3.0, 20.0)), self._delete, site)

    def _delete(self, site: Account) -> None:
        self.removed[site.id] = True
        self._order('delete-endpoint', site)
        if Random(site.id).random() < 0.3:  # by dice of its own, as with clocks
            self.relay.failing['unfinished'] = 0

    def _order(self, verb: str, site: Account) -> None:
        self.operator.administer(verb, id=site.id)
        if not self.operator.up:
            self.clock.after(1.0, self._order, verb, site)

    def haunt(self, account: Id) -> None:
        """Whoever has the key of a revoked account goes on to speak with it."""
        ghost = Hostile(self, next(each for each in self.accounts if each.id == account))
        self.processes.append(ghost)
        ghost.start()

    def _theft(self) -> None:
        thief = self.clock.random.choice(self.clients)
        foreign = [key for key in self.invariants.accepted if self.specs[key].account != thief.account.id]
        if foreign:
            thief.steal(self.clock.random.choice(foreign))

    def _join(self) -> None:
        """The operator invites, somebody joins."""
        joiner = Joiner(self, f'new{len(self.processes)}')
        self.operator.administer('invite', **joiner.invitation)
        self.clock.after(self.clock.random.uniform(0.5, 5.0), joiner.start)
        self.processes.append(joiner)
        self.joiners.append(joiner)

    def _ask(self) -> None:
        random = self.clock.random
        asker = random.choice([*self.clients, self.operator])
        for number in range(3):
            what = random.choice(('accounts', 'endpoints', 'tasks', 'cards', 'invites', 'nonsense'))
            self.clock.after(number * 0.02, asker.ask, what)
            self.clock.after(number * 0.02, self.operator.administer, random.choice(('status', 'nonsense')))
            self.clock.after(number * 0.02, asker.watch_some, 3)

    def second_instance(self, first: EndpointProcess, *, takeover: bool) -> None:
        """The same endpoint once more: in the same directory, whose lock was lost, or in a copy of it."""
        disk = first.disk if takeover and self.clock.random.random() < 0.5 else first.disk.copy()
        again = EndpointProcess(self, f'{first.account.name}-{len(self.endpoints)}', first.account, disk, takeover=takeover)
        self.clock.tally.faults['takeover' if takeover else 'duplicate'] += 1
        self.endpoints.append(again)
        self.processes.append(again)
        again.start()

    def installed(self) -> int:
        """The version of a program that starts now, relative to this one."""
        version = self.clock.random.choice((-1, 0, 0, 1)) if self.mixed else 0
        if version:
            self.clock.tally.faults['newer' if version > 0 else 'older'] += 1
        return version

    @property
    def short(self) -> float:
        """Share of tasks that expire soon: more of them where clocks are set, for whose expiry it is."""
        return self.scale.short * (5 if self.set_clocks else 1)

    def boot_clock(self, process: Process) -> None:
        """A host may come up with another time than it went down with."""
        if self.set_clocks and not self.chaos_over:
            process.set_clock(self.clock.random.choice((-SET, 0.0, SET)))

    def disks(self) -> list[Process]:
        """Whoever stores something."""
        return [self.relay, self.relay, *self.endpoints]
