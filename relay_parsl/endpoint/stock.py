"""Functions and grants that the endpoint has: which are there, which tasks wait for which, and which may be dropped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from relay_parsl.wire.messages import Hash, Id

AGAIN = 5.0
"""Seconds after which an unanswered `Need` is repeated."""


class Stock:
    """Content-addressed objects, bounded in bytes; what a held task refers to stays."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes that objects nobody refers to may bring the total to."""
        self._limit = limit
        self._sizes: OrderedDict[Hash, int] = OrderedDict()
        self._total = 0
        self._users: dict[Hash, int] = {}
        self._waiters: dict[Hash, list[Id]] = {}
        self._arriving: dict[Hash, int] = {}
        self._asked: dict[Hash, float] = {}

    def use(self, hashes: Iterable[Hash], task_id: Id) -> set[Hash]:
        """A held task refers to these; returns those that are missing, for which it will wait."""
        missing = set()
        for each in hashes:
            self._users[each] = self._users.get(each, 0) + 1
            if each in self._sizes:
                self._sizes.move_to_end(each)
            else:
                self._waiters.setdefault(each, []).append(task_id)
                missing.add(each)
        return missing

    def release(self, hashes: Iterable[Hash]) -> None:
        """The task that referred to these has ended."""
        for each in hashes:
            left = self._users[each] - 1
            if left:
                self._users[each] = left
            else:
                del self._users[each]
                self._waiters.pop(each, None)
                self._asked.pop(each, None)

    def arrived(self, each: Hash, size: int) -> bool:
        """An object came in: whether anybody waits for it and it is not being opened already."""
        if each not in self._waiters or each in self._arriving:
            return False
        self._arriving[each] = size
        return True

    def kept(self, each: Hash) -> list[Id]:
        """The object is usable: the tasks that waited for it."""
        size = self._arriving.pop(each, 0)
        if each not in self._sizes:
            self._sizes[each] = size
            self._total += size
        self._asked.pop(each, None)
        return self._waiters.pop(each, [])

    def refused(self, each: Hash) -> list[Id]:
        """The object is not usable: the tasks that waited for it."""
        self._arriving.pop(each, None)
        self._asked.pop(each, None)
        return self._waiters.pop(each, [])

    def has(self, each: Hash) -> bool:
        """Whether the object is there."""
        return each in self._sizes

    def wanted(self, now: float) -> list[Hash]:
        """What to ask for now: missing objects not asked for lately."""
        found = [each for each in self._waiters if each not in self._arriving and now - self._asked.get(each, -AGAIN) >= AGAIN]
        self._asked.update(dict.fromkeys(found, now))
        return found

    def ask_again(self) -> None:
        """A new session: questions of the old one are void."""
        self._asked.clear()

    def surplus(self) -> list[Hash]:
        """Drop what nobody refers to, least recently used first, until the rest is within the limit."""
        found = []
        if self._total > self._limit:
            for each in [each for each in self._sizes if each not in self._users]:
                if self._total <= self._limit:
                    break
                self._total -= self._sizes.pop(each)
                found.append(each)
        return found
