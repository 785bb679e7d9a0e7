"""What a worker says of its shift to the engine process, and what it makes of what it hears. Pure: time and messages are handed in.

A *shift* is a task of HTEX. It begins with the chunk that HTEX brings and goes on with those that come over the control channel, each asked for a
little before the worker is through. It ends when nothing came for LINGER, or after LIFE, or when the connection broke or never came about; then its
result says what was not heard yet. So nothing is lost or done twice, whatever the channel loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from relay_parsl.engines import control
from relay_parsl.engines.control import Key, Parcel, Refill
from relay_parsl.engines.frames import NO_SERIAL, encode_ends
from relay_parsl.engines.fusion import BYTES, MOST
from relay_parsl.wire.messages import Dispatch, Message, Recorded

AHEAD = 0.01
"""Seconds of work that a worker has left when it asks for more: what a round trip takes on a busy machine."""
DOUBT = 0.015
"""Seconds after the thought end of what it has in which a worker that has asked looks whether that has come."""
LINGER = 0.5
"""Seconds that a worker waits for more when it has nothing to do."""
LIFE = 5.0
"""Seconds after which a shift takes no more: managers have to drain, and blocks to end."""
RESULTS = 1 << 20
"""Bytes of results that were not heard yet, above which the worker takes no more: large ones jam a node's manager."""

Ends = list[tuple[int, bytes]]


class Talk:
    """Of one shift. Time is in seconds of any one clock."""

    def __init__(self, number: int, now: float) -> None:
        """The shift of this number begins; 0: there is nobody to talk to."""
        self.number = number
        self.last = 0
        """The serial of the last chunk that was taken."""
        self._connection = 0
        self._ends_at = now + LIFE
        self._idle = now  # since when there is nothing to do, or inf
        self._asked = self._closed = False
        self._fresh: Ends = []  # ends that were not said yet
        self._parcels: dict[int, Parcel] = {}  # said, and not known to be heard
        self._gone: list[Message] = []
        self._count = 0
        self._size = 0

    # -- What happens ------------------------------------------------------------------------------------------------

    def connect(self, connection: int) -> list[Message]:
        """The number of the connection that there is, 0 before the first; returns what is to be said over a new one: first of all, who is there.

        What was said or sent over the last one may be lost: so nothing more is taken, and all is said again.
        """
        if not self.number or connection == self._connection:
            return []
        self._closed = self._closed or self._connection > 0
        self._connection = connection
        here = control.say_window(self.number, 0, 0)
        return [here, *map(control.say_parcel, self._parcels.values()), *self._gone, *self._farewell()]

    def ended(self, ends: Sequence[tuple[int, bytes]]) -> None:
        """These have ended, by place."""
        self._fresh += ends
        self._size += sum([len(end) for _, end in ends])

    def hear(self, message: Message) -> Refill | None:
        """The next chunk, if that is what the message brings and it may be taken. Raises ProtocolError."""
        if isinstance(message, Recorded):
            for shift, number in control.hear_recorded(message):
                self._forget(shift, number)
        if not isinstance(message, Dispatch):
            return None
        refill = control.hear_refill(message)
        for number in refill.heard:
            self._forget(refill.shift, number)
        if self._closed or (refill.shift, refill.serial) != (self.number, self.last + 1):
            return None
        self.last, self._asked = refill.serial, False
        return refill

    def _forget(self, shift: int, number: int) -> None:
        parcel = self._parcels.pop(number, None) if shift == self.number else None
        self._size -= sum([len(end) for _, end in parcel.ends]) if parcel is not None else 0

    # -- What follows ------------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether there are so many results that the rest has to go elsewhere."""
        return self._size >= RESULTS

    def say(self, left: float, now: float) -> list[Message]:
        """What is to be said now. `left`: seconds that what is here will take, inf if nobody knows, 0 if there is nothing."""
        self._idle = inf if left else min(self._idle, now)
        if not self._connection or not self.number:
            return []
        said: list[Message] = [control.say_parcel(each) for each in self._wrap()]
        if now >= self._ends_at:
            said += self.close()
        if self._wants and left < AHEAD:
            self._asked = True
            said.append(control.say_window(self.number, MOST, BYTES))
        elif self._asked and left == inf and not self._closed:  # what runs takes longer than was thought: others are not to wait behind it
            self._asked = False
            said.append(control.say_window(self.number, 0, 0))
        return said

    def returned(self, keys: Sequence[Key]) -> list[Message]:
        """What is to be said of attempts that will not start here."""
        said: list[Message] = [control.say_not_started(self.number, self.last, keys)] if keys else []
        self._gone += said
        return said if self._connection else []

    def open(self, now: float) -> bool:
        """Whether more may come, when there is nothing to do."""
        return bool(self._connection) and not self._closed and now < self._idle + LINGER

    def close(self) -> list[Message]:
        """Nothing more is taken; returns what is to be said."""
        already, self._closed = self._closed, True
        return [] if already else self._farewell()

    def pause(self, left: float, now: float) -> float:
        """Seconds until something is to be said, or inf."""
        if not self._connection or self._closed:
            return inf
        asks = now + left + (-AHEAD if self._wants else DOUBT if self._asked and left else inf)
        return max(0.0, min(asks, self._ends_at, self._idle + LINGER) - now)

    def result(self, *, dialling: bool = False) -> bytes:
        """What HTEX is given: what was not heard, and the last chunk that was taken. `dialling`: a connection may come about yet."""
        said = [end for parcel in self._parcels.values() for end in parcel.ends]
        return encode_ends([*said, *self._fresh], self.last if self._connection or dialling else NO_SERIAL)

    @property
    def _wants(self) -> bool:
        return not self._asked and not self._closed and not self.full

    def _farewell(self) -> list[Message]:
        return [control.say_closed(self.number, self.last)] if self._closed and self._connection else []

    def _wrap(self) -> list[Parcel]:
        made = control.parcels(self.number, self._count, self._fresh)
        self._count += len(made)
        self._parcels.update({each.number: each for each in made})
        self._fresh = []
        return made
