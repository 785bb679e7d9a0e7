"""The rotation of an endpoint's keys: `Enrol` over the key of now until it is answered; then the file has the new one, and who runs notices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from relay_parsl.wire.codec import pack
from relay_parsl.wire.messages import Enrol, Enrolled
from tests.simulation.hostile import Hostile
from tests.simulation.network import Dealer
from tests.simulation.process import Process
from tests.simulation.specs import Account

if TYPE_CHECKING:
    from tests.simulation.world import World


class OldKey(Hostile):
    """Somebody who has kept the key of before, and says anything when its time is over; before that it is the endpoint's own."""

    period = 1.0

    def step(self) -> None:
        """By the clock of the relay, which may be set."""
        if self.world.relay.up and self.world.relay.is_out(self.account.id, self.account.key):
            self.clock.tally.faults['old key after its overlap'] += 1
            super().step()


class Rotator(Process):
    """One rotation. The new keys are on its disk before anybody hears of them: where it is cut off it goes on with them."""

    kind = 'rotator'
    points = ()
    period = 0.3

    def __init__(self, world: World, site: Account, overlap: float) -> None:
        """The relay admits the old key for `overlap` seconds more: fewer than the command allows, so that its end is seen."""
        super().__init__(world, f'{site.name} rotates')
        self.site, self.overlap = site, overlap
        self.old, self.new = site.key, self.clock.random.randbytes(32)
        self.card = pack([site.id, 'endpoint', self.new, 2])
        self.answered = self.done = False
        world.invariants.by_key[self.new] = site
        self.start()

    def boot(self) -> None:
        """It asks over both keys: where it was cut off the relay may know the new one only."""
        self.dealers = [Dealer(self.world.network, key, self.wake, self.name) for key in (self.old, self.new)]

    def die(self) -> None:
        """It will be said again."""
        for each in self.dealers:
            each.close()

    def step(self) -> None:
        """Ask, until the answer is there."""
        for dealer in self.dealers:
            while dealer.inbox:
                self.answered |= isinstance(dealer.inbox.popleft(), Enrolled)
        if self.answered or self.site.id in self.world.removed:
            self.stay_down = True
            self.halt()
            self.clock.after(self.clock.random.choice((0.05, 1.0, 5.0)), self.finish)
        else:
            for dealer in self.dealers:
                dealer.send(Enrol(b'', self.card, b'', self.overlap))

    def finish(self) -> None:
        """The file of the endpoint has the new key."""
        self.done, self.site.key = True, self.new
        self.clock.tally.faults['rotated'] += self.answered
        ghost = OldKey(self.world, replace(self.site, key=self.old))
        self.world.processes.append(ghost)
        ghost.start()
