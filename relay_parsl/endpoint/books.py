"""All that an endpoint's reactor knows, in one place for the parts that share it."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay_parsl.endpoint.effects import Effect
from relay_parsl.endpoint.holdings import Holdings
from relay_parsl.endpoint.ledger import Journal, Ledger
from relay_parsl.endpoint.link import Link
from relay_parsl.endpoint.outbox import Outbox
from relay_parsl.endpoint.pulls import Pulls
from relay_parsl.endpoint.stock import Stock
from relay_parsl.wire.messages import NO_ID, Hello, Id


@dataclass(frozen=True)
class EndpointSettings:
    """What the loop fixes for a reactor's life."""

    pools: dict[str, tuple[int, int]]
    """The least window of each pool: tasks and bytes. It grows with the engine's capacity."""
    endpoint: Id = NO_ID
    """Which one it is: the relay takes no result that names another. By default whoever a task says."""
    max_retries_on_system_failure: int = 2
    pool_retries: dict[str, int] = field(default_factory=dict)
    """The same, for pools that differ."""
    pool_margins: dict[str, int] = field(default_factory=dict)
    """The least margin, for pools whose engine shares its tasks out itself."""
    default_pool: str = ''
    """Which pool runs tasks that name none."""
    versions: dict[str, str] = field(default_factory=dict)
    takeover: bool = False
    margin: int = 1000
    """The least number of tasks that an engine gets beyond its capacity: the more it knows of, the better it puts short ones together."""
    grace: float = 30.0
    """Seconds that a drain waits for running tasks and for `Recorded`."""
    held_page: int = 500
    """Tasks in one `Held`."""
    idle_soft: float = 0.0
    """Seconds without a task after which it drains and ends; 0 is never."""
    idle_hard: float = 0.0
    """Seconds in which no task comes or ends after which it ends; 0 is never."""
    stock: int = 256 << 20
    """Bytes of functions and grants to keep when no task refers to them."""


class Books:
    """The state of one reactor. `out` gathers the effects of a turn."""

    def __init__(self, journal: Journal, instance: Id, epoch: int, now: float, settings: EndpointSettings) -> None:
        """Reads the journal. Raises StoreError."""
        self.settings = settings
        self.epoch = epoch
        self.out: list[Effect] = []
        self.ledger = Ledger(journal, now)
        self.outbox = Outbox(self.ledger, now)
        self.holdings = Holdings(settings.pools, settings.pool_margins)
        self.stock = Stock(settings.stock)
        self.pulls = Pulls()
        hello = Hello('endpoint', instance, epoch, settings.takeover, dict(settings.versions))
        self.link = Link(hello, self.out)
        self.draining = False
        self.paused = False
        """Whether nothing new may come: what is not on record does not run."""

    def pool(self, named: str) -> str:
        """The pool that is meant by a task which names this one, or none."""
        return named or self.settings.default_pool

    def retries(self, pool: str) -> int:
        """How often a task of this pool is tried again after system failures."""
        return self.settings.pool_retries.get(pool, self.settings.max_retries_on_system_failure)
