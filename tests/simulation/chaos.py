"""The plan of faults: made from the seed before the first step, so that it does not depend on how the parties behave."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from relay_parsl.relay.records import Stage
from relay_parsl.wire.messages import Body
from tests.simulation.network import Rates
from tests.simulation.process import Process
from tests.simulation.watched_store import WatchedStore

if TYPE_CHECKING:
    from tests.simulation.world import World

PROFILES = (
    Rates(drop=0.0, double=0.0, reorder=0.0, rare=1.0),
    Rates(drop=0.01, double=0.02, reorder=0.02, rare=4.0),
    Rates(drop=0.05, double=0.05, reorder=0.05, rare=3.0),
    Rates(drop=0.02, double=0.10, reorder=0.10, rare=2.0),
    Rates(drop=0.12, double=0.05, reorder=0.05, rare=2.0, lag=0.05),
)
"""Chances for each message; a seed has one of them. The first leaves the crashes alone with the parties."""

SET = 30_000.0
"""Seconds by which clocks are set, on or back: short tasks are over by then, and others are not."""

SELDOM = (
    'put_invite',
    'drop_invite',
    'evict',
    'ask_cancel',
    'tasks',
    'keep_objects',
    'requeue',
    'received',
    'put_function',
    'functions',
    'drop_function',
)
"""Statements that are run a few times in a seed at most."""


class Chaos:
    """Breaks what can break until `end`, then mends everything."""

    def __init__(self, world: World, length: float) -> None:
        """Faults happen for `length` seconds from now."""
        self.world, self.clock = world, world.clock
        self.begin, self.end = world.clock.now, world.clock.now + length
        random = self.clock.random
        for process in world.processes:
            for step in process.points:
                if random.random() < 0.35:
                    self._some(1, self.doom, process, step)
        self._some(random.randrange(3), self.cut)
        self._some(random.randrange(3), self.mute)
        self._some(random.randrange(3), self.pause)
        self._some(random.randrange(2), self.idle_crash)
        for _ in range(random.randrange(5)):
            self.break_disk()
        self._some(random.randrange(3), self.break_commit)
        self._some(int(random.random() < 0.3), self.fill_disk)
        self._some(int(random.random() < 0.3), self.fill_journal)
        for endpoint in world.endpoints:  # stopped in good order, just when it has got tasks
            endpoint.drain_after = random.choice((-1, 0, 0, 1, 2, 4, 8))
        self._some(3 * int(random.random() < 0.4), self.rot)
        self._some(3 * int(random.random() < 0.4), self.rot_results)
        for kind, direction in product(('relay', 'endpoint'), ('task', 'result')):
            times = 6 if (kind, direction) == ('relay', 'result') else 2  # most of them lie there when nobody reads them any more
            self._some(times * int(random.random() < 0.4), world.decay.spoil, kind, direction)
        self._some(3 * int(random.random() < 0.3), world.decay.empty)
        self._some(2 * int(random.random() < 0.3), world.decay.change_rows)
        self._some(int(random.random() < 0.15), world.decay.ruin)
        self._some(random.randrange(3), self.break_engine)
        self._some(int(random.random() < 0.4), self.second_instance)
        if world.set_clocks:
            for process in (world.relay, *world.clients, *world.endpoints):
                self._some(random.randrange(8 if process is world.relay else 3), self.set_clock, process)  # what expires is decided there
        self.clock.at(self.end, self.mend)

    def _some(self, count: int, do: object, *args: object) -> None:
        for _ in range(count):
            self.clock.at(self.clock.random.uniform(self.begin, self.end), do, *args)  # type: ignore[arg-type]

    def doom(self, process: Process, step: str) -> None:
        """The process dies when it comes to this step for the n-th time."""
        process.doom[step] = min(int(self.clock.random.expovariate(0.3)), 20)

    def idle_crash(self) -> None:
        """Somebody dies between two turns."""
        process = self.clock.random.choice(self.world.processes)
        process.kill('idle')

    def cut(self) -> None:
        """A connection breaks; what is in flight on it is lost."""
        connections = list(self.world.network.connections.values())
        if connections:
            self.clock.tally.faults['cut'] += 1
            connection = self.clock.random.choice(connections)
            self.clock.log('%s is cut off', connection.dealer.name)
            self.world.network.cut(connection)

    def mute(self) -> None:
        """A connection goes half-open: nobody is told, nothing passes, and after a while it breaks."""
        connections = list(self.world.network.connections.values())
        if connections:
            self.clock.tally.faults['mute'] += 1
            connection = self.clock.random.choice(connections)
            self.clock.log('%s talks into the void', connection.dealer.name)
            connection.mute = True
            self.clock.after(self.clock.random.choice((1.0, 8.0, 45.0)), self.world.network.cut, connection)

    def pause(self) -> None:
        """A process is stopped, and goes on later as if nothing had been."""
        self.clock.random.choice(self.world.processes).pause(self.clock.random.choice((2.0, 15.0, 40.0, 200.0)))

    def break_disk(self) -> None:
        """Some statement of a store or a journal will fail when it is next used."""
        random = self.clock.random
        process = random.choice(self.world.disks())
        seldom = [name for name in process.statements if name in SELDOM]
        process.failing[random.choice(process.statements)] = random.randrange(3)
        if seldom:
            process.failing[random.choice(seldom)] = 0

    def break_commit(self) -> None:
        """The commit of some turn fails soon, when everything was decided."""
        self.clock.random.choice(self.world.disks()).failing['commit'] = self.clock.random.randrange(20)

    def fill_disk(self) -> None:
        """The relay's disk is full for a while."""
        self.clock.tally.faults['full'] += 1
        self.world.relay.set_full(True)
        self.clock.after(self.clock.random.uniform(2.0, 15.0), self.world.relay.set_full, False)

    def rot(self) -> None:
        """The relay's disk has other bytes of a task that waits than were written; the sums tell a store so, when it reads them."""
        relay = self.world.relay
        waiting = [key for key in self.world.invariants.open if (info := relay.info(key)) is not None and info.stage == Stage.QUEUED]
        if waiting and type(relay.store) is WatchedStore:
            task_id = self.clock.random.choice(waiting)
            row = relay.store._tasks[task_id].row
            row.payload, row.damaged = Body(bytes(len(row.payload))), True
            self.world.rotten.add(task_id)
            self.clock.tally.faults['rot'] += 1

    def rot_results(self) -> None:
        """The same of results, those that wait for their client among them."""
        store = self.world.relay.store
        if type(store) is WatchedStore:
            over = [key for key, kept in store._tasks.items() if kept.ended and kept.ended.header]
            store.rotten.update(self.clock.random.sample(over, min(5, len(over))))
            self.clock.tally.faults['rot of results'] += 1

    def fill_journal(self) -> None:
        """The disk of an endpoint is full for a while; after some time it gives up, and starts again."""
        endpoint = self.clock.random.choice(self.world.endpoints)
        endpoint.full = True
        self.clock.after(self.clock.random.choice((3.0, 10.0, 30.0)), setattr, endpoint, 'full', False)

    def break_engine(self) -> None:
        """An engine dies, with everything inside."""
        endpoint = self.clock.random.choice(self.world.endpoints)
        if endpoint.up:
            self.clock.random.choice(list(endpoint.engines.values())).break_down()

    def second_instance(self) -> None:
        """Somebody starts an endpoint a second time, with or without `--take-over`."""
        self.world.second_instance(self.clock.random.choice(self.world.endpoints), takeover=self.clock.random.random() < 0.6)

    def set_clock(self, process: Process) -> None:
        """Somebody sets the clock of a host while a process runs there."""
        process.set_clock(self.clock.random.choice((-SET, 0.0, SET)))

    def mend(self) -> None:
        """No more faults; everybody runs."""
        self.clock.log('the faults end')
        self.world.chaos_over = True
        self.world.network.rates = Rates()
        for connection in list(self.world.network.connections.values()):
            if connection.mute:
                self.world.network.cut(connection)
        self.world.relay.set_full(False)
        for process in self.world.processes:
            process.doom.clear()
            if process.paused_until > self.clock.now:
                process.paused_until = 0.0
                process.wake()
            process.failing.clear()
            process.start()
        for endpoint in self.world.endpoints:
            endpoint.full, endpoint.drain_after = False, -1
