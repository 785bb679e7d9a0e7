"""Whoever has a key of their own and means harm: any well-formed message at any time, of all types that the codec has, and what others have said.

Made of ids of others, of epochs, sessions and attempts that are over or not begun, doubled and in any order. What the answers say is judged; what
others promise one another must hold as if nobody had said anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import cache
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from relay_parsl.wire.codec import encode_header
from relay_parsl.wire.fields import names_of
from relay_parsl.wire.messages import (
    NO_ID,
    Admin,
    Body,
    Cancel,
    Fetch,
    Follow,
    Goodbye,
    Hash,
    Held,
    Hello,
    Id,
    List,
    Message,
    Need,
    Object,
    Objects,
    Ping,
    Pong,
    Received,
    Report,
    ResultHeader,
    Results,
    Returned,
    Segment,
    States,
    Submit,
    Task,
    TaskHeader,
    Watch,
    Window,
)  # fmt: skip
from tests.simulation.network import Dealer
from tests.simulation.process import Process
from tests.simulation.specs import Account, random_id

if TYPE_CHECKING:
    from tests.simulation.world import World

KINDS: tuple[type, ...] = get_args(Message)
OWN: dict[str, tuple[type, ...]] = {
    'user': (Submit, Objects, Need, Cancel, Window, Follow, Received, Watch, Fetch, Segment, List, Admin),
    'endpoint': (Held, Returned, Results, States, Need, Fetch, Segment, Window, Report),
}
"""What a role is heard with at all: half of what is said."""
WORDS = (
    '', 'gpu', 'client', 'endpoint', 'task', 'result', 'grant', 'function', 'user', 'tasks', 'accounts', 'endpoints', 'functions', 'cards', 'evil',
    'revoke', 'delete-endpoint', 'register', 'unregister', 'quota', 'drain', 'stop', 'invite', 'share', 'vouch', 'status', 'backup', 'unshare',
)  # fmt: skip
"""What a string may say: roles, directions, lists, verbs."""
NAMES = ('id', 'name', 'group', 'endpoint', 'account', 'data', 'role', 'tasks', 'off')
EVIL = 'evil'
"""A word that no honest party says: whoever hears it has heard a hostile one."""


class Hostile(Process):
    """Speaks over a key of its own, as long as there are faults."""

    kind = 'hostile'
    points = ()
    period = 0.25

    def __init__(self, world: World, account: Account) -> None:
        """With the key of `account`, which is nobody's whom others know."""
        super().__init__(world, account.name if account.hostile else f'{account.name} with a revoked key')
        self.account = account
        self.session = self.epoch = 0

    def boot(self) -> None:
        """One socket; what arrives there is read when it is time to speak: answers to answers would have no end."""
        self.dealer = Dealer(self.world.network, self.account.key, lambda: None, self.name, self.version)

    def die(self) -> None:
        """It will be back."""
        self.dealer.close()

    def step(self) -> None:
        """Read what came, and say two or three things."""
        random = self.clock.random
        while self.dealer.inbox:
            message = self.dealer.inbox.popleft()
            self.session = getattr(message, 'session', 0) or self.session
            if isinstance(message, Goodbye):
                self.session = 0
            if isinstance(message, Ping) and not self.world.chaos_over:
                self.dealer.send(Pong(self.session, getattr(message, 'serial', 0)))
        if self.world.chaos_over:
            return
        if not self.session or random.random() < 0.1:
            self.epoch += random.choice((-1, 0, 1, 1, 1))
            role = 'endpoint' if self.account.role == 'endpoint' else 'client'
            self.dealer.send(Hello(role, random_id(random), max(0, self.epoch), random.random() < 0.8))
        for _ in range(random.randrange(1, 4)):
            message = self._replayed() if random.random() < 0.3 else self._forged()
            if message is not None:
                self.clock.tally.hostile[type(message).__name__] += 1
                self.dealer.send(message)

    def _replayed(self) -> Message | None:
        overheard = self.world.overheard
        return overheard[self.clock.random.randrange(len(overheard))] if overheard else None

    def _forged(self) -> Message:
        random = self.clock.random
        return self._made(random.choice(KINDS if random.random() < 0.5 else OWN[self.account.role]))  # type: ignore[no-any-return]

    # -- Values of the declared types ---------------------------------------------------------------------------------

    def _made(self, kind: Any) -> Any:
        """Something of this type."""
        random = self.clock.random
        if kind in _PLAIN:
            return _PLAIN[kind](self)
        if kind is Object:
            kept = list(islice(reversed(self.world.objects.values()), 20))  # also of what nobody has told the relay yet
            data = (random.choice(kept).data if kept else b'') + random.randbytes(random.randrange(2))
            return Object(Hash(sha256(data).digest()), random.choice(WORDS), Body(data))
        origin, args = get_origin(kind), get_args(kind)
        if origin is dict:
            return {random.choice((*NAMES, *WORDS)): self._made(args[1]) for _ in range(random.randrange(4))}
        if origin is tuple:
            many = args[-1] is Ellipsis
            return tuple([self._made(each) for each in ([args[0]] * random.randrange(4) if many else args)])
        if issubclass(kind, Enum):
            return random.choice(list(kind))
        return kind(**{name: self._field(kind, name, hint) for name, hint in _hints(kind).items()})

    def _field(self, kind: Any, name: str, hint: Any) -> Any:
        if hint is bytes and name == 'header':
            return encode_header(self._made(TaskHeader if kind is Task or self.clock.random.random() < 0.3 else ResultHeader))
        if name == 'session' and self.clock.random.random() < 0.7:
            return self.session
        if name == 'endpoint' and self.clock.random.random() < 0.5:
            return self.account.id
        return self._made(hint)

    def _id(self) -> Id:
        random, world = self.clock.random, self.world
        known = list(world.invariants.open) or [NO_ID]
        choices = [random.choice(known), random.choice(world.accounts).id, random.choice(world.clients).group, self.account.id, random_id(random)]
        return random.choice([choices[0], *choices])

    def _hash(self) -> Hash:
        return self.clock.random.choice([*self.world.objects][-20:] or [Hash(bytes(32))])

    def _any(self) -> Any:
        return self._made(self.clock.random.choice((Id, int, str, bytes, float, Hash)))

    def _number(self) -> int:
        return self.clock.random.choice((0, 0, 1, 1, 2, 3, 20, -1, 1 << 31, 1 << 62))

    def _time(self) -> float:
        return self.clock.random.choice((0.0, -1.0, self.clock.now, self.clock.now + 50.0, self.clock.now + 1e5, 1e300))


_PLAIN: dict[Any, Callable[[Hostile], Any]] = {
    Id: Hostile._id, Hash: Hostile._hash, int: Hostile._number, float: Hostile._time, Any: Hostile._any,
    bool: lambda each: each.clock.random.random() < 0.5,
    str: lambda each: each.clock.random.choice(WORDS),
    bytes: lambda each: each.clock.random.randbytes(each.clock.random.choice((0, 16, 32))),
    Body: lambda each: Body(EVIL.encode() * each.clock.random.choice((0, 1, 1, 100))),
}  # fmt: skip


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """The fields of a message or an item with their types, in order."""
    hints = get_type_hints(kind)
    return {name: hints[name] for name in names_of(kind)}


def overhears() -> deque[Message]:
    """The last messages of others, for whoever says them again."""
    return deque(maxlen=200)
