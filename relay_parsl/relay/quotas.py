"""How much one account may have at the relay, and how fast it may submit. Pure.

Who floods is told to wait, and everybody else never notices: `tasks` counts those that are not over, `bytes` what is stored of tasks, results and
objects, `rate` is a bucket of tokens that fills by so many a second. A service counts for the user who invited it: quotas would mean nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from relay_parsl.relay.accounts import Directory
from relay_parsl.relay.records import AccountRow, TaskInfo, Usage
from relay_parsl.wire.messages import Id

if TYPE_CHECKING:
    from relay_parsl.relay.store import Store

NAMES = ('tasks', 'bytes', 'rate')
UNLIMITED = -1
"""What an account's own quota says where the relay's default shall not hold."""
BURST = 10.0
"""Seconds of its rate that an account may submit at once after a rest."""
AGAIN = 5.0
"""Seconds after which to try again where nobody can know when there will be room."""


@dataclass(frozen=True)
class Quota:
    """What an account may have. Infinite where nothing limits it."""

    tasks: float = inf
    bytes: float = inf
    rate: float = inf

    @property
    def limited(self) -> bool:
        """Whether there is anything to look at."""
        return self.tasks < inf or self.bytes < inf or self.rate < inf

    def over(self, own: Mapping[str, float]) -> Quota:
        """This one, with what stands in `own` in its place."""
        if not own:
            return self
        found = [own.get(name, getattr(self, name)) for name in NAMES]
        return Quota(*[inf if limit == UNLIMITED else limit for limit in found])

    def plain(self) -> dict[str, float]:
        """What limits, by name."""
        return {name: getattr(self, name) for name in NAMES if getattr(self, name) < inf}


@dataclass(frozen=True)
class Wait:
    """Why there is no room for more tasks: a code and a reason of `Rejection`, and the seconds until it is worth another try; 0: never."""

    code: str
    reason: str
    retry_after: float


class Bucket:
    """Tokens that fill at a rate, to a burst at most."""

    def __init__(self, rate: float, now: float) -> None:
        """Full."""
        self.rate = rate
        self.most = max(1.0, rate * BURST)
        self._tokens, self._at = self.most, now

    def tokens(self, now: float) -> float:
        """How many there are."""
        self._tokens, self._at = min(self.most, self._tokens + max(0.0, now - self._at) * self.rate), now
        return self._tokens

    def take(self, count: int, now: float) -> None:
        """So many are used; what was let in is never refused afterwards, so there may be fewer than none."""
        self._tokens = self.tokens(now) - count

    def wait(self, count: int, now: float, taken: int = 0) -> float:
        """Seconds until there are so many after `taken` are used, or a second's worth if that is less."""
        wanted = taken + min(count, max(1.0, self.rate))
        return max(0.0, wanted - self.tokens(now)) / self.rate


