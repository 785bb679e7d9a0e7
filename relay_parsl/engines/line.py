"""A worker's end of the control channel: dialled when there is something to say, listened to while the worker has work.

Nothing here waits, and there is no thread: the worker waits for its runner and for this at once. Where no connection can be had (a firewall between
nodes, no room at the other end) the worker does what it would without, and says so once. What a connection needs is imported when it is dialled.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from relay_parsl.engines.frames import Head

if TYPE_CHECKING:
    from relay_parsl.transport.polled import Polled
    from relay_parsl.wire.messages import Message

logger = logging.getLogger(__name__)

DIAL = 15.0
"""Seconds for a connection to come about."""
REST = 300.0
"""Seconds until the next try when it has not."""


class Line:
    """To the engine process that `contact` names (see `engines.listener`). One thread uses it."""

    def __init__(self, contact: Sequence[Any]) -> None:
        """Dials nothing yet."""
        self._url, self._server_key, self._key = contact
        self._dealer: Polled | None = None
        self._descriptors: tuple[int, ...] = ()
        self._out: deque[Message] = deque()
        self._current: Head | None = None
        self._said = 0  # the connection over which it was said that the current attempt runs
        self._due = 0.0  # when the next try may be made, or this one has failed
        self._complained = False

    @property
    def connection(self) -> int:
        """Counts the connections so far; 0 before the first."""
        return self._dealer.handshakes if self._dealer is not None else 0

    @property
    def open(self) -> bool:
        """Whether there is a connection, or a try at one that has not failed yet."""
        return self._dealer is not None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a poll has to wait for, unless `ready`."""
        return self._descriptors

    @property
    def ready(self) -> bool:
        """Whether something is to be heard now. To be asked before each wait: its descriptors tell of a change once."""
        return self._dealer is not None and self._dealer.ready

    @property
    def wanted(self) -> bool:
        """Whether there is something to say."""
        return bool(self._out) or self._current is not None

    def pause(self, now: float) -> float:
        """Seconds until a try has failed or the next one is due, or inf."""
        return inf if self.connection or (self._dealer is None and not self.wanted) else max(0.0, self._due - now)

    def dial(self) -> bool:
        """Begin to connect, if it is time to; whether its descriptors have changed."""
        if self._dealer is not None or time.monotonic() < self._due:
            return False
        from relay_parsl.transport.polled import Polled  # noqa: PLC0415  see above

        self._dealer = Polled(self._url, self._server_key, self._key)
        self._descriptors = self._dealer.descriptors
        self._due = time.monotonic() + DIAL
        return True

    def tell(self, head: Head) -> None:
        """This attempt runs, and takes long: say so, and again over each new connection."""
        self._current, self._said = head, 0

    def over(self) -> None:
        """It runs no more."""
        self._current = None

    def say(self, messages: Sequence[Message]) -> None:
        """Say this as soon as there is a connection and room."""
        self._out += messages

    def flush(self) -> None:
        """Send what can be sent."""
        if self._dealer is None or not self._dealer.handshakes:
            return
        if self._current is not None and self._said != self._dealer.handshakes:
            self._said = self._dealer.handshakes
            self._out.append(_running(self._current))
        while self._out and self._dealer.send(self._out[0]):
            self._out.popleft()

    def hear(self) -> list[Message]:
        """What has come."""
        if self._dealer is None:
            return []
        heard = self._dealer.receive()
        if not self._dealer.handshakes and time.monotonic() >= self._due:
            self._give_up(self._dealer.failure)
        return heard

    def close(self) -> None:
        """Drop the connection."""
        if self._dealer is not None:
            self._dealer.close()
            self._dealer, self._descriptors = None, ()

    def _give_up(self, why: str) -> None:
        self.close()
        self._out.clear()  # it comes with the result of the shift
        self._due = time.monotonic() + REST
        if not self._complained:
            self._complained = True
            logger.warning(
                'no control channel to %s (%s): where tasks run is not shown, and a cancel takes effect at their end', self._url, why or 'silent'
            )


def _running(head: Head) -> Message:
    from relay_parsl.engines import control, task  # noqa: PLC0415  see above

    known = task.where()
    detail = {name: str(known[name])[: control.VALUE] for name in control.KEYS if known.get(name)}
    return control.say_running(control.Running(head.task_id, head.attempt, detail))
