"""What time brings at the relay: expiry, forgetting, making room; in slices, so that a million at once stall nobody. Pure."""

from __future__ import annotations

from relay_parsl.relay.core import Core
from relay_parsl.relay.leases import Leases
from relay_parsl.relay.records import Stage, Standing, TaskInfo
from relay_parsl.wire.messages import Attempt, Id, Status

SLICE = 500
"""Tasks in one turn."""
SLICE_ON_FULL_DISK = 50
"""The same, where what a turn writes must fit into what the log has already."""
ROOM_EVERY = 30.0
"""Seconds between looks at the store's size."""


class Calendar:
    """Ends what is over."""

    def __init__(self, core: Core, leases: Leases) -> None:
        self._core = core
        self._leases = leases
        self._looked = 0.0
        self._deleted = {row.id for row in core.accounts if row.standing == Standing.DELETED}

    def tick(self, now: float) -> None:
        """A slice of everything."""
        self._due(now)
        for endpoint in list(self._deleted):
            self._fail_all(endpoint)
        for invite in [each for each in self._core.accounts.invites.values() if each.expires <= now]:
            del self._core.accounts.invites[invite.curve]
            self._core.store.drop_invite(invite.curve)
        if self._core.tight or now - self._looked >= ROOM_EVERY:
            self._make_room(now)
        self._relieve()

    def _relieve(self) -> None:
        """Who has used up the bytes of its quota loses the bodies of what it has received, the oldest first; only then is more refused."""
        for account, size in self._core.quotas.short().items():
            gone = self._core.store.evict(SLICE, account, size)
            self._core.forget_spooled(gone)
            self._core.quotas.relieved(account, sum(each.size for each in gone))

    def delete(self, endpoint: Id) -> None:
        """Its tasks will fail."""
        self._deleted.add(endpoint)

    def _due(self, now: float) -> None:
        due = self._core.store.due(now, SLICE)
        self._core.busy |= len(due) == SLICE
        over = [info for info in due if info.stage != Stage.DONE]
        self._end(over, Status.EXPIRED, 'not finished by its `expires`')
        forgotten = self._core.store.forget([info.number for info in due if info.stage == Stage.DONE]) if len(over) < len(due) else []
        self._core.forget_spooled(forgotten)

    def _fail_all(self, endpoint: Id) -> None:
        some = self._core.store.unfinished(endpoint, SLICE)
        self._end(some, Status.FAILED, 'lost: its endpoint was deleted')
        if len(some) == SLICE:
            self._core.busy = True
        else:
            self._deleted.discard(endpoint)

    def _end(self, tasks: list[TaskInfo], status: Status, reason: str) -> None:
        """By the relay's word; where one is leased, its endpoint is told."""
        for info in tasks:
            session = self._core.endpoints.get(info.endpoint)
            lease = session.leases.get(info.id) if session else None
            if session and lease:
                self._leases.cancel_attempts(session, [Attempt(lease.id, lease.attempt)])
        self._core.end(tasks, status, reason)

    def _make_room(self, now: float) -> None:
        """Objects that no task can need, and the bodies of received results when the store is over its limit, or the disk is full."""
        size = SLICE_ON_FULL_DISK if self._core.tight else SLICE
        dropped = self._core.store.drop_objects(now, size)
        if dropped:
            self._core.quotas.recount_objects()
        over = self._core.tight or self._core.store.size() > self._core.settings.store_limit
        evicted = self._core.store.evict(size) if over else []
        self._core.forget_spooled(evicted)
        if max(dropped, len(evicted)) == size and not self._core.tight:
            self._core.busy = True
        else:
            self._looked = now
