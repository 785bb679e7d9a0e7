"""What disks make of the bytes that lie on them: bodies in spools and rows of journals, changed, cut or gone.

Each time it is noted whose bytes they were: of such a task an end that says so is right, of any other it is a violation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from relay_parsl.endpoint import journal
from relay_parsl.endpoint.ledger import Kept, MemoryJournal, Spent
from relay_parsl.errors import StoreError
from relay_parsl.wire.messages import Hash, Id

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

Spool = dict[tuple[Id, int, str], bytes]


class Rows(MemoryJournal):
    """A journal whose disk may change rows of results; it is read as that on disk is, with the product's own sums."""

    def __init__(self, before: Callable[[str], None]) -> None:
        """As in memory. `sums`, `ruined`: changed rows, with the sums of what was written."""
        super().__init__(before)
        self.sums: dict[Id, tuple[Kept, int]] = {}
        self.ruined: dict[Hash, tuple[Spent, int]] = {}

    def results(self) -> list[Kept]:
        """Every result kept, but for those that the disk has changed."""
        for task_id, (row, found) in list(self.sums.items()):
            if self._results.get(task_id) is row and journal._sum(row.task_id, row.attempt, row.header, row.payload) != found:
                del self._results[task_id]
        return super().results()

    def spent(self) -> list[Spent]:
        """Every grant's spent numbers. Raises StoreError when the disk has changed one."""
        for grant, (row, found) in self.ruined.items():
            if self._spent.get(grant) is row and journal._sum(row.grant, row.sequences, row.until) != found:
                raise StoreError('the numbers of a grant have changed')
        return super().spent()

    def ruin(self, grant: Hash) -> None:
        """Flip a bit of the numbers of a grant: of those that must not run again one may seem new."""
        row = self._spent[grant]
        changed = replace(row, sequences=bytes([row.sequences[0] ^ 1]) + row.sequences[1:])
        self.ruined[grant] = changed, journal._sum(row.grant, row.sequences, row.until)
        self._spent[grant] = changed

    def change(self, task_id: Id, place: int) -> None:
        """Flip a bit of a row."""
        row = self._results[task_id]
        data = bytearray(row.payload or row.header)
        data[place % len(data)] ^= 16
        changed = Kept(row.task_id, row.attempt, *((row.header, bytes(data)) if row.payload else (bytes(data), row.payload)))
        self.sums[task_id] = changed, journal._sum(row.task_id, row.attempt, row.header, row.payload)
        self._results[task_id] = changed


class Decay:
    """Spoils what lies on the disks of a world. `bodies` and `results`: whose bytes were changed, and whose results a journal has lost."""

    def __init__(self, world: World) -> None:
        """Nothing yet."""
        self.world, self.clock = world, world.clock
        self.bodies: set[Id] = set()
        self.results: set[Id] = set()

    def spoil(self, kind: str, direction: str, tries: int = 60) -> None:
        """Some bodies that are waited for, in the spool of the relay or of an endpoint; a little later if there is none now."""
        random = self.clock.random
        found = [(each, key) for each in self._disks() if each.kind == kind for key in each.bodies() if key[2] == direction and self._wanted(key[0])]
        for process, key in random.sample(found, min(2, len(found))):
            if not process.bodies().get(key):  # of two processes that share a disk the other one has been here
                continue
            how = random.choice(('flipped', 'cut', 'gone'))
            self._damage(process.bodies(), key, how)
            self.bodies.add(key[0])
            self.clock.tally.faults[f'{kind} body {how}'] += 1
            self.clock.log('the disk of %s has a %s body', process.name, how)
        if not found and tries and not self.world.chaos_over:
            self.clock.after(0.2, self.spoil, kind, direction, tries - 1)

    def _disks(self) -> tuple[Process, ...]:
        return (self.world.relay, *self.world.endpoints)

    def _wanted(self, task_id: Id) -> bool:
        return any(future is not None and not future.settled for future in [each.futures.get(task_id) for each in self.world.clients])

    def _damage(self, spool: Spool, key: tuple[Id, int, str], how: str) -> None:
        body, place = spool[key], self.clock.random.randrange(len(spool[key]))
        if how == 'flipped':
            spool[key] = body[:place] + bytes([body[place] ^ 4]) + body[place + 1 :]
        elif how == 'cut':
            spool[key] = body[:place]
        else:
            del spool[key]

    def empty(self, tries: int = 60) -> None:
        """The temporary directory of a client loses the bytes of a call that the relay does not have yet; later if there is none now."""
        random = self.clock.random
        found = [(each.bodies, key) for each in self.world.clients if each.up for key in each.bodies]
        for bodies, key in random.sample(found, min(1, len(found))):
            how = random.choice(('cut', 'gone'))
            self.bodies.add(key)
            if how == 'gone':
                del bodies[key]
            else:
                bodies[key] = bodies[key][: random.randrange(len(bodies[key]))]
            self.clock.tally.faults[f'client body {how}'] += 1
        if not found and tries and not self.world.chaos_over:
            self.clock.after(0.2, self.empty, tries - 1)

    def change_rows(self, tries: int = 20) -> None:
        """Rows of results that the relay does not have, just before their process ends and another reads them; later if there are none."""
        random = self.clock.random
        for endpoint in random.sample(self.world.endpoints, len(self.world.endpoints)):
            rows = endpoint.disk.journal
            open_ones = [key for key in rows._results if not self.world.relay.is_over(key)]
            if endpoint.up and endpoint.disk.owner is endpoint and open_ones:
                for task_id in random.sample(open_ones, min(3, len(open_ones))):
                    rows.change(task_id, random.randrange(1 << 16))
                    self.results.add(task_id)
                    self.clock.tally.faults['row changed'] += 1
                endpoint.kill('idle')
                return
        if tries and not self.world.chaos_over:
            self.clock.after(0.3, self.change_rows, tries - 1)

    def ruin(self) -> None:
        """A journal is changed so that its endpoint cannot know what it has finished: it never starts again, and an operator takes it away."""
        random = self.clock.random
        for endpoint in random.sample(self.world.endpoints, len(self.world.endpoints)):
            rows = endpoint.disk.journal
            if endpoint.up and endpoint.disk.owner is endpoint and rows._spent and endpoint.account.id not in self.world.removed:
                rows.ruin(random.choice(list(rows._spent)))
                self.clock.tally.faults['journal ruined'] += 1
                endpoint.kill('idle')
                self.clock.after(random.uniform(0.5, 30.0), self.world.remove, endpoint.account)
                return

    def found(self, task_id: Id, what: str) -> bool:
        """Whether it is true that a disk has damaged the bytes of this task; it is counted that somebody saw it."""
        self.clock.tally.faults[f'{what} told'] += 1
        return task_id in self.bodies or task_id in self.results
