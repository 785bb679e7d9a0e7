"""The endpoint's side of a session: greeting, silence, refusals."""

from __future__ import annotations

from relay_parsl.endpoint.effects import Effect, Exit, Reconnect, Send
from relay_parsl.wire.messages import Goodbye, Hello, Message, Ping, Refused, Welcome

GREET_AGAIN = 5.0
"""Seconds after which an unanswered `Hello` is repeated."""
PING_AFTER, DEAD_AFTER = 10.0, 30.0
"""Seconds of silence after which we ask, and after which the session is dead."""
TWIN_AGAIN, TWIN_FOR = 2.0, 4.0
"""Seconds between, and in all, of attempts to enter while another process is this endpoint.

Each time the relay asks that one, and refuses only when it has answered. One that was just killed may have words on the way, but not for so long.
"""
FATAL = frozenset({'fenced', 'superseded', 'revoked'})
"""What ends the process for good: another one is this endpoint now, or nobody is any more."""
UNFIT = frozenset({'denied', 'protocol', 'role'})
"""Answers to `Hello` that trying again does not change."""


class Link:
    """Who greets whom, and is anybody there? Effects are appended to `out`."""

    def __init__(self, hello: Hello, out: list[Effect]) -> None:
        """`hello` is what every session starts with; `takeover` counts only until the first one is open."""
        self._hello = hello
        self._out = out
        self.live = False
        self.session = 0
        self._connected = False
        self._heard = 0.0
        self._asked = 0.0
        self._greeted = 0.0
        self._pause = GREET_AGAIN
        self._twin_since: float | None = None
        self.lost_at: float | None = None

    def send(self, message: Message) -> None:
        """Say something; it may be lost."""
        self._out.append(Send(message))

    def connect(self, now: float) -> None:
        """There is a (fresh) socket."""
        self._connected = True
        self._heard = self._asked = now
        self.greet(now)

    def greet(self, now: float) -> None:
        """Begin a session."""
        if self.live:
            self.lost_at = now
        self.live = False
        self._greeted = now
        self._pause = GREET_AGAIN
        self.send(self._hello)

    def heard(self, now: float) -> None:
        """Anything came."""
        self._heard = self._asked = now

    def welcome(self, message: Welcome) -> bool:
        """Whether this opens a session; one that is older than ours does not."""
        if self.live and message.session <= self.session:
            return False
        self.live, self.session = True, message.session
        self.lost_at = self._twin_since = None
        self._hello = Hello('endpoint', self._hello.instance, self._hello.epoch, versions=self._hello.versions)
        return True

    @property
    def last_heard(self) -> float:
        """When anything came last."""
        return self._heard

    def astray(self, now: float) -> None:
        """The relay speaks of a session that we are not in: greet again, but not for every such word."""
        if now - self._greeted >= GREET_AGAIN:
            self.greet(now)

    def goodbye(self, message: Goodbye, now: float) -> None:
        """The relay has ended the session."""
        if message.reason in FATAL:
            self._out.append(Exit(3, _FAREWELL[message.reason]))
        elif message.hello:
            if self.live or now - self._greeted >= 1.0:
                self.greet(now)
        elif self.live:
            self.live, self.lost_at, self._greeted = False, now, now

    def refused(self, message: Refused, now: float) -> None:
        """The relay has refused something; during the greeting that is us."""
        if message.code in FATAL:
            self._out.append(Exit(3, f'{_FAREWELL[message.code]} ({message.reason})'))
        elif self.live:
            return
        elif message.code == 'duplicate':
            self._twin(message.reason, now)
        elif message.code in UNFIT:
            self._out.append(Exit(2, f'the relay refuses this endpoint: {message.reason}'))

    def tick(self, now: float) -> None:
        """Ask when it is silent, give the socket up when it stays so, greet again while there was no answer."""
        if not self._connected:
            return
        if now - self._heard >= DEAD_AFTER:
            self._connected = False
            if self.live:
                self.live, self.lost_at = False, now
            self._out.append(Reconnect())
        elif not self.live and now - self._greeted >= self._pause:
            self.greet(now)
        elif self.live and now - self._asked >= PING_AFTER:
            self._asked = now
            self.send(Ping())

    def _twin(self, reason: str, now: float) -> None:
        if self._twin_since is None:
            self._twin_since = now
        if now - self._twin_since >= TWIN_FOR:
            remedy = 'stop it, or start this one with --take-over'
            self._out.append(Exit(2, f'another process is running as this endpoint: {remedy} ({reason})'))
        self._pause = TWIN_AGAIN


_FAREWELL = {
    'fenced': 'the relay has seen a newer process of this endpoint',
    'superseded': 'another process has taken this endpoint over',
    'revoked': 'the account of this endpoint was revoked',
}
