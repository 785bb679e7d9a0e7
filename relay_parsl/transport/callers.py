"""Which connections have to go when too many have opened no session. Pure.

A connection costs memory and a file as soon as it is there, long before anybody has shown a key; and who has a key may open many and say nothing. So
those without a session share a bound: beyond it the network that has most of them loses some, silent ones first, the oldest first: somebody honest
is through with the handshake before it is his turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass
class Caller:
    """One connection: whose it is, and by which routing id it has asked to come in, if it has."""

    address: str
    routing: bytes = b''


class Callers:
    """All connections of a socket, by their descriptors, the oldest first."""

    def __init__(self, most: int) -> None:
        """`most`: how many may be there without a session; an eighth more before anybody looks."""
        self._most = most
        self._here: dict[int, Caller] = {}
        self._new = 0

    def __len__(self) -> int:
        return len(self._here)

    def came(self, descriptor: int, address: str) -> None:
        """A connection was accepted."""
        self._here.pop(descriptor, None)
        self._here[descriptor] = Caller(address)
        self._new += 1

    def asked(self, descriptor: int, routing: bytes) -> None:
        """It has shown a key, and asks to come in."""
        if descriptor in self._here:
            self._here[descriptor].routing = routing

    def left(self, descriptor: int) -> None:
        """It is gone."""
        self._here.pop(descriptor, None)

    def excess(self, inside: Callable[[bytes], bool]) -> list[int]:
        """The descriptors of those that have to go; they are forgotten. `inside` says who has a session. Costs nothing while there is room."""
        if len(self._here) <= self._most or self._new <= self._most // 8:
            return []
        self._new = 0
        outside: defaultdict[str, list[int]] = defaultdict(list)
        for descriptor, each in self._here.items():
            if not (each.routing and inside(each.routing)):
                outside[each.address].append(descriptor)
        share = fair_share(map(len, outside.values()), self._most)
        gone = [one for group in outside.values() for one in sorted(group, key=self._has_asked)[: max(0, len(group) - share)]]
        for descriptor in gone:
            del self._here[descriptor]
        return gone

    def _has_asked(self, descriptor: int) -> bool:
        return bool(self._here[descriptor].routing)


def fair_share(sizes: Iterable[int], most: int) -> int:
    """How many each group may keep, so that together they are `most` at most: small groups keep all, and the others as many as each other."""
    left, waiting = most, sorted(sizes)
    for done, size in enumerate(waiting):
        share = left // (len(waiting) - done)
        if size > share:
            return share
        left -= size
    return most
