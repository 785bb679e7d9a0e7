"""Which chunk is where: on the shelf, with HTEX, in a shift. Pure; one thread works it.

```
endpoint ──► shelf ──► a shift that asks for more      over the control channel
                   └─► HTEX, as the first of a shift   only while fewer shifts are out than there are workers
```

A *shift* is a task of HTEX that goes on with other chunks (`engines.control`). Every attempt is in one place at a time, and leaves it by its end, or
back to the endpoint: what a worker did not start, or by the death of its worker. Workers that cannot be reached get all from HTEX, which then holds a
few chunks more, so that they do not idle while the next one is on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

WIDEST = 8 * 1024 * 1024
"""Bytes of a chunk that goes over the control channel, at most."""
AHEAD = 3
"""Chunks that HTEX holds more for each worker that cannot be reached."""


@dataclass(eq=False)
class Chunk:
    """Attempts that travel together."""

    numbers: list[int]
    data: bytes = field(repr=False)
    seconds: float | None = None
    """How long they run in all, as is thought."""
    strict: bool = False
    """Nothing else may be with its worker, before or behind it: a death must tell whose it was."""
    specification: dict[str, Any] = field(default_factory=dict)
    """What HTEX is told."""
    order: int = 0
    shift: int = 0
    """The one that it is in; 0: it is on the shelf."""
    serial: int = 0


@dataclass(eq=False)
class Shift:
    """What one worker was given since HTEX gave it a task."""

    numbers: list[int]
    """By place."""
    serial: int = 0
    """Of the last chunk."""
    left: int = 0
    """Attempts that have no end yet."""
    lonely: bool = False
    """A strict chunk is in it."""
    routing: bytes = b''
    """Where its worker is on the control channel; empty until it has spoken."""
    asks: bool = False
    closed: bool = False

    def takes(self, chunk: Chunk) -> bool:
        """Whether it may get this one now."""
        return self.asks and len(chunk.data) <= WIDEST and not (self.left and (chunk.strict or self.lonely))

    def add(self, chunk: Chunk) -> None:
        """It gets it."""
        self.numbers += chunk.numbers
        self.left += len(chunk.numbers)
        self.lonely = chunk.strict
        self.asks = False

    def lose(self, count: int) -> None:
        """So many have left."""
        self.left -= count
        self.lonely = self.lonely and self.left > 0


class Shifts:
    """Chunks and shifts of one engine."""

    def __init__(self, draw: Callable[[], int], *, fuses: bool = True) -> None:
        """`draw` gives the numbers of shifts, never the same; without `fuses` HTEX gets every chunk at once, and a shift is one chunk."""
        self._draw, self._fuses = draw, fuses
        self._at: dict[int, Chunk] = {}  # by the number of an attempt
        self._shelf: list[tuple[int, int, Chunk]] = []
        self._shifts: dict[int, Shift] = {}
        self._asking: dict[int, None] = {}  # shifts, first come first served
        self._count = self._mute = 0

    def __len__(self) -> int:
        """Attempts."""
        return len(self._at)

    @property
    def waiting(self) -> bool:
        """Whether there is something on the shelf."""
        return bool(self._shelf)

    @property
    def resting(self) -> int:
        """Shifts that have nothing to do. From any thread."""
        return sum(not shift.left for shift in list(self._shifts.values()))

    def put(self, chunk: Chunk) -> None:
        """One more on the shelf."""
        self._count += 1
        chunk.order = self._count
        self._at.update(dict.fromkeys(chunk.numbers, chunk))
        self._shelve(chunk)

    def _shelve(self, chunk: Chunk) -> None:
        heappush(self._shelf, (chunk.specification.get('priority', 0), chunk.order, chunk))

    def take_back(self, number: int, without: Callable[[bytes, int], bytes]) -> bool:
        """Take an attempt off the shelf; whether it was there. `without` makes the data of a chunk without its attempt of that place."""
        chunk = self._at.get(number)
        if chunk is None or chunk.shift:
            return False
        place = chunk.numbers.index(number)
        del self._at[number], chunk.numbers[place]
        if chunk.numbers:
            chunk.data = without(chunk.data, place)
        else:
            self._shelf = [entry for entry in self._shelf if entry[2] is not chunk]
            self._shelf.sort()
        return True

    # -- Giving ------------------------------------------------------------------------------------------------------

    def deal(self, room: int) -> Iterable[Chunk]:
        """Take chunks off the shelf, the most urgent and oldest first, each with its shift and serial: 0 is for HTEX, others for the control channel.

        `room`: how many workers take tasks of HTEX.
        """
        while self._shelf:
            chunk = self._shelf[0][2]
            number = self._taker(chunk)
            if not number:
                if not self._may_begin(chunk, room):
                    return
                number = self._draw()
                self._shifts[number] = Shift([])
            else:
                self._shifts[number].serial += 1
                del self._asking[number]
            heappop(self._shelf)
            shift = self._shifts[number]
            shift.add(chunk)
            chunk.shift, chunk.serial = number, shift.serial
            yield chunk

    def _taker(self, chunk: Chunk) -> int:
        return next((number for number in self._asking if self._shifts[number].takes(chunk)), 0)

    def _may_begin(self, chunk: Chunk, room: int) -> bool:
        if not self._fuses or len(chunk.data) > WIDEST:
            return True
        self._mute = min(self._mute, room)
        return len(self._shifts) < room + AHEAD * self._mute

    def unsent(self, chunk: Chunk) -> None:
        """The last chunk of a shift could not be sent: its worker is not there. It goes back to where it was, and the shift gets no more."""
        shift = self._shifts[chunk.shift]
        shift.serial -= 1
        del shift.numbers[-len(chunk.numbers) :]
        shift.lose(len(chunk.numbers))
        self._close(chunk.shift, shift)
        chunk.shift = chunk.serial = 0
        self._shelve(chunk)

    # -- What a worker says over the control channel -----------------------------------------------------------------

    def ask(self, number: int, routing: bytes, tasks: int) -> bool:
        """A worker could take so many attempts more in its shift; whether it speaks for the first time, or from another place."""
        shift = self._shifts.get(number)
        if shift is None or shift.closed:
            return False
        news = shift.routing != routing
        self._mute = max(0, self._mute - (not shift.routing))
        shift.routing, shift.asks = routing, tasks > 0
        if shift.asks:
            self._asking[number] = None
        else:
            self._asking.pop(number, None)
        return news

    def given(self, number: int) -> int | None:
        """How many attempts a shift was given; None: there is no such shift any more."""
        shift = self._shifts.get(number)
        return None if shift is None else len(shift.numbers)

    def heard(self, number: int, ends: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Ends by place, in a shift; returns those by number that were not known yet."""
        shift = self._shifts.get(number)
        if shift is None:
            return []
        numbers, at = shift.numbers, self._at
        new = [(numbers[place], end) for place, end in ends if at.pop(numbers[place], None) is not None]
        shift.lose(len(new))
        return new

    def not_started(self, number: int, last: int, attempts: Iterable[int]) -> list[int]:
        """A worker will not start these of the chunks up to serial `last`; returns those that go back."""
        found = [each for each in dict.fromkeys(attempts) if (chunk := self._at.get(each)) and chunk.shift == number and chunk.serial <= last]
        return self._leave(number, found)

    def closed(self, number: int, last: int) -> list[int]:
        """A worker takes nothing after serial `last` in its shift; returns what was given to it in vain."""
        shift = self._shifts.get(number)
        if shift is None:
            return []
        self._close(number, shift)
        return self._leave(number, [each for each in self._inside(shift) if self._at[each].serial > last])

    def _close(self, number: int, shift: Shift) -> None:
        shift.closed, shift.asks = True, False
        self._asking.pop(number, None)

    def _leave(self, number: int, attempts: list[int]) -> list[int]:
        for each in attempts:
            del self._at[each]
        if attempts:
            self._shifts[number].lose(len(attempts))
        return attempts

    # -- What HTEX says ----------------------------------------------------------------------------------------------

    def over(self, number: int, ends: Sequence[tuple[int, bytes]], *, reached: bool = True) -> tuple[list[tuple[int, bytes]], list[int]]:
        """A shift is over: what its worker said had ended, and what has not started. `reached`: it had a control channel."""
        self._mute += not (reached or self._shifts[number].routing)
        ended = self.heard(number, ends)
        return ended, self.died(number)

    def died(self, number: int) -> list[int]:
        """A shift has no worker any more: what was in it."""
        shift = self._shifts.pop(number)
        self._asking.pop(number, None)
        left = self._inside(shift)
        for each in left:
            del self._at[each]
        return left

    def _inside(self, shift: Shift) -> list[int]:
        """What has no end, in order."""
        return [each for each in shift.numbers if each in self._at] if shift.left else []

    # -- Who has what ------------------------------------------------------------------------------------------------

    def where(self, number: int) -> bytes:
        """Where the worker is that has an attempt, on the control channel; empty: nobody knows."""
        chunk = self._at.get(number)
        shift = self._shifts.get(chunk.shift) if chunk is not None else None
        return b'' if shift is None else shift.routing

    def of(self, number: int) -> list[int]:
        """Attempts in a shift that have no end yet."""
        shift = self._shifts.get(number)
        return [] if shift is None else self._inside(shift)
