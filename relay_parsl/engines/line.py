"""A worker's end of the control channel: dialled when its attempt has run for a while, closed when none does.

What it needs is imported then: short tasks never pay for it. Where it cannot be had (a firewall between nodes, no room at the other end) the attempt
runs on as it would without, and the worker says so once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from relay_parsl.engines.frames import Head

if TYPE_CHECKING:
    from relay_parsl.engines.control import Key
    from relay_parsl.transport import Dealer
    from relay_parsl.wire.messages import Message

logger = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between looks at whether there is still something to say."""
LINGER = 20.0
"""Seconds that a connection is kept for the next long attempt."""
DIAL = 15.0
"""Seconds for a connection to come about."""
REST = 300.0
"""Seconds until the next try when it has not."""


class Line:
    """To the engine process that `contact` names (see `engines.listener`). `cancel` is called from its thread, with a task and an attempt."""

    def __init__(self, contact: Sequence[Any]) -> None:
        """Dials nothing yet."""
        self._url, self._server_key, self._key = contact
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dealer: Dealer | None = None
        self._current: Head | None = None
        self._parcels: list[Message] = []
        self._rested = threading.Event()
        self._complained = False
        self._cancel: Callable[[bytes, int], object] = lambda task_id, attempt: None

    def tell(self, head: Head, cancel: Callable[[bytes, int], object]) -> None:
        """This attempt runs, and takes long: say so, and `cancel` it when asked to."""
        with self._lock:
            self._current, self._cancel = head, cancel
        self._dial()

    def hand(self, ends: Sequence[tuple[Key, bytes]], unstarted: Sequence[Key]) -> None:
        """A chunk's attempts that have ended, and those that will not start here: they are not to wait for the one that runs."""
        from relay_parsl.engines.control import say_ends, say_unstarted  # noqa: PLC0415  see above

        with self._lock:
            self._parcels += [*say_ends(ends), *([say_unstarted(unstarted)] if unstarted else [])]
        self._dial()

    def _dial(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name='control-line', daemon=True)
                self._thread.start()
            elif self._dealer is not None:
                self._dealer.wake()

    def over(self) -> None:
        """It runs no more."""
        self._current = None

    def _serve(self) -> None:
        """Until nothing has been said for a while."""
        while True:
            try:
                connected = self._call()
            except Exception:
                logger.exception('the control channel failed')
                connected = False
            if not connected:
                self._parcels.clear()  # they come with the result of their chunk
                self._rested.wait(REST)
            with self._lock:
                if self._current is None and not self._parcels:
                    self._thread = None
                    return

    def _call(self) -> bool:
        """One connection, from dialling to the end; whether there was one."""
        from relay_parsl.transport import Dealer  # noqa: PLC0415  see above

        dealer = Dealer(self._url, self._server_key, self._key)
        self._dealer = dealer
        try:
            return self._talk(dealer)
        finally:
            with self._lock:
                self._dealer = None
            dealer.close(last_words=True)

    def _talk(self, dealer: Dealer) -> bool:
        from relay_parsl.engines.control import hear_cancel  # noqa: PLC0415

        said, useful, began = (0, None), time.monotonic(), time.monotonic()
        while time.monotonic() - useful < LINGER:
            dealer.wait(TICK)
            for message in dealer.receive():
                for key in hear_cancel(message):
                    self._cancel(*key)
            said = self._say(dealer, said)
            if self._current is not None:
                useful = time.monotonic()
            if not dealer.handshakes and time.monotonic() - began > DIAL:
                self._complain(dealer.failure)
                return False
        return bool(dealer.handshakes)

    def _say(self, dealer: Dealer, said: tuple[int, Any]) -> tuple[int, Any]:
        """State, not deltas: said again after each connection. Returns what was said last, and over which."""
        from relay_parsl.engines import control, task  # noqa: PLC0415

        while dealer.handshakes and self._parcels and dealer.send(self._parcels[0]):
            self._parcels.pop(0)
        head = self._current
        if head is None or not dealer.handshakes or said == (dealer.handshakes, head.key):
            return said
        known = task.where()
        detail = {name: str(known[name])[: control.VALUE] for name in control.KEYS if known.get(name)}
        sent = dealer.send(control.say_running(control.Running(head.task_id, head.attempt, detail)))
        return (dealer.handshakes, head.key) if sent else said

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                'no control channel to %s (%s): where tasks run is not shown, and a cancel takes effect at their end', self._url, why or 'silent'
            )
