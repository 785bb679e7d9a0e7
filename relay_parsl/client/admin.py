"""Questions to a relay and orders for it, one at a time, over a connection of their own: what the command line asks.

A `Session` is for programs that stay; a `Desk` opens, asks, and closes, and each wait of it is bounded.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any

from relay_parsl.errors import AccessDenied, ConfigError, NotFound, RelayError, RelayUnavailable, StoreError
from relay_parsl.home import Credentials, Following, Home, RelayEntry
from relay_parsl.home.following import REPLACED
from relay_parsl.transport import Dealer
from relay_parsl.version import VERSION
from relay_parsl.wire.messages import Admin, Attempt, Cancel, Done, Enrol, Enrolled, Goodbye, Hello, Id, List, Listing, Message, Refused, Welcome

TIMEOUT = 10.0
"""Seconds until a relay that does not answer is given up."""
AGAIN = 2.0
"""Seconds between two greetings: a relay that starts while we wait has not seen the first."""
REFUSED = 1.0
"""Seconds that a refused key is tried on: an account may be taken in at this very moment."""
REFUSALS: dict[str, type[RelayError]] = {
    'not-found': NotFound,
    'full': StoreError,
    'malformed': ConfigError,
    'limit': ConfigError,
    'ambiguous': ConfigError,
    'too-large': ConfigError,
}
"""What a refusal's code is raised as; every other code is `AccessDenied`."""


class Desk:
    """A short session with one relay.

    Raises:
        RelayUnavailable: there was no answer in `timeout` seconds.
        AccessDenied, NotFound, ConfigError, StoreError: the relay's refusal, in its own words.
    """

    def __init__(self, entry: RelayEntry, credentials: Credentials, *, timeout: float = TIMEOUT, home: Home | None = None) -> None:
        """Connect and say hello. What the relay says of its next key is kept in `home`, if given."""
        self._following = Following(entry, home.follow_relay if home else None)
        self.credentials = credentials
        self._timeout = timeout
        self._request = 0
        self._dealer = Dealer(entry.url, self._following.key, credentials.keys.curve)
        try:
            self._greet()
        except BaseException:
            self._dealer.close()
            raise

    def __enter__(self) -> Desk:
        """The desk itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Close the connection."""
        self.close()

    @property
    def entry(self) -> RelayEntry:
        """The relay, with what it has said of its keys."""
        return self._following.entry

    def close(self) -> None:
        """Say goodbye, so that the relay counts nobody who is gone; what was not answered is not asked again."""
        self._dealer.send(Goodbye('done'))
        self._dealer.close(last_words=True)

    def rows(self, what: str, **filters: Any) -> list[dict[str, Any]]:
        """All rows that one may see of `accounts`, `endpoints`, `tasks`, `cards`, `invites` or `functions`."""
        found: list[dict[str, Any]] = []
        page = ''
        while True:
            self._request += 1
            answer = self._ask(List(self._request, what, filters, page), Listing)
            found += answer.rows
            page = answer.page
            if not page:
                return found

    def order(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Have the relay do something: `invite`, `vouch`, `revoke`, `delete-endpoint`, `status`, `stop`."""
        self._request += 1
        done: Done = self._ask(Admin(self._request, verb, arguments), Done)
        return done.result

    def cancel(self, task_id: bytes) -> None:
        """Ask for the end of a task; there is no answer, its state tells."""
        _send(self._dealer, Cancel((Attempt(Id(task_id)),)), time.monotonic() + self._timeout, self.entry)

    def _greet(self) -> None:
        hello = Hello('client', Id(os.urandom(16)), versions={'relay-parsl': VERSION})
        end = time.monotonic() + self._timeout
        while time.monotonic() < end and self._dealer.failure != 'unknown-key':
            self._dealer.send(hello)
            if welcome := _receive(self._dealer, (Welcome,), min(end, time.monotonic() + AGAIN)):
                self._following.told(welcome.succession)
                return
            if key := self._following.turn(self._dealer.failure):
                self._dealer.reconnect(server_key=key)
        raise unanswered(self.entry.url, self._timeout, self._dealer.failure)

    def _ask(self, question: List | Admin, kind: type[Any]) -> Any:
        end = time.monotonic() + self._timeout
        _send(self._dealer, question, end, self.entry)
        while answer := _receive(self._dealer, (kind,), end):
            if answer.request == question.request:
                return answer
        raise unanswered(self.entry.url, self._timeout, self._dealer.failure)


REFUSED_KEY = (
    'your account there was revoked, its time is over, or it is another; or the relay was restored from a backup that is older than your last '
    '`relay-parsl account rotate`: say that once more'
)
"""What it means when a relay knows the key of an account not any more."""


def enrol(url: str, relay_key: bytes, curve: bytes, message: Enrol, *, timeout: float = TIMEOUT) -> Enrolled:
    """Join over an invitation's one-use key. Raises what a `Desk` raises."""
    dealer = Dealer(url, relay_key, curve)
    end = time.monotonic() + timeout
    try:
        while time.monotonic() < end and dealer.failure != 'unknown-key':
            dealer.send(message)
            if answer := _receive(dealer, (Enrolled,), min(end, time.monotonic() + AGAIN)):
                return answer  # type: ignore[no-any-return]  # the kind was asked for
        refused = 'the invitation was used or has expired: ask for a new one' if message.token else REFUSED_KEY
        raise unanswered(url, timeout, dealer.failure, refused)
    finally:
        dealer.close()


def unanswered(url: str, timeout: float, failure: str, refused: str = REFUSED_KEY) -> RelayUnavailable:
    """What is the matter with a relay that is silent. `failure` is the dealer's; `refused` is what it means when the relay refuses our key."""
    if failure == 'unknown-key':
        return RelayUnavailable(f'no session with the relay at {url}: the relay refuses your key: {refused}')
    why = {
        'unreachable': 'nothing answers there: is the relay started, and can this machine reach its port?',
        'handshake': f'what answers there is no relay, or its key is not the one that was pinned here. {REPLACED}',
    }.get(failure, 'it is reached and says nothing: it may be overloaded; try again')
    return RelayUnavailable(f'no answer from the relay at {url} within {timeout:g} s: {why}')


def _send(dealer: Dealer, message: Message, end: float, entry: RelayEntry) -> None:
    while not dealer.send(message):
        if time.monotonic() > end:
            raise unanswered(entry.url, TIMEOUT, dealer.failure)
        dealer.wait(0.05)


def _receive(dealer: Dealer, kinds: tuple[type[Any], ...], end: float) -> Any:
    """The next message of one of these kinds, None when time is up or our key is refused for `REFUSED`. Raises the relay's refusal."""
    refused = False
    while (left := end - time.monotonic()) > 0:
        dealer.wait(left)
        if dealer.failure == 'unknown-key' and not refused:
            refused, end = True, min(end, time.monotonic() + REFUSED)
        for message in dealer.receive(1):
            if isinstance(message, Refused):
                raise REFUSALS.get(message.code, AccessDenied)(f'the relay refused: {message.reason}')
            if isinstance(message, Goodbye) and not message.hello:
                raise AccessDenied(f'the relay ended the session: {message.reason}')
            if isinstance(message, kinds):
                return message
    return None
