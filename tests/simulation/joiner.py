"""Somebody who joins with an invitation: `Enrol` until it is answered, or until the new key is welcome."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from relay_parsl.errors import ProtocolError
from relay_parsl.relay.reactor import Enrolment
from relay_parsl.wire.codec import pack, unpack
from relay_parsl.wire.messages import Enrol, Enrolled, Hello, Id, Welcome
from tests.simulation.network import Dealer
from tests.simulation.process import Process
from tests.simulation.specs import random_id

if TYPE_CHECKING:
    from tests.simulation.world import World


def read_enrolment(message: Enrol) -> Enrolment | None:
    """What the relay's loop makes of an `Enrol`: here a card is no more than its contents."""
    try:
        account, kind, curve, serial = unpack(message.card)
    except (ProtocolError, TypeError, ValueError):
        return None
    return Enrolment(sha256(message.token).digest(), Id(account), kind, curve, 4e9, message.card, message.mac, serial, message.overlap)


class Joiner(Process):
    """One joiner. Its answer may be lost with the relay; then its own new key tells whether it is in."""

    kind = 'joiner'
    points = ()
    period = 0.3

    def __init__(self, world: World, name: str) -> None:
        """It has an invitation; whether the relay knows of it is the operator's care."""
        super().__init__(world, name)
        random = self.clock.random
        self.once, self.key, self.id = random.randbytes(32), random.randbytes(32), random_id(random)
        self.token = random.randbytes(16)
        self.joined = False
        self.leave_at = 0.0
        self.invitation: dict[str, Any] = {
            'name': self.name, 'role': 'user', 'curve': self.once, 'token': sha256(self.token).digest(), 'expires': self.clock.now + 40_000.0,
        }  # fmt: skip
        """What the inviter tells the relay."""

    def boot(self) -> None:
        """Two sockets: one with the invitation's key, one with its own."""
        self.dealer = Dealer(self.world.network, self.once, self.wake, self.name, self.version)
        self.own = Dealer(self.world.network, self.key, self.wake, self.name)
        self.next = 0.0

    def die(self) -> None:
        """Try again later."""
        self.dealer.close()
        self.own.close()

    def step(self) -> None:
        """Ask, until one answer says yes."""
        for dealer in (self.dealer, self.own):
            while dealer.inbox:
                message = dealer.inbox.popleft()
                if isinstance(message, (Enrolled, Welcome)):
                    self.leave_at = self.leave_at if self.joined else self.clock.now + 4.0
                    self.joined = True
        if self.joined and self.clock.now >= self.leave_at:
            self.halt()
        elif self.clock.now >= self.next:
            self.next = self.clock.now + (0.2 if self.joined else 1.0)  # an answer may be overtaken by the next one
            self.dealer.send(Enrol(self.token, pack([self.id, 'user', self.key, 1]), b'mac'))
            self.own.send(Hello('client', self.id))
