"""When workers are told that their results were heard: in their next chunk, for each message wakes them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay_parsl.engines.control import OVERHEAD, Parcel, say_recorded
from relay_parsl.wire.messages import Recorded

LARGE = 256 * 1024
"""Bytes of results of which a worker is told at once: it takes no more chunks when many of them were not heard."""


@dataclass
class Owed:
    """To one shift."""

    routing: bytes
    """Where its worker is."""
    numbers: list[int] = field(default_factory=list)
    size: int = 0


class Receipts:
    """What the workers of shifts were not told yet."""

    def __init__(self) -> None:
        """Nothing."""
        self._heard: list[tuple[bytes, Parcel]] = []
        self._owed: dict[int, Owed] = {}

    def heard(self, routing: bytes, parcel: Parcel) -> None:
        """A parcel has come from there; the endpoint does not have it yet."""
        self._heard.append((routing, parcel))

    def passed_on(self) -> list[tuple[bytes, Recorded]]:
        """The endpoint has what was heard: returns what is to be said at once."""
        for routing, parcel in self._heard:
            owed = self._owed.setdefault(parcel.shift, Owed(routing))
            owed.numbers.append(parcel.number)
            owed.size += OVERHEAD + sum([len(end) for _, end in parcel.ends])
        self._heard.clear()
        large = [(shift, owed.routing) for shift, owed in self._owed.items() if owed.size >= LARGE]
        return [(routing, say_recorded(shift, self.take(shift))) for shift, routing in large]

    def take(self, shift: int) -> tuple[int, ...]:
        """The numbers of parcels that go with the next chunk of a shift."""
        owed = self._owed.pop(shift, None)
        return tuple(owed.numbers) if owed is not None else ()

    def over(self, shift: int) -> None:
        """It is: the result of its task says all that its worker does not know to be heard."""
        self._owed.pop(shift, None)
        self._heard = [(routing, parcel) for routing, parcel in self._heard if parcel.shift != shift]