class Quotas:
    """Counts what accounts have, O(1) a task, and judges what they bring."""

    def __init__(self, store: Store, accounts: Directory, default: Quota) -> None:
        """Reads the counts. Raises StoreError."""
        self._store, self._accounts, self._default = store, accounts, default
        self._used: defaultdict[Id, Usage] = defaultdict(Usage, store.usage())
        self._objects: dict[Id, int] = store.objects_size()
        self._buckets: dict[Id, Bucket] = {}
        self._changed: set[Id] = set()
        self._short: dict[Id, int] = {}
        self.coming: Callable[[set[Id]], int] = lambda _accounts: 0
        """Bytes of bodies that are on their way in."""

    # -- What is there ----------------------------------------------------------------------------------------------

    def count(self, account: Id, tasks: int, size: int) -> None:
        """So many tasks and bytes of an account more, or fewer."""
        used = self._used[account]
        used.tasks = max(0, used.tasks + tasks)
        used.bytes = max(0, used.bytes + size)
        self._changed.add(account)

    def count_objects(self, account: Id, size: int) -> None:
        """An account has brought objects of so many bytes."""
        self._objects[account] = self._objects.get(account, 0) + size

    def recount_objects(self) -> None:
        """Some are gone. Raises StoreError."""
        self._objects = self._store.objects_size()

    def flush(self) -> None:
        """The counts of this turn, into the store. Raises StoreError."""
        if self._changed:
            changed, self._changed = self._changed, set()
            self._store.put_usage({account: self._used[account] for account in changed})

    # -- What is allowed --------------------------------------------------------------------------------------------

    def payer(self, account: AccountRow) -> AccountRow:
        """Whose quota it is: a service's is that of the user who invited it."""
        owner = self._accounts.get(account.owner) if account.role == 'service' else None
        return owner if owner is not None and owner.role == 'user' else account

    def of(self, account: AccountRow) -> Quota:
        """What this account may have, those that count for it included."""
        return self._default.over(self.payer(account).quota)

    def used(self, account: AccountRow) -> Usage:
        """What it has, those that count for it included."""
        ids = self._together(account)
        return Usage(sum(self._used[each].tasks for each in ids), sum(self._used[each].bytes + self._objects.get(each, 0) for each in ids))

    def _together(self, account: AccountRow) -> set[Id]:
        payer = self.payer(account)
        return self._accounts.ending_with(payer) if payer.role == 'user' else {payer.id}

    def fit(self, account: AccountRow, sizes: Sequence[int], now: float) -> tuple[int, Wait | None]:
        """How many of some new tasks of these bytes, the first ones, may come in; and why not all."""
        quota = self.of(account)
        used = self.used(account)
        coming = self.coming(self._together(account)) if quota.bytes < inf else 0
        by_bytes = _leading(sizes, quota.bytes - used.bytes - coming)
        if by_bytes < len(sizes):
            over = int(used.bytes + coming + sum(sizes) - quota.bytes)  # it may have been over before: results are always taken in
            self._short.update(dict.fromkeys(self._together(account), over))
        by_tasks = max(0, int(min(quota.tasks - used.tasks, len(sizes))))
        by_rate, slow = self._by_rate(self.payer(account).id, quota.rate, len(sizes), now)
        count = min(by_bytes, by_tasks, by_rate)
        if count == len(sizes):
            return count, None
        return count, _no_bytes(quota, used) if count == by_bytes else _no_tasks(quota) if count == by_tasks else slow

    def _by_rate(self, payer: Id, rate: float, count: int, now: float) -> tuple[int, Wait]:
        bucket = self._bucket(payer, rate, now)
        if bucket is None:
            return (count if rate else 0), Wait('rate', 'this account may submit no tasks', 0.0)
        room = min(count, int(max(0.0, bucket.tokens(now))))
        return room, Wait('rate', f'this account may submit {rate:g} tasks a second', max(0.1, bucket.wait(count - room, now, room)))

    def take(self, account: Id, rows: Sequence[TaskInfo], now: float) -> None:
        """These have come in."""
        self.count(account, len(rows), sum([row.size for row in rows]))
        known = self._accounts.get(account)
        if known is not None:
            payer = self.payer(known)
            bucket = self._bucket(payer.id, self._default.over(payer.quota).rate, now)
            if bucket is not None:
                bucket.take(len(rows), now)

    def _bucket(self, payer: Id, rate: float, now: float) -> Bucket | None:
        if not 0 < rate < inf:
            return None
        found = self._buckets.get(payer)
        if found is None or found.rate != rate:
            found = self._buckets[payer] = Bucket(rate, now)
        return found

    # -- Making room ------------------------------------------------------------------------------------------------

    def short(self) -> dict[Id, int]:
        """Accounts whose bytes did not suffice lately, and by how much: what they have received may go, the oldest first."""
        return dict(self._short)

    def relieved(self, account: Id, size: int) -> None:
        """So many bytes of an account are gone; 0: it has nothing more that may go."""
        self._short[account] -= size
        if not size or self._short[account] <= 0:
            del self._short[account]


def _leading(sizes: Sequence[int], room: float) -> int:
    for count, size in enumerate(sizes):
        room -= size
        if room < 0:
            return count
    return len(sizes)


def _no_tasks(quota: Quota) -> Wait:
    if not quota.tasks:
        return Wait('quota', 'this account may have no tasks', 0.0)
    return Wait('quota', f'this account has {quota.tasks:.0f} tasks that are not over, which is all it may have', AGAIN)


def _no_bytes(quota: Quota, used: Usage) -> Wait:
    return Wait('quota', f'this account has {used.bytes} of the {quota.bytes:.0f} bytes that it may have at the relay', AGAIN)
