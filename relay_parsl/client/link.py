"""The session itself: greeting, silence, refusal. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from relay_parsl.client.effects import Effect, Reconnect, Refuse, Send
from relay_parsl.wire.messages import Goodbye, Hello, Message, Ping, Pong, Welcome

QUIET, DEAD = 10.0, 30.0
"""Seconds of silence until a `Ping`, and until the session counts as dead."""
HELLO_AGAIN = 5.0
"""Seconds until an unanswered `Hello` is sent again."""

FINAL = frozenset({'denied', 'protocol', 'revoked'})
"""Codes with which a relay refuses a session for good."""


class Link:
    """Whether there is a session, and what it takes to have one. Effects are appended to `effects`."""

    def __init__(self, hello: Hello, effects: list[Effect]) -> None:
        """`hello` begins every session."""
        self._hello = hello
        self._effects = effects
        self._phase = 'off'
        self._heard = self._said = self._pinged = 0.0
        self.session = 0

    @property
    def open(self) -> bool:
        """Whether the relay has welcomed us."""
        return self._phase == 'open'

    def connect(self, now: float) -> None:
        """There is a (new) socket: greet."""
        if self._phase != 'refused':
            self._phase, self._heard = 'hello', now
            self._greet(now)

    def heard(self, now: float) -> None:
        """Anything came."""
        self._heard = now

    def welcome(self, message: Welcome, now: float) -> bool:
        """Whether this opens a session; an old greeting may be answered late."""
        if self._phase == 'refused' or (self._phase == 'open' and message.session <= self.session):
            return False
        self._phase, self.session, self._pinged = 'open', message.session, now
        return True

    def refused(self, code: str, reason: str) -> None:
        """An answer to `Hello` is final; one to anything else concerns that message only, and may come late."""
        if self._phase == 'hello' and code in FINAL:
            self._give_up(code, reason)

    def goodbye(self, message: Goodbye, now: float) -> None:
        """The session is over; many may say so, one greeting answers them."""
        if message.reason == 'revoked':
            self._give_up('revoked', 'the relay has revoked this account, or its time is over')
        elif self._phase == 'open':
            self.connect(now)

    def say(self, message: Message) -> None:
        """Before `Welcome` nothing but `Hello` is said: what matters is said again after it."""
        if self._phase == 'open':
            self._effects.append(Send(message))

    def say_all(self, messages: Iterable[Message]) -> None:
        """One after the other."""
        for message in messages:
            self.say(message)

    def pong(self) -> None:
        """Here we are."""
        self.say(Pong())

    def tick(self, now: float) -> bool:
        """Timers of the session; whether it is open and alive."""
        silence = now - self._heard
        if self._phase in ('hello', 'open') and silence >= DEAD:
            self._phase = 'off'
            self._effects.append(Reconnect())
        elif self._phase == 'hello' and now - self._said >= HELLO_AGAIN:
            self._greet(now)
        elif self._phase == 'open' and now - max(self._heard, self._pinged) >= QUIET:
            self._pinged = now
            self.say(Ping())
        return self._phase == 'open'

    def _greet(self, now: float) -> None:
        self._said = now
        self._effects.append(Send(self._hello))

    def _give_up(self, code: str, reason: str) -> None:
        self._phase = 'refused'
        self._effects.append(Refuse(code, reason))
